"""Emptying the trash: what is deleted for good, and what never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.config.ladder import stage_config
from lab.errors import RunNotFoundError, StoreError, UsageError
from lab.store import lifecycle, trash
from lab.store.location import run_folder
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore


@pytest.fixture
def run(store: RunStore, dataset_facts: DatasetFacts) -> RunRow:
    """A finished run with three points and a checkpoint of 7 bytes."""
    [new] = store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    claimed = lifecycle.claim(store, new.id)
    assert claimed is not None
    recorder = RunRecorder(store, new.id, claimed.attempt, claimed.steps)
    recorder.log("train/loss", 1, [3.0, 2.0, 1.0])
    recorder.checkpoint("complete", 3, lambda partial: partial.write_bytes(b"weights") and None)
    recorder.close()
    lifecycle.end(store, new.id, claimed.attempt, "finished")
    return store.run(new.id)


def test_deleting_takes_the_rows_and_the_files(store: RunStore, run: RunRow, dataset_facts: DatasetFacts) -> None:
    child = NewRun(config=stage_config("bigram"), dataset=dataset_facts, parent_id=run.id, parent_step=3)
    [child_row] = store.add_runs([child])
    store.trash([run.id])
    found = trash.contents(store, [run.id])
    assert (found.points, found.files, found.file_bytes) == (3, 1, 7)
    assert trash.delete_for_good(store, [run.id]) == 1
    with pytest.raises(RunNotFoundError):
        store.run(run.id)
    assert not len(store.points(run.id, "train/loss"))
    assert not run_folder(store.database.path, run.id).exists()
    assert store.run(child_row.id).parent_id is None


def test_a_run_that_is_not_in_the_trash_keeps_the_others_too(store: RunStore, run: RunRow) -> None:
    [other] = store.add_runs([NewRun(config=run.config, dataset=_facts(store, run))])
    store.trash([run.id])
    with pytest.raises(UsageError, match="is not in the trash: nothing was deleted"):
        trash.delete_for_good(store, [run.id, other.id])
    assert store.run(run.id).trashed_at is not None
    assert run_folder(store.database.path, run.id).exists()


def test_a_run_without_files_is_deleted_too(store: RunStore, dataset_facts: DatasetFacts) -> None:
    [run] = store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    store.trash([run.id])
    assert trash.contents(store, [run.id]) == trash.Contents(0, 0, 0)
    assert trash.delete_for_good(store, [run.id]) == 1


def test_files_that_stay_are_said(store: RunStore, run: RunRow, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(trash.shutil, "rmtree", refuse)
    store.trash([run.id])
    with pytest.raises(StoreError, match=r"could not be deleted \(Permission denied\): delete it by hand"):
        trash.delete_for_good(store, [run.id])


def _facts(store: RunStore, run: RunRow) -> DatasetFacts:
    facts = store.dataset(run.dataset_sha256, run.dataset_kind)
    assert facts is not None
    return facts
