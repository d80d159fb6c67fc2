"""What is thrown away gives its space back, and where the space goes is told by kind."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from processes import lab

from lab.config.ladder import stage_config
from lab.packaged import packaged_folder, promise
from lab.store import lifecycle, trash
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunStore
from lab.store.sizes import table_bytes


def add_large_runs(store: RunStore, dataset_facts: DatasetFacts, count: int, points: int = 5000) -> list[str]:
    """Finished runs of some hundred kilobytes each."""
    config = stage_config("bigram", settings={"steps": points})
    runs = store.add_runs([NewRun(config, dataset_facts, name=f"large-{i}") for i in range(count)])
    for run in runs:
        claimed = lifecycle.claim(store, run.id)
        assert claimed is not None
        recorder = RunRecorder(store, run.id, claimed.attempt, points)
        for metric in ("train/loss", "lr"):
            recorder.log(metric, 1, [2.5 + 1 / step for step in range(1, points + 1)])
        recorder.checkpoint("complete", points, lambda partial: partial.write_bytes(b"w" * 100_000) and None)
        recorder.close()
        lifecycle.end(store, run.id, claimed.attempt, "finished")
    return [run.id for run in runs]


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists())


def test_emptying_the_trash_makes_the_file_shorter_and_deletes_the_checkpoints(
    store: RunStore, dataset_facts: DatasetFacts
) -> None:
    path = store.database.path
    kept, *thrown = add_large_runs(store, dataset_facts, 6)
    points = store.points(kept, "train/loss")
    full, files = size_of(path), sum(1 for _ in store.database.files.rglob("*.safetensors"))
    store.trash(thrown)
    assert size_of(path) >= full  # the trash is no deletion: all is still there
    trash.delete_for_good(store, thrown)
    assert size_of(path) < full / 3
    assert (files, sum(1 for _ in store.database.files.rglob("*.safetensors"))) == (6, 1)
    assert store.points(kept, "train/loss").values.tolist() == points.values.tolist()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA freelist_count").fetchone()[0] == 0


def test_a_database_made_before_lab_gave_space_back_does_so_too(
    database_path: Path, dataset_facts: DatasetFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(database_path)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("PRAGMA journal_mode = WAL")
    store = RunStore.open(database_path)
    with closing(sqlite3.connect(database_path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 0
    thrown = add_large_runs(store, dataset_facts, 3)
    store.trash(thrown)
    full = size_of(database_path)
    monkeypatch.setattr(trash, "LARGEST_REWRITTEN", 0)  # as if it were so large that others would wait for long
    trash.delete_for_good(store, thrown[:1])
    assert size_of(database_path) >= full / 2
    monkeypatch.undo()
    trash.delete_for_good(store, thrown[1:])
    assert size_of(database_path) < full / 3
    with closing(sqlite3.connect(database_path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
    store.close()


def test_trainers_write_on_while_the_trash_is_emptied(store: RunStore, dataset_facts: DatasetFacts) -> None:
    thrown = add_large_runs(store, dataset_facts, 6)
    [run] = store.add_runs([NewRun(stage_config("bigram", settings={"steps": 5000}), dataset_facts)])
    claimed = lifecycle.claim(store, run.id)
    assert claimed is not None
    store.trash(thrown)
    recorder = RunRecorder(store, run.id, claimed.attempt, 5000)
    over = threading.Event()

    def write() -> None:
        step = 1
        while not over.is_set() or step < 500:
            recorder.log("train/loss", step, [2.5])
            recorder.drain()
            step += 1

    writer = threading.Thread(target=write)
    writer.start()
    assert trash.delete_for_good(store, thrown) == 6
    over.set()
    writer.join()
    recorder.close()
    points = store.points(run.id, "train/loss")
    assert points.steps.tolist() == list(range(1, len(points) + 1))
    assert len(points) >= 499


def test_the_doctor_tells_sizes_by_kind_and_the_promise_in_short(tmp_path: Path) -> None:
    path = Path(shutil.copyfile(packaged_folder("data") / "demo" / "demo.db", tmp_path / "runs.db"))
    store = RunStore.open(path)
    thrown = store.runs()[0]
    points = sum(len(store.points(thrown.id, name)) for name in store.metric_names(thrown.id))
    store.trash([thrown.id])
    store.close()
    _, said, _ = lab("doctor", "--json", "--db", str(path))
    document = json.loads(said)
    sizes = document["database"]["bytes_by_kind"]
    assert {"points", "histograms", "samples", "runs", "logs", "free", "best checkpoints"} <= sizes.keys()
    assert max(sizes, key=sizes.get) == "points"
    assert sum(size for kind, size in sizes.items() if "checkpoints" not in kind) == path.stat().st_size
    assert document["database"]["trash"]["runs"] == 1
    assert document["database"]["trash"]["points"] == points
    assert document["promise"] == promise()
    assert list(document["promise"]) == [
        "Killed processes", "Storage", "Concurrency", "Misbehaving runs", "Time", "Hostile input", "Growth",
    ]  # fmt: skip
    with closing(sqlite3.connect(path)) as connection:
        for kind, tables in (("points", ("point", "metric")), ("samples", ("sample",)), ("logs", ("event",))):
            marks = ", ".join("?" * len(tables))
            query = f"SELECT sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) WHERE tbl_name IN ({marks})"
            assert sizes[kind] == connection.execute(query, tables).fetchone()[0]


def test_sizes_of_a_database_that_makes_no_sense_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"\xff" * 8192)
    assert table_bytes(tmp_path / "x.db") == {}
    assert table_bytes(tmp_path / "none.db") == {}
