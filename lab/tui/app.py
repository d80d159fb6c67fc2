"""The application: it opens the store on a thread, hands out what was read, and looks after the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.reactive import var
from textual.screen import Screen

from lab.errors import LabError
from lab.inference.client import InferenceClient
from lab.tui import chart
from lab.tui.edits import Edits
from lab.tui.estimates import Estimates, MeasuringStarted, SpeedMeasured
from lab.tui.first_events import FirstEvents
from lab.tui.ladder_facts import LadderFacts, LadderFactsRead, read_ladder_facts
from lab.tui.messages import Edited, ReadFailed, SnapshotRead, WorkerChanged
from lab.tui.modes import loaders
from lab.tui.palette import LabCommands
from lab.tui.reader import Reader
from lab.tui.snapshot import Snapshot
from lab.tui.theme import DARK, LIGHT
from lab.tui.worker_minder import WorkerMinder


class LabApp(App[None]):
    """lab on the screen. It trains nothing and never waits for the database."""

    TITLE = "lab"
    CSS_PATH = "lab.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = loaders()
    DEFAULT_MODE = "runs"
    COMMANDS: ClassVar = {LabCommands}

    snapshot: var[Snapshot] = var(Snapshot, init=False)
    loaded: var[bool] = var(False, init=False)
    ladder: var[LadderFacts] = var(LadderFacts, init=False)
    problem: var[str] = var("", init=False)
    worker: var[int | None] = var(None, init=False)
    measured: var[int] = var(0, init=False)
    """Changes whenever more is known of how long runs take here."""

    def __init__(self, database: Path, *, clock: Callable[[], float] = time.time) -> None:
        # A new database opens on the ladder; so does an empty one, as soon as it is known to be empty.
        self.DEFAULT_MODE = "runs" if database.exists() else "ladder"  # type: ignore[misc]
        super().__init__()
        self.database = database
        self.clock = clock
        self.edits = Edits()
        self.inference = InferenceClient()
        self.estimates = Estimates(database, lambda: self.inference, self.post_message)
        self.selected: str | None = None
        """The run that was last under the cursor of the Runs."""
        self.reader = Reader(database, self.post_message)
        self.minder = WorkerMinder(database, self.post_message)
        self._read_problem = self._worker_problem = ""
        self._first_events = FirstEvents()
        self._ladder_asked = False
        self._ended_before_worker = 0

    def on_mount(self) -> None:
        """Reads once the first frame is out: opening the store imports much."""
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = DARK.name
        self.call_after_refresh(self._start_threads)

    def _start_threads(self) -> None:
        self.run_worker(self.reader.run, thread=True, group="reader", exit_on_error=False)

    def on_unmount(self) -> None:
        """Ends the threads; the worker goes on."""
        self.reader.stop()
        self.minder.stop()
        self.inference.close()

    @on(SnapshotRead)
    def _read(self, message: SnapshotRead) -> None:
        if not self.loaded:
            self.loaded = True
            if not message.snapshot.runs and len(self.screen_stack) == 1:
                self.switch_mode("ladder")
            self.run_worker(self.minder.run, thread=True, group="minder", exit_on_error=False)
            self.run_worker(chart.warm_up, thread=True, group="warm-up", exit_on_error=False)
        self._read_problem = ""
        self.estimates.learn(message.snapshot)
        self.snapshot = message.snapshot
        for news in self._first_events.news(message.snapshot):
            self.notify(news, markup=False, timeout=10)
        self.minder.need(_has_work(message.snapshot))
        self._show_problem()

    @on(ReadFailed)
    def _read_failed(self, message: ReadFailed) -> None:
        self._read_problem = message.reason
        self._show_problem()

    @on(WorkerChanged)
    def _worker_changed(self, message: WorkerChanged) -> None:
        if message.pid != self.worker:
            self._ended_before_worker = self._ended
        self.worker = message.pid
        self._worker_problem = message.problem
        self._show_problem()

    @on(SpeedMeasured)
    @on(MeasuringStarted)
    def _measured(self, message: SpeedMeasured | MeasuringStarted) -> None:
        self.estimates.take(message)
        self.measured += 1

    @on(Edited)
    def _edited(self, message: Edited) -> None:
        self.notify(message.text, severity="warning" if message.failed else "information", markup=False, timeout=4)

    def _show_problem(self) -> None:
        self.problem = self._read_problem or self._worker_problem

    @on(LadderFactsRead)
    def _ladder_read(self, message: LadderFactsRead) -> None:
        self.ladder = message.facts

    def read_ladder_facts(self) -> None:
        """Has them read on a thread, once."""
        if not self._ladder_asked:
            self._ladder_asked = True
            read = partial(read_ladder_facts, self.post_message)
            self.call_after_refresh(lambda: self.run_worker(read, thread=True, group="ladder", exit_on_error=False))

    @property
    def _ended(self) -> int:
        return sum(run.ended_at is not None for run in self.snapshot.runs)

    @property
    def worker_has_trained(self) -> bool:
        """Whether a run has got on or ended since this worker was first seen: it has torch by then."""
        return any(run.step for run in self.snapshot.training) or self._ended > self._ended_before_worker

    def edit(self, change: Callable[[], str]) -> None:
        """Makes a change on a thread and says how it went."""

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                self.post_message(Edited(change()))
            except LabError as error:
                self.post_message(Edited(str(error), failed=True))
            except SQLAlchemyError as error:
                self.post_message(Edited(f"not done: {getattr(error, 'orig', None) or error}", failed=True))

        self.run_worker(work, thread=True, group="edits", exit_on_error=False)

    def stop_worker(self) -> None:
        """Ends the background worker, on a thread."""

        def stop() -> str:
            from lab.queue import requests

            self.minder.rest()
            return "the worker has ended" if requests.stop_worker(self.database) else "there is no worker"

        self.edit(stop)


def _has_work(snapshot: Snapshot) -> bool:
    return any(
        run.status == "queued" or (run.status == "training" and run.trained_by == "worker") for run in snapshot.runs
    )


def run_tui(database: Path) -> int:
    """Runs lab on the screen until it is left; returns the exit status."""
    app = LabApp(database)
    app.run()
    return app.return_code or 0
