"""The command line: fast help, one sentence for a mistake, exit statuses."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import typer
from typer.testing import CliRunner, Result

from app.access import KeyRing, read_keys
from bundle import Draft, Store, publish
from encodery import __version__
from encodery.cli import app

ROOT = Path(__file__).parents[1]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def one_sentence(result: Result) -> str:
    """What a mistake prints, and nothing else."""
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("encodery: ")
    return line


def test_help_does_not_wait_for_heavy_imports() -> None:
    heavy = ("onnxruntime", "torch", "fastapi", "numpy", "pydantic")
    code = f"import sys, encodery.cli\nprint([one for one in {heavy} if one in sys.modules])"

    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert printed.stdout.strip() == "[]"


def test_help_names_every_command() -> None:
    assert all(name in run("--help").stdout for name in ("serve", "train", "import", "evaluate", "models"))
    assert all(name in run("models", "--help").stdout for name in ("list", "show", "verify", "use"))


def every_command() -> dict[str, Any]:
    """The commands and groups that there are, by what is typed for them."""
    found: dict[str, Any] = {}

    def walk(words: tuple[str, ...], command: Any) -> None:
        found[" ".join(words)] = command
        for name, below in getattr(command, "commands", {}).items():
            walk((*words, name), below)

    walk((), typer.main.get_command(app))
    return found


def plain(text: str) -> str:
    """Without frames and line breaks; backticks are markup on purpose."""
    return " ".join(text.replace("│", " ").replace("`", "").split())


@pytest.mark.parametrize("words", every_command())
def test_help_shows_every_word_that_was_written_for_it(words: str) -> None:
    """Brackets, stars and underscores are no markup."""
    command = every_command()[words]
    written = [command.help, *(option.help for option in command.params)]

    shown = plain(run(*words.split(), "--help").stdout)

    assert command.help
    assert [text for text in written if text and plain(text) not in shown] == []


def test_no_command_at_all_shows_the_help(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "encodery"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "Usage: encodery" in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_python_without_our_packages_is_told_of_one_that_has_them(tmp_path: Path) -> None:
    """`python3 -m encodery` in a fresh checkout, with the system's Python."""
    without = [sys.executable, "-S", "-m", "encodery"]  # no site-packages, and so none of the others

    done = subprocess.run(without, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"python3 {ROOT / 'dev.py'} run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("start", [["-m", "encodery"], ["-P", "-m", "encodery"]], ids=" ".join)
def test_packages_in_the_current_directory_are_not_taken_for_ours(
    published: Path, tmp_path: Path, start: list[str]
) -> None:
    """A project of one's own may well have an `app/`."""
    for name in ("app", "bundle", "training", "structlog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not ours')")

    done = subprocess.run(
        [sys.executable, *start, "models", "list", "--models-dir", published],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "shop-item" in done.stdout


@pytest.mark.parametrize("option", ["--column", "--text"])
def test_encode_reads_the_column_that_it_is_told(published: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "in.csv").write_text("body\nhello\n")

    result = run(
        "encode", tmp_path / "in.csv", tmp_path / "out.npy", option, "body", "--models-dir", published
    )

    assert result.exit_code == 0, result.stderr
    assert "1 vectors of" in result.stderr


def run_without(package: str, *arguments: str | Path) -> Result:
    """Run the command in a process that cannot import the package."""
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from encodery.cli import main\n"
        f"main({[str(one) for one in arguments]!r})"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_encode_needs_nothing_of_training(published: Path, tmp_path: Path) -> None:
    """The image has no such package."""
    (tmp_path / "in.jsonl").write_text('"hello"\n')

    result = run_without(
        "training", "encode", tmp_path / "in.jsonl", tmp_path / "out.npy", "--models-dir", published
    )

    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.npy").exists()


def test_parquet_without_its_package_is_one_sentence(published: Path, tmp_path: Path) -> None:
    """The serving environment does not have it."""
    source = tmp_path / "in.parquet"
    source.write_bytes(b"")

    result = run_without("pyarrow", "encode", source, tmp_path / "out.npy", "--models-dir", published)

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "encodery: Parquet needs pyarrow: pip install pyarrow"


def test_version() -> None:
    assert run("--version").stdout.strip() == __version__


def test_list_marks_the_current_version(models: Path) -> None:
    publish(models, [tiny.text_draft(seed=1)])

    lines = run("models", "list", "--models-dir", models).stdout.splitlines()
    rows = json.loads(run("models", "list", "--json", "--models-dir", models).stdout)

    assert lines[0].split() == ["model", "version", "kind", "dim", "space", "lineage", "description"]
    assert "followed by 2" in lines[3]
    assert rows[2]["lineage"]["replaced_by"]["version"] == "2"
    assert [line.split()[:3] for line in lines[3:]] == [["text", "1", "text"], ["text", "2", "current"]]
    assert [(row["name"], row["version"], row["current"]) for row in rows] == [
        ("shop-item", "1", True),
        ("shop-user", "1", True),
        ("text", "1", False),
        ("text", "2", True),
    ]


def test_list_shows_a_version_that_cannot_be_read(models: Path) -> None:
    (models / "text" / "1" / "manifest.json").write_text("{}")

    result = run("models", "list", "--models-dir", models)

    assert result.exit_code == 0
    assert "manifest.json" in result.stdout


def test_list_of_nothing(tmp_path: Path) -> None:
    assert run("models", "list", "--models-dir", tmp_path).stdout.strip() == f"no models in {tmp_path}"


def test_show_prints_the_manifest(models: Path) -> None:
    shown = run("models", "show", "text", "--models-dir", models).stdout

    assert shown == (models / "text" / "1" / "manifest.json").read_text()
    assert json.loads(shown)["name"] == "text"


def test_verify_fails_if_one_version_fails(models: Path) -> None:
    sound = run("models", "verify", "--models-dir", models)
    (models / "text" / "1" / "model.onnx").write_bytes(b"x")
    unsound = run("models", "verify", "--models-dir", models)
    as_json = run("models", "verify", "text", "--json", "--models-dir", models)

    assert (sound.exit_code, sound.stdout.count(": sound")) == (0, 3)
    assert (unsound.exit_code, unsound.stdout.count(": sound")) == (1, 2)
    assert "text/1: model.onnx" in unsound.stdout
    assert "model.onnx" in json.loads(as_json.stdout)[0]["fault"]


def test_verify_reports_a_broken_pointer(models: Path) -> None:
    (models / "text" / "current").unlink()

    result = run("models", "verify", "text", "--models-dir", models)

    assert result.exit_code == 1
    assert "text/current: " in result.stdout
    assert "text/1: sound" in result.stdout


def test_use_switches_a_pair_together(models: Path) -> None:
    publish(models, tiny.pair_drafts(seed=1))

    refused = run("models", "use", "shop-user", "1", "--models-dir", models)
    result = run("models", "use", "shop-user", "1", "--new-space", "--models-dir", models)

    assert result.exit_code == 0
    assert set(result.stdout.split()) == {"current:", "shop-user/1", "shop-item/1"}
    assert [Store(models).current(name) for name in ("shop-user", "shop-item")] == ["1", "1"]
    assert refused.exit_code == 2
    assert "(--new-space)" in refused.stderr


def test_an_alias_is_set_shown_and_removed_and_history_tells(models: Path) -> None:
    def alias(*arguments: str) -> Result:
        return run("models", "alias", "text", *arguments, "--models-dir", models)

    again = Draft.of(Store(models).read("text", "1"))
    publish(models, [dataclasses.replace(again, description="the same")])
    first = alias("champion", "1")
    tag = first.stdout.split()[-1]
    second = alias("champion", "1=90", "2=10", "--if-match", tag)
    late = alias("champion", "2", "--if-match", tag)
    shown = alias().stdout.splitlines()
    removed = alias("champion", "--remove")
    history = run("models", "history", "text", "--models-dir", models).stdout.splitlines()

    assert first.stdout.startswith("champion: 1  ")
    assert second.stdout.startswith("champion: 1 (90 %) and 2 (10 %)  ")
    assert (late.exit_code, late.stdout) == (1, "")
    assert "look again" in late.stderr
    assert [line.split("  ")[0] for line in shown] == ["current: 2", "champion: 1 (90 %) and 2 (10 %)"]
    assert removed.stdout == "champion: removed\n"
    assert [line.split("  ")[2] for line in history[:3]] == [
        "champion: 1 (90 %) and 2 (10 %) -> nothing",
        "champion: 1 -> 1 (90 %) and 2 (10 %)",
        "champion: nothing -> 1",
    ]
    assert run("models", "alias", "text", "champion", "1=x", "--models-dir", models).exit_code == 2
    assert run("models", "alias", "none", "--models-dir", models).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["models", "show", "none"], "there is no model none; there are shop-item, shop-user, text"),
        (["models", "show", "shopitem"], "there is no model shopitem; did you mean shop-item?"),
        (["models", "use", "txt", "1"], "there is no model txt; did you mean text?"),
        (["models", "show", "../x"], "a name is"),
        (["models", "show", "text", "--version", "9"], "text has no version 9; it has 1"),
        (["models", "use", "text", "9"], "text has no version 9; it has 1"),
        (["models", "verify", "none"], "shop-item, shop-user, text"),
    ],
)
def test_a_mistake_is_one_sentence(published: Path, arguments: list[str], named: str) -> None:
    result = run(*arguments, "--models-dir", published)

    assert result.exit_code == 2
    assert named in one_sentence(result)


@pytest.mark.parametrize("command", [["models", "list"], ["models", "verify"]])
def test_a_missing_directory_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    result = run(*command, "--models-dir", tmp_path / "none")

    assert result.exit_code == 2
    assert "set --models-dir or ENCODERY_MODELS_DIR" in one_sentence(result)


def test_a_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_THREADS", "0")

    for command in (["serve"], ["models", "list"]):
        result = run(*command)
        assert result.exit_code == 2
        assert "ENCODERY_THREADS" in one_sentence(result)


def test_a_missing_config_is_one_sentence(tmp_path: Path) -> None:
    for command in (["train"], ["evaluate", "run"], ["evaluate", "recommender"]):
        result = run(*command, tmp_path / "none.toml")
        assert result.exit_code == 2
        assert "none.toml" in one_sentence(result)


@pytest.mark.parametrize(
    ("arguments", "new"),
    [
        (["text-small"], "evaluate text text-small"),
        (["text-small", "--suite", "text"], "evaluate text text-small"),
        (["text", "--suite", "text", "--split", "test"], "evaluate text text"),
        (["run.toml"], "evaluate run run.toml"),
        (["run.toml", "--suite", "recommender"], "evaluate recommender run.toml"),
    ],
)
def test_evaluate_of_earlier_versions_says_what_it_is_now(arguments: list[str], new: str) -> None:
    result = run("evaluate", *arguments)

    assert result.exit_code == 2
    assert one_sentence(result) == f"encodery: this command is now: encodery {new}"


def test_evaluate_without_a_model_asks_for_its_name() -> None:
    result = run("evaluate", "text", "--split", "test")

    assert result.exit_code == 2
    assert "encodery evaluate text text" in one_sentence(result)


def test_a_model_may_be_called_as_a_subcommand(tmp_path: Path) -> None:
    for name in ("text", "run"):
        result = run("evaluate", "text", name, "--models-dir", tmp_path, "--data", tmp_path)
        assert f"there is no model {name}" in one_sentence(result)


def test_training_without_its_packages_says_how_to_get_them(tmp_path: Path) -> None:
    """A process in which torch cannot be imported, as in the serving environment."""
    code = (
        "import sys\n"
        "for name in ('torch', 'matplotlib', 'onnx', 'transformers'): sys.modules[name] = None\n"
        "from encodery.cli import main\n"
        f"main(['train', {str(tmp_path / 'x.toml')!r}])"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 2
    assert "in a checkout of encodery: python3 dev.py run train CONFIG" in result.stderr
    assert "Traceback" not in result.stderr


def test_config_prints_every_setting_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_MAX_ITEMS", "5")

    rows = json.loads(run("config", "--json").stdout)

    by_name = {row["name"]: row for row in rows}
    assert by_name["ENCODERY_MAX_ITEMS"] == {
        "name": "ENCODERY_MAX_ITEMS",
        "value": 5,
        "source": "environment",
    }
    assert by_name["ENCODERY_HOST"]["source"] == "default"


def test_config_prints_what_a_default_comes_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With these models, and for this user; no setting is blank, or a word of Python's."""
    publish(tmp_path, [tiny.text_draft("mine")])
    monkeypatch.setenv("ENCODERY_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")

    lines = [line.split() for line in run("config").stdout.splitlines()]

    told = {name: value for name, value, *_ in lines}
    assert all(value not in ("None", "default", "environment") for value in told.values())
    assert told["ENCODERY_CACHE_DIR"] == "/caches/encodery"
    assert told["ENCODERY_BATCH_TOKENS"] == "measured"
    assert told["ENCODERY_DEFAULT_MODEL"] == told["ENCODERY_REQUIRED_MODELS"] == "mine"
    assert told["ENCODERY_SOCKET"] == told["ENCODERY_API_KEY"] == "none"


def test_a_variable_that_is_no_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_MAX_ITMS", "5")

    assert "did you mean ENCODERY_MAX_ITEMS" in run("config").stderr


def test_where_no_setting_is_near_none_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_FOO", "x")

    assert run("config").stderr == "encodery: ENCODERY_FOO is no setting\n"


def test_a_new_key_is_a_row_of_the_file_and_its_secret_is_shown_once(tmp_path: Path) -> None:
    made = run("keys", "new", "search", "--scope", "metrics", "--model", "text*")
    file = tmp_path / "keys.toml"
    file.write_text(made.stdout)

    [key] = read_keys(file)
    secret = made.stderr.strip().removeprefix("search: ")
    assert (key.name, key.scopes, key.models) == ("search", {"metrics"}, ("text*",))
    assert KeyRing([key]).find(secret.encode()) is key
    assert secret not in made.stdout


@pytest.mark.parametrize("arguments", [["a b.c"], [""], ["a.b"], ["search", "--scope", "root"]])
def test_a_key_that_the_file_would_not_take_is_not_made(arguments: list[str]) -> None:
    made = run("keys", "new", *arguments)

    assert made.exit_code == 2
    assert one_sentence(made)
