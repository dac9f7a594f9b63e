"""The fault harness: what the server does in its worst hour, row by row, with figures and targets.

Every row is tests in `tests/`, which CI runs in their short form. `python3 dev.py faults` runs them in the
long form, keeps the figures that they record, and writes the table of docs/reliability.md.
"""
