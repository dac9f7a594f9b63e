"""Torch modules that become the graphs of two towers."""
