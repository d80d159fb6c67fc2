"""Opening a database from a command: those that only look, or act on stored runs, never make one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import RunNotFoundError
from lab.store.location import find_database

if TYPE_CHECKING:
    from lab.store.run_store import RunStore


@contextmanager
def stored_runs(database: Path | None) -> Iterator[RunStore]:
    """The database that a command means, opened. Raises `RunNotFoundError` where there is none; none is made."""
    path = find_database(database)
    if not path.exists():
        raise RunNotFoundError(nothing_stored(path))
    with opened(path) as store:
        yield store


@contextmanager
def opened(path: Path) -> Iterator[RunStore]:
    """The database at a path, made where it is new, and closed afterwards."""
    from lab.store.run_store import RunStore

    store = RunStore.open(path)
    try:
        yield store
    finally:
        store.close()


def nothing_stored(path: Path) -> str:
    """What is said of a database that is not there yet."""
    return f"there are no runs in {path} yet; start with: lab ladder"
