"""The application: it opens the store on a thread, hands out what was read, and looks after the worker."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import App
from textual.command import Provider
from textual.notifications import SeverityLevel
from textual.reactive import var
from textual.screen import Screen
from textual.theme import ThemeProvider
from textual.timer import Timer

from lab.errors import LabError
from lab.tui.announcer import Announcer
from lab.tui.chores import Chores
from lab.tui.edits import Edits
from lab.tui.estimates import Estimates, MeasuringStarted, SpeedMeasured
from lab.tui.ladder_facts import LadderFacts, LadderFactsRead, read_ladder_facts
from lab.tui.marker_style import needs_ascii, output_encoding
from lab.tui.messages import Edited, NotRemembered, ReadFailed, SnapshotRead, WorkerChanged
from lab.tui.modes import MODES, loaders
from lab.tui.reader import Reader
from lab.tui.remembered import RememberedFile, screen_path, settings_path
from lab.tui.remembering import Remembering
from lab.tui.snapshot import Snapshot
from lab.tui.stylesheet import ParsedOnce
from lab.tui.theme import DARK, OWN_THEMES, PRESENTER, SIXTEEN_COLOURS, WITHOUT_COLOUR
from lab.tui.worker_minder import WorkerMinder

if TYPE_CHECKING:
    from lab.inference.client import InferenceClient
from lab.text import literal

CHORE_SECONDS = 0.2
"""From one chore to the next."""
SCREENS_FOLDER = Path(__file__).parent / "screens"
SWITCH_SECONDS = 0.0005
"""How long a key waits for Python while another thread reads; ten times as long by default."""

OPEN_DEMO = "open the demo"
"""What the screen is left with where the demo is to be opened in its place."""


def _actions() -> type[Provider]:
    from lab.tui.palette import LabCommands

    return LabCommands


def _things() -> type[Provider]:
    from lab.tui.palette import LabThings

    return LabThings


class LabApp(App[str]):
    """lab on the screen. It trains nothing and never waits for the database."""

    TITLE = "lab"
    CSS_PATH = "lab.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = loaders()
    DEFAULT_MODE = "runs"
    COMMANDS: ClassVar = {_actions, _things}

    snapshot: var[Snapshot] = var(Snapshot, init=False)
    loaded: var[bool] = var(False, init=False)
    ladder: var[LadderFacts] = var(LadderFacts, init=False)
    problem: var[str] = var("", init=False)
    worker: var[int | None] = var(None, init=False)
    measured: var[int] = var(0, init=False)
    """Changes whenever more is known of how long runs take here."""

    marks: var[tuple[str, ...]] = var((), init=False)
    """The runs that are marked, in the order of marking: drawn over each other, compared."""
    baseline: var[str | None] = var(None, init=False)
    """The run that others are compared with."""

    def __init__(
        self, database: Path, *, mode: str = "", clock: Callable[[], float] = time.time, ascii_charts: bool = False
    ) -> None:
        # A new database opens on the ladder; so does an empty one, as soon as it is known to be empty.
        self.DEFAULT_MODE = mode or ("runs" if database.exists() else "ladder")  # type: ignore[misc]
        super().__init__()
        self.database = database
        self.clock = clock
        self.ascii_charts = ascii_charts
        self.edits = Edits()
        self.estimates = Estimates(database, lambda: self.inference, self.post_message)
        self.selected: str | None = None
        """The run that was last under the cursor of the Runs."""
        self.reader = Reader(database, self.post_message)
        self.minder = WorkerMinder(database, self.post_message)
        self._read_problem = self._worker_problem = ""
        self._announcer = Announcer(self)
        self._chores = Chores()
        self._ladder_asked = False
        self._ended_before_worker = 0
        self.settings = RememberedFile(settings_path())
        self.settings.read()  # a small file, and the first frame has its colours from it
        self._set_first_theme()
        self.remembered = RememberedFile(screen_path(database))
        """How the screens of this database were left."""
        self._remembering = Remembering(self, (self.settings, self.remembered))
        self.said = ""
        """What is said at the top where nothing may pop up."""
        self._said_timer: Timer | None = None

    @cached_property
    def inference(self) -> InferenceClient:
        """The way to the torch helper, which starts with the first request."""
        from lab.inference.client import InferenceClient

        return InferenceClient()

    def _set_first_theme(self) -> None:
        """Before the style sheets are parsed: a theme that comes later has them parsed again."""
        for theme in OWN_THEMES:
            self.register_theme(theme)
        chosen = self.settings.get("theme")
        first = chosen if isinstance(chosen, str) and chosen in self.available_themes else DARK.name
        self.set_reactive(App.theme, first)
        self.stylesheet = ParsedOnce(variables=self.get_css_variables())

    def on_mount(self) -> None:
        """Reads once the first frame is out: opening the store imports much."""
        if not self.is_headless:
            sys.setswitchinterval(SWITCH_SECONDS)
        self.theme_changed_signal.subscribe(self, lambda theme: self._remember_theme(theme.name))
        self.call_after_refresh(self._start_threads)

    async def on_event(self, event: events.Event) -> None:
        """Hears of every key before anyone else."""
        if isinstance(event, events.InputEvent):
            self._chores.touched()
        await super().on_event(event)

    def _start_threads(self) -> None:
        def read() -> None:
            self.remembered.read()
            self.reader.run()

        self.run_worker(read, thread=True, group="reader", exit_on_error=False)

    def on_unmount(self) -> None:
        """Ends the threads; the worker goes on."""
        self.reader.stop()
        self.minder.stop()
        self.inference.close()
        self._remembering.write()

    # How it looks, and what of that is remembered

    @property
    def presenting(self) -> bool:
        """Whether it is shown to a room: thick lines, large figures, and nothing that pops up."""
        return self.theme == PRESENTER.name

    @property
    def opening(self) -> str:
        """What stands where nothing was read yet: that the database is being opened, or in full why it cannot be."""
        return literal(self.problem) or "opening the database…"

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours; on a terminal with 16 of them, some that can be told apart there."""
        variables = super().get_css_variables()
        if self.console.color_system == "standard":
            variables.update(SIXTEEN_COLOURS[self.current_theme.dark])
        if self.no_color:
            variables.update(WITHOUT_COLOUR)
        return variables

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Says something in passing: in a toast, or at the top where nothing may pop up."""
        if not self.presenting:
            super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)
            return
        self._say(message)
        if self._said_timer is not None:
            self._said_timer.stop()
        self._said_timer = self.set_timer(timeout or self.NOTIFICATION_TIMEOUT, lambda: self._say(""))

    def _say(self, message: str) -> None:
        from lab.tui.screens.lab_screen import LabScreen

        self.said = message
        for screen in self.screen_stack:
            if isinstance(screen, LabScreen) and screen.is_whole:
                screen.show_status()

    def remember(self, name: str, values: dict[str, Any]) -> None:
        """Takes over how a screen looks now; it is written soon, and on a thread."""
        if self.loaded and self.remembered.put(name, values):
            self._remembering.write_soon()

    def _remember_theme(self, name: str) -> None:
        if self.settings.put("theme", name):
            self._remembering.write_soon()

    @on(NotRemembered)
    def _not_remembered(self, message: NotRemembered) -> None:
        self._remembering.say(message)

    @on(SnapshotRead)
    def _read(self, message: SnapshotRead) -> None:
        if not self.loaded:
            self.set_reactive(LabApp.snapshot, message.snapshot)  # so that both are shown at once
            self._restore_marks()
            self.loaded = True
            if not message.snapshot.runs and len(self.screen_stack) == 1:
                self.switch_mode("ladder")
            self.call_after_refresh(self._get_ready)  # once the rows are there
        self._read_problem = ""
        self.estimates.learn(message.snapshot)
        self.snapshot = message.snapshot
        self._announcer.see(message.snapshot)
        self.minder.need(_has_work(message.snapshot))
        self._show_problem()

    def _restore_marks(self) -> None:
        """Takes over what was marked and pinned; marks of runs that are gone are dropped."""
        values, known = self.remembered.group("runs"), tuple(self.snapshot.by_id)
        marks, baseline = values.get("marks"), values.get("baseline")
        marks = marks if isinstance(marks, list) else []
        self.set_reactive(LabApp.marks, tuple(run_id for run_id in marks if run_id in known))
        self.set_reactive(LabApp.baseline, baseline if baseline in known else None)

    def _remember_marks(self) -> None:
        """Beside how the runs are listed, whichever screen marked them."""
        own = {"marks": list(self.marks), "baseline": self.baseline}
        self.remember("runs", {**self.remembered.group("runs"), **own})

    def watch_marks(self) -> None:
        """Has the marks remembered."""
        self._remember_marks()

    def watch_baseline(self) -> None:
        """Has the baseline remembered."""
        self._remember_marks()

    def _get_ready(self) -> None:
        """Looks after the worker, and prepares what is likely to be wanted next."""
        self.run_worker(self.minder.run, thread=True, group="minder", exit_on_error=False)
        self.run_worker(self._warm_up, thread=True, group="warm-up", exit_on_error=False)
        for path in sorted(SCREENS_FOLDER.glob("*.tcss")):
            self._chores.add(partial(self._read_style_sheet, path))
        self.set_interval(CHORE_SECONDS, self._chores.tick)

    def _read_style_sheet(self, path: Path) -> None:
        """At the first visit Textual would parse all anew."""
        if not self.stylesheet.has_source(str(path)):
            self.stylesheet.read(path)
            self.stylesheet.parse()

    def make_modes(self) -> None:
        """Has the widgets of every mode made in pauses: the first visit is then as quick as any other."""
        for mode in MODES:
            self._chores.add(partial(self._init_mode, mode.name))  # which does nothing where they are there

    def _warm_up(self) -> None:
        """Imports on a thread what other modes and charts need."""
        from lab.queue.forecast import known_seconds
        from lab.tui import chart_frame  # noqa: F401

        for mode in MODES:
            mode.import_screen()
        known_seconds(self.snapshot.runs)  # which keeps in mind what it read of each config
        if not self.is_headless:
            self._chores.take_over_garbage()
            self.call_later(self.make_modes)

    @on(ReadFailed)
    def _read_failed(self, message: ReadFailed) -> None:
        self._read_problem = message.reason
        gc.enable()
        self._show_problem()

    @on(WorkerChanged)
    def _worker_changed(self, message: WorkerChanged) -> None:
        if message.pid != self.worker:
            self._ended_before_worker = self._ended
            if message.pid is None and not self.minder.resting and _has_work(self.snapshot):
                self.notify("the worker ended with runs to do; another one takes over", severity="warning")
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
        waits = self.snapshot.storage_problem
        self.problem = self._read_problem or (f"training waits: {waits}" if waits else self._worker_problem)

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
                with self.edits.lock:  # one after another, in the order of asking
                    said = change()
                self.post_message(Edited(said))
            except LabError as error:
                self.post_message(Edited(str(error), failed=True))
            except SQLAlchemyError as error:
                self.post_message(Edited(f"not done: {getattr(error, 'orig', None) or error}", failed=True))

        self.run_worker(work, thread=True, group="edits", exit_on_error=False)

    def action_command_palette(self) -> None:
        """Opens the palette."""
        from lab.tui.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))  # the id by which Textual knows it

    def search_themes(self) -> None:
        """Opens the list of themes."""
        from lab.tui.palette import Palette

        self.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))

    def open_demo(self) -> None:
        """Leaves this database for the demo."""
        self.exit(OPEN_DEMO)

    def stop_worker(self) -> None:
        """Ends the background worker, on a thread."""

        def stop() -> str:
            from lab.queue import requests

            self.minder.rest()
            return "the worker has ended" if requests.stop_worker(self.database) else "there is no worker"

        self.edit(stop)


def _has_work(snapshot: Snapshot) -> bool:
    if snapshot.waiting and not snapshot.queue_paused:
        return True
    return any(run.trained_by == "worker" for run in snapshot.training)


def run_tui(database: Path, *, mode: str = "", ascii_charts: bool = False) -> int:
    """Runs lab on the screen until it is left; returns the exit status. Raises `StoreError` where there is no demo.

    Without a mode it opens on the runs, or where there are none on the ladder. Charts are ASCII where they have to be.
    """
    app = LabApp(database, mode=mode, ascii_charts=ascii_charts or needs_ascii(os.environ, output_encoding()))
    if app.run() == OPEN_DEMO:
        from lab.store.demo import demo_copy

        return run_tui(demo_copy(), mode="ladder", ascii_charts=ascii_charts)
    return app.return_code or 0
