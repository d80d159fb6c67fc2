"""A run and those it went on from, as one curve: joined where it branched off, from any checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.analysis.groups import Group
from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.reports.compared_runs import reached
from lab.reports.lineage import whole_curve
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunRow, RunStore


def add(store: RunStore, vals: dict[int, float], parent: RunRow | None = None, at: int | None = None) -> RunRow:
    """A finished run with these vals by step, 1,000 characters a second of training."""
    config = stage_config("bigram", settings={"steps": max(vals)})
    facts = dataset_facts(load_dataset("shakespeare"))
    new = NewRun(config, facts, status="paused", parent_id=parent.id if parent else None, parent_step=at)
    (run,) = store.add_runs([new])
    lifecycle.resume(store, run.id)
    claimed = lifecycle.claim(store, run.id)
    assert claimed is not None
    recorder = RunRecorder(store, run.id, claimed.attempt, run.steps)
    for step, val in vals.items():
        recorder.log("val/loss", step, [val])
        if step != (at or 0):
            recorder.log("chars_per_second", step, [25_600.0])  # 100 steps of 256 characters
    recorder.progress(step=max(vals), val_loss=vals[max(vals)], parameters=10)
    recorder.close()
    lifecycle.end(store, run.id, claimed.attempt, "finished")
    return store.run(run.id)


@pytest.fixture
def family(tmp_path: Path) -> Any:
    """A run, a child from the middle of it, and a grandchild."""
    store = RunStore.open(tmp_path / "runs.db")
    first = add(store, {0: 4.0, 100: 3.0, 200: 2.5, 300: 2.4})
    child = add(store, {200: 2.5, 300: 2.2}, first, 200)
    grandchild = add(store, {300: 2.2, 400: 2.0}, child, 300)
    by_id = {run.id: run for run in store.runs()}
    yield store, (first, child, grandchild), by_id
    store.close()


def test_the_parents_come_first_up_to_where_each_went_on(family: Any) -> None:
    store, (first, child, grandchild), by_id = family
    steps, values = whole_curve(store, grandchild, "val/loss", by_id)
    assert steps.tolist() == [0, 100, 200, 300, 400]
    assert values.tolist() == [4.0, 3.0, 2.5, 2.2, 2.0], "what the first run did after the branch is not the child's"
    assert whole_curve(store, child, "val/loss", by_id)[0].tolist() == [0, 100, 200, 300]
    assert whole_curve(store, first, "val/loss", by_id)[1].tolist() == [4.0, 3.0, 2.5, 2.4]
    assert whole_curve(store, grandchild, "val/loss", {})[0].tolist() == [300, 400], "a parent that is gone"


def test_a_loss_that_the_parent_came_to_is_reached_when_it_did(family: Any) -> None:
    store, (_, _, grandchild), by_id = family
    found = reached(store, Group("all of it", (grandchild,)), 3.0, by_id)
    assert found.characters == pytest.approx(100 * 256)
    assert found.seconds == pytest.approx(1.0)
    later = reached(store, Group("all of it", (grandchild,)), 2.1, by_id)
    assert later.characters == pytest.approx(350 * 256)
    assert later.seconds == pytest.approx(3.5)


def test_a_run_that_is_its_own_ancestor_ends_somewhere(family: Any) -> None:
    store, (first, child, _), _ = family
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql(f"UPDATE run SET parent_id = '{child.id}', parent_step = 50 WHERE id = '{first.id}'")
    around = {run.id: run for run in store.runs()}
    steps, _ = whole_curve(store, around[child.id], "val/loss", around)
    assert np.all(np.diff(steps) > 0)
