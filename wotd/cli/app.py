"""The Typer application and how a command joins it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from wotd import __version__

Command = TypeVar("Command", bound=Callable[..., Any])

app = typer.Typer(
    name="wotd",
    help="Semantic IDs of literature: short, hierarchical, readable codes for passages and works.",
    epilog="Train with wotd-train (or python -m wotd.train). Each command explains itself: wotd encode --help.",
    # Plain help is the same in a pipe, in 80 columns and in a log, and needs no import of rich.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class WrongUsageError(Exception):
    """Options that do not go together; the message is one sentence, the exit status 2."""


def command(*examples: str, group: typer.Typer = app, name: str | None = None) -> Callable[[Command], Command]:
    """Register a function as a command; its docstring is its help, with these examples below."""
    lines = "\n".join(f"  {example}" for example in examples)
    return group.command(name, epilog=f"\b\nExamples:\n{lines}", no_args_is_help=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wotd {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _wotd(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
