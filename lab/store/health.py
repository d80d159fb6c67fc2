"""Whether a database is sound: its pages, its references, and the checkpoints that it names."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from lab.store.run_store import RunStore, run_table
from lab.store.schema import Checkpoint, Point, Sample


@dataclass(frozen=True)
class Health:
    """How much there is, and what is wrong, each problem with its remedy."""

    counts: dict[str, int]
    problems: list[str]


def examine(store: RunStore) -> Health:
    """Looks through a whole database; takes a while on a large one."""
    with store.database.reader.connect() as connection:
        integrity = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(10)")]
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        schema = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        counts = {
            "schema": schema,
            "runs": connection.scalar(sa.select(sa.func.count()).select_from(run_table)) or 0,
            "points": connection.scalar(sa.select(sa.func.count()).select_from(Point)) or 0,
            "samples": connection.scalar(sa.select(sa.func.count()).select_from(Sample)) or 0,
            "checkpoints": connection.scalar(sa.select(sa.func.count()).select_from(Checkpoint)) or 0,
        }
        checkpoints = connection.execute(sa.select(Checkpoint.run_id, Checkpoint.path, Checkpoint.size)).all()
    problems = []
    if integrity != ["ok"]:
        problems.append(f"the database is damaged ({integrity[0]}): copy it aside before anything else")
    if dangling:
        problems.append(f"{len(dangling)} rows refer to runs that are gone: copy the database aside")
    for run_id, name, size in checkpoints:
        file = store.database.files / name
        if not file.is_file() or file.stat().st_size != size:
            problems.append(f"checkpoint {name} of run {run_id} is gone or cut short: train the run again")
    return Health(counts, problems)
