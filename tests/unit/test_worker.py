"""The worker: what it starts when, what wishes do to what trains, and when it ends. Kills are in tests/faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.errors import WorkerError
from lab.queue import worker as worker_module
from lab.queue.file_lock import FileLock
from lab.queue.requests import RunRequest, compose
from lab.queue.worker import Worker
from lab.store import lifecycle
from lab.store.location import files_folder, run_lock, worker_lock
from lab.store.run_store import NewRun, RunRow, RunStore

PATIENCE_SECONDS = 60.0
LONG = {"steps": 1_000_000, "eval_every": 100}

Add = Callable[..., str]


@pytest.fixture
def add(store: RunStore, prose_file: Path) -> Add:
    """Queues a run of some steps on a small text; returns its id."""

    def queue(stage: str = "bigram", *, steps: int = 30, name: str = "", **settings: Any) -> str:
        request = RunRequest(stage, dataset=str(prose_file), settings={"steps": steps} | settings, name=name)
        return store.add_runs(compose(request, store.database.path))[0].id

    return queue


def wait_until(condition: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "what was waited for did not come about"
        time.sleep(0.005)


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Does something in a thread while the worker works in this one; what goes wrong there is raised here."""
    failures: list[BaseException] = []

    def act() -> None:
        try:
            action()
        except BaseException as failure:  # noqa: BLE001 (raised again below)
            failures.append(failure)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()
    if failures:
        raise failures[0]


def train(store: RunStore, *, slots: int = 1, **how: Any) -> list[str]:
    """Has a worker empty the queue; returns what it said, its runs by name."""
    said: list[str] = []
    Worker(store, slots=slots, say=lambda line: said.append(line.replace(" (", ":").partition(":")[0])).run(
        **({"until_empty": True} | how)
    )
    return said


def statuses(store: RunStore) -> list[str]:
    return [run.status for run in store.runs()]


def test_as_many_runs_train_at_once_as_there_are_slots(store: RunStore, add: Add) -> None:
    for _ in range(4):
        add(steps=300)
    most = 0

    def watch() -> None:
        nonlocal most
        while statuses(store) != ["finished"] * 4:
            most = max(most, statuses(store).count("training"))

    with meanwhile(watch):
        train(store, slots=2)
    assert most == 2
    assert {run.threads for run in store.runs()} == {1}


@pytest.mark.full
def test_a_run_that_takes_every_slot_waits_for_them_and_is_not_overtaken(
    store: RunStore, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "threads_for", lambda config, *_: 2 if config.stage == "linear" else 1)
    add(name="first", steps=300)
    large = add("linear", name="large")
    add(name="last")
    assert train(store, slots=2) == ["first", "first", "large", "large", "last", "last"]
    assert store.run(large).threads == 2


def test_a_run_that_needs_more_threads_than_there_are_takes_what_there_is(
    store: RunStore, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "threads_for", lambda *_: 8)
    run_id = add()
    train(store)
    assert (store.run(run_id).status, store.run(run_id).threads) == ("finished", 1)


def test_runs_are_trained_in_the_order_of_the_queue(store: RunStore, add: Add) -> None:
    ids = [add(name=name) for name in ("a", "b", "c")]
    lifecycle.move(store, ids[2], 1)
    lifecycle.pause(store, ids[0])
    assert train(store) == ["c", "c", "b", "b"]
    assert statuses(store) == ["paused", "finished", "finished"]


def test_wishes_are_granted_while_runs_train(store: RunStore, add: Add) -> None:
    paused, stopped, cancelled, spared = (add(**LONG), add(**LONG), add(**LONG), add(steps=2000))

    def wish() -> None:
        wait_until(lambda: all(run.step > 0 for run in store.runs()))
        lifecycle.pause(store, spared)
        lifecycle.resume(store, spared)
        for run_id, wished in ((paused, "pause"), (stopped, "stop"), (cancelled, "cancel")):
            assert getattr(lifecycle, wished)(store, run_id)

    with meanwhile(wish):
        train(store, slots=4)
    assert statuses(store) == ["paused", "stopped", "cancelled", "finished"]
    assert {run.wish for run in store.runs()} == {None}
    kept = {run.id: {(row.kind, row.step) for row in store.checkpoints(run.id)} for run in store.runs()}
    for run_id in (paused, stopped):
        assert ("complete", store.run(run_id).step) in kept[run_id]
    assert store.run(stopped).val_loss is not None
    assert not any(kind == "complete" for kind, _ in kept[cancelled])


def test_a_paused_run_is_left_alone_until_it_is_resumed(store: RunStore, add: Add) -> None:
    run_id = add()
    lifecycle.pause(store, run_id)
    assert train(store) == []
    lifecycle.resume(store, run_id)
    train(store)
    assert store.run(run_id).status == "finished"


def test_a_paused_queue_keeps_what_waits_and_lets_go_on_what_trains(store: RunStore, add: Add) -> None:
    add(**LONG)
    add()

    def pause_then_stop() -> None:
        wait_until(lambda: store.runs()[0].step > 0)
        lifecycle.pause_queue(store)
        lifecycle.stop(store, store.runs()[0].id)

    with meanwhile(pause_then_stop):
        train(store, slots=1)
    assert statuses(store) == ["stopped", "queued"]
    lifecycle.resume_queue(store)
    train(store)
    assert statuses(store) == ["stopped", "finished"]


def test_a_worker_ends_when_nothing_came_for_a_while(store: RunStore, add: Add) -> None:
    def later() -> None:
        wait_until(lambda: FileLock(worker_lock(store.database.path)).holder() is not None)
        add()

    with meanwhile(later):
        train(store, until_empty=False, idle_seconds=1.0)
    assert statuses(store) == ["finished"]


def test_an_idle_worker_asks_for_the_queue_only_after_something_was_written(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    waiting_runs = lifecycle.waiting_runs

    def counted(asked_store: RunStore) -> list[RunRow]:
        nonlocal asked
        asked += 1
        return waiting_runs(asked_store)

    monkeypatch.setattr(lifecycle, "waiting_runs", counted)
    train(store, until_empty=False, idle_seconds=0.5)
    assert asked == 1


def test_a_second_worker_is_refused(store: RunStore) -> None:
    with FileLock(worker_lock(store.database.path)), pytest.raises(WorkerError, match=r"already trains .*--stop"):
        train(store)


def test_runs_that_a_dead_worker_left_are_trained_first(store: RunStore, add: Add) -> None:
    ids = [add(name=name) for name in ("left", "waits")]
    assert lifecycle.claim(store, ids[0])
    assert train(store) == ["left", "left", "waits", "waits"]
    assert (store.run(ids[0]).attempt, store.run(ids[0]).failures) == (2, 0)


def test_a_run_that_a_dead_command_left_is_paused_and_a_living_commands_is_not(store: RunStore, add: Add) -> None:
    dead, living = add(), add()
    for run_id in (dead, living):
        lifecycle.pause(store, run_id)
        assert lifecycle.claim_for_command(store, run_id)
    with FileLock(run_lock(store.database.path, living)):
        train(store)
    assert (store.run(dead).status, store.run(living).status) == ("paused", "training")


def test_a_child_whose_parents_checkpoint_is_gone_fails_for_good(store: RunStore, add: Add) -> None:
    parent = store.run(add())
    train(store)
    facts = store.dataset(parent.dataset_sha256, parent.dataset_kind)
    assert facts is not None
    new = NewRun(parent.config.replace(steps=60), facts, parent_id=parent.id, parent_step=30)
    [child] = store.add_runs([new])
    for row in store.checkpoints(parent.id):
        (files_folder(store.database.path) / row.path).unlink()
    train(store)
    failed = store.run(child.id)
    assert (failed.status, failed.attempt) == ("failed", 1)
    assert str(failed.error).endswith("is gone")


def test_a_cancelled_run_is_retried_from_its_beginning_where_it_has_no_checkpoint(store: RunStore, add: Add) -> None:
    run_id = add()
    lifecycle.cancel(store, run_id)
    lifecycle.retry(store, run_id)
    train(store)
    assert (store.run(run_id).status, store.run(run_id).step) == ("finished", 30)
