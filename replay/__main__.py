"""Replays recorded answers of another server against a running one, and prints the differences.

    python3 dev.py replay tests/replay/tei-own/answers.jsonl http://127.0.0.1:8000
    python3 dev.py replay FILE URL --show=wrong,kept,words    what differs, with both answers
    python3 dev.py replay FILE URL --keep                     write the counts into docs/results/replay.json

The exit status is 1 where an answer is wrong: it differs, and no row of replay/verdicts/ says why it should.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2 as httpx

from replay import recorded, report, verdicts

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "replay.json"
TIMEOUT_S = 60.0  # for any one answer


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = _options(arguments)
    server = options.server or options.file.resolve().parent.name
    table = verdicts.table_for(server)
    judged = []
    with httpx.Client(base_url=options.url, timeout=TIMEOUT_S, trust_env=False) as client:
        for one in recorded.read(options.file):
            answer = recorded.send(client, one)
            judged.append(verdicts.judge(one, answer, table, is_same_model=options.same_model))
    for line in report.details(judged, options.show.split(",")):
        print(line)
    print(f"\n{server}\n{report.summary(judged)}")
    if options.keep:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept[server] = report.kept(judged)
        RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=2, ensure_ascii=False) + "\n")
    return int(any(one.verdict == "wrong" for one in judged))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="recorded answers, a JSON object a line")
    parser.add_argument("url", metavar="URL", help="of the server that is asked")
    parser.add_argument("--server", help="whose answers they are; by default the name of FILE's directory")
    parser.add_argument("--show", default="wrong", help="verdicts to print in full, with commas")
    parser.add_argument(
        "--same-model", action="store_true", help="both serve one model: compare numbers, too"
    )
    parser.add_argument("--keep", action="store_true", help="keep the counts for the docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
