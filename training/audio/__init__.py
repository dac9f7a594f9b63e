"""Runs that train encoders of sounds."""
