"""Pairs of user and item towers: what a run reads, learns, measures and publishes."""
