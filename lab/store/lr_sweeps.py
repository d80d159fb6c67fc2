"""Stored LR sweeps: what was asked for, the losses of each seed, and what was read off them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from lab.config.lr_sweep import LR_SWEEP, LRSweep, sweep_from_json, sweep_metric
from lab.errors import AttemptLostError, RunNotFoundError
from lab.store.run_store import RunRow, RunStore, run_rows, run_table
from lab.store.schema import LRSweep as LRSweepTable

_c = run_table.c


@dataclass(frozen=True)
class StoredSweep:
    """A run of kind `lr-sweep`, its spec, and the JSON document of its reading; None until it has ended well."""

    run: RunRow
    spec: LRSweep
    result: dict[str, Any] | None


def stored_sweep(store: RunStore, run: RunRow) -> StoredSweep:
    """The sweep of a run. Raises `RunNotFoundError` where the run is none."""
    query = sa.select(LRSweepTable.spec_json, LRSweepTable.result_json).where(LRSweepTable.run_id == run.id)
    with store.database.reader.connect() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise RunNotFoundError(f"run {run.name} is no LR sweep; make one with: lab lr-find {run.stage}")
    return StoredSweep(run, sweep_from_json(row.spec_json), json.loads(row.result_json) if row.result_json else None)


def stored_sweeps(store: RunStore) -> list[StoredSweep]:
    """Every sweep that is not in the trash, oldest first."""
    with store.database.reader.connect() as connection:
        runs = run_rows(
            connection,
            sa.select(run_table).where(_c.kind == LR_SWEEP, _c.trashed_at.is_(None)).order_by(_c.id),
        )
    return [stored_sweep(store, run) for run in runs]


def latest_sweep(store: RunStore, stage: str, dataset_sha256: str, *, method: str = "ramp") -> StoredSweep | None:
    """The newest sweep of a stage on a dataset that has a result; None where there is none."""
    mine = sa.and_(_c.kind == LR_SWEEP, _c.stage == stage, _c.dataset_sha256 == dataset_sha256)
    query = sa.select(run_table).where(mine, _c.trashed_at.is_(None)).order_by(_c.id.desc())
    with store.database.reader.connect() as connection:
        runs = run_rows(connection, query)
    sweeps = (stored_sweep(store, run) for run in runs)
    return next((sweep for sweep in sweeps if sweep.result is not None and sweep.spec.method == method), None)


def sweep_losses(store: RunStore, sweep: StoredSweep) -> np.ndarray:
    """The losses recorded so far, shape (seeds, points); NaN where none is, or the seed is masked."""
    losses = np.full((sweep.spec.seeds, sweep.spec.points), np.nan)
    for row, seed in enumerate(sweep.spec.member_seeds(sweep.run.config)):
        points = store.points(sweep.run.id, sweep_metric(seed))
        for step, value in zip(points.steps.tolist(), points.values, strict=True):
            losses[row, sweep.spec.point_of(step)] = value
    return losses


def keep_result(store: RunStore, run_id: str, attempt: int, result: dict[str, Any] | None) -> None:
    """Keeps what was read off a sweep, or forgets it. Raises `AttemptLostError` where the attempt is not the run's."""
    with store.database.durable.begin() as connection:
        owned = sa.select(_c.id).where(_c.id == run_id, _c.attempt == attempt, _c.status == "training")
        if connection.scalar(owned) is None:
            raise AttemptLostError(f"attempt {attempt} at run {run_id} has been taken over")
        text = None if result is None else json.dumps(result, allow_nan=False)
        connection.execute(sa.update(LRSweepTable).where(LRSweepTable.run_id == run_id).values(result_json=text))
