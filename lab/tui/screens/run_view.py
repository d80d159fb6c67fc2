"""The run view: everything that is known of one run, live or stored, moved through by one step cursor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from lab.errors import LabError
from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.arrangement import PAGES, Arrangement
from lab.tui.chart_options import ChartOptions
from lab.tui.lineage import joined_curves, with_ancestors
from lab.tui.run_charts import VIEW_METRICS, trained_by
from lab.tui.run_story import figures_at, headline, sample_at, step_line, values_at, verdict
from lab.tui.screens.chart_actions import ChartActions, restored_options
from lab.tui.screens.pane_actions import PaneActions
from lab.tui.screens.queue_actions import QueueActions
from lab.tui.screens.step_actions import StepActions
from lab.tui.shown import Shown, file_stem, of_curves, of_run, of_text
from lab.tui.snapshot import Wanted
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.figures import Figures
from lab.tui.widgets.inside_pane import InsidePane
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.run_pages import RunFacts, make_page, show_page, tabs_text
from lab.tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from lab.store.run_store import RunRow, SampleRow

AGE_SECONDS = 5.0
SLIDER_SHARE = 0.2


class RunView(QueueActions, StepActions, ChartActions, PaneActions):
    """One run. Where the cursor is and how the panes are arranged live here; the widgets show it."""

    MODE = "run_view"
    CSS_PATH = "run_view.tcss"
    BINDINGS = bindings("run_view", priority=("next_pane", "previous_pane"))
    AUTO_FOCUS = ""

    options: reactive[ChartOptions] = reactive(ChartOptions, init=False)

    @dataclass
    class SamplesRead(Message):
        """The samples of the run were read, and of which steps it has checkpoints."""

        samples: tuple[SampleRow, ...]
        checkpoints: tuple[int, ...]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.samples: tuple[SampleRow, ...] | None = None
        self.checkpoints: tuple[int, ...] = ()
        """The steps of which there are checkpoints."""
        self._samples_at: tuple[object, ...] = ()
        self._sizes: dict[str, Size] = {}
        self._seen = False

    def compose(self) -> ComposeResult:
        """The headline, the panes, the values at the cursor, and how the run stands."""
        yield StatusBar(id="status")
        yield Static(id="headline", markup=False)
        yield Figures(id="figures")
        yield PaneStrip(PAGES, id="strip")
        with Container(id="cockpit"):
            for page in PAGES:
                yield make_page(page)
        yield Static(id="values", markup=False)
        yield Static(id="verdict", markup=False)
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self.note_composed()
        for name in ("snapshot", "loaded", "problem", "worker"):
            self.watch(self.app, name, self._app_changed)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._app_changed())
        self.screen_layout_refresh_signal.subscribe(self, lambda _: self._laid_out())
        self.set_interval(AGE_SECONDS, self._app_changed)
        self.lay_out_panes()
        self.pane_of(self.page).focus()

    def on_screen_resume(self) -> None:
        """What is wanted of the database may have been something else meanwhile."""
        self._app_changed()

    # How it was left

    def layout_values(self) -> dict[str, Any]:
        """Which page each pane holds, and how the charts are drawn."""
        return {**self.arrangement.to_plain(), "chart": asdict(self.options)}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes that over."""
        self.set_reactive(RunView.options, restored_options(values.get("chart")))
        self.restore_arrangement(Arrangement.from_plain(values))

    # What is looked at

    @property
    def run(self) -> RunRow | None:
        """The run, as it was last read; None where it is gone."""
        return self.lab.snapshot.by_id.get(self.run_id)

    @property
    def drawn(self) -> tuple[str, ...]:
        """Its curves are drawn."""
        return (self.run_id,)

    def pointed_at(self) -> list[str]:
        """What the current page is about."""
        about = {
            "loss": ["val", "train", "choices"],
            "lr": ["lr", "schedule"],
            "gradient": ["grad_norm"],
            "speed": ["chars/s"],
            "inside": ["saturated", "dead", "entropy", "update:data"],
            "sample": ["a sample"],
        }
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
            page = [of_text("log", self.query_one("#page-log", TextPane).plain, f"{file_stem(run.name)}-log.txt")]
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
            zoomed=self.arrangement.zoomed,
            loaded=self.lab.loaded,
        )

    # Showing it

    def _app_changed(self) -> None:
        if not (self.is_foremost and self.is_whole):
            return
        self.restore_once()
        run, snapshot = self.run, self.lab.snapshot
        drawn = with_ancestors(snapshot, [run.id]) if run else (self.run_id,)
        self.want(Wanted(curves=drawn, detail=self.run_id, metrics=VIEW_METRICS))
        self._read_samples()
        self.show_all()

    def _read_samples(self) -> None:
        """Reads the samples and the checkpoints' steps on a thread, once there are others."""
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
                store = lab.reader.store()
                steps = tuple(sorted({row.step for row in store.checkpoints(run_id)}))
                self.post_message(self.SamplesRead(tuple(store.samples(run_id)), steps))
            except (LabError, SQLAlchemyError):
                return  # the reader meets the same, and says so at the top

        self.run_worker(work, thread=True, exclusive=True, group="samples", exit_on_error=False)

    @on(SamplesRead)
    def _samples_read(self, event: SamplesRead) -> None:
        self.samples, self.checkpoints = event.samples, event.checkpoints
        self.show_all()

    def show_all(self) -> None:
        if not (self.is_mounted and self.is_whole):
            return
        self.lay_out_panes()
        run, look = self.run, self.look_of_app()
        colours = theme_colours(self.app.theme_variables)
        if run is None:
            self.query_one("#headline", Static).update(self._absence(look), layout=False)
            self.query_one("#values", Static).update("", layout=False)
            self.query_one("#verdict", Static).update("", layout=False)
        else:
            self._seen = True
            snapshot = self.lab.snapshot
            self.query_one("#headline", Static).update(headline(run, snapshot, look), layout=False)
            self.query_one("#verdict", Static).update(verdict(run, snapshot, look), layout=False)
            large = figures_at(run, joined_curves(snapshot, run), self.step) if self.in_large else ()
            self.query_one(Figures).show(large)
            self._show_values(run, look)
            self._show_pages(run, look)
        self.query_one(KeyBar).show(footer_actions(self.situation), colours)
        self.query_one(PaneStrip).show(PAGES.index(self.page), colours)
        self.show_status()

    def _absence(self, look: Look) -> Text:
        """Why there is no run to show."""
        if self._seen:
            return Text(" the run is gone: it was put away · esc goes back", look.colour("warning"))
        if self.lab.problem:
            return Text(" the database cannot be read: see lab doctor · esc goes back", look.colour("warning"))
        if self.lab.loaded and self.lab.snapshot.detail is not None:
            return Text(" there is no such run · esc goes back", look.colour("warning"))
        return Text(" reading…", look.colour("text-muted"))

    def _show_pages(self, run: RunRow, look: Look) -> None:
        snapshot = self.lab.snapshot
        detail = snapshot.detail
        facts = RunFacts(
            run=run,
            snapshot=snapshot,
            options=self.options,
            step=self.step,
            held=self.cursor is not None,
            samples=self.samples,
            checkpoints=self.checkpoints,
            events=detail.events if detail is not None and detail.run_id == run.id else None,
            look=look,
        )
        for page in self.shown_pages:
            pane = self.pane_of(page)
            heading = show_page(pane, page, facts)
            if page == "loss" and isinstance(pane, LossChart):
                heading = self.chart_heading(pane.content).plain
            pane.border_title = Text(heading)
            room = pane.size.width - 4
            current = page == self.page and not self.single
            pane.border_subtitle = tabs_text(page, self.shown_pages, room, look) if current else ""

    def _show_values(self, run: RunRow, look: Look) -> None:
        snapshot = self.lab.snapshot
        width = round(SLIDER_SHARE * self.app.size.width) if self.app.size.width >= 100 else 10
        held = self.cursor is not None
        said = step_line(run, self.step, held=held, playing=self.playing, width=width, look=look)
        trained = trained_by(snapshot, run, self.step)
        for name, value in values_at(trained, joined_curves(snapshot, run), self.step):
            said.append(f"{name} ", look.colour("text-muted"))
            said.append(f"{value}  ", "bold")
        self.query_one("#values", Static).update(said, layout=False)

    def on_resize(self, event: events.Resize) -> None:
        """Panes come and go with the room there is."""
        if self.is_mounted and self.is_whole:
            self.lay_out_panes()

    def _laid_out(self) -> None:
        """Texts and tabs are fitted to the panes once these have their sizes."""
        sizes = {page: self.pane_of(page).size for page in self.shown_pages} if self.is_whole else {}
        if sizes != self._sizes:
            self._sizes = sizes
            self.show_all()

    def watch_options(self) -> None:
        """The charts are drawn another way."""
        self.show_all()

    def watch_cursor(self) -> None:
        """Every pane follows."""
        self.show_all()

    def watch_playing(self, playing: bool) -> None:
        """The sign before the step says so."""
        super().watch_playing(playing)
        self.show_all()

    # Leaving

    def action_mode_runs(self) -> None:
        """Goes to the runs; where the run was opened from there, by leaving it."""
        if self.app.current_mode == "runs":
            self.dismiss()
        else:
            super().action_mode_runs()

    def action_back(self) -> None:
        """Leaves the zoom, or the run."""
        if self.arrangement.zoomed and not self.single:
            self.action_zoom()
        else:
            self.dismiss()

    # What can be done

    def action_continue_run(self) -> None:
        """Opens the form of a child run, of a run that is not being trained."""
        from lab.tui.screens.continue_run import ContinueScreen, why_not

        run, lab = self.run, self.lab
        refused = why_not(run)
        if run is None or refused:
            lab.notify(refused, severity="warning", markup=False)
            return

        def queued(child_id: str | None) -> None:
            if child_id:
                lab.minder.retry_now()
                self.open_run(child_id)

        self.app.push_screen(ContinueScreen(run), queued)

    # Scrolling

    def _scroll(self, how: str) -> None:
        pane = self.pane_of(self.page)
        if isinstance(pane, InsidePane):
            pane = pane.query_one(TextPane)
        if isinstance(pane, TextPane):
            getattr(pane, how)()

    def _down(self, by: int) -> None:
        pane = self.pane_of(self.page)
        if isinstance(pane, InsidePane):
            pane.turn_view(by)
        else:
            self._scroll("action_scroll_down" if by > 0 else "action_scroll_up")

    def action_cursor_down(self) -> None:
        """Moves the text; inside, shows the next view."""
        self._down(1)

    def action_cursor_up(self) -> None:
        """Moves the text; inside, shows the view before."""
        self._down(-1)

    def action_text_first(self) -> None:
        """Moves to the text's beginning."""
        self._scroll("action_scroll_home")

    def action_text_last(self) -> None:
        """Moves to the text's end."""
        self._scroll("action_scroll_end")
