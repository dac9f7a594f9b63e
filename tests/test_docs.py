"""What the documentation shows is what happens."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import serving

from app.access.keys import keys_of
from app.live_aliases import parse_file
from app.settings import Settings
from docs import examples
from docs.tables import with_tables
from docs.types_table import types_table

ROOT = Path(__file__).parent.parent


EXAMPLES = [
    pytest.param(example, id=f"{page.name}:{example.line}")
    for page in examples.pages()
    for example in examples.examples_of(page.read_text())
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    names = ",".join(one.name for one in (ROOT / "models").iterdir())  # wait for all
    models = examples.copied(tmp_path_factory.mktemp("docs"))
    with serving(models, ENCODERY_REQUIRED_MODELS=names) as base:
        yield base


@pytest.mark.e2e
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_prints_what_the_page_shows(example: examples.Example, url: str) -> None:
    if "curl" in example.code and shutil.which("curl") is None:
        pytest.skip("curl is not installed here")

    printed = examples.run(example, url)

    assert examples.agrees(example, printed), examples.shown(example, printed)


@pytest.mark.parametrize("page", examples.pages(), ids=lambda page: page.name)
def test_generated_tables_are_those_of_the_code(page: Path) -> None:
    text = page.read_text()

    assert with_tables(text) == text, "run: python3 dev.py docs"


def test_the_readme_has_examples() -> None:
    """The check above could not fail if the pages had no blocks."""
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("page", examples.pages(), ids=lambda page: page.name)
def test_commands_that_pages_name_exist(page: Path) -> None:
    tasks = subprocess.run(
        [sys.executable, "dev.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if match := re.match(r"python3 dev\.py (\w+)", line):
                assert f"  {match[1]} " in tasks, line


@pytest.mark.parametrize("page", examples.pages(), ids=lambda page: page.name)
def test_configs_and_keys_in_pages_are_valid(page: Path) -> None:
    from training.config import parse_config

    for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        content = tomllib.loads(block)
        if "kind" in content:
            parse_config(content)
        elif content.keys() <= Settings.model_fields.keys():
            Settings(**content)
        elif all(isinstance(value, str) for value in content.values()):
            assert parse_file(block.encode(), page.name)  # aliases
        else:
            keys_of(content, page.name)


@pytest.mark.parametrize("page", examples.pages(), ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_a_wrong_answer_is_noticed() -> None:
    """The comparison itself can fail."""
    example = next(examples.examples_of('```bash\necho x\n```\n```json\n{"a": [0.5, 0.25, "…"]}\n```\n'))

    assert examples.agrees(example, '{"a": [0.5, 0.25, 0.1, 0.2, 0.3]}')
    assert not examples.agrees(example, '{"a": [0.6, 0.25, 0.1, 0.2, 0.3]}')
    assert not examples.agrees(example, '{"a": [0.5, 0.25, 0.1, 0.2, 0.3], "b": 1}')
    assert not examples.agrees(example, "no json")


def test_every_type_that_files_share_says_what_it_is() -> None:
    rows = [row for row in types_table().splitlines()[2:] if row]

    assert len(rows) > 100
    assert [row for row in rows if len(row.split(" | ")[2]) < len("A text. |")] == []
