"""The settings of a text run: losses own theirs, and earlier forms are answered with the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import tiny_training

from training.config import ConfigError, parse_config
from training.text.objectives import LossConfig
from training.text.rules import check, unusual_rate
from training.text.settings import FINE_TUNING, TextTrainConfig

ROOT = Path(__file__).parents[3]

# Every key that [loss] had, with a value, and how it is written now.
FORMER: dict[str, tuple[Any, str]] = {
    **{name: (0.5, f"[loss.{name}] weight = 0.5") for name in LossConfig.model_fields},
    "teacher_infonce_temperature": (0.07, "[loss.teacher_infonce] temperature = 0.07"),
    "similarity_kl_temperature": (
        0.2,
        "[loss.similarity_kl] temperature = 0.2, and [loss.pair_similarity_kl] has its own",
    ),
    "simcse_temperature": (0.1, "[loss.simcse] temperature = 0.1"),
    "denoising_deleted": (0.5, "[loss.denoising] deleted = 0.5"),
    "denoising_width": (64, "[loss.denoising] width = 64"),
    "infonce_temperature": (0.1, "[loss.infonce] temperature = 0.1, and [loss.hard_infonce] has its own"),
    "pairs_per_step": (256, "[train] pairs_per_step = 256"),
    "triplet_margin": (0.3, "[loss.triplet] margin = 0.3"),
    "triplet_distance": ("euclidean", '[loss.triplet] distance = "euclidean"'),
    "cosent_scale": (10.0, "[loss.cosent] scale = 10.0"),
    "supervised_contrast_temperature": (0.2, "[loss.supervised_contrast] temperature = 0.2"),
    "chunk_tokens": (4096, "[train] chunk_tokens = 4096"),
}


def raw_run(**changes: Any) -> dict[str, Any]:
    return tiny_training.text_run().model_dump(exclude_none=True) | changes


@pytest.mark.parametrize("key", FORMER)
def test_a_loss_in_its_former_words_is_answered_with_the_new_ones(key: str) -> None:
    value, new = FORMER[key]
    with pytest.raises(ConfigError) as caught:
        parse_config(raw_run(loss={key: value}))

    shown = f'"{value}"' if isinstance(value, str) else value
    assert str(caught.value) == f"loss.{key} = {shown} is now {new}"


def test_every_loss_had_a_weight_of_its_own_before() -> None:
    """What the test above takes from the table is all that there was."""
    assert len(LossConfig.model_fields) == 13


@pytest.mark.parametrize(("key", "value"), [("temperatur", 0.1), ("margin", 0.1)])
def test_a_loss_has_only_its_own_settings(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"loss\.infonce\.{key} is no setting; the nearest is "):
        parse_config(raw_run(loss={"infonce": {key: value}}))


def test_every_loss_and_its_metric_are_in_the_docs() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    classes = [kind for field in LossConfig.model_fields.values() for kind in get_args(field.annotation)]
    metrics = {name for kind in classes if kind is not type(None) for name in kind.metrics}

    assert [name for name in (*LossConfig.model_fields, *metrics) if f"`{name}`" not in page] == []


def test_each_loss_has_a_temperature_of_its_own() -> None:
    run = tiny_training.text_run(loss={"infonce": {"temperature": 0.5}, "hard_infonce": {}})

    assert run.loss.infonce is not None
    assert run.loss.hard_infonce is not None
    assert (run.loss.infonce.temperature, run.loss.hard_infonce.temperature) == (0.5, 0.05)


def test_what_nothing_reads_may_stand_at_its_default_only() -> None:
    check(tiny_training.text_run(model={"tune": "full", "frozen_layers": 0}))
    with pytest.raises(ConfigError, match=r"vocabulary\.symbols says nothing about a trained vocabulary"):
        check(tiny_training.text_run(vocabulary={"symbols": 3}))
    cut = {"source": "teacher", "size": 100, "plain": True}
    with pytest.raises(ConfigError, match=r"vocabulary\.size cuts a Unigram vocabulary"):
        check(tiny_training.text_run(vocabulary=cut, teacher={"source": "somewhere"}))

    with pytest.raises(ConfigError, match=r"model\.layers says nothing about an encoder without"):
        check(tiny_training.text_run(model={"layers": [1]}))


def test_a_run_that_was_written_down_can_be_read_again() -> None:
    """With every default in it, as in config.json."""
    run = tiny_training.text_run()

    assert parse_config(run.model_dump()) == run


@pytest.mark.parametrize(
    ("model", "way"),
    [
        ({"start": "text"}, "start"),
        ({"start": "text", "tune": "layers"}, "layers"),
        ({"start": "text", "tune": "head"}, "head"),
        ({"pretrained": "x"}, "pretrained"),
        ({"pretrained": "x", "tune": "lora"}, "lora"),
        ({"start": "text-small", "tune": "lora"}, "lora"),
    ],
)
def test_fine_tuning_has_defaults_of_its_own_and_what_is_given_stays(model: dict[str, Any], way: str) -> None:
    """They stand in the run's config, whose digest they are part of."""
    plain = tiny_training.text_run(model=model, vocabulary={}, train={"metric": "spearman"})
    given = tiny_training.text_run(model=model, vocabulary={}, train={"metric": "spearman", "epochs": 9})

    assert {key: getattr(plain.train, key) for key in FINE_TUNING[way]} == FINE_TUNING[way]
    assert (given.train.epochs, given.train.batch_size) == (9, FINE_TUNING[way]["batch_size"])


@pytest.mark.parametrize(
    ("tune", "rate", "says"),
    [
        ("lora", 2e-5, "adapters start at 0 and hardly move"),
        ("lora", 1e-3, ""),
        ("full", 2e-5, ""),
        ("full", 3e-4, "a pretrained encoder forgets"),
    ],
)
def test_a_rate_that_is_meant_for_something_else_is_said(tune: str, rate: float, says: str) -> None:
    train = {"metric": "spearman", "learning_rate": rate}
    run = tiny_training.text_run(model={"pretrained": "x", "tune": tune}, vocabulary={}, train=train)
    said = unusual_rate(run) or ""

    assert says in said
    assert bool(says) == bool(said)


def test_an_encoder_made_anew_has_the_defaults_of_the_loop() -> None:
    assert tiny_training.text_run(train={"metric": "spearman"}).train == TextTrainConfig(metric="spearman")
