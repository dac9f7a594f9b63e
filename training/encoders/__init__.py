"""Torch modules that become graphs."""
