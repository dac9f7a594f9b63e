"""What the table of traced servers says of given rounds."""

from bench.tracing import page


def test_cost_is_told_round_by_round_against_the_server_that_traces_nothing() -> None:
    machine = {"cpu": "a", "cores": 2, "commit": "new", "date": "2026-11-30"}
    rates = {"off": (1000.0, 2000.0), "a tenth": (1000.0, 1000.0), "all": (500.0, 1000.0)}
    runs = [
        {"round": number, "sampled": name, "per_cpu_s": rate[number], "latency_ms": {"p99": 3.0}}
        for number in range(2)
        for name, rate in rates.items()
    ]

    *_, a_tenth, all_of_them = page({"machine": machine, "runs": runs}).splitlines()

    assert a_tenth == "| a tenth | 1,000 | 0.75 | 250 | 3 |"
    assert all_of_them == "| all | 750 | 0.50 | 750 | 3 |"
