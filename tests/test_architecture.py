"""The import rule: `app -> bundle <- tabular <- training`; a server never loads what only training needs.

Held twice, since either way alone can be fooled: by reading every import statement, also those inside
functions, and by importing for real and looking at what is loaded.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

WEB = {"fastapi", "starlette", "uvicorn"}
TRAINING_ONLY = {"matplotlib", "onnx", "onnxscript", "safetensors", "torch", "transformers"}
PICKLES = {
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "pickle",
    "shelve",
}  # what reads them runs what they say

# What no module of a package may import, not even lazily.
FORBIDDEN = {
    "bundle": {"app", "training", "encodery", "tabular", "asyncio"} | WEB | TRAINING_ONLY | PICKLES,
    "tabular": {"app", "training", "encodery", "asyncio"} | WEB | TRAINING_ONLY | PICKLES,
    "app": {"training", "encodery", "tabular"} | TRAINING_ONLY | PICKLES,
    "training": {"app", "encodery"} | WEB,
    "clients/python/encodery_client": {"app", "bundle", "encodery", "tabular", "training"}
    | WEB
    | TRAINING_ONLY,
}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the top-level package of every absolute import under the node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.partition(".")[0]


# What only a kind's own folders may look at: to ask for any of it is to ask which kind something is.
OF_ONE_KIND = {"Text", "Features", "Vector", "Image", "TEXT", "FEATURES", "VECTOR", "IMAGE"}
OF_ONE_KIND |= {"TextPreprocessor", "FeaturePreprocessor", "VectorPreprocessor", "ImagePreprocessor"}
FOLDERS_OF_ONE_KIND = tuple(f"bundle.preprocess.{name}" for name in ("text", "features", "vector", "image"))


def names_of_one_kind(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of everything imported from a kind, by whichever door."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bundle"):
            is_of_kind = node.module.startswith(FOLDERS_OF_ONE_KIND)
            yield from (
                (node.lineno, alias.name) for alias in node.names if is_of_kind or alias.name in OF_ONE_KIND
            )


def at_import(tree: ast.Module) -> ast.Module:
    """Return what runs when the module is imported: the tree without the bodies of its functions."""

    class WithoutFunctions(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            type_checking = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return None if type_checking else self.generic_visit(node)

    return WithoutFunctions().visit(tree)


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"there is no module in {package}/"
    return found


def loaded_after(statement: str) -> set[str]:
    """Return the top-level packages that a new Python has loaded after the statement."""
    code = (
        f"{statement}\nimport json, sys; print(json.dumps([*{{m.partition('.')[0] for m in sys.modules}}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{statement!r} failed:\n{done.stderr}"
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_imports_nothing_it_must_not_know(package: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for line, name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if name in FORBIDDEN[package]
    ]

    assert broken == []


@pytest.mark.parametrize("package", ["app", "encodery"])
def test_nobody_asks_which_kind_an_input_is(package: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for line, name in names_of_one_kind(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert broken == []


@pytest.mark.parametrize("package", ["app", "bundle", "tabular"])
def test_nothing_that_was_sent_or_published_is_run(package: str) -> None:
    """numpy reads pickles, too, where it is asked to; `run_path`, `eval` and `exec` need no explanation."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and is_dangerous(node)
    ]

    assert calls == []


def is_dangerous(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    return name in {"eval", "exec", "np.load", "numpy.load", "runpy.run_path"} or any(
        keyword.arg in ("allow_pickle", "trust_remote_code") and ast.unparse(keyword.value) != "False"
        for keyword in call.keywords
    )


def test_command_line_imports_app_and_training_only_inside_commands() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("encodery")
        for line, name in imported(at_import(ast.parse(path.read_text(encoding="utf-8"))))
        if name in {"app", "training"} | WEB | TRAINING_ONLY
    ]

    assert broken == []


def test_server_loads_nothing_that_only_training_needs() -> None:
    assert loaded_after("import app.main") & (TRAINING_ONLY | {"training"}) == set()


def test_bundle_loads_no_web_framework_and_no_torch() -> None:
    assert loaded_after("import bundle") & (WEB | TRAINING_ONLY | {"app", "training"}) == set()


def test_command_line_answers_without_loading_server_or_trainer() -> None:
    assert loaded_after("import encodery.cli") & (WEB | TRAINING_ONLY | {"app", "training"}) == set()


def test_reader_of_imports_sees_every_form() -> None:
    """The check above would be worthless if it overlooked a form of the statement."""
    source = (
        "import torch.nn as nn\nfrom app.main import x\ndef f():\n    import fastapi\nfrom . import near\n"
    )
    tree = ast.parse(source)

    kinds = ast.parse("from bundle import Store, Text\nfrom bundle.preprocess.text.kind import x\n")

    sources = (
        "np.load(f)",
        "eval(x)",
        "np.frombuffer(x, allow_pickle=True)",
        "np.save(f, x, allow_pickle=False)",
    )
    calls = [node for one in sources for node in ast.walk(ast.parse(one)) if isinstance(node, ast.Call)]

    assert list(map(is_dangerous, calls)) == [True, True, True, False]
    assert list(names_of_one_kind(kinds)) == [(1, "Text"), (2, "x")]
    assert list(imported(tree)) == [(1, "torch"), (2, "app"), (4, "fastapi")]
    assert [name for _, name in imported(at_import(tree))] == ["torch", "app"]
