"""Commands that need torch: train, import, quantize, mine, and the proposal of a recommender's config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from encodery.cli.common import Config, Data, ModelsDir, directory_of, training


def train(  # noqa: PLR0917  # typer calls it, by name
    config: Config,
    data: Data = None,
    models_dir: ModelsDir = None,
    run: Annotated[Path | None, typer.Option(help="Directory of the run; default: runs/NAME.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even if no step was better than the start.")
    ] = False,
    refresh: Annotated[
        str | None,
        typer.Option(help="A version of the pair: add the log's new items to it, and train nothing."),
    ] = None,
) -> None:
    """Train, prove and publish what a config describes. Goes on where an interrupted run stopped."""
    with training():
        if refresh is not None:
            from training.recommender.refresh.command import refresh as add_items

            add_items(config, refresh, data=data, models=directory_of(models_dir))
            return
        from training.commands import train as command

        command(config, data=data, models=directory_of(models_dir), run=run, force=force)


def import_pretrained(  # noqa: PLR0917  # typer calls it, by name
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="As transformers or sentence-transformers save it.")
    ],
    name: Annotated[str, typer.Option(help="What the model is to be called.")],
    models_dir: ModelsDir = None,
    description: Annotated[str | None, typer.Option(help="Default: where it comes from.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Most tokens; default: what DIR says.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="That it was trained for, as en; may be repeated.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Publish NAME-int8 as well: `encodery quantize`.")
    ] = False,
) -> None:
    """Prove and publish a pretrained text encoder (BERT, MPNet, ModernBERT, ...) from a local directory."""
    with training():
        from training.text.commands import import_pretrained as command

        models = directory_of(models_dir)
        command(
            directory,
            name,
            models=models,
            description=description,
            max_length=max_length,
            languages=language or (),
            int8=int8,
        )


def quantize(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A published encoder of texts.")],
    to: Annotated[str | None, typer.Option(help="What the new one is called; default: NAME-int8.")] = None,
    version: Annotated[str | None, typer.Option(help="Default: the current one.")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Publish an encoder with products of 8-bit integers: smaller and faster, in a space of its own."""
    with training():
        from training.text.commands import quantize as command

        command(name, to or f"{name}-int8", version=version, models=directory_of(models_dir))


def mine(  # noqa: PLR0917  # typer calls it, by name
    config: Config,
    out: Annotated[Path, typer.Option(help="JSONL to write: first, second, negative.")],
    model: Annotated[str, typer.Option(help="The published encoder that says what is near.")] = "text",
    data: Data = None,
    models_dir: ModelsDir = None,
    first: Annotated[int, typer.Option(help="Rank of the nearest candidate taken, from 0.")] = 0,
    last: Annotated[int, typer.Option(help="Rank after the farthest.")] = 50,
    margin: Annotated[
        float, typer.Option(help="A candidate's cosine is below this share of the partner's.")
    ] = 0.95,
    count: Annotated[int, typer.Option(help="Negatives per pair at most.")] = 1,
) -> None:
    """Find hard negatives for the pairs of a text config, to be learned from as triplets."""
    with training():
        from training.text.commands import mine as command
        from training.text.mining import MiningRules

        rules = MiningRules(first=first, last=last, margin=margin, count=count)
        command(config, model, out, data=data, models=directory_of(models_dir), rules=rules)


def lexical(config: Config, data: Data = None, models_dir: ModelsDir = None) -> None:
    """Publish a text encoder again with statistics of its texts' words, for sparse vectors and `mix`.

    Nothing is trained, and the space stays. New runs have such statistics by themselves.
    """
    with training():
        from training.text.lexical import publish_with_words

        publish_with_words(config, data=data, models=directory_of(models_dir))


def infer_schema(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="The log and, if there are any, files of its items and users: CSV, TSV, JSONL or Parquet.",
        ),
    ],
    user: Annotated[str | None, typer.Option(help="The log's column of who; default: found.")] = None,
    item: Annotated[str | None, typer.Option(help="The log's column of what; default: found.")] = None,
    time: Annotated[str | None, typer.Option(help="The log's column of when; default: found.")] = None,
) -> None:
    """Print a config that proposes columns, kinds and sides, with reasons, to be edited and trained."""
    with training():
        from training.recommender.infer import infer

        given = {role: name for role, name in (("user", user), ("item", item), ("time", time)) if name}
        typer.echo(infer(files, given), nl=False)
