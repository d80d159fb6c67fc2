"""What is told of the run under the cursor alone: its sample, its config, its log, one tab at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive
from textual.widgets import Static

from lab import text
from lab.tui.config_changes import config_changes
from lab.tui.snapshot import Detail
from lab.tui.widgets.run_columns import Look, shown_value, status_text

if TYPE_CHECKING:
    from lab.store.run_store import EventRow, RunRow

TABS = ("sample", "config", "log")
_EVENT_SIGNS = {"info": ("·", "text-muted"), "warning": ("!", "warning"), "error": ("✗", "error")}


class DetailPane(VerticalScroll):
    """Sample, config and log of one run."""

    tab: reactive[str] = reactive(TABS[0])

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._run: RunRow | None = None
        self._detail: Detail | None = None
        self._look = Look()
        self._shown: tuple[object, ...] = ()
        self._titles: tuple[object, ...] = ()
        self._written: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """One text, whatever the tab."""
        yield Static(markup=False)

    @property
    def plain(self) -> str:
        """What is shown, as mere text."""
        content = self.query_one(Static).content
        return content.plain if isinstance(content, Text) else str(content)

    def show(self, run: RunRow | None, detail: Detail | None, look: Look) -> None:
        """Shows a run; `detail` may be missing until it is read."""
        self._run, self._look = run, look
        if run is None or (detail is not None and detail.run_id == run.id):
            self._detail = detail  # else the former run's stays for the moment that reading takes
        self._redraw()

    def watch_tab(self) -> None:
        """Another tab starts at its top, the log at its end."""
        self._redraw()
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """The config is laid out by the width."""
        self._redraw()

    def on_click(self, event: events.Click) -> None:
        """A click on a tab's name in the border shows it."""
        if event.y != 0:
            return
        start = 2
        for name in TABS:
            if start <= event.x < start + len(name):
                self.tab = name
            start += len(name) + 3

    def _redraw(self) -> None:
        if not self.is_mounted:
            return
        run, detail, look = self._run, self._detail, self._look
        shown = (run, detail and (detail.sample, detail.events), self.tab, self.size.width, look.dark, look.colours)
        if shown == self._shown:
            return
        self._shown = shown
        if run is not None and detail is not None and detail.run_id != run.id and self.tab != "config":
            return
        title, subtitle = self._title(), self._subtitle()
        if (title, subtitle, subtitle.style) != self._titles:  # Textual would paint it anew
            self._titles = title, subtitle, subtitle.style
            self.border_title, self.border_subtitle = title, subtitle
        if run is None:
            content = Text("no run is selected", look.colour("text-muted"))
        elif self.tab == "config":
            content = config_text(run, look, self.scrollable_content_region.width)
        elif self.tab == "log":
            content = log_text(run, detail.events if detail else (), look)
        else:
            content = sample_text(run, detail, look)
        written = content, getattr(content, "style", "")  # equal texts of Rich's may differ in their style
        if written == self._written:
            return  # a run that gets on has the same sample and log as before: nothing is to be laid out
        self._written = written
        self.query_one(Static).update(content)
        if self.tab == "log":
            self.scroll_end(animate=False)

    def _title(self) -> Text:
        title = Text()
        for i, name in enumerate(TABS):
            if i:
                title.append(" · ", self._look.colour("border"))
            active = name == self.tab
            style = f"bold {self._look.colour('foreground')}" if active else self._look.colour("text-muted")
            title.append(name.capitalize(), style)
        return title

    def _subtitle(self) -> Text:
        if self._run is None:
            return Text()
        said = text.clip(text.literal(self._run.name), 30)
        sample = self._detail.sample if self._detail else None
        if self.tab == "sample" and sample is not None:
            said += f" at step {sample.step:,}"
        return Text(said, self._look.colour_of(self._run.id))


def sample_text(run: RunRow, detail: Detail | None, look: Look) -> Text:
    """What the run wrote last, as it is."""
    muted = look.colour("text-muted")
    if detail is None:
        return Text("reading…", muted)
    if detail.sample is None:
        waits = run.status in ("queued", "training")
        return Text("its first sample comes with its first evaluation" if waits else "it wrote no sample", muted)
    return Text(text.literal(detail.sample.text, lines=True))


def log_text(run: RunRow, events: tuple[EventRow, ...], look: Look) -> Text:
    """The run's log, oldest line first, and how it ended."""
    muted = look.colour("text-muted")
    said = Text()
    said.append_text(status_text(run, look))
    times = (("queued", run.created_at), ("started", run.started_at), ("ended", run.ended_at))
    facts = [f"{what} {_clock(at)}" for what, at in times if at]
    if run.seconds:
        facts.append(f"{text.duration(run.seconds)} of training")
    if run.device:
        threads = f", {text.plural(run.threads, 'thread')}" if run.threads else ""
        facts.append(f"{text.literal(run.device)} {text.literal(run.precision or '')}{threads}")
    said.append("  " + " · ".join(facts), muted)
    if run.error:
        said.append("\n" + text.literal(run.error, lines=True), look.colour("error"))
    said.append("\n")
    for event in events:
        sign, colour = _EVENT_SIGNS.get(event.level, _EVENT_SIGNS["info"])
        said.append(f"\n{_clock(event.at)} {event.step:>8,} ", muted)
        said.append(f"{sign} ", look.colour(colour))
        said.append(text.literal(event.text), "" if event.level == "info" else look.colour(colour))
    return said


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


LONGEST_VALUE = 40


def config_text(run: RunRow, look: Look, width: int) -> Text:
    """The fields that the run's model reads, in columns; those that differ from its stage first and emphasised."""
    from lab.config.run_config import RunConfig, models_that_read
    from lab.errors import ConfigError

    if run.kind == "external":
        said = Text("trained by another program\n\n", look.colour("text-muted"))
        fields = [(text.literal(key), text.literal(shown_value(value))) for key, value in run.settings.items()]
        said.append_text(in_columns(fields, look, width) if fields else Text("it came without a config"))
        return said
    try:
        config = run.config
    except ConfigError as error:
        return Text(text.literal(str(error)), look.colour("error"))
    changes = config_changes(run.config_json)
    said = Text()
    said.append(text.literal(config.stage), "bold")
    said.append(f"   {text.si(run.parameters)} parameters" if run.parameters else "", look.colour("text-muted"))
    said.append(f"   {text.literal(run.id)}\n", look.colour("text-muted"))
    if changes:
        said.append("\nchanged against its stage\n", look.colour("accent"))
        for name, value in changes.items():
            said.append(f"  {name} ", look.colour("text-muted"))
            said.append(f"{text.literal(value)}\n", f"bold {look.colour('accent')}")
    fields = [
        (name, text.clip(text.literal(shown_value(getattr(config, name))), LONGEST_VALUE))
        for name, field in RunConfig.model_fields.items()
        if name not in changes and name != "stage" and config.model in models_that_read(field)
    ]
    said.append("\n")
    said.append_text(in_columns(fields, look, width))
    return said


def in_columns(fields: list[tuple[str, str]], look: Look, width: int) -> Text:
    """Names and values under each other, in as many columns as there is room for."""
    if not fields:
        return Text()
    name_width = max(len(name) for name, _ in fields) + 1
    value_width = min(16, max(len(value) for _, value in fields)) + 2
    columns = max(1, width // (name_width + value_width))
    rows = -(-len(fields) // columns)
    said = Text()
    for row in range(rows):
        for name, value in fields[row::rows]:
            said.append(name.ljust(name_width), look.colour("text-muted"))
            said.append(text.clip(value, value_width - 1).ljust(value_width) if columns > 1 else value)
        said.append("\n")
    return said
