"""Runs the command line: `python -m encodery`."""

from encodery.cli import main

main()
