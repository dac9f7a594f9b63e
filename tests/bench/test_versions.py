"""What the table of two versions says of given turns."""

from bench.versions import page


def test_ratio_is_of_now_by_before_and_turn_by_turn() -> None:
    machine = {"cpu": "a", "cores": 2, "commit": "new", "date": "2026-11-29"}
    turns = [{"before": 100.0, "now": 50.0}, {"before": 200.0, "now": 200.0}, {"before": 400.0, "now": 300.0}]

    last = page({"machine": machine, "before": "old", "rows": {"one text": turns}}).splitlines()[-1]

    assert last == "| one text | 200 | 200 | 1.00 | 0.75 | 0.50, 1.00 |"
