"""The tables of a recommender run that its data and its towers read."""
