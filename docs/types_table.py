"""The glossary's table of types: every class that several files use, in the words of its own docstring."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from docs.examples import ROOT

PACKAGES = ("bundle", "tabular", "app", "training", "encodery", "clients/python/encodery_client")
WIDELY = 3  # files that name a class, its own among them
OWN_WORDS = ("Error", "Config")  # end names that say enough


def types_table() -> str:
    """List the classes that WIDELY many files of the packages name, by package."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _modules()}
    uses = Counter(name for tree in trees.values() for name in _names(tree))
    lines = ["| type | where | what it is |", "|---|---|---|"]
    for path, tree in trees.items():
        for one in _classes(tree):
            if uses[one.name] >= WIDELY and not one.name.endswith(OWN_WORDS):
                meaning = (ast.get_docstring(one) or "").partition("\n")[0]
                lines.append(f"| `{one.name}` | `{path.relative_to(ROOT)}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def _names(tree: ast.Module) -> set[str]:
    """Every name that a module defines, imports or speaks of."""
    found = {node.name for node in _classes(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found
