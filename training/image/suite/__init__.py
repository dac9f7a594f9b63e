"""Measures encoders of pictures: probe, neighbours, zero-shot by name, and finding pictures by texts."""
