"""Losses that encoders of more than one kind learn by."""
