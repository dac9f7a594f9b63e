"""Chooses the settings of the closed-form start, per log, by users that it was not computed from."""
