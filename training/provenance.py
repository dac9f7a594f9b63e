"""Where an exported encoder comes from: what its manifest and its card say, whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundle.lineage import CONFIG
from training.config import Run, config_sha256


@dataclass(frozen=True)
class Provenance:
    """All that decided the numbers, apart from code and libraries.

    Attributes:
        command: that made it, for example `encodery train`.
        config_sha256: of all settings.
        data_sha256: of what it was trained on, or of the weights that were imported.
        seed: of everything random.
        inputs: seed and data in the words of the card.
        details: lines of Markdown, the rest of the card's last section.
    """

    command: str
    config_sha256: str
    data_sha256: str
    seed: int
    inputs: str
    details: Sequence[str]


def of_run(run: Run, data_sha256: str) -> Provenance:
    """Describe a training run: its whole config stands in the card."""
    return Provenance(
        command="encodery train",
        config_sha256=config_sha256(run),
        data_sha256=data_sha256,
        seed=run.seed,
        inputs=f"seed {run.seed}, data sha256 `{data_sha256[:16]}`",
        details=[
            *CONFIG.splitlines(),
            *("    " + line for line in run.model_dump_json(indent=2).splitlines()),
        ],
    )
