"""The command line. Parses, calls, and prints; knows no more of serving and training than their doors.

Exit status: 0 done, 1 something failed (a bundle does not verify), 2 the command cannot be carried out as
it was given. Both come with one sentence on standard error, and no traceback.

Commands import what they need when they run: `encodery --help` must not wait for onnxruntime or torch.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from encodery import __version__

if TYPE_CHECKING:
    from bundle import Store

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130


class Truncation(StrEnum):
    """As typer wants the choices."""

    none = "none"
    end = "end"
    start = "start"


app = typer.Typer(
    help="Train encoders, prove them, publish them, and serve their vectors over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(
    help="List, show and verify published models, and choose versions.", no_args_is_help=True
)
app.add_typer(models, name="models")
schema = typer.Typer(help="Draft the config of a recommender from data.", no_args_is_help=True)
app.add_typer(schema, name="schema")

ModelsDir = Annotated[
    Path | None,
    typer.Option("--models-dir", help="Directory of published models [env: ENCODERY_MODELS_DIR]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Name = Annotated[str, typer.Argument(help="The model, for example text.")]
Config = Annotated[Path, typer.Argument(help="The run's TOML file, for example training/configs/text.toml.")]
Data = Annotated[Path | None, typer.Option(help="Where the config's paths start [env: ENCODERY_DATA].")]


def main(arguments: list[str] | None = None) -> None:
    """The entry point."""
    app(arguments, prog_name="encodery")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _encodery(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [env: ENCODERY_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 for any [env: ENCODERY_LISTEN_PORT].")
    ] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Serve the published models. Every other setting is an ENCODERY_* variable; the log shows them all."""
    from app.listener import CannotServe
    from app.serving import serve as run
    from app.settings import SettingsError, settings_from

    try:
        run(settings_from(host=host, listen_port=port, models_dir=models_dir))
    except SettingsError as error:
        fail(str(error), MISTAKE)
    except CannotServe as error:
        fail(str(error), FAILED)


@app.command()
def train(
    config: Config,
    data: Data = None,
    models_dir: ModelsDir = None,
    run: Annotated[Path | None, typer.Option(help="Directory of the run; default: runs/NAME.")] = None,
) -> None:
    """Train, prove and publish what a config describes. Goes on where an interrupted run stopped."""
    with _training():
        from training.commands import train as command

        command(config, data=data, models=_directory(models_dir), run=run)


@app.command("import")
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
    with _training():
        from training.commands import import_pretrained as command

        models = _directory(models_dir)
        command(directory, name, models=models, description=description, max_length=max_length)


@app.command()
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
    with _training():
        from training.commands import mine as command
        from training.mining import MiningRules

        rules = MiningRules(first=first, last=last, margin=margin, count=count)
        command(config, model, out, data=data, models=_directory(models_dir), rules=rules)


@app.command()
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
    with _training():
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
            metrics = command(Path(target), data=data, models=_directory(models_dir), url=url)
            typer.echo("\n".join(metrics_table(metrics)))
            return
        if suite not in (None, "text"):
            fail(
                f"--suite is {suite!r}; a model is measured by text, a recommender's config by recommender",
                MISTAKE,
            )
        from training.commands import data_directory
        from training.suite.command import Asked, run
        from training.suite.results import report

        asked = Asked(
            target,
            models=_directory(models_dir),
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


@app.command()
def encode(  # noqa: PLR0917  # typer calls it, by name
    source: Annotated[Path, typer.Argument(metavar="IN", help="Rows: .jsonl, .csv or .parquet.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Vectors: .parquet, .npy or .jsonl.")],
    model: Annotated[str, typer.Option(help="The model.")] = "text",
    version: Annotated[str | None, typer.Option(help="Of the model; default: the current one.")] = None,
    models_dir: ModelsDir = None,
    url: Annotated[str | None, typer.Option(help="A running server, in place of bundles on disk.")] = None,
    text: Annotated[str, typer.Option(help="The column that a text model reads.")] = "text",
    keep: Annotated[
        list[str] | None, typer.Option(help="A column to go into OUT as it is; may be repeated.")
    ] = None,
    truncate: Annotated[
        Truncation, typer.Option(help="What becomes of a text that is too long; none: it is a bad row.")
    ] = Truncation.none,
    dimensions: Annotated[int | None, typer.Option(help="Fewer, where the model was trained for it.")] = None,
    now: Annotated[float | None, typer.Option(help="Unix time that times are relative to.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model's prompt before every text [default: its own default]."),
    ] = None,
) -> None:
    """Encode every row of a file. Goes on where an interrupted run stopped; bad rows are set aside."""
    from bundle import EncoderyError
    from encodery.bulk.backends import Options
    from encodery.bulk.command import Asked, run

    options = Options(truncate.value, dimensions, now, prompt)
    models = Path() if url else _directory(models_dir)
    asked = Asked(source, out, model, version, models, url, text=text, keep=keep or (), options=options)
    try:
        done = run(asked)
    except EncoderyError as error:
        fail(str(error), MISTAKE)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED)
    except KeyboardInterrupt:
        fail("stopped; give the same command to go on", INTERRUPTED)
    typer.echo(f"{out}: {done.rows:,} vectors of {done.meta['space']}", err=True)
    if done.truncated:
        typer.echo(f"{done.truncated:,} rows were too long and were cut", err=True)
    if done.bad:
        typer.echo(f"{done.bad:,} bad rows, with reasons in {out}.bad.jsonl", err=True)


@schema.command("infer")
def infer_schema(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV of the log and, if there is one, of the items."),
    ],
) -> None:
    """Print a config that proposes columns, kinds and sides, with reasons, to be edited and trained."""
    with _training():
        from training.schema_draft import infer

        typer.echo(infer(files), nl=False)


@models.command("list")
def list_models(models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """Every published version; the current ones are marked. Reads manifests only: see `verify`."""
    from encodery.models import listed, table

    store = _store(models_dir)
    if as_json:
        typer.echo(json.dumps(listed(store), indent=1))
    else:
        typer.echo(table(listed(store)) or f"no models in {store.root}")


@models.command()
def show(
    name: Name,
    version: Annotated[str | None, typer.Option(help="Default: the current one.")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """The manifest of one version, as JSON."""
    store = _store(models_dir)
    with _bundle_mistakes():
        manifest = store.manifest(name, version or store.current(name))
        typer.echo(manifest.to_bytes().decode(), nl=False)


@models.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Load every version as the server does: checksums, graph, golden vectors. Exit status 1 if one fails."""
    from encodery.models import verified

    store = _store(models_dir)
    known = store.names()
    if not known or not set(names or []) <= set(known):
        fail(f"{store.root} holds: {', '.join(known) or 'no models'}", MISTAKE)
    results = [result for name in names or known for result in verified(store, name)]
    if as_json:
        typer.echo(json.dumps(results, indent=1))
    else:
        for result in results:
            typer.echo(f"{result['name']}/{result['version']}: {result['fault'] or 'sound'}")
    if any(result["fault"] for result in results):
        raise typer.Exit(FAILED)


@models.command()
def use(
    name: Name,
    version: Annotated[str, typer.Argument(help="A published version of it.")],
    models_dir: ModelsDir = None,
) -> None:
    """Make a version the default, for every encoder that was published together with it."""
    from bundle import switch_current

    store = _store(models_dir)
    with _bundle_mistakes():
        for reference in switch_current(store.root, name, version):
            typer.echo(f"current: {reference.name}/{reference.version}")
    typer.echo(
        "A running server goes on with what it has loaded; restart it, or send SIGHUP if it has workers.",
        err=True,
    )


def fail(message: str, status: int) -> NoReturn:
    """Say why on standard error, and end."""
    typer.echo(f"encodery: {message}", err=True)
    raise typer.Exit(status)


@contextlib.contextmanager
def _bundle_mistakes() -> Iterator[None]:
    """What is asked for is not there, or not as it should be."""
    from bundle import BundleError

    try:
        yield
    except BundleError as error:
        fail(str(error), MISTAKE)


@contextlib.contextmanager
def _training() -> Iterator[None]:
    """Whatever training raises on purpose becomes one sentence; a bug keeps its traceback."""
    from bundle import EncoderyError

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("app", "bundle", "encodery", "training"):
            raise
        fail(
            f"training needs packages that are not installed ({error.name}); "
            "pip install 'encodery[train]', or in a checkout: python3 dev.py run train CONFIG",
            MISTAKE,
        )
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), MISTAKE)
    except EncoderyError as error:
        fail(str(error), MISTAKE)


def _directory(models_dir: Path | None) -> Path:
    """Where the server would look for models."""
    from app.settings import SettingsError, settings_from

    try:
        return models_dir or settings_from().models_dir
    except SettingsError as error:
        fail(str(error), MISTAKE)


def _store(models_dir: Path | None) -> Store:
    from bundle import Store

    directory = _directory(models_dir)
    if not directory.is_dir():
        fail(f"there is no directory {directory}; set --models-dir or ENCODERY_MODELS_DIR", MISTAKE)
    return Store(directory)
