"""Builds encoders with torch and exports them as bundles. Never imported by the server.

    config -> kinds -> a kind's task -> trainer -> export -> bundle

What is common to all kinds of run stands here; `text` and `recommender` are the rooms of one kind each, and
neither knows the other. `kinds` is the table that leads from a config to its room.
"""
