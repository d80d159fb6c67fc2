"""Emptying the trash: what deleting runs for good would free, and doing it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from lab.errors import StoreError, UsageError
from lab.store.location import run_folder
from lab.store.run_store import RunStore, run_table
from lab.store.schema import Metric, Point


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

    Raises `UsageError` where one of them is not in the trash, or trains; `StoreError` where files could not be deleted.
    """
    c = run_table.c
    with store.database.durable.begin() as connection:
        rows = connection.execute(sa.select(c.id, c.name, c.status, c.trashed_at).where(c.id.in_(run_ids))).all()
        for row in rows:
            if row.trashed_at is None or row.status == "training":
                why = "is training" if row.status == "training" else "is not in the trash"
                raise UsageError(f"run {row.name} {why}: nothing was deleted")
        connection.execute(sa.delete(run_table).where(c.id.in_([row.id for row in rows])))
    # The rows first: files without a row are in nobody's way, a row without its files would promise what is gone.
    for row in rows:
        folder = run_folder(store.database.path, row.id)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(f"{folder} could not be deleted ({error.strerror}): delete it by hand") from None
    return len(rows)
