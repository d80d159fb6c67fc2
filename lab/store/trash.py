"""Emptying the trash: what deleting runs for good would free, and doing it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa

from lab.errors import StorageError, StoreError, UsageError
from lab.store.location import run_folder
from lab.store.migrations import BUSY_TIMEOUT_SECONDS, said_plainly
from lab.store.run_store import RunStore, run_table
from lab.store.schema import Metric, Point
from lab.store.storage import release_reserve

_INCREMENTAL = 2
_PAGES_AT_ONCE = 2000
LARGEST_REWRITTEN = 256 * 2**20
"""Bytes of a database that is written anew in the time for which others wait."""


@dataclass(frozen=True)
class Contents:
    """What belongs to some runs."""

    points: int
    files: int
    file_bytes: int


def contents(store: RunStore, run_ids: Sequence[str]) -> Contents:
    """What would be gone with these runs."""
    query = sa.select(sa.func.count()).select_from(Point).join(Metric, Metric.id == Point.metric_id)
    with store.database.reader.connect() as connection:
        points = connection.scalar(query.where(Metric.run_id.in_(run_ids))) or 0
    folders = [run_folder(store.database.path, run_id) for run_id in run_ids]
    sizes = [path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()]
    return Contents(points, len(sizes), sum(sizes))


def delete_for_good(store: RunStore, run_ids: Sequence[str]) -> int:
    """Deletes runs that are in the trash, with all that was recorded of them and their files; returns how many.

    The space goes back to the disk. Raises `UsageError` where one of them is not in the trash, or trains; `StoreError`
    where files could not be deleted.
    """
    c = run_table.c
    with store.database.reader.connect() as connection:
        rows = connection.execute(sa.select(c.id, c.name, c.status, c.trashed_at).where(c.id.in_(run_ids))).all()
    for row in rows:
        if row.trashed_at is None or row.status == "training":
            why = "is training" if row.status == "training" else "is not in the trash"
            raise UsageError(f"run {row.name} {why}: nothing was deleted")
    release_reserve(store.database.path)  # on a full disk, deleting needs room too
    deleted = 0
    for row in rows:  # each by itself, so that no trainer has to wait for all
        folder = run_folder(store.database.path, row.id)
        still = sa.and_(c.id == row.id, c.trashed_at.is_not(None), c.status != "training")
        with store.database.durable.begin() as connection:
            if not connection.execute(sa.delete(run_table).where(still)).rowcount:
                continue  # somebody has restored it meanwhile
        deleted += 1
        # The rows first: files without a row are in nobody's way, a row without its files would promise what is gone.
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(f"{folder} could not be deleted ({error.strerror}): delete it by hand") from None
    with contextlib.suppress(StorageError):  # what is deleted is deleted; a full disk may take the rest later
        give_back_space(store)
    return deleted


def give_back_space(store: RunStore) -> None:
    """Makes the file of a database as short as what it holds; in small steps, so that nobody waits for long.

    One that was made by an older lab is written anew where that is quick; a large one keeps its length.
    """
    with closing(
        sqlite3.connect(store.database.path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
    ) as connection:

        def asked(name: str) -> int:
            return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

        try:
            if asked("auto_vacuum") == _INCREMENTAL:
                free = asked("freelist_count")
                while free:
                    connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
                    before, free = free, asked("freelist_count")
                    if free >= before:
                        break
            elif asked("freelist_count") and asked("page_count") * asked("page_size") <= LARGEST_REWRITTEN:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.DatabaseError as error:
            raise said_plainly(store.database.path, error) from None
