"""The LR finder: sweeps by stage, the curve of one over log lr, and the rates it suggests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import OptionList, Static

from lab import text
from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.chart_content import ChartContent
from lab.tui.screens.queue_actions import QueueActions
from lab.tui.screens.strip_panes import StripPanes
from lab.tui.sweeps import SweepView, beside, said_lr, sweep_content
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.sweep_lists import RateList, SweepList

if TYPE_CHECKING:
    from lab.config.own_model import OwnSource
    from lab.store.run_store import RunRow

FAR = 10
CURSOR_STEPS = 120
"""Places of the cursor from one end of the range to the other."""


class LRFinderScreen(QueueActions, StripPanes):
    """Which sweep is looked at lives in the list; what is known of each is read on a thread."""

    MODE = "lr_finder"
    CSS_PATH = "lr_finder.tcss"
    BINDINGS = bindings("lr_finder", priority=("next_pane", "previous_pane"))
    PANES = ("sweeps", "sweep-chart", "rates")
    AUTO_FOCUS = "#sweeps"

    pane: var[str] = var("sweeps", init=False)

    def __init__(self) -> None:
        super().__init__()
        self.cursor: int | None = None
        """The cursor's place on the chart, from 0 to `CURSOR_STEPS`."""
        self._shown: str | None = None
        """The sweep that the cursor is on the chart of."""
        self._prefer: str | None = None

    def compose(self) -> ComposeResult:
        """Sweeps on the left; the curve over the suggestions on the right."""
        yield StatusBar(id="status")
        yield PaneStrip(("sweeps", "curve", "rates"), id="strip")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield SweepList(id="sweeps")
                yield Static(id="no-sweeps", markup=False)
            with Vertical(id="right"):
                yield LossChart(id="sweep-chart")
                with Vertical(id="found"):
                    yield RateList(id="rates")
                    yield Static(id="sweep-said", markup=False)
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self.follow()

    # What is looked at

    @property
    def views(self) -> Mapping[str, SweepView]:
        """Every sweep."""
        return self.lab.snapshot.sweeps

    @property
    def sweep(self) -> SweepView | None:
        """The sweep under the cursor."""
        return self.views.get(self.query_one(SweepList).sweep_id or "")

    @property
    def run(self) -> RunRow | None:
        """Its run, as it stands now."""
        sweep = self.sweep
        return self.lab.snapshot.by_id.get(sweep.run.id, sweep.run) if sweep else None

    @property
    def rate(self) -> float | None:
        """The learning rate that enter would use: under the cursor of the chart, or of the suggestions."""
        if self.pane == "sweep-chart":
            return self._cursor_lr()
        return self.query_one(RateList).rate

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        return Situation(
            mode=self.MODE,
            status=self.run.status if self.run else None,
            runs=len(self.views),
            undo=self.lab.edits.next_undo,
            pane=self.pane,
            single_pane=self.single,
            zoomed=self.zoomed,
            loaded=self.lab.loaded,
            rate_chosen=self.pane != "sweeps" and self.rate is not None,
        )

    def layout_values(self) -> dict[str, Any]:
        """Which pane has how much room."""
        return {"pane": self.pane, "zoomed": self.zoomed}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes that over."""
        if values.get("pane") in self.PANES:
            self.set_reactive(LRFinderScreen.zoomed, values.get("zoomed") is True)
            self.go_to(values["pane"])

    # Showing it

    def show_app(self) -> None:
        """Shows what is known now."""
        self.show_panes()
        self.show_sweeps()

    def show_sweeps(self) -> None:
        """Shows the list, and what is known of the sweep under its cursor."""
        look, sweeps = self.look_of_app(), self.query_one(SweepList)
        sweeps.show(self.views, look, prefer=self._prefer)
        if self._prefer in self.views:
            self._prefer = None
        empty = self.query_one("#no-sweeps", Static)
        empty.border_title = sweeps.border_title
        empty.update(self._hint())
        empty.display = not self.views
        self._show_sweep()

    def _hint(self) -> Text:
        colours = theme_colours(self.app.theme_variables)
        if not self.lab.loaded:
            return Text(self.lab.opening, colours["text-muted"])
        said = Text.assemble(("No LR sweep yet. ", "bold"))
        said.append("n", f"bold {colours['accent']}")
        said.append(" starts one: it takes some seconds for a small stage.\n\n")
        said.append(
            "The learning rate rises step by step while a fresh model trains. Where the loss begins to fall, a rate is "
            "useful; where it breaks, training is no longer stable. Several seeds tell chance from the rest.",
            colours["text-muted"],
        )
        return said

    def _show_sweep(self) -> None:
        sweep_id = self.query_one(SweepList).sweep_id
        if sweep_id != self._shown:  # not at each news of the list, which is written anew now and then
            self._shown, self.cursor = sweep_id, None
        view, look = self.sweep, self.look_of_app()
        chart = self.query_one(LossChart)
        if view is None:
            chart.show(ChartContent(("none", self.lab.loaded), nothing="n starts a sweep" if self.lab.loaded else ""))
        else:
            other = beside(view, self.views)
            chart.show(sweep_content(view, other, look, cursor=self._cursor_lr()))
        of_run = f" · {text.literal(self.run.name)}" if self.run is not None else ""
        chart.set_heading(Text(f"Loss over learning rate{of_run}"))
        self.query_one("#found").border_title = Text(f"Rates{of_run}")
        self.query_one(RateList).show(view, look)
        self.query_one(RateList).display = bool(view and view.reading and view.reading.suggestions)
        self.query_one("#sweep-said", Static).update(self._said(view))
        self.show_bars()

    def _said(self, view: SweepView | None) -> Text:
        """What is to be said of a sweep beside its suggestions."""
        colours = theme_colours(self.app.theme_variables)
        muted = colours["text-muted"]
        run, said = self.run, Text()
        if view is None or run is None:
            return said
        reading = view.reading
        if reading is not None and reading.useful is not None:
            low, high = reading.useful
            said.append("useful ", muted)
            said.append(f"from {said_lr(low)} to {said_lr(high)}", f"bold {colours['success']}")
            said.append(", the edge of stability\n", muted)
        over = run.status in ("finished", "stopped")
        if reading is not None and reading.suggestion is None and over:
            said.append(f"no suggestion: {reading.reason}\n", colours["warning"])
        if reading is not None and reading.remark and over:
            said.append(f"{reading.remark}\n", colours["warning"])
        if run.error:
            said.append(f"{run.status}: {text.literal(run.error)}\n", colours["error"])
        if not over and not run.error:
            said.append(f"{'waiting' if run.status == 'queued' else run.status} · ", colours["primary"])
        other = beside(view, self.views)
        span = f"{said_lr(view.spec.lowest)} to {said_lr(view.spec.highest)}"
        said.append(f"{view.spec.method} from {span}, {text.plural(view.spec.seeds, 'seed')}", muted)
        said.append(f" · step {run.step:,} of {run.steps:,}", muted)
        if other is None:
            missing = "runs" if view.spec.method == "ramp" else "ramp"
            said.append(f" · check it by the other method: n, method {missing}", muted)
        return said

    def show_bars(self) -> None:
        """Shows the keys and the status."""
        colours = theme_colours(self.app.theme_variables)
        self.query_one(KeyBar).show(footer_actions(self.situation), colours)
        self.query_one(PaneStrip).show(self.PANES.index(self.pane), colours)
        self.show_status()

    # Panes

    def show_panes(self) -> None:
        """Shows the panes that there is room for."""
        alone = self.single or self.zoomed
        self.show_size()
        self.set_class(self.single, "-single")
        self.set_class(alone, "-alone")
        none = self.lab.loaded and not self.views
        self.set_class(none, "-none")
        shown = {
            "left": none or not alone or self.pane == "sweeps",
            "right": not none and (not alone or self.pane != "sweeps"),
            "sweep-chart": not alone or self.pane == "sweep-chart",
            "found": not alone or self.pane == "rates",
        }
        for name, is_shown in shown.items():
            self.query_one(f"#{name}").display = is_shown

    # Moving

    @on(OptionList.OptionHighlighted, "#sweeps")
    def _sweep_chosen(self) -> None:
        if self.is_whole:
            self._show_sweep()

    def _move(self, list_action: str) -> None:
        target: Widget = self.query_one("#rates" if self.pane == "rates" else "#sweeps")
        getattr(target, list_action)()

    def action_cursor_down(self) -> None:
        """Moves down."""
        self._move("action_cursor_down")

    def action_cursor_up(self) -> None:
        """Moves up."""
        self._move("action_cursor_up")

    def action_cursor_first(self) -> None:
        """Moves to the first."""
        self._move("action_first")

    def action_cursor_last(self) -> None:
        """Moves to the last."""
        self._move("action_last")

    def _cursor_lr(self) -> float | None:
        view = self.sweep
        if self.cursor is None or view is None:
            return None
        low, high = np.log10([view.spec.lowest, view.spec.highest])
        return float(10 ** (low + (high - low) * self.cursor / CURSOR_STEPS))

    def action_step_forward(self, by: int = 1) -> None:
        """Moves the cursor on the chart; it starts at the suggestion."""
        view = self.sweep
        if view is None or view.reading is None:
            return
        if self.cursor is None:
            start = view.reading.suggestion or view.spec.lowest
            low, high = np.log10([view.spec.lowest, view.spec.highest])
            self.cursor = round(float((np.log10(start) - low) / (high - low)) * CURSOR_STEPS)
        else:
            self.cursor += by
        self.cursor = min(max(self.cursor, 0), CURSOR_STEPS)
        if self.pane == "sweeps":
            self.go_to("sweep-chart")
        self._show_sweep()

    def action_step_back(self) -> None:
        """Moves the cursor on the chart back."""
        self.action_step_forward(-1)

    def action_step_forward_far(self) -> None:
        """Far on."""
        self.action_step_forward(FAR)

    def action_step_back_far(self) -> None:
        """Far back."""
        self.action_step_forward(-FAR)

    # Starting one, using one

    def action_new_sweep(self) -> None:
        """Opens the composer of sweeps, on the stage of the one under the cursor."""
        from lab.config.ladder import STAGES_BY_NAME
        from lab.tui.screens.sweep_composer import SweepComposerScreen
        from lab.tui.sweep_draft import SweepDraft

        run = self.run
        stage = run.stage if run is not None and run.stage in STAGES_BY_NAME else "bigram"

        def queued(run_id: str | None) -> None:
            if run_id:
                self._prefer = run_id
                self.lab.minder.retry_now()

        self.app.push_screen(SweepComposerScreen(SweepDraft(stage)), queued)

    @on(OptionList.OptionSelected, "#rates")
    def action_use_rate(self) -> None:
        """Opens the composer with the rate under the cursor; from the list of sweeps goes to the suggestions first."""
        from dataclasses import replace

        from lab.config.lr_sweep import at_rate
        from lab.tui.drafts import Draft

        view, rate = self.sweep, self.rate
        if view is None or rate is None:
            return
        rates = {key: said_lr(value) for key, value in at_rate(view.run.config, rate).items()}

        def draft_of(run: RunRow, source: OwnSource | None) -> Draft:
            draft = Draft.of_run(run, source)
            kept = [word for word in draft.change.split() if word.partition("=")[0] not in rates]
            change = " ".join([*kept, *(f"{key}={value}" for key, value in rates.items())])
            return replace(draft, change=change, seeds="")

        self._compose_from(view.run, draft_of)

    @on(OptionList.OptionSelected, "#sweeps")
    def _sweep_entered(self) -> None:
        if self.query_one(RateList).rate is not None:
            self.go_to("rates")
