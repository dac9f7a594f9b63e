"""The tables of a text run that its data, its teacher and its encoder read."""
