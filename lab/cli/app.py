"""The command `lab`: one function a command, each importing what it needs when it runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.outcome import INTERRUPTED, complain, outcome
from lab.cli.screen import open_screen

app = typer.Typer(
    name="lab",
    help="A terminal laboratory: what does each piece of a language model buy?",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it is read in pipes too, and takes a third of the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


@cache
def parser() -> Callable[..., object]:
    """What reads command lines, made once a process."""
    from lab.cli import register_commands

    register_commands(app)
    return typer.main.get_command(app)


def run(arguments: list[str]) -> int:
    """Runs a command line; returns the exit status: 0 done, 1 the work failed, 2 bad usage."""

    def command() -> int:
        try:
            result = parser()(arguments, prog_name="lab", standalone_mode=False)
        except typer.TyperException as error:
            from lab.cli.complaints import said_plainly

            complain(said_plainly(error))
            return error.exit_code
        except typer.Exit as ended:
            return ended.exit_code
        except typer.Abort:
            return INTERRUPTED
        return result if isinstance(result, int) else 0

    return outcome(command)


@app.callback(invoke_without_command=True)
def screen(
    context: typer.Context,
    database: Annotated[
        Path | None, typer.Option("--db", metavar="PATH", help="The database; else LAB_DB, else the nearest runs.db.")
    ] = None,
    ascii_charts: Annotated[
        bool,
        typer.Option("--ascii", help="Charts in ASCII; so anyway where the terminal has no UTF-8 or no braille."),
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """A terminal laboratory: what does each piece of a language model buy?

    Without a command it opens the screen.
    """
    if version:
        from lab import __version__

        print(f"lab {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is not None:
        if database is not None:
            os.environ["LAB_DB"] = str(database)  # for the command, whose own --db comes first
        return
    raise typer.Exit(open_screen(database, ascii_charts))
