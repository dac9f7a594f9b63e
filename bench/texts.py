"""The inputs that are encoded: texts of log-normal length and users with histories, the same in every run."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

# Common English words, so that a wordpiece tokenizer gives about as many tokens as for real sentences.
WORDS = (Path(__file__).parent / "words.txt").read_text().split()
MEAN_WORDS, SPREAD, FEWEST, MOST = 15.0, 0.6, 5, 60  # log-normal: words p10/50/90 about 7/15/32


def texts(count: int, seed: int = 0) -> list[str]:
    """Draw texts of 5 to 60 words, log-normal."""
    chance = random.Random(seed)  # not for secrets
    lengths = [chance.lognormvariate(0.0, SPREAD) * MEAN_WORDS for _ in range(count)]
    return [" ".join(chance.choices(WORDS, k=round(min(MOST, max(FEWEST, one))))) for one in lengths]


def items(models: Path) -> list[str]:
    """Read the catalogue of the bundled recommender."""
    version = json.loads((models / "retail-user" / "current").read_text())["version"]
    features = json.loads((models / "retail-user" / version / "features.json").read_text())["features"]
    return next(list(one["vocabulary"]) for one in features if one["name"] == "history")


def users(count: int, items: Sequence[str], history: int = 20, seed: int = 0) -> list[dict[str, object]]:
    """Draw users with that many items of a catalogue in their history, at times in one year."""
    chance = random.Random(seed)
    return [
        {
            "country": "United Kingdom",
            "history": [
                {
                    "id": chance.choice(items),
                    "time": f"2011-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}T10:00:00Z",
                }
                for _ in range(history)
            ],
        }
        for _ in range(count)
    ]


def bodies(inputs: Sequence[object], per_request: int, **fields: object) -> list[bytes]:
    """Write requests of POST /encode with that many inputs each."""
    chunks = [inputs[i : i + per_request] for i in range(0, len(inputs) - per_request + 1, per_request)]
    return [
        json.dumps({"inputs": chunk[0] if per_request == 1 else list(chunk), **fields}).encode()
        for chunk in chunks
    ]
