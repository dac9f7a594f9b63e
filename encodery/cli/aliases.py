"""The commands for what names of versions stand for: `current`, other aliases, and who changed them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from encodery.cli.common import FAILED, MISTAKE, AsJson, ModelsDir, Name, bundle_mistakes, fail, store_of

NewSpace = Annotated[
    bool,
    typer.Option("--new-space", help="Vectors under this name may be of another space than before."),
]
IfMatch = Annotated[
    str | None, typer.Option(help="Tag that the alias must have, as `encodery models alias NAME` shows it.")
]
_FOLLOW = "A running server follows at SIGHUP, within ENCODERY_POLL_S where that is set, or when it starts."


def use(
    name: Name,
    version: Annotated[str, typer.Argument(help="Published version to make the default.")],
    new_space: NewSpace = False,
    if_match: IfMatch = None,
    models_dir: ModelsDir = None,
) -> None:
    """Make a version the default, for every encoder that was published together with it."""
    from bundle import set_alias
    from bundle.aliases import ALL, CURRENT

    store = store_of(models_dir)
    with _mistakes():
        store.check_group_signed(name, version)
        set_alias(store.root, name, CURRENT, {version: ALL}, seen=if_match, new_space=new_space)
        manifest = store.manifest(name, version)
    for each in (manifest.name, *(peer.name for peer in manifest.peers)):
        typer.echo(f"current: {each}/{version}")
    typer.echo(_FOLLOW, err=True)


def alias(  # noqa: PLR0917  # typer calls it, by name
    name: Name,
    alias: Annotated[str | None, typer.Argument(help="Alias, as champion [default: list all].")] = None,
    versions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VERSION]...",
            help="What it is to stand for: a version, or two of one space with shares, as 4=90 5=10.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let it stand for nothing.")] = False,
    new_space: NewSpace = False,
    if_match: IfMatch = None,
    models_dir: ModelsDir = None,
) -> None:
    """Show or change what other names of versions stand for; of a pair for both models."""
    from bundle import remove_alias, set_alias
    from bundle.switching import written

    store = store_of(models_dir)
    if alias is None or (not versions and not remove):
        with _mistakes():
            store.current(name)
            for each in ("current", *store.aliases(name)):
                found = store.alias(name, each) if alias in (None, each) else None
                if found is not None:
                    typer.echo(f"{each}: {written(found.shares)}  {found.tag}")
        return
    if versions and remove:
        fail("give versions, or --remove", MISTAKE)
    with _mistakes():
        if remove:
            remove_alias(store.root, name, alias, seen=if_match)
            typer.echo(f"{alias}: removed")
        else:
            shares = _shares(versions or [])
            for version in shares:
                store.check_group_signed(name, version)
            found = set_alias(store.root, name, alias, shares, seen=if_match, new_space=new_space)
            typer.echo(f"{alias}: {written(found.shares)}  {found.tag}")
    typer.echo(_FOLLOW, err=True)


def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, help="Most changes to show.")] = 20,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed what names of a model's versions stand for, the newest first."""
    from bundle.history import read_history
    from bundle.switching import written

    store = store_of(models_dir)
    with bundle_mistakes():
        store.current(name)
    found = read_history(store.root / store.leader(name))[:limit]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    for one in found:
        sides = (written(side) if side else "nothing" for side in (one.before, one.after))
        told = f": {one.reason}" if one.reason else ""
        typer.echo(f"{one.at}  {one.who}  {one.alias}: {' -> '.join(sides)}  {one.outcome}{told}")


@contextmanager
def _mistakes() -> Iterator[None]:
    """Turn errors into one sentence; that somebody was sooner is no mistake, and has another status."""
    from bundle import AliasChangedError, SpaceChangeError

    with bundle_mistakes():
        try:
            yield
        except AliasChangedError as error:
            fail(str(error), FAILED)
        except SpaceChangeError as error:
            fail(f"{error} (--new-space)", MISTAKE)


def _shares(versions: list[str]) -> dict[str, int]:
    """Version to percent, of `4=90 5=10` or `4`."""
    found: dict[str, int] = {}
    for each in versions:
        version, sign, share = each.partition("=")
        if sign and not share.isdecimal():
            fail("a share is a whole number, as in 4=90 5=10", MISTAKE)
        found[version] = int(share) if sign else 100
    return found
