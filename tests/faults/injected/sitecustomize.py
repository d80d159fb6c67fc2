"""What Python loads at the start of every process whose PYTHONPATH names this folder: faults for lab to bear.

LAB_TEST_DEATHS names a folder. When a file `armed` is put there, the first process of the role that it names, come to
the boundary that it names for the n-th time, renames the file to `fired` and kills itself: between any two steps of a
write, where no signal from outside would ever hit. There, too, `commits` tells which trainer wrote when.

LAB_TEST_CLOCK names a file with the seconds by which the clock on the wall is wrong.

LAB_TEST_BUSY_SECONDS says how long a connection waits by itself for another program's lock.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_monotonic = time.monotonic
_rename, _truncate = os.rename, os.truncate
_WRITES = ("INSERT", "UPDATE", "DELETE", "BEGIN IMMEDIATE")


def trainer_name() -> str:
    """`lab trainer RUN` in a trainer, nothing elsewhere."""
    process = sys.modules.get("multiprocessing.process")
    name = process.current_process().name if process else ""
    return name if name.startswith("lab trainer") else ""


def role() -> str:
    """What of lab this process is."""
    if trainer_name():
        return "trainer"
    arguments = getattr(sys, "argv", ())
    if not arguments or not arguments[0].endswith("lab/__main__.py"):
        return "other"
    return "worker" if "worker" in arguments else "screen" if len(arguments) == 1 else "command"


class Deaths:
    """Dies where it was told to."""

    def __init__(self, folder: Path) -> None:
        self._armed, self._fired, self._commits = (folder / name for name in ("armed", "fired", "commits"))
        self._order: Any = None
        self._passes = 0

    def reached(self, boundary: str, before_dying: Callable[[], object] = lambda: None) -> None:
        """Counts a step of a write; kills this process where it is the one."""
        try:
            order = json.loads(self._armed.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return
        if order != self._order:
            self._order, self._passes = order, 0
        if order["boundary"] != boundary or order["role"] != role():
            return
        self._passes += 1
        if self._passes < order["passes"]:
            return
        try:
            _rename(self._armed, self._fired)
        except FileNotFoundError:  # another process was first
            return
        before_dying()
        os.kill(os.getpid(), signal.SIGKILL)

    def committed(self) -> None:
        """Tells who has just written."""
        if name := trainer_name():
            with self._commits.open("a") as file:
                file.write(f"{_monotonic()}\t{name}\t{os.getpid()}\n")


def _patch_files(deaths: Deaths) -> None:
    def around(name: str, of: Callable[[Any], bool] = lambda path: True) -> None:
        real = getattr(os, name)

        def patched(path: Any, *arguments: Any, **options: Any) -> Any:
            if not of(path):
                return real(path, *arguments, **options)
            deaths.reached(f"before {name}")
            result = real(path, *arguments, **options)
            deaths.reached(f"after {name}")
            return result

        setattr(os, name, patched)

    around("fsync")
    around("replace")
    around("unlink")
    around("pwrite")  # of a lock's holder
    real_chmod = os.chmod

    def chmod(path: Any, *arguments: Any, **options: Any) -> None:
        """What lab does next to a checkpoint that it has written: half of it is there."""
        if str(path).endswith(".partial"):
            deaths.reached("half written", lambda: _truncate(path, Path(path).stat().st_size // 2))
        real_chmod(path, *arguments, **options)

    os.chmod = chmod


def _patch_transactions(deaths: Deaths) -> None:
    class Cursor(sqlite3.Cursor):
        def execute(self, statement: str, *arguments: Any) -> Any:
            result = super().execute(statement, *arguments)
            if statement.startswith(_WRITES):
                deaths.reached("in a transaction")
            return result

        def executemany(self, statement: str, *arguments: Any) -> Any:
            result = super().executemany(statement, *arguments)
            deaths.reached("in a transaction")
            return result

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def commit(self) -> None:
            deaths.reached("before commit")
            super().commit()
            deaths.committed()
            deaths.reached("after commit")

    real_connect = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> Any:
        options.setdefault("factory", Connection)
        return real_connect(*arguments, **options)

    sqlite3.connect = sqlite3.dbapi2.connect = connect


def _patch_clock(file: Path) -> None:
    real = time.time

    def shifted() -> float:
        try:
            return real() + float(file.read_text())
        except (OSError, ValueError):
            return real()

    time.time = shifted


def _patch_patience(seconds: float) -> None:
    real_connect = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> Any:
        return real_connect(*arguments, **options | {"timeout": seconds})

    sqlite3.connect = sqlite3.dbapi2.connect = connect


if "LAB_TEST_DEATHS" in os.environ:
    _deaths = Deaths(Path(os.environ["LAB_TEST_DEATHS"]))
    _patch_files(_deaths)
    _patch_transactions(_deaths)
if "LAB_TEST_CLOCK" in os.environ:
    _patch_clock(Path(os.environ["LAB_TEST_CLOCK"]))
if "LAB_TEST_BUSY_SECONDS" in os.environ:
    _patch_patience(float(os.environ["LAB_TEST_BUSY_SECONDS"]))
