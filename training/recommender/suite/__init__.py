"""`encodery evaluate recommender CONFIG`: a recommender run beside tuned baselines.

    config -> protocol -> examples -> the run's own training, or a server -> values per user
                                   -> baselines, tuned on validation users   -> values per user
    values per user -> means, standard errors, paired bootstrap -> results.json and a table

Full ranking always, never among sampled items: Krichene and Rendle, KDD 2020.
"""
