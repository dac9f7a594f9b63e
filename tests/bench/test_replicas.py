"""What is said of replicas that were replaced, of given answers; and what nginx is told."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from bench.proxy import configuration
from bench.replicas import zipf
from bench.replicas_page import page, spanned

MACHINE = {"cpu": "a", "cores": 2, "commit": "abc", "date": "2026-11-30"}


def test_a_span_counts_what_was_due_in_it_and_only_right_vectors_as_answers() -> None:
    answers = {
        "sent_s": np.array([0.0, 1.0, 1.2, 1.4, 1.6, 2.0]),
        "done_s": np.array([0.1, 1.1, 1.3, 1.5, 2.6, 2.1]),
        "status": np.array([200.0, 200, 502, 200, 200, 200]),
        "off": np.array([0.0, 0, 0, 0.5, 0, 0]),
    }
    found = spanned(answers, 1.0, 2.0)

    assert found["requests"] == 4
    assert found["failed"] == 2  # a 502, and a vector of something else
    assert found["p50_ms"] == np.percentile([100, 1000], 50)


def test_the_page_sums_up_turns_and_names_their_worst() -> None:
    def turn(p99_ms: float, failed: int) -> dict[str, float]:
        return {"seconds": 2.0, "requests": 100, "failed": failed, "p50_ms": 2.0, "p99_ms": p99_ms}

    turns = [
        {when: turn(p99, failed) for when in ("before", "in", "after")} for p99, failed in ((4, 0), (9, 1))
    ]
    said = page({"machine": MACHINE, "updates": turns})

    assert "| in a rolling update | 2 | 200 | 1 | 50 | 2 | 6; 9 |" in said
    assert "kill" not in said


def test_a_zipf_law_draws_the_first_most_often_and_the_same_each_time() -> None:
    drawn = zipf(100, 20_000, exponent=1.0)
    counts = Counter(drawn)

    assert drawn == zipf(100, 20_000, exponent=1.0)
    assert 1.8 < counts[0] / counts[1] < 2.2  # 1 / 1 to 1 / 2
    assert max(drawn) < 100


def test_nginx_is_told_what_is_shipped_but_for_addresses(tmp_path: Path) -> None:
    told = configuration([5001, 5002], 5000, tmp_path)
    shared = configuration([5001, 5002], 5000, tmp_path, affinity=True)

    assert re.findall(r"server (127\S+) (.*);", told) == [
        (f"127.0.0.1:{port}", "max_fails=1 fail_timeout=1s") for port in (5001, 5002)
    ]
    assert "listen 127.0.0.1:5000;" in told
    assert "proxy_next_upstream error timeout http_503 non_idempotent;" in told
    assert "least_conn;" in told
    assert "least_conn;" not in shared.replace("# In place of `least_conn;`", "")
    assert "hash $request_body consistent;" in shared
