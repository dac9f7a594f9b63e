"""One run, one TOML: what is refused, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_training
from pydantic import BaseModel

from training.config import config_sha256, load_config, parse_config
from training.errors import ConfigError, TrainingError
from training.text.rules import check, check_width
from training.text.settings import TextRun

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.toml"))


def raw_run(**changes: Any) -> dict[str, Any]:
    return tiny_training.text_run().model_dump(exclude_none=True) | changes


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_is_valid(path: Path) -> None:
    run = load_config(path)
    if isinstance(run, TextRun):
        check(run)

    assert run.name
    assert run.description


def test_there_are_shipped_configs() -> None:
    assert CONFIGS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 1}, "sed is no setting; the nearest is seed"),
        (
            {"train": {"metric": "spearman", "learningrate": 0.1}},
            "train.learningrate is no setting; the nearest is learning_rate",
        ),
        ({"model": {"hidden": {"width": [3]}}}, "model.hidden.width is no setting; the nearest is widths"),
        (
            {"data": {"pairs": [{"path": "x"}, {"path": "y", "limits": 3}]}},
            "data.pairs.1.limits is no setting; the nearest is limit",
        ),
        ({"teacher": {"source": "x", "sha": "y"}}, "teacher.sha is no setting; the nearest is sha256"),
        ({"text": {"a": 1}}, "text is no setting; the nearest is export"),
    ],
    ids=["top level", "table", "table in a table", "list of tables", "optional table", "named like a kind"],
)
def test_an_unknown_key_names_itself_and_the_nearest(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw_run(**changes))

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "3"}, "seed: expected a whole number"),
        ({"seed": True}, "seed: expected a whole number"),
        ({"train": {"metric": "x", "epochs": 2.5}}, "train.epochs: "),
        ({"train": {"metric": "x", "epochs": 0}}, "train.epochs: expected at least 1"),
        ({"model": {"poolings": []}}, "model.poolings: expected at least 1 of them"),
        ({"model": {"poolings": ["median"]}}, "model.poolings.0: expected 'mean', 'mean_sqrt', "),
        ({"name": "With Space"}, "name: expected 1 to 64 of a-z"),
        ({"data": "texts.txt"}, "data: "),
        ({"train": {}}, "train.metric is missing"),
        ({"kind": "film"}, """kind is 'film'; it must be "text" or "recommender\""""),
    ],
)
def test_a_wrong_value_names_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw_run(**changes))

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("key", ["name", "description", "data", "loss", "train"])
def test_a_missing_section_is_named(key: str) -> None:
    raw = raw_run()
    del raw[key]
    with pytest.raises(ConfigError, match=f"^{key} is missing$"):
        parse_config(raw)


def test_a_missing_kind_is_named_with_what_it_may_be() -> None:
    with pytest.raises(ConfigError, match='kind is missing; it must be "text" or "recommender" or "image"'):
        parse_config({})


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"sed is no setting.*; tran is no setting") as caught:
        parse_config(raw_run(sed=1, tran=2))

    assert isinstance(caught.value, TrainingError)


def test_whole_numbers_are_fine_where_fractions_are_allowed() -> None:
    run = parse_config(raw_run(loss={"infonce": {"weight": 1}}))

    assert isinstance(run, TextRun)
    assert run.loss.chosen()["infonce"].weight == 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'kind = "text', r"run\.toml is not valid TOML: "),
        (b'kind = "t\xff"', r"run\.toml is not valid TOML: .*utf-8"),
        (b"", r"run\.toml: kind is missing"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "run.toml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def settings(section: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The place of every single setting."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from settings(value, (*path, name))
        else:
            yield (*path, name)


def changed(run: TextRun, path: tuple[str, ...]) -> TextRun:
    """The run with another value there; types need not be right for a digest."""
    section: Any = run
    parents = [section := getattr(section, name) for name in path[:-1]]
    value: Any = "another value"
    for parent, name in zip([*reversed(parents), run], reversed(path), strict=True):
        value = parent.model_copy(update={name: value})
    assert isinstance(value, TextRun)
    return value


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_the_digest_changes_with_every_setting() -> None:
    run = tiny_training.text_run(teacher={"source": "x"})
    places = list(settings(run))
    digests = {config_sha256(changed(run, place)) for place in places}

    assert len(places) > 50
    assert len(digests | {config_sha256(run)}) == len(places) + 1


def test_the_digest_does_not_change_with_a_default_that_is_written_out() -> None:
    assert config_sha256(tiny_training.text_run()) == config_sha256(tiny_training.text_run(seed=0))


TAUGHT = {"teacher": {"source": "x"}, "loss": {"cosine": {}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {}}, "[loss] names no loss with a weight"),
        ({"loss": {"infonce": {"weight": 0}}}, "[loss] names no loss with a weight"),
        ({"loss": {"infonce": {}}, "data": {}}, "loss.infonce needs data.pairs"),
        ({"loss": {"cross_entropy": {}}}, "loss.cross_entropy needs data.labels"),
        (TAUGHT, "learning from a teacher needs data.texts"),
        ({"loss": {"infonce": {}}, "data": {"spans": 9}}, "data.spans needs a loss that follows a teacher"),
        (
            TAUGHT | {"data": {"texts": [{"path": "x"}]}, "teacher": None},
            "learning from a teacher needs a [teacher] table",
        ),
        ({"vocabulary": {"source": "teacher"}}, 'vocabulary.source = "teacher" needs a [teacher] table'),
        (
            TAUGHT | {"data": {"texts": [{"path": "x"}]}, "model": {"init": "teacher"}},
            'model.init = "teacher" needs vocabulary.source = "teacher"',
        ),
        ({"model": {"dimensions": [256]}}, "model.dimensions must be smaller than output_dim (256)"),
        (
            {"train": {"metric": "recall"}},
            "train.metric is 'recall'; what this run measures is spearman, pair_mrr@10, pair_first_hit",
        ),
        ({"train": {"metric": "accuracy"}}, "train.metric is 'accuracy'; what"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tiny_training.text_run(**changes))

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ({"hidden": {"output_dim": 65}}, "model.hidden.output_dim"),
        ({"hidden": {"output_dim": 8}, "embedding_dim": 65, "init": "teacher"}, "model.embedding_dim"),
    ],
)
def test_an_encoder_wider_than_its_teacher_is_refused(model: dict[str, Any], key: str) -> None:
    run = tiny_training.text_run(**TAUGHT, model=model)
    with pytest.raises(ConfigError, match=f"{key} is 65, but the teacher's vectors have 64 dimensions"):
        check_width(run, 64)
