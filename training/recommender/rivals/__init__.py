"""What the encoders have to beat, as a good engineer would tune it in an afternoon.

    training rows -> TrainingInteractions -> a baseline of the table at some settings -> scores of all items
    grids of the table -> search on a split to choose by -> settings -> fitted to all training rows

New users' settings are chosen on validation users, those of known users later in time on the training rows
split in time, those for new items on known items kept out. Test users choose nothing.
"""
