"""Labels that cannot be learned are refused; those that look like slips are told."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.tables import BadRows
from training.errors import ConfigError
from training.text.data.labels import check_labels, clean_labels, tell_unmeasured
from training.text.data.readers import Labelled

NONE = np.zeros(0, dtype=np.int64)


def labelled(*labels: str) -> Labelled:
    names = sorted(set(labels))
    return Labelled(
        [f"text {i}" for i in range(len(labels))], np.array([names.index(label) for label in labels]), names
    )


def named(found: Labelled) -> list[str]:
    return [found.names[label] for label in found.labels]


def test_blanks_around_a_label_are_not_of_it() -> None:
    found = clean_labels(labelled("spam", " spam", "ham\t", "ham", "not  spam", "spam\n"), BadRows())

    assert found.names == ["ham", "not spam", "spam"]
    assert named(found) == ["spam", "spam", "ham", "ham", "not spam", "spam"]


@pytest.mark.parametrize(("some", "shown"), [
    (("Spam", "spam", " SPAM", "ham"), "'SPAM' / 'Spam' / 'spam'"),
    (("straße", "STRASSE", "weg"), "'STRASSE' / 'straße'"),
])  # fmt: skip
def test_labels_that_differ_in_case_alone_stop_the_run(some: tuple[str, ...], shown: str) -> None:
    with pytest.raises(ConfigError, match="1 labels are written in several ways") as caught:
        clean_labels(labelled(*some), BadRows())

    assert shown in str(caught.value)
    assert 'bad_rows = "skip"' in str(caught.value)


def test_they_are_different_labels_for_whoever_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    found = clean_labels(labelled("Polish", "polish", "wax"), BadRows("skip"))

    assert named(found) == ["Polish", "polish", "wax"]
    assert "'Polish' / 'polish'; they are taken as different labels" in capsys.readouterr().err


def test_one_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="has one label, 'queue', so there is nothing to tell apart"):
        check_labels(clean_labels(labelled("queue", "queue ", " queue"), BadRows()), NONE)


def test_a_label_for_each_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="a label of its own for each of its 30 texts") as caught:
        check_labels(labelled(*(f"{i:02}" + "x" * 100 for i in range(30))), NONE)

    assert len(str(caught.value)) < 700  # people's labels may be long


def test_labels_too_rare_to_be_held_out_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    some = labelled("a", "a", "b", "b", "c", "d")
    tell_unmeasured(some, np.array([0, 2, 4]), np.array([1, 3, 5]))

    assert "1 of 4 labels have too few texts to be held out, and are not measured: 'c'" in (
        capsys.readouterr().err
    )


def test_a_label_that_is_measured_and_never_learned_is_refused() -> None:
    both = labelled("a", "a", "b", "c")
    with pytest.raises(ConfigError, match=r"has labels that data\.labels lacks: 'c'"):
        check_labels(Labelled(both.texts, both.labels[:3], both.names), both.labels[2:])


def test_no_labels_are_no_fault() -> None:
    check_labels(clean_labels(labelled(), BadRows()), NONE)
