"""Directories of pretrained encoders, read and described."""
