"""`lab demo`: the screen on a finished ladder that comes with lab."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lab.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("demo")(demo)


def demo(
    anew: Annotated[bool, typer.Option("--new", help="Throw away what was done in the last copy.")] = False,
) -> None:
    """Open a finished ladder that comes with lab.

    It is a copy, to look at and to play with.
    """
    from lab.cli.output import say
    from lab.store.demo import demo_copy

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the screen needs a terminal; for commands that need none see: lab --help")
    if anew:
        _check_nobody_trains()
    from lab.text import literal
    from lab.tui.app import run_tui

    path = demo_copy(anew=anew)
    status = run_tui(path, mode="ladder")
    say(f"that was the demo, a copy at {literal(str(path))}; your own runs: lab")
    raise typer.Exit(status)


def _check_nobody_trains() -> None:
    """Raises `UsageError` where a worker trains runs in the copy."""
    from lab.queue.requests import worker_pid
    from lab.store.demo import demo_copy

    path = demo_copy()
    if worker_pid(path) is not None:
        raise UsageError(f"a worker trains in the demo; stop it first with: lab worker --stop --db {path}")
