"""The run view: everything that is known of one run, live or stored, moved through by one step cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from lab import text
from lab.errors import LabError
from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.curves import ChartOptions
from lab.tui.run_story import (
    cursor_unit,
    headline,
    loss_content,
    loss_key,
    rate_content,
    sample_at,
    schedule_text,
    values_at,
)
from lab.tui.screens.chart_actions import ChartActions
from lab.tui.screens.queue_actions import QueueActions
from lab.tui.shown import Shown, file_stem, of_curves, of_run, of_text
from lab.tui.snapshot import Wanted
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.detail_pane import config_text, log_text
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.text_pane import plain_text

if TYPE_CHECKING:
    from lab.store.run_store import RunRow, SampleRow

FAR = 10
AGE_SECONDS = 5.0
PAGES = ("loss", "learning rate", "sample", "config", "log")
_WIDGETS = {
    "loss": "view-loss", "learning rate": "view-rate", "sample": "view-sample", "config": "view-facts",
    "log": "view-facts",
}  # fmt: skip


class RunView(QueueActions, ChartActions):
    """One run. Where the cursor is and which page is current live here; the widgets show it."""

    MODE = "run_view"
    CSS_PATH = "run_view.tcss"
    BINDINGS = bindings("run_view", priority=("next_pane", "previous_pane"))
    AUTO_FOCUS = "#view-loss"

    options: reactive[ChartOptions] = reactive(ChartOptions, init=False)
    cursor: reactive[int | None] = reactive(None, init=False)
    """The step that is looked at; None: the newest."""
    page: reactive[str] = reactive("loss", init=False)
    zoomed: reactive[bool] = reactive(False, init=False)

    @dataclass
    class SamplesRead(Message):
        """The samples of the run were read."""

        samples: tuple[SampleRow, ...]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.samples: tuple[SampleRow, ...] | None = None
        self.facts_tab = "config"
        self._samples_at: tuple[object, ...] = ()
        self._facts_shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """The headline, the four panes, and the values at the cursor."""
        yield StatusBar(id="status")
        yield Static(id="headline", markup=False)
        yield PaneStrip(PAGES, id="strip")
        with Horizontal(id="cockpit"):
            with Vertical(id="view-left"):
                yield LossChart(id="view-loss").add_class("pane")
                yield LossChart(id="view-rate").add_class("pane")
            with Vertical(id="view-right"):
                for name in ("view-sample", "view-facts"):
                    with VerticalScroll(id=name, classes="pane"):
                        yield Static(markup=False)
        yield Static(id="values", markup=False)
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self.note_composed()
        for name in ("snapshot", "loaded", "problem", "worker"):
            self.watch(self.app, name, self._app_changed)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._app_changed())
        self.set_interval(AGE_SECONDS, self._app_changed)

    def on_screen_resume(self) -> None:
        """What is wanted of the database may have been something else meanwhile."""
        self._app_changed()

    # What is looked at

    @property
    def run(self) -> RunRow | None:
        """The run, as it was last read; None where it is gone."""
        return next((run for run in self.lab.snapshot.runs if run.id == self.run_id), None)

    @property
    def drawn(self) -> tuple[str, ...]:
        """Its curves are drawn."""
        return (self.run_id,)

    @property
    def step(self) -> int:
        """The step that every pane shows: the cursor's, or the newest."""
        run = self.run
        newest = run.step if run else 0
        return newest if self.cursor is None else min(self.cursor, newest)

    def pointed_at(self) -> list[str]:
        """What the current page is about."""
        about = {"loss": ["val", "train", "choices"], "learning rate": ["lr", "schedule"], "sample": ["a sample"]}
        return [*about.get(self.page, ["status"]), self.run.stage if self.run else ""]

    def in_view(self) -> list[str]:
        """The numbers at the cursor, and the lines of the chart."""
        return ["step", "train", "val", "choices", "lr", "chars/s", "guessing evenly", "bigram by counting", "smoothed"]

    def shown(self) -> list[Shown]:
        """What the current page shows, and what there is of the run."""
        run = self.run
        if run is None:
            return []
        page: list[Shown] = []
        if self.page == "sample" and (sample := sample_at(self.samples or (), self.step)) is not None:
            page = [of_text(f"sample at step {sample.step:,}", sample.text, f"{file_stem(run.name)}-sample.txt")]
        elif self.page == "log":
            log = plain_text(self.query_one("#view-facts Static", Static).content, 0)
            page = [of_text("log", log, f"{file_stem(run.name)}-log.txt")]
        return [*page, *of_run(run), *of_curves(self.lab.snapshot, self.drawn)]

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        run = self.run
        return Situation(
            mode=self.MODE,
            status=run.status if run else None,
            runs=len(self.lab.snapshot.runs),
            undo=self.lab.edits.next_undo,
            pane=self.page,
            single_pane=self.single,
            zoomed=self.zoomed,
            loaded=self.lab.loaded,
        )

    def look(self) -> Look:
        """What colours and ages depend on."""
        snapshot = self.lab.snapshot
        waiting = [run for run in snapshot.runs if run.status == "queued"]
        waiting.sort(key=lambda run: run.queue_position or 0.0)
        return Look(
            now=self.lab.clock(),
            dark=self.app.current_theme.dark,
            colours=theme_colours(self.app.theme_variables),
            slots=snapshot.slots,
            places={run.id: place for place, run in enumerate(waiting, start=1)},
        )

    # Showing it

    def _app_changed(self) -> None:
        if not (self.is_current and self.is_whole):
            return
        self.lab.reader.want(Wanted(curves=(self.run_id,), detail=self.run_id))
        self._read_samples()
        self._show()

    def _read_samples(self) -> None:
        """Reads the samples on a thread, once there are others."""
        lab, run_id, detail = self.lab, self.run_id, self.lab.snapshot.detail
        run = self.run
        if run is None or detail is None or detail.run_id != run_id:
            return
        newest = (run.attempt, run.status, detail.sample and detail.sample.step)
        if newest == self._samples_at:
            return
        self._samples_at = newest

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                self.post_message(self.SamplesRead(tuple(lab.reader.store().samples(run_id))))
            except (LabError, SQLAlchemyError):
                return  # the reader meets the same, and says so at the top

        self.run_worker(work, thread=True, exclusive=True, group="samples", exit_on_error=False)

    @on(SamplesRead)
    def _samples_read(self, event: SamplesRead) -> None:
        self.samples = event.samples
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        self._arrange()
        run, look = self.run, self.look()
        colours = theme_colours(self.app.theme_variables)
        if run is None:
            said = "the run is gone: it was put away" if self.lab.loaded else "opening the database…"
            self.query_one("#headline", Static).update(Text(f" {said}", look.colour("warning")))
        else:
            self.query_one("#headline", Static).update(headline(run, look), layout=False)
            self._show_charts(run, look)
            self._show_sample(run, look)
            self._show_facts(run, look)
            self._show_values(run, look)
        self.query_one(KeyBar).show(footer_actions(self.situation), colours)
        self.query_one(PaneStrip).show(PAGES.index(self.page), colours)
        self.show_status()

    def _show_charts(self, run: RunRow, look: Look) -> None:
        loss, rate = self.query_one("#view-loss", LossChart), self.query_one("#view-rate", LossChart)
        snapshot = self.lab.snapshot
        at = None if self.cursor is None else self.step
        if loss.content.key != loss_key(snapshot, run, self.options, at, look):
            content = loss_content(snapshot, run, self.options, at, look)
            loss.show(content)
            loss.border_title = self.chart_heading(content)
        rate.show(rate_content(run, self.options, self.step, look))
        rate.border_title = Text(schedule_text(run, self.step))

    def _show_sample(self, run: RunRow, look: Look) -> None:
        pane = self.query_one("#view-sample", VerticalScroll)
        sample = sample_at(self.samples, self.step) if self.samples is not None else None
        pane.border_title = Text(f"Sample at step {sample.step:,}" if sample else "Sample")
        muted = look.colour("text-muted")
        if sample is not None:
            said = Text(text.literal(sample.text, lines=True))
        elif self.samples is None:
            said = Text("reading…", muted)
        elif self.samples:
            said = Text(f"its first sample is of step {self.samples[0].step:,}", muted)
        elif run.status in ("queued", "training"):
            said = Text("its first sample comes with its first evaluation", muted)
        else:
            said = Text("it wrote no sample", muted)
        pane.query_one(Static).update(said)

    def _show_facts(self, run: RunRow, look: Look) -> None:
        pane = self.query_one("#view-facts", VerticalScroll)
        detail = self.lab.snapshot.detail
        known = detail.events if detail is not None and detail.run_id == run.id else ()
        width = pane.scrollable_content_region.width
        shown = (run, known, self.facts_tab, width, look.dark, tuple(look.colours.values()))
        if shown == self._facts_shown:
            return
        self._facts_shown = shown
        title = Text()
        for name in ("config", "log"):
            current = name == self.facts_tab
            style = f"bold {look.colour('foreground')}" if current else look.colour("text-muted")
            title.append(f"{' · ' if title else ''}", look.colour("border"))
            title.append(name.capitalize(), style)
        pane.border_title = title
        content = log_text(run, known, look) if self.facts_tab == "log" else config_text(run, look, width)
        pane.query_one(Static).update(content)
        if self.facts_tab == "log":
            pane.scroll_end(animate=False)

    def _show_values(self, run: RunRow, look: Look) -> None:
        muted = look.colour("text-muted")
        said = Text(" ", no_wrap=True, overflow="ellipsis")
        said.append("◆ " if self.cursor is not None else "● ", look.colour("accent"))
        for name, value in values_at(run, self.lab.snapshot.curves.get(run.id, {}), self.step):
            said.append(f"{name} ", muted)
            said.append(f"{value}   ", "bold")
        self.query_one("#values", Static).update(said, layout=False)

    def _arrange(self) -> None:
        """Shows the panes that there is room for."""
        alone = self.single or self.zoomed
        self.show_size()
        self.set_class(self.single, "-single")
        self.set_class(alone, "-alone")
        current = _WIDGETS[self.page]
        shown = {name: not alone or name == current for name in _WIDGETS.values()}
        shown["view-left"] = shown["view-loss"] or shown["view-rate"]
        shown["view-right"] = shown["view-sample"] or shown["view-facts"]
        for name, is_shown in shown.items():
            self.query_one(f"#{name}").display = is_shown

    def on_resize(self, event: events.Resize) -> None:
        """Panes come and go with the room there is."""
        if self.is_mounted:
            self._arrange()
            self.call_after_refresh(self._show)

    def watch_options(self) -> None:
        """The chart is drawn another way."""
        self._show()

    def watch_cursor(self) -> None:
        """Every pane follows."""
        self._show()

    # The cursor

    def action_step_forward(self, units: int = 1) -> None:
        """Moves the cursor on; at the newest step it goes along with the run."""
        run = self.run
        if run is None:
            return
        unit = cursor_unit(run)
        place = self.step // unit if units > 0 else -(-self.step // unit)
        target = max(0, (place + units) * unit)
        self.cursor = None if target >= run.step else target

    def action_step_back(self) -> None:
        """Moves the cursor back."""
        self.action_step_forward(-1)

    def action_step_forward_far(self) -> None:
        """Moves it on by ten."""
        self.action_step_forward(FAR)

    def action_step_back_far(self) -> None:
        """Moves it back by ten."""
        self.action_step_forward(-FAR)

    # Panes

    def go_to(self, page: str) -> None:
        """Shows a page and gives it the keys."""
        self.page = page
        if page in ("config", "log"):
            self.facts_tab = page
        self._show()
        self.query_one(f"#{_WIDGETS[page]}").focus()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane that has the keys is the current one."""
        pages = [page for page in PAGES if _WIDGETS[page] == event.widget.id]
        if self.is_whole and pages and self.page not in pages:
            self.page = self.facts_tab if len(pages) > 1 else pages[0]
            self._show()

    @on(PaneStrip.Chosen)
    def _strip_clicked(self, event: PaneStrip.Chosen) -> None:
        self.go_to(PAGES[event.place])

    def action_next_pane(self, by: int = 1) -> None:
        """Goes to the next pane; where one fills the screen, to the next page."""
        pages = PAGES if self.single else (*PAGES[:3], self.facts_tab)
        self.go_to(pages[(pages.index(self.page) + by) % len(pages)])

    def action_previous_pane(self) -> None:
        """Goes to the pane before."""
        self.action_next_pane(-1)

    def action_next_tab(self) -> None:
        """Config or log."""
        self.facts_tab = "log" if self.facts_tab == "config" else "config"
        if self.single or self.zoomed or self.page in ("config", "log"):
            self.go_to(self.facts_tab)
        else:
            self._show()

    def action_previous_tab(self) -> None:
        """Config or log."""
        self.action_next_tab()

    def action_zoom(self) -> None:
        """Gives the pane the whole screen, or gives it back."""
        if not self.single:
            self.zoomed = not self.zoomed
            self._show()

    def action_mode_runs(self) -> None:
        """Goes to the runs; where the run was opened from there, by leaving it."""
        if self.app.current_mode == "runs":
            self.dismiss()
        else:
            super().action_mode_runs()

    def action_back(self) -> None:
        """Leaves the zoom, or the run."""
        if self.zoomed:
            self.action_zoom()
        else:
            self.dismiss()

    # Scrolling

    def _scroll(self, how: str) -> None:
        pane = self.query_one(f"#{_WIDGETS[self.page]}")
        if isinstance(pane, VerticalScroll):
            getattr(pane, how)()

    def action_cursor_down(self) -> None:
        """Moves the text."""
        self._scroll("action_scroll_down")

    def action_cursor_up(self) -> None:
        """Moves the text."""
        self._scroll("action_scroll_up")

    def action_cursor_first(self) -> None:
        """Moves to the text's beginning."""
        self._scroll("action_scroll_home")

    def action_cursor_last(self) -> None:
        """Moves to the text's end."""
        self._scroll("action_scroll_end")
