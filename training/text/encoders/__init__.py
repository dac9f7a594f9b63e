"""Torch modules that become the graph of a text encoder."""
