"""Runs the suite: trains per protocol and fold, or asks a server, and measures the baselines beside it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import training
from bundle.progress import Progress
from training.console import say
from training.errors import ConfigError
from training.published import Published
from training.recommender.data.interactions import digest
from training.recommender.rivals.search import Choice
from training.recommender.settings import RecommenderRun
from training.recommender.suite.page import page
from training.recommender.suite.part import Part, measure
from training.recommender.suite.results import ProtocolResults, write

COLD_SHARE = 0.1  # of the items, where the config keeps none away
FOLDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Protocol:
    """One way to hold out, and the settings of a run that do so."""

    name: str
    changes: Mapping[str, Any]
    folds: Sequence[int] = (0,)
    is_cold: bool = False


@dataclass(frozen=True)
class Suite:
    """What is measured, and where the results go.

    Attributes:
        settings: of the run.
        data: what its paths are relative to.
        split: `dev` measures the validation users that settings are chosen by, `test` the others.
        out: where results go, and the parts of them.
        place: where the pair is published, to be measured as it is, on users that it was not trained on.
    """

    settings: RecommenderRun
    data: Path
    split: str
    out: Path
    place: Published | None = None

    def run(self, protocols: Sequence[Protocol]) -> list[ProtocolResults]:
        """Measure, and write the results after every fold; what is there is not measured again."""
        key = self._key()
        found: list[ProtocolResults] = []
        with Progress(total=sum(len(p.folds) for p in protocols), label="protocols", unit="folds") as bar:
            for protocol in protocols:
                parts: list[Part] = []
                for fold in protocol.folds:
                    parts.append(self._part(key, protocol, fold, parts[0].chosen if parts else {}))
                    self._write([*found, ProtocolResults.of(parts)])
                    bar.advance(1, f"{protocol.name}, fold {fold}")
                found.append(ProtocolResults.of(parts))
        return found

    def _key(self) -> str:
        """Names what is measured and by which code: of others nothing is taken over."""
        run = self.settings
        files = [self.data / path for path in (run.data.path, run.data.users, run.data.items) if path]
        place = self.place
        versions = [place.open(name).manifest.space for name in run.model_names()] if place else []
        said = [run.model_dump_json(), digest(files), self.split, digest_of_code(), *versions]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def _part(self, key: str, protocol: Protocol, fold: int, chosen: Mapping[str, Choice]) -> Part:
        """One fold, from an earlier run if it was the same."""
        path = self.out / "parts" / f"{protocol.name}-{fold}.json"
        if part := Part.load(path, key):
            say(f"{protocol.name}, fold {fold}: measured by an earlier run, in {path}")
            return part
        part, run = Part(key, protocol.name, fold), _changed(self.settings, protocol, fold)
        cold, place = protocol.is_cold, self.place
        measure(part, run, self.data, split=self.split, is_cold=cold, place=place, chosen=chosen)
        part.save(path)
        return part

    def _write(self, found: Sequence[ProtocolResults]) -> None:
        about = {
            "config": self.settings.name,
            "split": self.split,
            "metric": self.settings.train.metric,
            "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
        }
        write(found, self.out, about)
        (self.out / "results.html").write_text(page(found, about), encoding="utf-8")


@cache
def digest_of_code() -> str:
    """SHA-256 of all modules of training: what another version has measured is not gone on with."""
    root = Path(training.__file__).parent
    return digest(sorted(root.rglob("*.py")))


def run(
    suite: Suite, *, protocols: Sequence[str] = (), folds: Sequence[int] = FOLDS
) -> list[ProtocolResults]:
    """Measure a pair beside tuned baselines; writes results.json and results.html.

    Args:
        suite: what, and where to.
        protocols: by name; all that the data allows, if none is given.
        folds: which disjoint tenths of the users protocol S takes its test users from, 0 to 4.

    Raises:
        ConfigError: the data, the split or a protocol cannot be used.
    """
    if suite.split not in ("dev", "test"):
        raise ConfigError(f"--split is {suite.split!r}; it must be dev or test")
    there = protocols_of(suite.settings, folds, published=suite.place is not None)
    return suite.run(_wanted(there, protocols))


def protocols_of(run: RecommenderRun, folds: Sequence[int], *, published: bool) -> list[Protocol]:
    """S, T and C; for a pair that is published already, the one that it was held out for."""
    own = (run.data.fold,)
    if published:
        found = [Protocol("T" if run.data.protocol == "time" else "S", {}, own)]
        return found + ([Protocol("C", {}, own, is_cold=True)] if run.data.cold_items else [])
    cold = run.data.cold_items or COLD_SHARE
    protocols = [
        Protocol("S", {"protocol": "users", "cold_items": 0.0}, folds),
        Protocol("T", {"protocol": "time", "cold_items": 0.0}, own),
    ]
    if any(feature.kind == "text" for feature in run.item):
        protocols.append(Protocol("C", {"protocol": "users", "cold_items": cold}, own, is_cold=True))
    return protocols


def _wanted(there: Sequence[Protocol], names: Sequence[str]) -> list[Protocol]:
    if unknown := [name for name in names if name not in [one.name for one in there]]:
        raise ConfigError(
            f"--protocol: there is no {unknown[0]!r} here, only {', '.join(one.name for one in there)}"
            + (" (C needs a text feature of the items)" if "C" in unknown else "")
        )
    return [one for one in there if not names or one.name in names]


def _changed(run: RecommenderRun, protocol: Protocol, fold: int) -> RecommenderRun:
    changes = dict(protocol.changes) | {"fold": fold}
    return run.model_copy(update={"data": run.data.model_copy(update=changes)})
