"""How much room what is stored takes, by kind."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from lab.store.location import files_folder
from lab.store.pages import DamagedError, Page, Pages
from lab.store.run_store import RunStore, run_table
from lab.store.schema import Checkpoint, Metric, Point

_KINDS = {
    "point": "points", "metric": "points", "histogram": "histograms", "tensor": "histograms", "sample": "samples",
    "event": "logs", "run": "runs", "inspection": "inspections",
}  # fmt: skip


def table_bytes(database: Path) -> dict[str, int]:
    """Bytes of a database's file by kind; empty where its pages make no sense. No store of this process may be open.

    Read without SQLite, which would have to read every page: closing the file takes this process's locks on it away.
    """
    sizes: dict[str, int] = {}
    try:
        with Pages(database) as pages:
            for page in pages.walk(1):
                for _, row in page.rows if isinstance(page, Page) else ():
                    kind = _KINDS.get(str(row[2]), "other")  # an index counts with its table
                    sizes[kind] = sizes.get(kind, 0) + pages.tree_pages(int(str(row[3]))) * pages.size
            if not sizes:
                return {}
            sizes["free"] = len(pages.free_pages()) * pages.size
            sizes["other"] = max(0, pages.count * pages.size - sum(sizes.values()) + sizes.get("other", 0))
    except (DamagedError, OSError, ValueError, IndexError):
        return {}
    return sizes


def checkpoint_bytes(store: RunStore) -> dict[str, int]:
    """Bytes of the checkpoints that the database names, by kind."""
    query = sa.select(Checkpoint.kind, sa.func.sum(Checkpoint.size)).group_by(Checkpoint.kind)
    with store.database.reader.connect() as connection:
        return {f"{kind} checkpoints": int(size) for kind, size in connection.execute(query.order_by(Checkpoint.kind))}


def trash_facts(store: RunStore) -> dict[str, int]:
    """What emptying the trash would free: runs, points, and bytes of checkpoints."""
    trashed = run_table.c.trashed_at.is_not(None)
    ids = sa.select(run_table.c.id).where(trashed)
    points = sa.select(sa.func.count()).select_from(Point).join(Metric, Metric.id == Point.metric_id)
    sizes = sa.select(sa.func.coalesce(sa.func.sum(Checkpoint.size), 0)).where(Checkpoint.run_id.in_(ids))
    with store.database.reader.connect() as connection:
        return {
            "runs": connection.scalar(sa.select(sa.func.count()).select_from(run_table).where(trashed)) or 0,
            "points": connection.scalar(points.where(Metric.run_id.in_(ids))) or 0,
            "checkpoint_bytes": connection.scalar(sizes) or 0,
        }


def file_bytes(database: Path) -> int:
    """Bytes of all files beside a database that belong to it."""
    return sum(file.lstat().st_size for file in files_folder(database).rglob("*") if file.is_file())
