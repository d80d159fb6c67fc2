"""Stored runs: adding, reading, editing, and telling when another process has written."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from lab.analysis.run_filter import parse_filter
from lab.config.ladder import stage_config
from lab.errors import RunNotFoundError, StoreError, UsageError
from lab.store import lifecycle
from lab.store.recorder import RunRecorder, begin_attempt
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore

AddRun = Callable[..., RunRow]


@pytest.fixture
def add_run(store: RunStore, dataset_facts: DatasetFacts) -> AddRun:
    """Adds one run."""

    def add(stage: str = "bigram", *, seed: int = 1337, **values: object) -> RunRow:
        config = stage_config(stage, settings={"seed": seed})
        return store.add_runs([NewRun(config=config, dataset=dataset_facts, **values)])[0]  # type: ignore[arg-type]

    return add


def test_a_new_run_keeps_what_it_was_asked_for(store: RunStore, dataset_facts: DatasetFacts, add_run: AddRun) -> None:
    parent = add_run()
    run = add_run("layernorm", name="mine", tags=("quick", "a"), experiment="depth", parent_id=parent.id, parent_step=7)
    again = store.run(run.id)
    assert again == run
    assert again.config == stage_config("layernorm")
    assert (again.name, again.stage, again.tags, again.experiment) == ("mine", "layernorm", ("a", "quick"), "depth")
    assert (again.parent_id, again.parent_step) == (parent.id, 7)
    assert (again.status, again.attempt, again.step, again.steps) == ("queued", 0, 0, 5000)
    assert again.config_hash == again.config.hash(dataset_facts.sha256)
    assert again.group_hash == again.config.group_hash(dataset_facts.sha256)


def test_filters_read_settings_as_written_without_checking_each_config_again(
    add_run: AddRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [add_run(stage, seed=seed) for seed, stage in enumerate(("bigram", "mlp", "layernorm", "modern"))]
    for run in runs:
        assert run.written == {field: getattr(run.config, field) for field in type(run.config).model_fields}

    def refused(text: str) -> None:
        raise AssertionError("a config was checked")

    monkeypatch.setattr("lab.config.run_config.from_json", refused)
    unread = [dataclasses.replace(run) for run in runs]
    found = {text: [run.seed for run in unread if parse_filter(text)(run)]
             for text in ("seed<2", "optimizer:muon", "head_dim:none", "norm!=none lr<1e-2")}  # fmt: skip
    assert found == {"seed<2": [0, 1], "optimizer:muon": [3], "head_dim:none": [0, 1, 2, 3], "norm!=none lr<1e-2": [2]}


def test_the_facts_of_a_dataset_are_kept_once(store: RunStore, dataset_facts: DatasetFacts, add_run: AddRun) -> None:
    add_run()
    add_run()
    assert store.dataset(dataset_facts.sha256, "stream") == dataset_facts
    assert store.dataset(dataset_facts.sha256, "words") is None


def test_runs_without_a_name_are_numbered_by_stage(add_run: AddRun) -> None:
    names = [add_run().name, add_run().name, add_run("linear").name, add_run(name="bigram-7").name, add_run().name]
    assert names == ["bigram-1", "bigram-2", "linear-1", "bigram-7", "bigram-8"]


def test_several_runs_added_at_once_have_names_ids_and_places_in_order(
    store: RunStore, dataset_facts: DatasetFacts
) -> None:
    new = [NewRun(config=stage_config("bigram", settings={"seed": seed}), dataset=dataset_facts) for seed in range(5)]
    runs = store.add_runs(new)
    assert [run.seed for run in runs] == list(range(5))
    assert [run.name for run in runs] == [f"bigram-{i}" for i in range(1, 6)]
    assert [run.id for run in lifecycle.waiting_runs(store)] == sorted(run.id for run in runs)


def test_runs_are_added_all_or_none(store: RunStore, dataset_facts: DatasetFacts) -> None:
    good = NewRun(config=stage_config("bigram"), dataset=dataset_facts)
    bad = NewRun(config=stage_config("bigram"), dataset=dataset_facts, name="x" * 201)
    with pytest.raises(UsageError, match="at most 200 characters, got 201"):
        store.add_runs([good, bad])
    assert store.runs() == []


def test_ids_sort_by_creation_even_when_the_clock_goes_backwards(
    store: RunStore, add_run: AddRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = []
    for now in (1_800_000_000, 1_800_000_000, 1_700_000_000, 0, 1_900_000_000, 1_800_000_001):
        monkeypatch.setattr(time, "time", lambda now=now: float(now))
        added += [add_run().id, add_run().id]
    assert added == sorted(set(added))
    assert [run.id for run in store.runs()] == added
    assert {len(run_id) for run_id in added} == {6}


def test_a_run_is_found_by_id_name_and_prefix(store: RunStore, add_run: AddRun) -> None:
    run = add_run(name="the one")
    assert store.resolve(run.id) == run
    assert store.resolve(run.id.upper()) == run
    assert store.resolve("the one") == run
    assert store.resolve(run.id[:3]) == run


@pytest.mark.parametrize("text", ["", "nothing", "%", "_"])
def test_what_names_no_run_is_refused(store: RunStore, add_run: AddRun, text: str) -> None:
    add_run()
    with pytest.raises(RunNotFoundError, match="lab runs"):
        store.resolve(text)


def test_an_ambiguous_name_lists_the_runs_it_may_mean(store: RunStore, add_run: AddRun) -> None:
    ids = [add_run(name="same").id for _ in range(8)]
    with pytest.raises(RunNotFoundError) as caught:
        store.resolve("same")
    assert str(caught.value) == f"'same' is more than one run: {', '.join(ids[:6])}, …; give an id"


def test_a_missing_run_is_said_so(store: RunStore) -> None:
    with pytest.raises(RunNotFoundError, match="no run 000000; see: lab runs"):
        store.run("000000")


def test_names_and_notes_are_data_whatever_stands_in_them(store: RunStore, add_run: AddRun) -> None:
    name = "[bold]x[/] \x1b[31m\n'; DROP TABLE run; --"
    run = add_run(name=name)
    store.set_notes(run.id, name)
    store.set_tags(run.id, [name])
    again = store.resolve(name)
    assert (again.name, again.notes, again.tags) == (name, name, (name,))


def test_a_run_can_be_renamed_but_not_to_nothing(store: RunStore, add_run: AddRun) -> None:
    run = add_run()
    store.rename(run.id, "better")
    for name, message in ((" \n", "cannot be empty"), ("x" * 201, "at most 200")):
        with pytest.raises(UsageError, match=message):
            store.rename(run.id, name)
    assert store.run(run.id).name == "better"


def test_tags_are_kept_stripped_sorted_and_once(store: RunStore, add_run: AddRun) -> None:
    run = add_run()
    store.set_tags(run.id, ["b", " a ", "b", ""])
    assert store.run(run.id).tags == ("a", "b")


def test_trashed_runs_are_hidden_and_come_back_as_they_were(store: RunStore, add_run: AddRun) -> None:
    kept, run = add_run(), add_run(name="rubbish")
    store.trash([run.id])
    assert store.runs() == [kept]
    assert [row.id for row in store.runs(trashed=True)] == [run.id]
    with pytest.raises(RunNotFoundError):
        store.resolve("rubbish")
    store.restore([run.id])
    assert store.runs() == [kept, run]


def test_a_trashed_run_is_not_trained(store: RunStore, add_run: AddRun) -> None:
    run = add_run()
    store.trash([run.id])
    assert lifecycle.waiting_runs(store) == []
    assert lifecycle.claim(store) is None
    assert lifecycle.claim(store, run.id) is None


def test_runs_of_the_same_config_are_found(store: RunStore, dataset_facts: DatasetFacts, add_run: AddRun) -> None:
    first, _other, second = add_run(), add_run(seed=1), add_run()
    assert store.find_by_config(stage_config("bigram").hash(dataset_facts.sha256)) == [first, second]
    assert store.find_by_config("0") == []


def test_what_was_never_recorded_is_empty(store: RunStore, add_run: AddRun) -> None:
    run = add_run()
    points = store.points(run.id, "val/loss")
    assert len(points) == 0
    assert points.steps.dtype == points.nonfinite.dtype == np.int64
    assert (
        store.metric_names(run.id) == store.samples(run.id) == store.checkpoints(run.id) == store.events(run.id) == []
    )
    assert store.last_sample(run.id) is None


def test_the_log_is_read_from_its_end(store: RunStore, add_run: AddRun) -> None:
    add_run()
    run = lifecycle.claim(store)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, 100)
    for step in range(10):
        recorder.event(step, f"line {step}")
    recorder.close()
    assert [event.text for event in store.events(run.id, limit=3)] == ["line 7", "line 8", "line 9"]


def test_the_data_version_changes_when_any_connection_writes(store: RunStore, add_run: AddRun) -> None:
    run = add_run()
    before = store.data_version()
    assert store.data_version() == before
    store.set_notes(run.id, "by this very store")
    after_own = store.data_version()
    assert after_own != before
    other = RunStore.open(store.database.path)
    other.set_notes(run.id, "by another")
    assert store.data_version() != after_own
    other.close()


def test_the_data_version_is_one_for_all_threads(store: RunStore, add_run: AddRun) -> None:
    run = add_run()
    seen: list[int] = []

    def look() -> None:
        seen.append(store.data_version())

    for _ in range(2):
        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.set_notes(run.id, "changed")
    assert len(set(seen[:8])) == len(set(seen[8:])) == 1
    assert seen[0] != seen[8]


def test_watching_the_data_version_holds_no_snapshot(store: RunStore, add_run: AddRun) -> None:
    run = add_run()
    store.data_version()
    store.set_notes(run.id, "x" * 10_000)
    with sqlite3.connect(store.database.path) as connection:
        busy, in_log, moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, in_log, moved) == (0, 0, 0)


def test_a_store_can_be_read_by_many_threads_at_once(store: RunStore, add_run: AddRun) -> None:
    ids = [add_run().id for _ in range(5)]
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append([run.id for run in store.runs()])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [ids] * 12


def test_the_reader_cannot_write(store: RunStore) -> None:
    with pytest.raises(StoreError, match="read-only"), store.database.reader.begin() as connection:
        connection.exec_driver_sql("DELETE FROM run")


def test_the_config_of_a_run_survives_as_plain_json(store: RunStore, add_run: AddRun) -> None:
    run = add_run("scaled")
    assert json.loads(run.config_json)["embedding_dim"] == 384


# Several processes at once


def record_and_claim(path: str, worker: int, runs: int) -> list[tuple[str, int]]:
    """In a process of its own: adds runs, then claims and records until the queue is empty."""
    facts = DatasetFacts("5" * 64, "stream", "shakespeare", "/texts/s.txt", 1000, ("a", "b"), 1.25)
    store = RunStore.open(Path(path))
    for number in range(runs):
        config = stage_config("bigram", settings={"seed": worker * 1000 + number, "steps": 20})
        store.add_runs([NewRun(config=config, dataset=facts)])
    mine = []
    while (run := lifecycle.claim(store)) is not None:
        mine.append((run.id, run.attempt))
        begin_attempt(store, run.id, run.attempt, 0)
        recorder = RunRecorder(store, run.id, run.attempt, 20)
        for step in range(20):
            recorder.log("train/loss", step, [float(run.seed)])
            recorder.flush()
        recorder.progress(step=20)
        recorder.close()
        assert lifecycle.end(store, run.id, run.attempt, "finished")
    store.close()
    return mine


@pytest.mark.full
def test_several_processes_add_claim_and_record_at_once_and_nothing_is_doubled_or_lost(database_path: Path) -> None:
    workers, runs = 4, 6
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        # None of them finds a database: they make it together.
        futures = [pool.submit(record_and_claim, str(database_path), worker, runs) for worker in range(workers)]
        claimed = [claim for future in futures for claim in future.result()]
    store = RunStore.open(database_path)
    stored = store.runs()
    assert sorted(claimed) == [(run.id, 1) for run in stored]
    assert sorted(run.seed for run in stored) == sorted(w * 1000 + n for w in range(workers) for n in range(runs))
    assert {run.name for run in stored} == {f"bigram-{i}" for i in range(1, workers * runs + 1)}
    for run in stored:
        assert (run.status, run.step) == ("finished", 20)
        points = store.points(run.id, "train/loss")
        assert points.steps.tolist() == list(range(20))
        assert (points.values == run.seed).all()
    store.close()
