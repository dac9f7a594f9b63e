"""Commands that measure: encoders of texts, pictures or sounds, a recommender beside baselines, or a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from encodery.cli.common import MISTAKE, Config, Data, ModelsDir, fail, served_from, training

if TYPE_CHECKING:
    from collections.abc import Sequence

Url = Annotated[str | None, typer.Option(help="A running server, in place of bundles on disk.")]
Split = Annotated[str, typer.Option(help="dev to choose by, test to report.")]
Out = Annotated[Path | None, typer.Option(help="Where results go; default: runs/evaluate-NAME-SPLIT.")]


def text(  # noqa: PLR0917  # typer calls it, by name
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The model, for example text.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Directory of the suite's sets [env: ENCODERY_DATA].")
    ] = None,
    models_dir: ModelsDir = None,
    url: Url = None,
    version: Annotated[str | None, typer.Option(help="Default: the current one.")] = None,
    split: Split = "dev",
    dimensions: Annotated[
        list[int] | None, typer.Option(help="A length to cut to; may be repeated [default: all it has].")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="Another model to compare with; may be repeated.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="A pretrained encoder to compare with: a directory, or package:NAME.")
    ] = None,
    out: Out = None,
) -> None:
    """Measure a published text encoder by the suite of text tasks."""
    if name is None:  # `evaluate text` once meant the model of that name
        fail("which model? for the one that is called text: encodery evaluate text text", MISTAKE)
    with training():
        from training.data.files import data_directory
        from training.published import Published
        from training.text.suite.command import Comparison, run
        from training.text.suite.results import report

        place = Published(served_from(models_dir), url)
        comparison = Comparison(name, place, version, baseline or (), teacher, dimensions or ())
        results = out or Path("runs") / f"evaluate-{name}-{split}"
        typer.echo(report(run(comparison, data=data_directory(data), split=split, out=results)))
        typer.echo(f"wrote {results / 'results.json'} and {results / 'results.html'}", err=True)


def recommender(  # noqa: PLR0917  # typer calls it, by name
    config: Config,
    data: Data = None,
    url: Url = None,
    split: Split = "dev",
    protocol: Annotated[
        str | None, typer.Option(metavar="S,T,C", help="Which protocols [default: all that the data allows].")
    ] = None,
    fold: Annotated[
        list[int] | None,
        typer.Option(min=0, max=4, help="A fold of protocol S; may be repeated [default: all five]."),
    ] = None,
    out: Out = None,
) -> None:
    """Train a recommender's config per protocol, or ask a server, and measure it beside tuned baselines.

    What an earlier run of the same command has measured is not measured again.
    """
    with training():
        from training.recommender.commands import evaluate
        from training.recommender.suite.command import FOLDS

        names = [one.strip().upper() for one in protocol.split(",")] if protocol else []
        folds = sorted(set(fold)) if fold else FOLDS
        typer.echo(evaluate(config, data=data, split=split, out=out, url=url, protocols=names, folds=folds))


def image(  # noqa: PLR0917  # typer calls it, by name
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model, for example image.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Directory of tables NAME-SPLIT.jsonl of pictures [env: ENCODERY_DATA]."),
    ] = None,
    models_dir: ModelsDir = None,
    url: Url = None,
    version: Annotated[str | None, typer.Option(help="Default: the current one.")] = None,
    split: Annotated[str, typer.Option(help="val to choose by, test to report.")] = "val",
    out: Out = None,
) -> None:
    """Measure a published encoder of pictures beside the texts of its space."""
    with training():
        from training.data.files import data_directory
        from training.image.suite.command import run
        from training.published import Published

        place = Published(served_from(models_dir), url)
        results = out or Path("runs") / f"evaluate-{name}-{split}"
        found = run(name, place, data=data_directory(data), split=split, out=results, version=version)
        typer.echo(found)
        typer.echo(f"wrote {results / 'results.json'} and {results / 'results.html'}", err=True)


def audio(  # noqa: PLR0917  # typer calls it, by name
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model, for example audio.")],
    folder: Annotated[
        Path, typer.Argument(metavar="SET", help="A folder with train.jsonl, and dev.jsonl or test.jsonl.")
    ],
    data: Data = None,
    models_dir: ModelsDir = None,
    url: Url = None,
    version: Annotated[str | None, typer.Option(help="Default: the current one.")] = None,
    split: Split = "dev",
    group: Annotated[
        str | None, typer.Option(help="A column, as of speakers: probe each when the others were learned.")
    ] = None,
    out: Out = None,
) -> None:
    """Measure a published encoder of sounds: probe, neighbours, and sounds found by their captions."""
    with training():
        from training.audio.suite import evaluate
        from training.data.files import data_directory
        from training.published import Published

        place = Published(served_from(models_dir), url)
        results = out or Path("runs") / f"evaluate-{name}-{split}"
        found = evaluate(
            name, data_directory(data) / folder, place, version=version, split=split, group=group, out=results
        )
        typer.echo(found.report())
        typer.echo(f"wrote {results / 'results.json'} and {results / 'results.html'}", err=True)


def run(config: Config, data: Data = None, models_dir: ModelsDir = None, url: Url = None) -> None:
    """Measure the published encoders of a run by the metrics of its config."""
    with training():
        from training.card import metrics_table
        from training.commands import evaluate

        metrics = evaluate(config, data=data, models=served_from(models_dir), url=url)
        typer.echo("\n".join(metrics_table(metrics)))


class Evaluate(TyperGroup):
    """The subcommands; what was typed before there were any gets the new command as an answer."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if (new := former(args, list(self.commands))) is not None:
            fail(f"this command is now: {new}", MISTAKE)
        return super().resolve_command(ctx, args)


def former(arguments: Sequence[str], commands: Sequence[str]) -> str | None:
    """The new form of `evaluate NAME [--suite text]` and `evaluate CONFIG [--suite recommender]`."""
    target = arguments[0]
    if target in commands and "--suite" not in arguments:
        return None
    kind = "text"
    if target.endswith(".toml"):
        kind = "recommender" if "--suite" in arguments else "run"
    return f"encodery evaluate {kind} {target}"


app = typer.Typer(
    cls=Evaluate,
    help="Measure an encoder of texts, pictures or sounds, a recommender, or the encoders of a run.",
    no_args_is_help=True,
)
app.command("text")(text)
app.command("recommender")(recommender)
app.command("image")(image)
app.command("audio")(audio)
app.command("run")(run)
