"""Runs that another program trains, and records here beside lab's own."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lab import __version__
from lab.errors import UsageError
from lab.store.run_ids import new_ids
from lab.store.run_store import (
    EXTERNAL,
    DatasetFacts,
    RunRow,
    RunStore,
    check_name,
    insert_dataset,
    run_rows,
    run_table,
)

LARGEST_SETTINGS = 2**20
"""Bytes of an external run's config as JSON."""
RECORDED_BY = "program"
"""By whom a run is trained that lab itself does not train."""


@dataclass(frozen=True)
class ExternalRun:
    """What must be known to record a run of another program; `settings` are JSON values."""

    name: str
    settings: Mapping[str, Any]
    steps: int = 0
    """How many it will have; 0 where nobody knows."""
    dataset: DatasetFacts | None = None
    dataset_name: str = ""
    tags: tuple[str, ...] = ()


def external_hash(settings: Mapping[str, Any], dataset_sha256: str, *, with_seed: bool) -> str:
    """SHA-256 over a config of another program's and its dataset; without the seed it is that of its group."""
    values = {key: value for key, value in settings.items() if with_seed or key != "seed"}
    canonical = json.dumps([values, dataset_sha256], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def add_external_run(store: RunStore, new: ExternalRun) -> RunRow:
    """Stores a run that is about to begin. Raises `UsageError` on a name that does not do."""
    check_name(new.name)
    if not new.name.strip():
        raise UsageError("a run's name cannot be empty")
    facts, seed = new.dataset, new.settings.get("seed", 0)
    sha256 = facts.sha256 if facts else ""
    now = time.time()
    with store.database.durable.begin() as connection:
        run_id = new_ids(connection, 1)[0]
        if facts is not None:
            insert_dataset(connection, facts)
        connection.execute(
            sa.insert(run_table).values(
                id=run_id,
                kind=EXTERNAL,
                name=new.name.strip(),
                stage=EXTERNAL,
                dataset=facts.name if facts else new.dataset_name,
                dataset_kind=facts.kind if facts else "stream",
                dataset_sha256=sha256,
                config_json=json.dumps(new.settings),
                config_hash=external_hash(new.settings, sha256, with_seed=True),
                group_hash=external_hash(new.settings, sha256, with_seed=False),
                seed=seed if type(seed) is int and abs(seed) < 2**63 else 0,
                status="paused",
                trained_by=RECORDED_BY,
                attempt=1,
                steps=new.steps,
                lab_version=__version__,
                created_at=now,
                started_at=now,
                tags_json=json.dumps(sorted(new.tags)),
            )
        )
        return run_rows(connection, sa.select(run_table).where(run_table.c.id == run_id))[0]


def begin(store: RunStore, run: RunRow) -> None:
    """Marks a run as training, once its lock is held: without one it would count as that of a program that died."""
    with store.database.durable.begin() as connection:
        connection.execute(sa.update(run_table).where(run_table.c.id == run.id).values(status="training"))
