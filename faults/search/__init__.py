"""Looks for the request that holds up the event loop longest, or takes most memory; the worst are kept.

    python -m faults.search [--minutes 5] [--models models] [--keep]

Bodies are made from the API's own document and from a grammar of what is awkward, up to each route's limit;
those that cost most are changed further. `seeds.json` has the worst that were found, as recipes, and
`tests/faults/test_stalls.py` sends them again.
"""
