"""The thread that reads the database: it polls for changes, reads what is wanted, and posts snapshots."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from lab.errors import LabError, reason_of
from lab.tui.bearable import MOST_CHECKED, bearable
from lab.tui.messages import ReadFailed, SnapshotRead
from lab.tui.run_colours import run_slot
from lab.tui.snapshot import Curve, Detail, References, Snapshot, Wanted

if TYPE_CHECKING:
    from lab.store.run_store import KeptRuns, RunRow, RunStore, SampleRow
    from lab.tui.comparisons import ComparisonReader, ComparisonView
    from lab.tui.sweeps import SweepView

POLL_SECONDS = 0.25
RETRY_SECONDS = 2.0
EVENTS_SHOWN = 300
CURVES = ("train/loss", "val/loss", "chars_per_second")


class Reader:
    """Owns the store; `run` is a thread's work, the other methods are called from the screen's thread."""

    def __init__(self, database: Path, post: Callable[[Message], object]) -> None:
        self._path = database
        self._post = post
        self._wanted = Wanted()
        self._wake = threading.Event()
        self._stopping = False
        self._opened = threading.Event()
        self._store: RunStore | None = None
        self._curves = _CurveCache()
        self._slots: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._references: dict[tuple[str, str], References] = {}
        self._samples: dict[str, tuple[tuple[object, ...], SampleRow | None]] = {}
        self._sweeps: Mapping[str, SweepView] = {}
        self._comparing: ComparisonReader | None = None
        self._runs: tuple[RunRow, ...] = ()
        self._kept: KeptRuns = {}
        self._shown: dict[str, tuple[RunRow, RunRow]] = {}
        """Each run as it was read last, and as it is shown."""
        self._shown_once = False
        """Whether the screen has got its first rows."""
        self._queue_paused = False
        self._storage_problem = ""

    def want(self, wanted: Wanted) -> None:
        """Says which curves and details the next snapshot must hold."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    def stop(self) -> None:
        """Ends the thread's work soon."""
        self._stopping = True
        self._wake.set()
        self._opened.set()

    def store(self) -> RunStore:
        """The open store; waits for it, so not for the screen's thread. Raises `LabError` where it did not open."""
        self._opened.wait()
        if self._store is None:
            raise LabError(f"database {self._path} is not open")
        return self._store

    def run(self) -> None:
        """Opens the store and reads it until `stop`."""
        from lab.queue.orphans import pause_orphans
        from lab.store.run_store import RunStore

        try:
            self._store = RunStore.open(self._path)
            pause_orphans(self._store)
        except LabError as error:
            self._post(ReadFailed(str(error), final=True))
            return
        finally:
            self._opened.set()
        try:
            self._poll(self._store)
        finally:
            self._store.close()

    def _poll(self, store: RunStore) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from lab.store import lifecycle
        from lab.store.storage import problem_seen

        seen: tuple[int, Wanted | None, str] | None = None
        while not self._stopping:
            self._wake.clear()
            pause = POLL_SECONDS
            try:
                began = time.monotonic()
                state = (store.data_version(), self._wanted, problem_seen(self._path))
                if state != seen:
                    if seen is None or state[0] != seen[0]:
                        self._runs = self._read_runs(store, checked=self._shown_once)
                        self._queue_paused = lifecycle.queue_paused(store)
                        self._storage_problem = lifecycle.storage_problem(store)
                    snapshot = self._read(store, state[1], state[2])
                    self._post(SnapshotRead(snapshot))
                    seen = state if self._shown_once else None
                    pause = max(pause, time.monotonic() - began)  # with very many runs the screen needs its turn too
                    self._shown_once = True
                    if snapshot.comparison is not None and snapshot.comparison.unread:
                        seen, pause = (state[0], None, state[2]), 0.0
                    if len(state[1].curves) > 1:  # runs are marked: they may well be compared
                        import scipy.special  # noqa: F401 (half a second that nobody then waits for)
            except (SQLAlchemyError, LabError) as error:
                self._post(ReadFailed(f"the database cannot be read: {reason_of(error)}"))
                seen, pause = None, RETRY_SECONDS
            self._wake.wait(pause)

    def _read_runs(self, store: RunStore, *, checked: bool) -> tuple[RunRow, ...]:
        """Every run; one that is as it was is the same object, with what was worked out of it since.

        Checking a thousand configs takes longer than a person should wait for the first rows.
        """
        runs = store.runs(kept=self._kept)
        if not checked:
            return tuple(bearable(run, with_config=False) for run in runs)
        few = len(runs) - len(self._shown) <= MOST_CHECKED
        before = self._shown
        self._shown = {
            run.id: shown
            if (shown := before.get(run.id)) is not None and shown[0] is run
            else (run, bearable(run, with_config=few))
            for run in runs
        }
        return tuple(shown for _, shown in self._shown.values())

    def _read(self, store: RunStore, wanted: Wanted, disk: str) -> Snapshot:
        runs = self._runs
        if any(run.id not in self._slots for run in runs):
            self._assign_slots([*runs, *store.runs(trashed=True)])
        trashed = tuple(map(bearable, store.runs(trashed=True))) if wanted.trash else ()
        by_id = {run.id: run for run in (*runs, *trashed)}
        drawn = [by_id[run_id] for run_id in wanted.curves if run_id in by_id]
        return Snapshot(
            runs=runs,
            slots=dict(self._slots),
            curves={
                run.id: self._curves.read(store, run, wanted.metrics if run.id == wanted.detail else ())
                for run in drawn
            },
            references=self._read_references(store, runs),
            detail=self._read_detail(store, wanted.detail) if wanted.detail in by_id else None,
            sweeps=self._read_sweeps(store, runs),
            samples={run_id: self._last_sample(store, by_id[run_id]) for run_id in wanted.samples if run_id in by_id},
            trashed=trashed,
            queue_paused=self._queue_paused,
            storage_problem=self._storage_problem or disk,
            comparison=self._compare(store, by_id, wanted),
        )

    def _assign_slots(self, runs: Iterable[RunRow]) -> None:
        for run in sorted(runs, key=lambda run: run.id):
            if run.id not in self._slots:
                nth = self._counts.get(run.stage, 0)
                self._slots[run.id] = run_slot(run.stage, nth)
                self._counts[run.stage] = nth + 1

    def _read_references(self, store: RunStore, runs: Iterable[RunRow]) -> dict[tuple[str, str], References]:
        for sha256, kind in {(run.dataset_sha256, run.dataset_kind) for run in runs} - self._references.keys():
            facts = store.dataset(sha256, kind)
            if facts is not None:
                evenly = math.log(len(facts.vocabulary))
                self._references[sha256, kind] = References(facts.name, evenly, facts.counting_loss)
        return dict(self._references)

    def _read_sweeps(self, store: RunStore, runs: Iterable[RunRow]) -> Mapping[str, SweepView]:
        """Every LR sweep among the runs; read again only where it has gone on."""
        if any(run.kind == "lr-sweep" for run in runs):
            from lab.tui import chart
            from lab.tui.sweeps import read_sweeps

            chart.warm_up()
            self._sweeps = read_sweeps(store, runs, self._sweeps)
        else:
            self._sweeps = {}
        return self._sweeps

    def _compare(self, store: RunStore, by_id: Mapping[str, RunRow], wanted: Wanted) -> ComparisonView | None:
        if wanted.compare is None:
            return None
        if self._comparing is None:
            from lab.tui import chart
            from lab.tui.comparisons import ComparisonReader

            chart.warm_up()
            self._comparing = ComparisonReader()
        return self._comparing.read(store, by_id, wanted.compare)

    def _last_sample(self, store: RunStore, run: RunRow) -> SampleRow | None:
        """A run's newest sample; read again only where the run has gone on."""
        state = (run.attempt, run.status, run.step)
        known = self._samples.get(run.id)
        if known is None or known[0] != state:
            known = self._samples[run.id] = (state, store.last_sample(run.id))
        return known[1]

    def _read_detail(self, store: RunStore, run_id: str | None) -> Detail | None:
        if run_id is None:
            return None
        return Detail(run_id, store.last_sample(run_id), tuple(store.events(run_id, limit=EVENTS_SHOWN)))


class _CurveCache:
    """Curves as they were last read; of a run that trains only the new end is read again."""

    def __init__(self) -> None:
        self._curves: dict[tuple[str, str], Curve] = {}
        self._states: dict[tuple[str, str], tuple[object, ...]] = {}

    def read(self, store: RunStore, run: RunRow, more: Iterable[str] = ()) -> dict[str, Curve]:
        """The usual curves of one run, and more of its metrics, as they are now."""
        state = (run.attempt, run.status, run.ended_at)
        metrics = (*CURVES, *more)
        for key in ((run.id, metric) for metric in metrics):
            before = self._states.get(key)
            if before is None or before[0] != run.attempt:
                self._curves.pop(key, None)
            if before != state or run.status == "training":
                self._curves[key] = self._extended(store, run, key[1])
                self._states[key] = state
        return {metric: self._curves[run.id, metric] for metric in metrics}

    def _extended(self, store: RunStore, run: RunRow, metric: str) -> Curve:
        import numpy as np

        known = self._curves.get((run.id, metric))
        if known is None or not len(known.steps):
            points = store.points(run.id, metric)
            return Curve(points.steps, points.values, (run.attempt, len(points)))
        new = store.points(run.id, metric, from_step=int(known.steps[-1]))
        last_alike = len(new) == 1 and new.steps[0] == known.steps[-1]
        if not len(new) or (last_alike and np.array_equal(new.values, known.values[-1:], equal_nan=True)):
            return known
        # The last bucket may have been half full: it is read again with what came after it.
        steps = np.concatenate([known.steps[:-1], new.steps])
        values = np.concatenate([known.values[:-1], new.values])
        return Curve(steps, values, (run.attempt, known.version[1] + 1))
