"""For notebooks and training loops of one's own: `lab.open` reads a database, `lab.run` records a run into one."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, SupportsFloat

from lab.errors import ConfigError, DatasetError, RunNotFoundError, UsageError, WorkerError
from lab.store.location import find_database, run_lock

if TYPE_CHECKING:
    from lab.store.run_store import DatasetFacts, MetricPoints, RunRow, RunStore

METRIC_OF = {"loss": "train/loss", "train_loss": "train/loss", "val_loss": "val/loss", "val": "val/loss"}
"""What common names of a metric are called here, so that its curve stands beside those of other runs."""
_FLUSH_SECONDS = 0.25


class StoredRuns:
    """The runs of a database, read anew at each question; what `lab.open` returns. Close it, or use it in a `with`."""

    def __init__(self, store: RunStore) -> None:
        self._store = store

    def __iter__(self) -> Iterator[StoredRun]:
        return iter(self.matching(""))

    def __len__(self) -> int:
        return len(self._store.runs())

    def __getitem__(self, name: str) -> StoredRun:
        """The run of an id, a unique prefix of one, or a name. Raises `RunNotFoundError`."""
        return StoredRun(self._store, self._store.resolve(name))

    def matching(self, words: str) -> list[StoredRun]:
        """The runs that a filter lets through, oldest first: `stage:residual val<2.1`. Raises `UsageError`."""
        from lab.analysis.run_filter import parse_filter

        matches = parse_filter(words)
        return [StoredRun(self._store, row) for row in self._store.runs() if matches(row)]

    def close(self) -> None:
        """Lets go of the database."""
        self._store.close()

    def __enter__(self) -> StoredRuns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{len(self)} runs in {self._store.database.path}>"


@dataclass(frozen=True, repr=False)
class StoredRun:
    """One run: `row` holds what lists show of it, such as `row.val_loss`, as it stood when it was read."""

    _store: RunStore
    row: RunRow

    @property
    def id(self) -> str:
        """Short and unique."""
        return self.row.id

    @property
    def name(self) -> str:
        """What it is called."""
        return self.row.name

    @property
    def config(self) -> Mapping[str, Any]:
        """Every setting with its value."""
        return self.row.settings

    @property
    def metrics(self) -> list[str]:
        """The names of what was recorded over its steps."""
        return self._store.metric_names(self.id)

    def metric(self, name: str) -> MetricPoints:
        """A metric as numpy arrays `steps`, `values`, `lows`, `highs`, each (points,); NaN where nothing was finite.

        Raises `UsageError` where no such metric was recorded, naming those that were.
        """
        points = self._store.points(self.id, METRIC_OF.get(name, name))
        if not len(points):
            raise UsageError(f"run {self.name} has no metric '{name}'; it has {', '.join(self.metrics) or 'none yet'}")
        return points

    @property
    def samples(self) -> dict[int, str]:
        """What the model wrote while it trained, by step."""
        return {sample.step: sample.text for sample in self._store.samples(self.id)}

    def __repr__(self) -> str:
        val = f", val {self.row.val_loss:.3f}" if self.row.val_loss is not None else ""
        return f"<run {self.name} ({self.id}): {self.row.status} at step {self.row.step:,}{val}>"


def open_runs(database: str | Path | None = None) -> StoredRuns:
    """Opens a database for reading: the one named, else LAB_DB, else the nearest runs.db.

    Raises `RunNotFoundError` where there is none; none is made.
    """
    from lab.store.run_store import RunStore

    path = find_database(database)
    if not path.exists():
        raise RunNotFoundError(f"there is no database {path}")
    return StoredRuns(RunStore.open(path))


class RecordedRun:
    """A run of kind `external` while it goes on. By `with` it ends as finished, or as failed with its error."""

    def __init__(self, store: RunStore, row: RunRow) -> None:
        from lab.queue.file_lock import FileLock
        from lab.store.external_runs import begin
        from lab.store.recorder import RunRecorder

        self._store, self._row = store, row
        self._lock = FileLock(run_lock(store.database.path, row.id))
        if not self._lock.acquire():
            raise WorkerError(f"run {row.name} is held by another process")
        begin(store, row)
        self._recorder = RunRecorder(store, row.id, row.attempt, max(1, row.steps))
        self._began = self._flushed = time.monotonic()
        self._last: dict[str, int] = {}
        self._best = math.inf
        self._over = False

    @property
    def id(self) -> str:
        """By which every command knows it."""
        return self._row.id

    @property
    def stop_asked(self) -> bool:
        """Whether a person has asked the run to stop, as of a moment ago; heeding it is the loop's own affair."""
        return self._recorder.wish in ("stop", "cancel")

    def log(self, step: int, values: Mapping[str, SupportsFloat] | None = None, /, **more: SupportsFloat) -> None:
        """Records metrics at a step: `log(step, loss=2.1, val_loss=2.3)`, or `log(step, {"grad/norm": 0.3})`.

        `loss` and `val_loss` are drawn beside other runs'. Returns at once. Raises `UsageError` on what is no number,
        and on a step before the metric's last.
        """
        if isinstance(step, bool) or int(step) != step or step < 0:
            raise UsageError(f"step {step!r} must be a whole number from 0")
        step = int(step)
        facts: dict[str, object] = {"step": step, "steps": max(step, self._row.steps)}
        for given, raw in {**(values or {}), **more}.items():
            name = METRIC_OF.get(given, given)
            value = _number(given, raw)
            if step < self._last.get(name, 0):
                raise UsageError(f"{given} at step {step} comes after step {self._last[name]}: steps only go forward")
            self._last[name] = step
            self._recorder.log(name, step, [value])
            facts |= self._facts(name, step, value)
        facts["seconds"] = time.monotonic() - self._began
        self._recorder.progress(**facts)
        self._flush()

    def _facts(self, name: str, step: int, value: float) -> dict[str, object]:
        """What lists show of a metric."""
        if name == "train/loss":
            return {"train_loss": value}
        if name != "val/loss":
            return {}
        facts: dict[str, object] = {"val_loss": value}
        if value < self._best:
            self._best = value
            facts |= {"best_val_loss": value, "best_step": step}
        return facts

    def sample(self, step: int, text: str) -> None:
        """Keeps a text that the model wrote at a step."""
        self._recorder.sample(int(step), str(text))
        self._flush()

    def note(self, text: str, step: int = 0) -> None:
        """Adds a line to the run's log."""
        self._recorder.event(int(step), str(text))
        self._flush()

    def _flush(self) -> None:
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._flushed = time.monotonic()
            self._recorder.flush()

    def finish(self, status: str = "finished", error: str | None = None) -> None:
        """Writes what is left and ends the run; a second time nothing happens."""
        from lab.store import lifecycle

        if self._over:
            return
        self._over = True
        try:
            self._recorder.close()
            lifecycle.end(self._store, self.id, self._row.attempt, status, error)
        finally:
            self._lock.release()
            self._store.close()

    def __enter__(self) -> RecordedRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.finish("stopped" if self.stop_asked else "finished")
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            self.finish("stopped", type(error).__name__)
        else:
            self.finish("failed", f"{type(error).__name__}: {error}"[:1000])


def record_run(
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    steps: int = 0,
    database: str | Path | None = None,
    tags: tuple[str, ...] = (),
) -> RecordedRun:
    """Begins to record a training loop of one's own: `with lab.run("mine", config={"lr": 1e-3}) as run: …`.

    Into the database named, else LAB_DB, else the nearest runs.db, else a new one here; from any process, any number at
    once. With `steps` a long run is kept in as few points as lab's own. Where the config names a dataset of lab's as
    `dataset`, its losses compare with those of other runs on it. Raises `UsageError` on what JSON cannot hold.
    """
    from lab.store.external_runs import ExternalRun, add_external_run
    from lab.store.run_store import RunStore

    settings = _settings(config or {})
    planned = steps or settings.get("steps", 0)
    if type(planned) is not int or planned < 0:
        raise UsageError(f"steps={planned!r} must be a whole number from 0")
    path = find_database(database)
    facts = _dataset(settings, path)
    store = RunStore.open(path)
    try:
        new = ExternalRun(name, settings, planned, facts, str(settings.get("dataset", "")), tags)
        return RecordedRun(store, add_external_run(store, new))
    except BaseException:
        store.close()
        raise


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as JSON has it."""
    try:
        return dict(json.loads(json.dumps(dict(config), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"the config cannot be kept as JSON: {error}") from None


def _dataset(settings: Mapping[str, Any], path: Path) -> DatasetFacts | None:
    """The dataset that a config names, where it is one that lab knows."""
    from lab.queue.requests import dataset_facts, read_dataset

    name, kind = settings.get("dataset"), settings.get("dataset_as")
    if not isinstance(name, str) or not name or kind not in (None, "stream", "words"):
        return None
    try:
        return dataset_facts(read_dataset(name, kind, path))
    except (DatasetError, ConfigError):
        return None  # another program's own name for it


def _number(name: str, value: SupportsFloat) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name}={value!r} must be a number") from None
