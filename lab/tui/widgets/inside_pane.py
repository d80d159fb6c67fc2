"""What goes on inside the model, layer by layer, at the step of the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.widgets import Static

from lab.errors import ConfigError, LabError
from lab.tui.inside import CHARTED, VIEWS, InsideFacts, view_chart, view_text
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


class InsidePane(Container, can_focus=True):
    """Activations, gradients, updates and findings of one run, one view at a time.

    It is told which run and which step; it reads what it shows, on a thread, once there are other snapshots.
    """

    DEFAULT_CSS = """
    InsidePane { layout: vertical; }
    InsidePane > .views { height: 1; width: 100%; }
    InsidePane > TextPane, InsidePane > LossChart { height: 1fr; }
    InsidePane > TextPane { border: none; padding: 0; }
    """

    @dataclass
    class InsideRead(Message):
        """The histograms and findings of a run were read, or could not be."""

        facts: InsideFacts | None

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.border_title = Text("Inside")
        self.view = VIEWS[0]
        self.facts: InsideFacts | None = None
        """None until they are read."""
        self._wanted: tuple[object, ...] = ()
        self._reading = False
        """One read at a time: a run whose looks come faster than they are read is shown as it was a moment ago."""
        self._shown: tuple[RunRow, int, Look] | None = None

    def compose(self) -> ComposeResult:
        """The names of the views, and a text or a chart."""
        yield Static(classes="views", markup=False)
        yield TextPane("", id=f"{self.id}-text")
        yield LossChart(id=f"{self.id}-chart")

    def on_mount(self) -> None:
        """The pane has the keys, not its parts."""
        for part in self.query("TextPane, LossChart"):
            part.can_focus = False
        self._draw()

    def show_step(self, run: RunRow, step: int, look: Look) -> None:
        """Shows a run as it was at a step."""
        self._shown = run, step, look
        interval = _interval(run)
        wanted = (run.id, run.attempt, run.status, run.step // interval if interval else 0, run.step > 0)
        if wanted != self._wanted:
            if self._wanted[:1] != wanted[:1]:
                self.facts = None
            self._wanted = wanted
            if not self._reading:
                self._read(run, wanted)
        self._draw()

    def turn_view(self, by: int) -> None:
        """Shows another of the views."""
        self.view = VIEWS[(VIEWS.index(self.view) + by) % len(VIEWS)]
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Fits the drawings to the new width."""
        self._draw()

    def _read(self, run: RunRow, key: tuple[object, ...]) -> None:
        reader = self.app.reader  # type: ignore[attr-defined]
        self._reading = True

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            from lab.analysis.seen import hidden_parts
            from lab.reports.run_findings import findings_of
            from lab.store.histograms import read_histograms

            try:
                histograms = read_histograms(reader.store(), run.id)
                found = findings_of(reader.store(), run, histograms)
            except (LabError, SQLAlchemyError):  # the reader meets the same, and says so at the top
                self.post_message(self.InsideRead(None))
                return
            parts = hidden_parts(run.settings.get("dropout"))
            self.post_message(self.InsideRead(InsideFacts(key, tuple(histograms), found, parts)))

        self.run_worker(work, thread=True, group="inside", exit_on_error=False)

    @on(InsideRead)
    def _facts_read(self, event: InsideRead) -> None:
        event.stop()
        self._reading = False
        facts = event.facts
        if facts is not None and facts.key[0] == self._wanted[0]:
            self.facts = facts
            self._draw()
        if facts is not None and facts.key != self._wanted and self._shown is not None:
            self._read(self._shown[0], self._wanted)

    def _draw(self) -> None:
        if self._shown is None or not self.is_mounted:
            return
        run, step, look = self._shown
        text, chart = self.query_one(TextPane), self.query_one(LossChart)
        self.query_one(".views", Static).update(_views(self.view, self.facts, look), layout=False)
        recorded = self.facts is not None and bool(self.facts.histograms)
        charted = recorded and self.view in CHARTED
        text.display, chart.display = not charted, charted
        if self.facts is None or not (recorded or (self.view == "findings" and run.kind == "training")):
            text.show(_nothing(run, self.facts is None, look), (run.id, run.status, self.facts is None, look.dark))
        elif charted:
            chart.show(view_chart(self.view, self.facts, step, look))
        else:
            width = text.scrollable_content_region.width or self.size.width
            key = (self.view, self.facts.key, step, width, look.dark)
            text.show(view_text(self.view, self.facts, step, width, look), key)


def _views(view: str, facts: InsideFacts | None, look: Look) -> Text:
    """The names of the views, the shown one standing out, and how much was found."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for name in VIEWS:
        found = len(facts.findings) if facts is not None and name == "findings" else 0
        style = f"bold {look.colour('primary')}" if name == view else look.colour("warning" if found else "text-muted")
        line.append(f"{name} ({found})" if found else name, style)
        line.append("  " if name != VIEWS[-1] else "")
    return line


def _interval(run: RunRow) -> int:
    """Steps between looks inside the model; 0 where there are none, 1 where the config cannot be read."""
    try:
        return run.config.diagnostics_interval
    except ConfigError:
        return 1


def _nothing(run: RunRow, reading: bool, look: Look) -> Text:
    """What is said while there is nothing to show."""
    said = Text()
    if reading:
        said.append("reading …\n", "dim")
    elif run.kind != "training":
        said.append("only runs that lab trains are looked into\n", look.colour("text-muted"))
    elif not _interval(run):
        said.append("diagnostics_every=0: nothing is recorded of its layers\n", look.colour("text-muted"))
    elif run.status in ("queued", "training"):
        said.append("its layers are looked into at each evaluation\n", look.colour("text-muted"))
    else:
        said.append("nothing was recorded of its layers\n", look.colour("text-muted"))
    return said
