"""What a trainer says is kept once and whole, whatever happens to its attempts on the way."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.config.diagnostics import BINS, Reading
from lab.config.ladder import stage_config
from lab.errors import AttemptLostError, StoreError
from lab.store import lifecycle, recorder
from lab.store.location import run_folder
from lab.store.recorder import RunRecorder, begin_attempt, bucket_width
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore
from lab.store.schema import Histogram, Tensor

FACTS = DatasetFacts("5" * 64, "stream", "shakespeare", "/texts/s.txt", 1000, ("a", "b"), 1.25)
MANY_STEPS = 17_500
"""As long as it takes for a bucket to be four steps wide."""


def training_run(store: RunStore, steps: int = 100) -> RunRow:
    """Adds a run and claims it."""
    config = stage_config("bigram", settings={"steps": steps})
    [added] = store.add_runs([NewRun(config=config, dataset=FACTS)])
    return claimed(store, added.id)


def claimed(store: RunStore, run_id: str) -> RunRow:
    run = lifecycle.claim(store, run_id)
    assert run is not None
    return run


def lose(store: RunStore, run: RunRow) -> RunRow:
    """Takes a run from its attempt, as when its worker dies, and begins the next one."""
    assert lifecycle.requeue(store, run.id, run.attempt, "its worker went")
    return claimed(store, run.id)


@pytest.fixture
def run(store: RunStore) -> RunRow:
    """A run of 100 steps in training: one step a bucket."""
    return training_run(store)


@pytest.fixture
def record(store: RunStore, run: RunRow) -> Iterator[RunRecorder]:
    """The recorder of that run's first attempt."""
    opened = RunRecorder(store, run.id, run.attempt, run.steps)
    yield opened
    opened.abandon()


def stored(store: RunStore, run_id: str, metric: str) -> list[tuple[Any, ...]]:
    """A metric's points, comparable: NaN as None."""
    points = store.points(run_id, metric)
    columns = (points.steps, points.values, points.lows, points.highs, points.nonfinite)
    return [tuple(None if math.isnan(x) else float(x) for x in row) for row in zip(*columns, strict=True)]


def weights(content: bytes = b"weights") -> Callable[[Path], None]:
    """What writes a checkpoint."""
    return lambda path: path.write_bytes(content) and None


@pytest.mark.parametrize(("steps", "width"), [(1, 1), (5000, 1), (5001, 2), (200_000, 40), (10**9, 200_000)])
def test_buckets_are_as_wide_as_it_takes_to_keep_five_thousand(steps: int, width: int) -> None:
    assert bucket_width(steps) == width
    assert -(-steps // width) <= 5000


def test_a_short_run_keeps_every_value(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.log("train/loss", 0, [3.0, 2.0])
    record.log("train/loss", 2, [1.0])
    record.log("val/loss", 2, [1.5])
    record.close()
    assert stored(store, run.id, "train/loss") == [(0, 3, 3, 3, 0), (1, 2, 2, 2, 0), (2, 1, 1, 1, 0)]
    assert stored(store, run.id, "val/loss") == [(2, 1.5, 1.5, 1.5, 0)]
    assert store.metric_names(run.id) == ["train/loss", "val/loss"]


def test_a_bucket_keeps_mean_extremes_and_what_was_not_finite(store: RunStore) -> None:
    run = training_run(store, MANY_STEPS)
    record = RunRecorder(store, run.id, run.attempt, run.steps)
    record.log("train/loss", 0, [1.0, 9.0, math.nan, 2.0])
    record.log("train/loss", 4, [math.nan, math.inf, -math.inf])
    record.close()
    assert stored(store, run.id, "train/loss") == [(3, 4, 1, 9, 1), (6, None, None, None, 3)]


def test_points_are_read_from_a_step_on(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.log("train/loss", 0, list(range(10)))
    record.close()
    assert store.points(run.id, "train/loss", from_step=7).steps.tolist() == [7, 8, 9]


def test_numbers_of_numpy_are_numbers(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.log("train/loss", 0, np.array([0.5, np.nan], dtype=np.float32))  # type: ignore[arg-type]
    record.close()
    assert stored(store, run.id, "train/loss") == [(0, 0.5, 0.5, 0.5, 0), (1, None, None, None, 1)]


def test_a_half_filled_bucket_is_shown_and_completed_later(store: RunStore) -> None:
    run = training_run(store, MANY_STEPS)
    record = RunRecorder(store, run.id, run.attempt, run.steps)
    record.log("train/loss", 0, [1.0, 3.0])
    record.drain()
    assert stored(store, run.id, "train/loss") == [(1, 2, 1, 3, 0)]
    record.log("train/loss", 2, [8.0])
    record.close()
    assert stored(store, run.id, "train/loss") == [(2, 4, 1, 8, 0)]


def test_samples_events_and_progress_are_kept(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.sample(5, "To be")
    record.sample(5, "or not \x1b[31m[bold]")
    record.event(5, "evaluated", level="info")
    record.progress(step=5, train_loss=2.5, val_loss=math.nan, device="cpu")
    record.close()
    row = store.run(run.id)
    assert (row.step, row.train_loss, row.val_loss, row.device) == (5, 2.5, None, "cpu")
    assert [(sample.step, sample.text) for sample in store.samples(run.id)] == [(5, "or not \x1b[31m[bold]")]
    assert store.last_sample(run.id) == store.samples(run.id)[0]
    assert [(event.step, event.level, event.text) for event in store.events(run.id)] == [(5, "info", "evaluated")]


def test_a_wish_is_learned_with_the_next_write(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    assert record.wish is None
    lifecycle.pause(store, run.id)
    record.progress(step=1)
    record.drain()
    assert record.wish == "pause"


def test_a_lost_attempt_writes_nothing_more(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.log("train/loss", 0, [1.0])
    record.drain()
    lose(store, run)
    record.log("train/loss", 1, [9.0])
    record.sample(1, "late")
    record.event(1, "late")
    record.progress(step=1)
    with pytest.raises(AttemptLostError, match=f"attempt 1 at run {run.id} has been taken over"):
        record.drain()
    with pytest.raises(AttemptLostError):
        record.log("train/loss", 2, [9.0])
    with pytest.raises(AttemptLostError):
        record.close()
    assert stored(store, run.id, "train/loss") == [(0, 1, 1, 1, 0)]
    assert store.samples(run.id) == []
    assert store.run(run.id).step == 0


def test_a_lost_attempt_names_no_checkpoint(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    lose(store, run)
    record.checkpoint("complete", 1, weights())
    with pytest.raises(AttemptLostError):
        record.close()
    assert store.checkpoints(run.id) == []


def test_a_run_that_has_ended_is_recorded_no_more(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    lifecycle.end(store, run.id, run.attempt, "finished")
    record.log("train/loss", 0, [1.0])
    with pytest.raises(AttemptLostError):
        record.close()


def test_whatever_goes_wrong_in_writing_is_raised_and_never_waited_for(
    store: RunStore, run: RunRow, record: RunRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(_path: Path) -> None:
        raise ValueError("the model would not be written")

    record.checkpoint("complete", 1, burst)
    with pytest.raises(StoreError, match=f"run {run.id} could not be recorded: the model would not be written"):
        record.drain()
    with pytest.raises(StoreError):
        record.close()


def test_a_full_disk_is_said_plainly(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    record.checkpoint("complete", 1, full)
    with pytest.raises(StoreError, match=r"the disk of .*runs\.db is full"):
        record.close()
    assert store.checkpoints(run.id) == []


def test_training_waits_where_the_database_is_far_behind(
    store: RunStore, run: RunRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BATCHES_WAITING", 2)
    record = RunRecorder(store, run.id, run.attempt, run.steps)
    flushed: list[int] = []

    def train() -> None:
        for step in range(20):
            record.log("train/loss", step, [1.0])
            record.flush()
            flushed.append(step)

    writer = sqlite3.connect(store.database.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    trainer = threading.Thread(target=train)
    trainer.start()
    while not record._jobs.full():
        assert trainer.is_alive()
    behind = len(flushed)
    writer.execute("COMMIT")
    writer.close()
    trainer.join()
    record.close()
    assert behind <= 4
    assert store.points(run.id, "train/loss").steps.tolist() == list(range(20))


# Checkpoints


def test_a_checkpoint_is_a_file_of_its_owner_named_after_it_is_whole(
    store: RunStore, run: RunRow, record: RunRecorder
) -> None:
    record.checkpoint("complete", 10, weights(b"ten"))
    record.close()
    [row] = store.checkpoints(run.id)
    path = store.database.files / row.path
    assert path.name == "complete-000000010-1.safetensors"
    assert path.read_bytes() == b"ten"
    assert (row.step, row.kind, row.size, row.sha256) == (10, "complete", 3, hashlib.sha256(b"ten").hexdigest())
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_checkpoint_comes_after_all_that_was_recorded_before_it(
    store: RunStore, run: RunRow, record: RunRecorder
) -> None:
    seen: list[int] = []
    record.log("train/loss", 0, [1.0, 2.0])
    record.checkpoint("complete", 2, lambda path: seen.append(len(stored(store, run.id, "train/loss"))) or path.touch())
    record.close()
    assert seen == [2]


def test_the_last_two_complete_checkpoints_the_best_and_all_milestones_are_kept(
    store: RunStore, run: RunRow, record: RunRecorder
) -> None:
    for step in (10, 20, 30):
        for kind in ("complete", "best", "milestone"):
            record.checkpoint(kind, step, weights())
    record.close()
    kept = sorted((row.kind, row.step) for row in store.checkpoints(run.id))
    assert kept == [("best", 30), ("complete", 20), ("complete", 30), *(("milestone", s) for s in (10, 20, 30))]
    files = {str(path.relative_to(store.database.files)) for path in run_folder(store.database.path, run.id).iterdir()}
    assert files == {row.path for row in store.checkpoints(run.id)}


def test_a_checkpoint_taken_twice_at_a_step_is_kept_once(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    for step, content in ((10, b"a"), (20, b"b"), (20, b"c"), (30, b"d")):
        record.checkpoint("complete", step, weights(content))
    record.close()
    rows = store.checkpoints(run.id)
    assert [row.step for row in rows] == [20, 30]
    assert [(store.database.files / row.path).read_bytes() for row in rows] == [b"c", b"d"]
    assert rows[0].sha256 == hashlib.sha256(b"c").hexdigest()


# Going on


def test_going_on_forgets_what_was_recorded_after_the_checkpoint(
    store: RunStore, run: RunRow, record: RunRecorder
) -> None:
    record.log("train/loss", 0, [1.0] * 20)
    record.sample(10, "kept")
    record.sample(11, "lost")
    record.checkpoint("complete", 10, weights())
    record.checkpoint("complete", 15, weights())
    record.progress(step=19, best_val_loss=1.5, best_step=15)
    record.close()
    again = lose(store, run)
    begin_attempt(store, run.id, again.attempt, 10)
    assert store.points(run.id, "train/loss").steps.tolist() == list(range(11))
    assert [sample.text for sample in store.samples(run.id)] == ["kept"]
    assert [row.step for row in store.checkpoints(run.id)] == [10]
    row = store.run(run.id)
    assert (row.step, row.best_step, row.best_val_loss) == (10, None, None)


def test_going_on_keeps_a_best_step_before_the_checkpoint(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.progress(step=19, best_val_loss=1.5, best_step=10)
    record.close()
    begin_attempt(store, run.id, lose(store, run).attempt, 10)
    assert (store.run(run.id).best_step, store.run(run.id).best_val_loss) == (10, 1.5)


def test_going_on_takes_up_the_time_where_the_checkpoint_had_it(
    store: RunStore, run: RunRow, record: RunRecorder
) -> None:
    record.progress(step=19, seconds=3600.0)
    record.close()
    begin_attempt(store, run.id, lose(store, run).attempt, 10, seconds=60.0)
    assert store.run(run.id).seconds == 60.0


def test_starting_over_forgets_the_first_step_too(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.log("train/loss", 0, [1.0, 2.0])
    record.sample(0, "before training")
    record.close()
    begin_attempt(store, run.id, lose(store, run).attempt, 0)
    assert stored(store, run.id, "train/loss") == []
    assert store.samples(run.id) == []


def test_going_on_deletes_the_files_that_no_row_names(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.checkpoint("complete", 10, weights())
    record.checkpoint("complete", 20, weights())
    record.close()
    folder = run_folder(store.database.path, run.id)
    for name in ("complete-000000030-1.safetensors", "best-000000030-1.partial"):
        (folder / name).write_bytes(b"of an attempt that died before it named this")
    (folder / "notes.txt").write_text("a person's own")
    begin_attempt(store, run.id, lose(store, run).attempt, 10)
    assert sorted(path.name for path in folder.iterdir()) == ["complete-000000010-1.safetensors", "notes.txt"]


def test_going_on_touches_no_other_run(store: RunStore, run: RunRow) -> None:
    other = training_run(store)
    for each in (run, other):
        record = RunRecorder(store, each.id, each.attempt, each.steps)
        record.log("train/loss", 0, [1.0] * 20)
        record.sample(15, "text")
        record.checkpoint("complete", 15, weights())
        record.close()
    begin_attempt(store, run.id, run.attempt, 10)
    assert len(store.points(other.id, "train/loss")) == 20
    assert len(store.samples(other.id)) == len(store.checkpoints(other.id)) == 1


def test_only_the_runs_own_attempt_may_begin(store: RunStore, run: RunRow, record: RunRecorder) -> None:
    record.log("train/loss", 0, [1.0] * 20)
    record.close()
    lose(store, run)
    with pytest.raises(AttemptLostError):
        begin_attempt(store, run.id, run.attempt, 10)
    assert len(store.points(run.id, "train/loss")) == 20


def test_going_on_keeps_what_was_not_finite_in_a_half_filled_bucket(store: RunStore) -> None:
    run = training_run(store, MANY_STEPS)
    record = RunRecorder(store, run.id, run.attempt, run.steps)
    record.log("train/loss", 0, [math.nan, math.inf])
    record.checkpoint("complete", 1, weights())
    buckets = json.dumps(record.open_buckets(), allow_nan=False)
    record.log("train/loss", 2, [7.0, 9.0])
    record.close()
    again = lose(store, run)
    begin_attempt(store, run.id, again.attempt, 1)
    record = RunRecorder(store, run.id, again.attempt, run.steps)
    record.restore_buckets(json.loads(buckets))
    record.drain()
    assert stored(store, run.id, "train/loss") == [(1, None, None, None, 2)]
    record.log("train/loss", 2, [1.0, 3.0])
    record.close()
    assert stored(store, run.id, "train/loss") == [(3, 2, 1, 3, 2)]


numbers = st.one_of(st.floats(-100, 100), st.sampled_from([math.nan, math.inf, -math.inf]))


@pytest.fixture(scope="module")
def common_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    """A database for many runs, as making one takes longer than recording a short run."""
    opened = RunStore.open(tmp_path_factory.mktemp("recorder") / "runs.db")
    yield opened
    opened.close()


@settings(max_examples=60)
@given(
    values=st.lists(numbers, min_size=1, max_size=30),
    steps=st.sampled_from([100, MANY_STEPS]),
    actions=st.lists(st.sampled_from(["log", "log", "log", "flush", "checkpoint", "crash", "die"]), max_size=40),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=8),
)
def test_a_run_that_crashes_and_goes_on_records_what_an_undisturbed_one_does(
    common_store: RunStore, values: list[float], steps: int, actions: list[str], sizes: list[int]
) -> None:
    store = common_store
    undisturbed, disturbed = training_run(store, steps), training_run(store, steps)
    record = RunRecorder(store, undisturbed.id, undisturbed.attempt, steps)
    for step, value in enumerate(values):
        say(record, step, value)
    record.close()
    trained_with_crashes(store, disturbed, values, actions, sizes)
    for metric in ("train/loss", "val/loss"):
        assert stored(store, disturbed.id, metric) == stored(store, undisturbed.id, metric)
    assert store.samples(disturbed.id) == store.samples(undisturbed.id)
    assert histograms(store, disturbed.id) == histograms(store, undisturbed.id)


def histograms(store: RunStore, run_id: str) -> list[tuple[Any, ...]]:
    """All that is kept of a run's diagnostics."""
    query = sa.select(*Histogram.__table__.c[1:]).join(Tensor, Tensor.id == Histogram.tensor_id)
    with store.database.reader.connect() as connection:
        return sorted(map(tuple, connection.execute(query.where(Tensor.run_id == run_id))))


def say(record: RunRecorder, step: int, value: float) -> None:
    """What a trainer says at a step: its loss, and now and then an evaluation, a sample and a look inside."""
    record.log("train/loss", step, [value])
    if step % 3 == 0:
        record.log("val/loss", step, [value / 2])
        record.sample(step, f"text of step {step}")
    if step % 2 == 0:
        counts = tuple(int(place == step % BINS) for place in range(BINS))
        record.snapshot(step, [Reading("head", "weights", "linear", counts, step / 4, step / 2, log10_ratio=-1.0)])


def trained_with_crashes(
    store: RunStore, run: RunRow, values: list[float], actions: list[str], sizes: list[int]
) -> None:
    """Records the values, now and then losing all since the last checkpoint, or what was not yet written; goes on."""
    record = RunRecorder(store, run.id, run.attempt, run.steps)
    step, kept = 0, (0, "{}")  # the next step to say, and what the last checkpoint holds of it
    for number, action in enumerate([*actions, "finish"]):
        if action in ("log", "finish"):
            size = len(values) if action == "finish" else sizes[number % len(sizes)]
            for place in range(step, min(step + size, len(values))):
                say(record, place, values[place])
                step = place + 1
        elif action == "flush":
            record.flush()
        elif action == "checkpoint" and step > 1:  # the first is that of step 1
            record.checkpoint("complete", step - 1, weights())
            kept = (step, json.dumps(record.open_buckets(), allow_nan=False))
            record.drain()
        elif action in ("crash", "die"):
            if action == "crash":
                record.drain()
            with record._jobs.mutex:  # with what was handed over and not yet written a process dies
                record._jobs.queue.clear()
            record.abandon()
            run = lose(store, run)
            step, buckets = kept
            begin_attempt(store, run.id, run.attempt, max(step - 1, 0))
            record = RunRecorder(store, run.id, run.attempt, run.steps)
            record.restore_buckets(json.loads(buckets))
    record.close()
