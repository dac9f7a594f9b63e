"""Commands that need torch: train, import, mine, evaluate, and the draft of a recommender's config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from encodery.cli.common import MISTAKE, Config, Data, ModelsDir, directory_of, fail, training


def train(
    config: Config,
    data: Data = None,
    models_dir: ModelsDir = None,
    run: Annotated[Path | None, typer.Option(help="Directory of the run; default: runs/NAME.")] = None,
) -> None:
    """Train, prove and publish what a config describes. Goes on where an interrupted run stopped."""
    with training():
        from training.commands import train as command

        command(config, data=data, models=directory_of(models_dir), run=run)


def import_pretrained(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="As transformers or sentence-transformers save it.")
    ],
    name: Annotated[str, typer.Option(help="What the model is to be called.")],
    models_dir: ModelsDir = None,
    description: Annotated[str | None, typer.Option(help="Default: where it comes from.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Most tokens; default: what DIR says.")] = None,
) -> None:
    """Prove and publish a pretrained text encoder (BERT, MPNet, ModernBERT, ...) from a local directory."""
    with training():
        from training.commands import import_pretrained as command

        models = directory_of(models_dir)
        command(directory, name, models=models, description=description, max_length=max_length)


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
        from training.commands import mine as command
        from training.text.mining import MiningRules

        rules = MiningRules(first=first, last=last, margin=margin, count=count)
        command(config, model, out, data=data, models=directory_of(models_dir), rules=rules)


def evaluate(  # noqa: PLR0917  # typer calls it, by name
    target: Annotated[
        str, typer.Argument(help="A model, for example text; or the TOML file of a run, for its own figures.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the suite's sets, or where the config's paths start [env: ENCODERY_DATA]."
        ),
    ] = None,
    models_dir: ModelsDir = None,
    url: Annotated[str | None, typer.Option(help="A running server, in place of bundles on disk.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="text, for a model (the default); recommender, for a config: tuned baselines beside it."
        ),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Of the model; default: the current one.")] = None,
    split: Annotated[str | None, typer.Option(help="dev to choose by (the default), test to report.")] = None,
    dimensions: Annotated[
        list[int] | None, typer.Option(help="A length to cut to; may be repeated [default: all it has].")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="Another model to compare with; may be repeated.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="A pretrained encoder to compare with: a directory, or package:NAME.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where results go; default: runs/evaluate-NAME-SPLIT.")
    ] = None,
) -> None:
    """Measure a published model by a suite of tasks, or a run's encoders by the task of their config."""
    with training():
        if target.endswith(".toml") and suite == "recommender":
            from training.commands import evaluate_recommender

            if any((version, dimensions, baseline, teacher)):
                fail(
                    "--version, --dimensions, --baseline and --teacher go with a model's name, not a config",
                    MISTAKE,
                )
            typer.echo(evaluate_recommender(Path(target), data=data, split=split, out=out, url=url))
            return
        if target.endswith(".toml"):
            from training.card import metrics_table
            from training.commands import evaluate as command

            if any((suite, version, split, dimensions, baseline, teacher, out)):
                fail(
                    "a config is measured by its own figures; the suite's options go with a model's name",
                    MISTAKE,
                )
            metrics = command(Path(target), data=data, models=directory_of(models_dir), url=url)
            typer.echo("\n".join(metrics_table(metrics)))
            return
        if suite not in (None, "text"):
            fail(
                f"--suite is {suite!r}; a model is measured by text, a recommender's config by recommender",
                MISTAKE,
            )
        from training.commands import data_directory
        from training.text.suite.command import Asked, run
        from training.text.suite.results import report

        asked = Asked(
            target,
            models=directory_of(models_dir),
            version=version,
            url=url,
            baselines=baseline or (),
            teacher=teacher,
            dimensions=dimensions or (),
        )
        chosen = split or "dev"
        place = out or Path("runs") / f"evaluate-{target}-{chosen}"
        typer.echo(report(run(asked, data=data_directory(data), split=chosen, out=place)))
        typer.echo(f"wrote {place / 'results.json'} and {place / 'results.html'}", err=True)


def infer_schema(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="The log and, if there is one, the items: CSV, TSV, JSONL or Parquet."
        ),
    ],
) -> None:
    """Print a config that proposes columns, kinds and sides, with reasons, to be edited and trained."""
    with training():
        from training.recommender.infer import infer

        typer.echo(infer(files), nl=False)
