"""Labels that can be learned: at least two, texts enough for each, and none that is another's slip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from training.console import say
from training.data.stream import RowNumbers
from training.data.tables import BadRows
from training.errors import ConfigError
from training.text.data.readers import Labelled

LISTED = 10  # of labels in a message
LONGEST = 40  # characters of a label in a message


def clean_labels(labelled: Labelled, bad: BadRows) -> Labelled:
    """Labels without blanks around them, and one within; those that differ in case alone stop the run.

    Or they are told, and different, where bad rows are skipped.

    Raises:
        ConfigError: labels are near equal, and bad rows stop the run.
    """
    stripped = [" ".join(name.split()) for name in labelled.names]
    names = sorted(set(stripped))
    number_of = {name: number for number, name in enumerate(names)}
    renumbered = np.array([number_of[name] for name in stripped], dtype=np.int64)
    _tell_near_equal(names, bad)
    return replace(labelled, labels=renumbered[labelled.labels.astype(np.int64)], names=names)


def check_labels(labelled: Labelled, measured: RowNumbers) -> None:
    """Refuse labels that tell nothing apart.

    Args:
        labelled: to learn from.
        measured: labels of texts from files to measure by (k,).

    Raises:
        ConfigError: there is one label, no label has two texts, or one is measured and never learned.
    """
    names = labelled.names
    counts = np.bincount(labelled.labels, minlength=len(names))
    used = counts[counts > 0]
    unknown = [names[label] for label in np.unique(measured) if counts[label] == 0]
    if unknown:
        raise ConfigError(f"data.validation.labels has labels that data.labels lacks: {_listed(unknown)}")
    if len(used) == 1:
        raise ConfigError(
            f"data.labels has one label, {_listed(names)}, so there is nothing to tell apart; is the right "
            "column read?"
        )
    if len(used) and used.max() == 1:
        raise ConfigError(
            f"data.labels has a label of its own for each of its {len(used):,} texts, as {_listed(names)}, "
            "so nothing can be learned from one for another; is the right column read?"
        )


def tell_unmeasured(labelled: Labelled, learned: RowNumbers, held_out: RowNumbers) -> None:
    """Tell which labels are learned and not measured, because they have too few texts for their share."""
    missing = np.setdiff1d(labelled.labels[learned], labelled.labels[held_out])
    if len(missing):
        say(
            f"data.labels: {len(missing):,} of {len(labelled.names):,} labels have too few texts to be held "
            f"out, and are not measured: {_listed([labelled.names[label] for label in missing])}"
        )


def _tell_near_equal(names: Sequence[str], bad: BadRows) -> None:
    alike: Mapping[str, list[str]] = defaultdict(list)
    for name in names:
        alike[name.casefold()].append(name)
    slips = [" / ".join(map(_quoted, some)) for some in alike.values() if len(some) > 1]
    if not slips:
        return
    message = (
        f"data.labels: {len(slips):,} labels are written in several ways: {', '.join(slips[:LISTED])}"
        + (", ..." if len(slips) > LISTED else "")
    )
    if bad.policy == "stop":
        raise ConfigError(f'{message}; write each in one way, or set bad_rows = "skip" to tell them apart')
    say(f"{message}; they are taken as different labels")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names[:LISTED])) + (", ..." if len(names) > LISTED else "")


def _quoted(name: str) -> str:
    return repr(name if len(name) <= LONGEST else name[:LONGEST] + "...")
