"""When runs will start and end: the queue played through as the worker fills its slots."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.config.ladder import stage_config
from lab.queue import forecast as module
from lab.queue.forecast import (
    Span,
    Work,
    forecast,
    known_seconds,
    seconds_until_done,
    speed_request,
    unknown,
    works,
)
from lab.store import lifecycle
from lab.store.run_store import DatasetFacts, NewRun, RunStore


def test_two_slots_train_two_runs_at_once() -> None:
    spans = forecast([Work(10), Work(4), Work(3), Work(5)], slots=2)
    assert spans == [Span(0, 10), Span(0, 4), Span(4, 7), Span(7, 12)]


def test_a_run_that_needs_all_threads_waits_and_keeps_others_waiting() -> None:
    spans = forecast([Work(10), Work(5, threads=2), Work(1)], slots=2)
    assert spans == [Span(0, 10), Span(10, 15), Span(15, 16)]
    assert forecast([Work(5, threads=8)], slots=2) == [Span(0, 5)]


def test_what_trains_already_comes_first() -> None:
    assert forecast([Work(2)], [Work(3), Work(7)], slots=2) == [Span(3, 5)]
    assert seconds_until_done([Work(2)], [Work(3), Work(7)], slots=2) == 7
    assert seconds_until_done([], slots=2) == 0


WORK = st.builds(Work, st.floats(0.01, 1000), st.integers(1, 4))


@given(st.lists(WORK, max_size=12), st.lists(st.builds(Work, st.floats(0, 100)), max_size=4), st.integers(4, 6))
def test_no_more_threads_are_taken_than_there_are_and_none_overtakes(
    waiting: list[Work], training: list[Work], slots: int
) -> None:
    spans = forecast(waiting, training, slots=slots)
    assert [span.start for span in spans] == sorted(span.start for span in spans)
    taken = [*zip(spans, waiting, strict=True), *((Span(0, work.seconds), work) for work in training)]
    for moment in [span.start for span in spans]:
        assert sum(work.threads for span, work in taken if span.start <= moment < span.end) <= slots
    total = sum(work.seconds * work.threads for work in [*waiting, *training])
    assert seconds_until_done(waiting, training, slots=slots) >= total / slots - 1e-6


def new_run(facts: DatasetFacts, stage: str = "bigram", **settings: object) -> NewRun:
    return NewRun(stage_config(stage, settings=settings), facts)


def finish(store: RunStore, new: NewRun, seconds: float, status: str = "finished") -> None:
    (run,) = store.add_runs([new])
    claimed = lifecycle.claim(store, run.id)
    assert claimed is not None
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE run SET seconds = ? WHERE id = ?", (seconds, run.id))
    lifecycle.end(store, run.id, claimed.attempt, status)


def test_finished_runs_of_a_group_say_how_long_the_next_takes(
    store: RunStore, dataset_facts: DatasetFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    finish(store, new_run(dataset_facts, seed=1), 10.0)
    finish(store, new_run(dataset_facts, seed=2), 14.0)
    finish(store, new_run(dataset_facts, batch_size=64), 99.0, "stopped")
    known = known_seconds(store.runs())
    asked = [new_run(dataset_facts, seed=3), new_run(dataset_facts, seed=4, lr=0.5)]
    assert works(asked, known) == [Work(12.0), Work(12.0)]
    stopped = new_run(dataset_facts, batch_size=64, seed=1), new_run(dataset_facts, batch_size=64, seed=2)
    assert works([*asked, *stopped], known) is None
    assert list(unknown([*asked, *stopped], known).values()) == [stopped[0]], "one of a group is measured"


def test_what_is_asked_of_the_helper_names_config_and_threads(
    dataset_facts: DatasetFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    request = speed_request(new_run(dataset_facts), Path("/x/runs.db"))
    assert request.database == "/x/runs.db"
    assert '"bigram"' in request.config_json
    assert request.threads == 1
    assert speed_request(new_run(dataset_facts, "scaled"), Path("/x/runs.db")).threads == 2
