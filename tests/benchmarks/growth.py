"""A database of 10,000 runs and 50 million points: what opening, listing, overlaying, adding and deleting take there.

Making it takes some minutes and 3 GB; LAB_GROWTH_DB names a file to keep it in for the next time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.store import lifecycle, trash
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunStore
from lab.store.sizes import table_bytes
from tests.benchmarks.measure import Figure

RUNS, POINTS_OF_EACH = 10_000, 5000
OVERLAID = 8
_AT_ONCE = 200


def build(path: Path, runs: int = RUNS, points_of_each: int = POINTS_OF_EACH) -> None:
    """Makes such a database: finished runs of one metric each, their points straight into the table."""
    store = RunStore.open(path)
    facts = dataset_facts(load_dataset("shakespeare"))
    config = stage_config("bigram", settings={"steps": points_of_each})
    for start in range(0, runs, 1000):
        names = range(start, min(runs, start + 1000))
        new = [NewRun(config.replace(seed=i), facts, name=f"run-{i}", status="paused") for i in names]
        store.add_runs(new)
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE run SET status = 'finished', step = steps, val_loss = 2.4 + seed * 1e-5, best_val_loss = 2.4,"
            " best_step = steps, parameters = 3969, chars_per_second = 1e6, seconds = 3, started_at = created_at,"
            " ended_at = created_at + 3, device = 'cpu', precision = 'fp32', threads = 1"
        )
        connection.exec_driver_sql(
            "INSERT INTO metric (run_id, name, bucket_width) SELECT id, 'train/loss', 1 FROM run"
        )
        ids = list(connection.exec_driver_sql("SELECT id FROM metric ORDER BY id").scalars())
    for start in range(0, len(ids), _AT_ONCE):
        with store.database.writer.begin() as connection:
            some = ids[start : start + _AT_ONCE]
            connection.exec_driver_sql(
                f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {points_of_each - 1}) "
                "INSERT INTO point SELECT metric.id, i, i + 1, 2.5 + 1.0 / (i + 1), 2.5, 3.5, 0 "
                "FROM metric, n WHERE metric.id BETWEEN ? AND ? ORDER BY metric.id, i",
                (some[0], some[-1]),
            )
    store.close()


def figures() -> list[Figure]:
    """Seconds of each, on 10,000 runs and 50 million points."""
    kept = os.environ.get("LAB_GROWTH_DB")
    path = Path(kept) if kept else Path(tempfile.mkdtemp()) / "runs.db"
    if not path.exists():
        build(path)
    size = path.stat().st_size / 2**30
    note = f"{RUNS:,} runs, {RUNS * POINTS_OF_EACH:,} points, {size:.1f} GB"
    found = [Figure("open", _best(lambda: RunStore.open(path).close()), "s", 0.1, note)]
    store = RunStore.open(path)
    runs = store.runs()
    chosen = [run.id for run in runs[:: len(runs) // OVERLAID]][:OVERLAID]
    found.append(Figure("list", _best(lambda: store.runs()), "s", 0.5, "every run's row, as the screen reads them"))
    found.append(
        Figure("overlay", _best(lambda: [store.points(run_id, "train/loss") for run_id in chosen]), "s", 0.5,
               f"{OVERLAID} curves of {POINTS_OF_EACH:,} points")
    )  # fmt: skip
    facts, config = store.dataset(runs[0].dataset_sha256, "stream"), runs[0].config
    assert facts is not None
    added = []

    def add() -> None:
        added.extend(store.add_runs([NewRun(config, facts)]))

    found.append(Figure("add", _best(add, times=3), "s", 0.2, "one run to the queue, its name found"))
    found.append(
        Figure("record", _best(lambda: _record(store, added.pop().id), times=3), "s", 0.3, "a run of 5,000 steps")
    )
    doomed = [run.id for run in store.runs()[-RUNS // 1000 - 3 :]]
    store.trash(doomed)
    began = time.perf_counter()
    deleted = trash.delete_for_good(store, doomed)
    found.append(Figure("delete", time.perf_counter() - began, "s", 10, f"{deleted} runs for good, with their space"))
    store.close()
    found.append(
        Figure("sizes", _best(lambda: table_bytes(path), times=3), "s", 3, "by kind, as lab doctor tells them")
    )
    command = [sys.executable, "-m", "lab", "runs", "seed<10", "--db", str(path)]
    listed = _best(lambda: subprocess.run(command, check=True, capture_output=True), times=3)
    found.append(Figure("lab runs", listed, "s", 2, "the command from its start, with a filter"))
    return found


def _record(store: RunStore, run_id: str) -> None:
    run = lifecycle.claim(store, run_id)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, POINTS_OF_EACH)
    recorder.log("train/loss", 1, [2.5] * POINTS_OF_EACH)
    recorder.close()
    lifecycle.end(store, run.id, run.attempt, "finished")


def _best(call: Callable[[], object], times: int = 5) -> float:
    """The shortest of some tries, in seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)
