"""Writes what a trainer says to the database, from a thread of its own, in few short transactions.

Metrics are kept in buckets of `ceil(steps / 5000)` steps, so that no run has more than about 5,000 points a metric and
no spike is lost: a bucket keeps the mean, the lowest and the highest of its values.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lab.config.diagnostics import Edges, Kind, Reading
from lab.errors import AttemptLostError, LabError, StoreError
from lab.store.engine import once_unlocked
from lab.store.histograms import MergedHistogram, snapshot_bucket
from lab.store.location import run_folder
from lab.store.run_store import RunStore, run_table
from lab.store.schema import LARGEST_POINT_COUNT, Checkpoint, Event, Histogram, Metric, Point, Sample, Tensor
from lab.store.storage import storage_error
from lab.store.stored_files import (
    CHECKPOINT_SUFFIXES,
    make_folder,
    new_checkpoint,
    remove_checkpoint,
    remove_quietly,
    seal,
)

BATCHES_WAITING = 64
"""Batches that may wait for the database before training does."""
COMPLETE_CHECKPOINTS_KEPT = 2
_HISTOGRAMS = "histograms"
"""Where a checkpoint keeps those that are half filled, beside the metrics."""


def bucket_width(steps: int) -> int:
    """Steps in one bucket of a run of so many."""
    return math.ceil(steps / LARGEST_POINT_COUNT)


@dataclass
class Bucket:
    """What a bucket has seen so far."""

    number: int
    step: int
    count: int = 0
    total: float = 0.0
    low: float | None = None
    high: float | None = None
    nonfinite: int = 0

    def add(self, step: int, value: float) -> None:
        """Takes in the value at a step."""
        self.step = step
        value = float(value)  # SQLite knows no numbers of numpy's
        if math.isfinite(value):
            self.count += 1
            self.total += value
            self.low = value if self.low is None else min(self.low, value)
            self.high = value if self.high is None else max(self.high, value)
        else:
            self.nonfinite += 1

    def row(self) -> tuple[int, int, float | None, float | None, float | None, int]:
        """Its columns in the point table, but for the metric."""
        mean = self.total / self.count if self.count else None
        return self.number, self.step, mean, self.low, self.high, self.nonfinite


@dataclass
class _Batch:
    """What has gathered since the last flush."""

    buckets: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    samples: dict[int, str] = field(default_factory=dict)
    events: list[tuple[float, int, str, str]] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    histograms: dict[tuple[str, Kind, Edges, int], tuple[object, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.buckets or self.samples or self.events or self.facts or self.histograms)


class RunRecorder:
    """The recorder of one attempt at a run. Every transaction checks that the attempt is still the run's.

    Used by one thread; `close` writes what is left. Raises `AttemptLostError` or `StoreError` from the call after the
    one that failed.
    """

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        attempt: int,
        steps: int,
        *,
        beat: Callable[[], None] = lambda: None,
        on_progress: Callable[[Mapping[str, object]], None] = lambda facts: None,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._attempt = attempt
        self._steps = steps
        self._width = bucket_width(steps)
        self._beat = beat
        self._on_progress = on_progress
        self._open: dict[str, Bucket] = {}
        self._open_histograms: dict[tuple[str, Kind], MergedHistogram] = {}
        self._batch = _Batch()
        self._metric_ids: dict[str, int] = {}
        self._tensor_ids: dict[tuple[str, str], int] = {}
        self._wish: Any = None
        self._asked: str | None = None
        self._failure: Exception | None = None
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(BATCHES_WAITING)
        self._thread = threading.Thread(target=self._work, name=f"recorder of {run_id}", daemon=True)
        self._thread.start()

    @property
    def wish(self) -> Any:
        """What a person has asked of the run, as of the last transaction, or what `ask` was told."""
        return self._asked or self._wish

    def ask(self, wish: str) -> None:
        """Asks it of the run from within this process, as a signal does."""
        self._asked = wish

    def beat(self) -> None:
        """Tells the worker that the trainer is getting on."""
        self._beat()

    def log(self, metric: str, step: int, values: Sequence[float]) -> None:
        """Adds values of a metric at consecutive steps."""
        self._check()
        width, buckets = self._width, self._batch.buckets
        bucket = self._open.get(metric)
        for offset, value in enumerate(values):
            number = (step + offset) // width
            if bucket is None or bucket.number != number:
                if bucket is not None:
                    buckets[metric, bucket.number] = bucket.row()
                bucket = self._open[metric] = Bucket(number, step + offset)
            bucket.add(step + offset, value)
        if bucket is not None:
            buckets[metric, bucket.number] = bucket.row()

    def snapshot(self, step: int, readings: Sequence[Reading]) -> None:
        """Keeps what diagnostics read of each tensor at a step, merged with its neighbours in a long run."""
        self._check()
        bucket = snapshot_bucket(step, self._steps, len(readings))
        for reading in readings:
            tensor = reading.tensor, reading.kind
            merged = self._open_histograms.get(tensor)
            if merged is None or merged.bucket != bucket:
                merged = MergedHistogram(*tensor, reading.edges, bucket, first_step=step, step=step)
                self._open_histograms[tensor] = merged
            merged.add(step, reading)
            self._batch.histograms[*tensor, reading.edges, bucket] = merged.row()

    def sample(self, step: int, text: str) -> None:
        """Keeps what the model wrote at a step."""
        self._batch.samples[step] = text

    def event(self, step: int, text: str, level: str = "info") -> None:
        """Adds a line to the run's log."""
        self._batch.events.append((time.time(), step, level, text))

    def progress(self, **facts: object) -> None:
        """Updates columns of the run's row."""
        self._on_progress(facts)
        self._batch.facts.update({name: _null_unless_finite(value) for name, value in facts.items()})

    def flush(self) -> None:
        """Hands what has gathered to the writing thread; waits where the database is far behind."""
        self._check()
        if self._batch:
            batch, self._batch = self._batch, _Batch()
            self._jobs.put(lambda: self._write(batch))

    def checkpoint(self, kind: str, step: int, write: Callable[[Path], None]) -> None:
        """Has a checkpoint written and then named in the database, after all that was recorded before it."""
        self.flush()
        self._jobs.put(lambda: self._write_checkpoint(kind, step, write))

    def open_buckets(self) -> dict[str, Any]:
        """The half-filled buckets, as JSON values: of metrics by name, and the histograms together."""
        metrics: dict[str, Any] = {metric: dict(vars(bucket)) for metric, bucket in self._open.items()}
        return metrics | {_HISTOGRAMS: [merged.to_json() for merged in self._open_histograms.values()]}

    def restore_buckets(self, open_buckets: Mapping[str, Any]) -> None:
        """Goes on with half-filled buckets; their rows, which resuming deleted, are written again."""
        histograms = [MergedHistogram.from_json(values) for values in open_buckets.get(_HISTOGRAMS, ())]
        metrics = {metric: values for metric, values in open_buckets.items() if metric != _HISTOGRAMS}
        self._open = {metric: Bucket(**values) for metric, values in metrics.items()}
        for metric, bucket in self._open.items():
            self._batch.buckets[metric, bucket.number] = bucket.row()
        self._open_histograms = {(merged.tensor, merged.kind): merged for merged in histograms}
        for merged in histograms:
            self._batch.histograms[merged.tensor, merged.kind, merged.edges, merged.bucket] = merged.row()

    def drain(self) -> None:
        """Waits until everything handed over is written. Raises what went wrong."""
        self.flush()
        self._jobs.join()
        self._check()

    def close(self) -> None:
        """Writes what is left and ends the thread. Raises what went wrong."""
        if self._failure is None:
            self.flush()
        self._jobs.put(None)
        self._thread.join()
        self._check()

    def abandon(self) -> None:
        """Ends the thread after what was handed over; what goes wrong now is of no more interest."""
        self._jobs.put(None)
        self._thread.join()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._failure is None:
                    once_unlocked(job, self._beat)
            except LabError as error:
                self._failure = error
            except Exception as error:  # noqa: BLE001 (whatever it is, the next call raises it; this thread must go on)
                self._failure = StoreError(f"run {self._run_id} could not be recorded: {error}")
            finally:
                self._jobs.task_done()

    def _write(self, batch: _Batch) -> None:
        with self._store.database.writer.begin() as connection:
            self._fence(connection, batch.facts)
            rows = [(self._metric_id(connection, metric), *row) for (metric, _), row in batch.buckets.items()]
            if rows:
                connection.exec_driver_sql(_UPSERT_POINT, rows)
            if batch.histograms:
                self._number_tensors(connection, batch.histograms)
                histograms = [(self._tensor_ids[name, kind], *row)
                              for (name, kind, _, _), row in batch.histograms.items()]  # fmt: skip
                connection.exec_driver_sql(_UPSERT_HISTOGRAM, histograms)
            for step, text in batch.samples.items():
                connection.execute(
                    sa.insert(Sample).prefix_with("OR REPLACE").values(run_id=self._run_id, step=step, text=text)
                )
            for at, step, level, text in batch.events:
                connection.execute(
                    sa.insert(Event).values(run_id=self._run_id, at=at, step=step, level=level, text=text)
                )

    def _fence(self, connection: sa.Connection, facts: Mapping[str, object]) -> None:
        """Updates the run's row if this attempt still trains it, and learns what people wish."""
        mine = {"of_run": self._run_id, "of_attempt": self._attempt}
        row = connection.execute(_update_of_mine(tuple(facts)), mine | dict(facts)).first()
        if row is None:
            raise AttemptLostError(f"attempt {self._attempt} at run {self._run_id} has been taken over")
        self._wish = row.wish

    def _metric_id(self, connection: sa.Connection, name: str) -> int:
        if name not in self._metric_ids:
            self._metric_ids[name] = _metric_id(connection, self._run_id, name, self._width)
        return self._metric_ids[name]

    def _number_tensors(self, connection: sa.Connection, tensors: Iterable[tuple[str, Kind, Edges, int]]) -> None:
        """Gives those that are new their ids, all together: the first snapshot has a hundred of them."""
        new = {(name, kind): edges for name, kind, edges, _ in tensors if (name, kind) not in self._tensor_ids}
        if not new:
            return
        values = [{"run_id": self._run_id, "name": name, "kind": kind, "edges": new[name, kind]} for name, kind in new]
        connection.execute(sa.insert(Tensor).prefix_with("OR IGNORE"), values)
        known = sa.select(Tensor.name, Tensor.kind, Tensor.id).where(Tensor.run_id == self._run_id)
        self._tensor_ids = {(name, kind): tensor_id for name, kind, tensor_id in connection.execute(known)}

    def _write_checkpoint(self, kind: str, step: int, write: Callable[[Path], None]) -> None:
        root = self._store.database.files
        partial = None
        try:
            folder = make_folder(root, self._run_id)
            path = new_checkpoint(folder, f"{kind}-{step:09d}-{self._attempt}")
            partial = path.with_suffix(".partial")
            write(partial)
            sha256, size = seal(partial, path)
        except OSError as error:
            if partial is not None:
                remove_quietly(partial)  # what there is of it only takes room
            raise storage_error(self._store.database.path, error) or error from None
        with self._store.database.durable.begin() as connection:
            self._fence(connection, {"failures": 0} if kind == "complete" else {})
            replaced = _forget_same(connection, self._run_id, kind, step)
            connection.execute(
                sa.insert(Checkpoint).values(
                    run_id=self._run_id,
                    step=step,
                    kind=kind,
                    path=str(path.relative_to(root)),
                    sha256=sha256,
                    size=size,
                    created_at=time.time(),
                )
            )
            replaced += _forget_replaced(connection, self._run_id, kind)
        for old in replaced:
            remove_checkpoint(root, self._run_id, old)


def begin_attempt(store: RunStore, run_id: str, attempt: int, from_step: int, seconds: float = 0.0) -> None:
    """Deletes what lost attempts recorded after the step that this one goes on from; all of it where that is 0.

    `seconds` is what the run had taken by that step. Raises `AttemptLostError` where the attempt is not the run's.
    """
    c = run_table.c
    with store.database.durable.begin() as connection:
        owned = sa.update(run_table).where(c.id == run_id, c.attempt == attempt, c.status == "training")
        best = {name: sa.case((c.best_step <= from_step, c[name])) for name in ("best_val_loss", "best_step")}
        if not connection.execute(owned.values(step=from_step, seconds=seconds, **best)).rowcount:
            raise AttemptLostError(f"attempt {attempt} at run {run_id} has been taken over")
        metrics = sa.select(Metric.id).where(Metric.run_id == run_id)
        after = Point.step > from_step if from_step else sa.true()
        connection.execute(sa.delete(Point).where(Point.metric_id.in_(metrics), after))
        tensors = sa.select(Tensor.id).where(Tensor.run_id == run_id)
        later_histogram = Histogram.step > from_step if from_step else sa.true()
        connection.execute(sa.delete(Histogram).where(Histogram.tensor_id.in_(tensors), later_histogram))
        later_sample = Sample.step > from_step if from_step else sa.true()
        connection.execute(sa.delete(Sample).where(Sample.run_id == run_id, later_sample))
        later_checkpoint = sa.and_(Checkpoint.run_id == run_id, Checkpoint.step > from_step)
        connection.execute(sa.delete(Checkpoint).where(later_checkpoint))
        named = set(connection.scalars(sa.select(Checkpoint.path).where(Checkpoint.run_id == run_id)))
    # Whatever no row names: files of the checkpoints just forgotten, and of attempts that died before naming theirs.
    for file in run_folder(store.database.path, run_id).glob("*"):
        if file.suffix in CHECKPOINT_SUFFIXES and str(file.relative_to(store.database.files)) not in named:
            file.unlink(missing_ok=True)


_UPSERT_POINT = (
    f"INSERT OR REPLACE INTO {Point.__tablename__} (metric_id, bucket, step, value, low, high, nonfinite) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_UPSERT_HISTOGRAM = (
    f"INSERT OR REPLACE INTO {Histogram.__tablename__} (tensor_id, bucket, step, first_step, snapshots, bins, mean, "
    "std, low, high, saturated, dead, log10_ratio) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@cache
def _update_of_mine(columns: tuple[str, ...]) -> sa.Update:
    """The statement that updates columns of a run which an attempt still trains, and returns what is wished of it."""
    c = run_table.c
    mine = sa.and_(c.id == sa.bindparam("of_run"), c.attempt == sa.bindparam("of_attempt"), c.status == "training")
    values = {name: sa.bindparam(name, type_=c[name].type) for name in columns}
    return sa.update(run_table).where(mine).values({"attempt": c.attempt} | values).returning(c.wish)


def _metric_id(connection: sa.Connection, run_id: str, name: str, width: int) -> int:
    connection.execute(sa.insert(Metric).prefix_with("OR IGNORE").values(run_id=run_id, name=name, bucket_width=width))
    return connection.execute(sa.select(Metric.id).where(Metric.run_id == run_id, Metric.name == name)).scalar_one()


def _forget_same(connection: sa.Connection, run_id: str, kind: str, step: int) -> list[str]:
    """Deletes the row of a checkpoint of the same kind and step; returns its file."""
    same = sa.and_(Checkpoint.run_id == run_id, Checkpoint.kind == kind, Checkpoint.step == step)
    paths = list(connection.scalars(sa.select(Checkpoint.path).where(same)))
    connection.execute(sa.delete(Checkpoint).where(same))
    return paths


def _forget_replaced(connection: sa.Connection, run_id: str, kind: str) -> list[str]:
    """Deletes the rows of checkpoints that newer ones of their kind replace; returns their files."""
    kept = {"complete": COMPLETE_CHECKPOINTS_KEPT, "best": 1}.get(kind)
    if kept is None:
        return []
    query = sa.select(Checkpoint.id, Checkpoint.path).where(Checkpoint.run_id == run_id, Checkpoint.kind == kind)
    replaced = connection.execute(query.order_by(Checkpoint.step.desc(), Checkpoint.id.desc()).offset(kept)).all()
    connection.execute(sa.delete(Checkpoint).where(Checkpoint.id.in_([row.id for row in replaced])))
    return [row.path for row in replaced]


def _null_unless_finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
