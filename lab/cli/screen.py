"""`lab` without a command: the screen. The commands and their parser would take a fifth of its first frame."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.cli.outcome import complain, outcome


def start(arguments: Sequence[str]) -> int:
    """Opens the screen, or runs the command that the arguments name; returns the exit status."""
    options = screen_options(arguments)
    if options is None:
        from lab.cli.app import run

        return run(list(arguments))
    return outcome(lambda: open_screen(*options))


def screen_options(arguments: Sequence[str]) -> tuple[Path | None, bool] | None:
    """The database, and whether charts are ASCII; None where anything but the screen is asked for."""
    database, ascii_charts = None, False
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--ascii":
            ascii_charts = True
        elif name == "--db" and (path := value if equals else next(rest, "")):
            database = Path(path)
        else:
            return None
    return database, ascii_charts


def open_screen(database: Path | None, ascii_charts: bool) -> int:
    """Runs lab on the screen until it is left. Raises `UsageError` where the database cannot be there."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        complain("the screen needs a terminal; for commands that need none see: lab --help")
        return 2
    gc.disable()  # until all is imported (`LabApp._warm_up`): looking for garbage among it takes a sixth of the start
    from lab.store.location import find_database
    from lab.tui.app import run_tui

    return run_tui(find_database(database), ascii_charts=ascii_charts)
