"""The command `lab`: one function a command, each importing what it needs when it runs."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.errors import LabError

INTERRUPTED = 130

app = typer.Typer(
    name="lab",
    help="A terminal laboratory: what does each piece of a language model buy?",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it is read in pipes too, and takes a third of the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: list[str]) -> int:
    """Runs a command line; returns the exit status: 0 done, 1 the work failed, 2 bad usage."""
    from lab.cli import register_commands

    if not app.registered_commands:
        register_commands(app)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character shows its number
    try:
        result = app(arguments, prog_name="lab", standalone_mode=False)
    except LabError as error:
        _complain(str(error))
        return error.exit_status
    except typer.TyperException as error:
        from lab.cli.complaints import said_plainly

        _complain(said_plainly(error))
        return error.exit_code
    except typer.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.EIO):
            raise
        # Nobody reads any more: a pipe's reader has what it wanted, or the terminal was closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or flushing at exit would complain again
        return 0 if error.errno == errno.EPIPE else INTERRUPTED
    return result if isinstance(result, int) else 0


def _complain(message: str) -> None:
    from lab.text import literal

    print(f"lab: {literal(message)}", file=sys.stderr)


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
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        _complain("the screen needs a terminal; for commands that need none see: lab --help")
        raise typer.Exit(2)
    from lab.store.location import find_database
    from lab.tui.app import run_tui

    raise typer.Exit(run_tui(find_database(database), ascii_charts=ascii_charts))
