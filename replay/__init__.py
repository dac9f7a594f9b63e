"""Replays what servers of others answered, against a server of ours, and judges the differences.

    recorded.jsonl -> recorded -> sent to our server -> compare -> verdicts (verdicts/*.toml) -> report

For developers only: nothing here is served. It knows no protocol; what one has of its own stands in its table
of verdicts.
"""
