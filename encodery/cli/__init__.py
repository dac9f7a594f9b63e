"""The command line. It parses, calls and prints; of serving and training it knows the entry points only.

Exit status: 0 done, 1 something failed (a bundle does not verify), 2 the command cannot be carried out as
it was given. Both come with one sentence on standard error, and no traceback.

Commands import what they need when they run: `encodery --help` must not wait for onnxruntime or torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from encodery import __version__
from encodery.cli import (
    adapt,
    aliases,
    config,
    encode,
    evaluate,
    keys,
    migrate,
    models,
    serve,
    train,
    transfer,
)

app = typer.Typer(
    help="Train encoders, prove them, publish them, and serve their vectors over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # its default would take [env: NAME] for a tag, and leave it out
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the arguments name; by default those of the process."""
    app(arguments, prog_name="encodery")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _encodery(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


COMMANDS: dict[str, Callable[..., None]] = {
    "serve": serve.serve,
    "config": config.config,
    "train": train.train,
    "import": train.import_pretrained,
    "quantize": train.quantize,
    "mine": train.mine,
    "lexical": train.lexical,
    "encode": encode.encode,
    "migrate": migrate.migrate,
}
OF_MODELS: dict[str, Callable[..., None]] = {
    "list": models.list_models,
    "show": models.show,
    "verify": models.verify,
    "sign": models.sign,
    "use": aliases.use,
    "alias": aliases.alias,
    "history": aliases.history,
    "describe": models.describe,
    "respell": models.respell,
    "compare": models.compare,
    "pull": transfer.pull,
    "push": transfer.push,
}
for name, command in COMMANDS.items():
    app.command(name)(command)

app.add_typer(evaluate.app, name="evaluate")

of_models = typer.Typer(
    help="List, show, verify and compare published models, fetch and send them, and choose versions.",
    no_args_is_help=True,
)
for name, command in OF_MODELS.items():
    of_models.command(name)(command)
app.add_typer(of_models, name="models")

of_adapters = typer.Typer(help="Turn vectors of one space towards another.", no_args_is_help=True)
of_adapters.command("fit")(adapt.fit)
of_adapters.command("apply")(adapt.apply)
app.add_typer(of_adapters, name="adapt")

of_schemas = typer.Typer(help="Draft the config of a recommender from data.", no_args_is_help=True)
of_schemas.command("infer")(train.infer_schema)
app.add_typer(of_schemas, name="schema")

of_keys = typer.Typer(help="Make API keys.", no_args_is_help=True)
of_keys.command("new")(keys.new)
app.add_typer(of_keys, name="keys")
