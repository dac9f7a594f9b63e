"""A kind of run is a row of a table: one that only tests know is trained, published and measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import toy_kind
import toy_run
from typer.testing import CliRunner, Result

import app.settings  # noqa: F401  # first imported here, it would take the toy's limit for a setting
from bundle import Store
from encodery.cli import app as cli
from training.config import Run, load_config
from training.errors import ConfigError
from training.kinds import KINDS


@pytest.fixture
def _known() -> Iterator[None]:
    with toy_run.known():
        yield


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(toy_run.CONFIG)
    return path


def encodery(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_names_what_is_there(kind: str) -> None:
    settings = KINDS[kind].settings_class()

    assert issubclass(settings, Run)
    assert settings.model_fields["kind"].annotation.__args__ == (kind,)  # type: ignore[union-attr]  # Literal[kind]


@pytest.mark.usefixtures("_known")
def test_a_kind_that_only_tests_know_goes_from_config_to_bundle(config: Path, tmp_path: Path) -> None:
    places = ("--data", tmp_path, "--models-dir", tmp_path / "models")
    trained = encodery("train", config, "--run", tmp_path / "run", *places)
    measured = encodery("evaluate", "run", config, *places)

    assert trained.exit_code == 0, trained.output
    assert "published quarters/1, space sp_" in trained.stderr
    encoder = Store(tmp_path / "models").load("quarters")
    assert encoder.manifest.kind == "picture"
    pictures = [toy_kind.picture(seed) for seed in (100, 101)]  # not trained on
    assert toy_run.error_of(encoder.encode(pictures), pictures) < 1e-3
    assert measured.exit_code == 0, measured.output
    assert f"| error | {encoder.manifest.trained.metrics['error'].value:.4f} | none |" in measured.stdout


@pytest.mark.usefixtures("_known")
def test_messages_name_the_kinds_of_the_table(config: Path) -> None:
    config.write_text(toy_run.CONFIG.replace('"picture"', '"film"'))

    with pytest.raises(
        ConfigError, match='it must be "text" or "recommender" or "image" or "audio" or "picture"'
    ):
        load_config(config)


@pytest.mark.usefixtures("_known")
def test_its_settings_are_checked_as_all_are(config: Path) -> None:
    config.write_text(toy_run.CONFIG.replace("count = 40", "cout = 40"))

    with pytest.raises(ConfigError, match=r"data\.cout is no setting; the nearest is count"):
        load_config(config)


@pytest.mark.usefixtures("_known")
def test_commands_about_another_kind_refuse_it(config: Path, tmp_path: Path) -> None:
    result = encodery("evaluate", "recommender", config, "--data", tmp_path)

    assert result.exit_code == 2
    assert "is of kind 'picture'; this command is about runs of kind 'recommender'" in result.stderr
