"""A run and its twin that differs in one thing: both curves, what both wrote, and how they stand, live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import var
from textual.widgets import Static

from lab import text
from lab.analysis.race import Standing, standing
from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.chart_options import ChartOptions
from lab.tui.comparison_charts import Drawing, overlay, step_at
from lab.tui.comparisons import BY_RUN, VAL, CompareWanted, ComparisonView
from lab.tui.config_changes import changes_text
from lab.tui.screens.chart_actions import ChartActions
from lab.tui.screens.queue_actions import QueueActions
from lab.tui.shown import Shown, of_run, of_text
from lab.tui.snapshot import Wanted
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, StatusBar
from lab.tui.widgets.compare_pages import samples_remark, samples_text
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_columns import Look, status_text
from lab.tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from lab.queue.break_requests import Pair
    from lab.store.run_store import RunRow

METRICS = (VAL, "train/loss")
AGE_SECONDS = 5.0


class RaceScreen(QueueActions, ChartActions):
    """Two runs on the same batches. The keys that change a run are for the twin."""

    MODE = "race"
    CSS_PATH = "race.tcss"
    BINDINGS = bindings("race")
    AUTO_FOCUS = "#race-chart"

    options: var[ChartOptions] = var(ChartOptions, init=False)
    metric: var[str] = var(VAL, init=False)

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair
        self._seen = False

    def compose(self) -> ComposeResult:
        """The curves over the samples over the verdict."""
        yield StatusBar(id="status")
        yield Static(id="race-runs", markup=False)
        with Vertical(id="body"):
            yield LossChart(id="race-chart")
            yield TextPane("Samples", id="race-samples")
        yield Static(id="race-verdict", markup=False)
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self.follow()
        self.set_interval(AGE_SECONDS, self._app_changed)

    def on_screen_resume(self) -> None:
        """Another screen may have wanted something else meanwhile."""
        self._app_changed()

    # What is looked at

    @property
    def original(self) -> RunRow | None:
        """The run in which nothing is broken; None where it is gone."""
        return self.lab.snapshot.by_id.get(self.pair.original)

    @property
    def run(self) -> RunRow | None:
        """The twin."""
        return self.lab.snapshot.by_id.get(self.pair.twin)

    @property
    def drawn(self) -> tuple[str, ...]:
        """Both are drawn."""
        return (self.pair.original, self.pair.twin)

    @property
    def comparison(self) -> ComparisonView:
        """What is known of the two; of nothing where it is of other runs."""
        found = self.lab.snapshot.comparison
        return found if found is not None and found.wanted.run_ids == self.drawn else ComparisonView()

    @property
    def standing(self) -> Standing:
        """How the twin stands against the original."""
        original, twin = self.original, self.run
        if original is None or twin is None:
            gone = self._seen or original is None
            return Standing("one of the two is gone: it was put away" if gone else "the twin is on its way")
        self._seen = True
        curves = {run_id: held[VAL] for run_id, held in self.comparison.curves.items() if VAL in held}
        return standing(original, twin, {run_id: (curve.steps, curve.values) for run_id, curve in curves.items()})

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        run = self.run
        return Situation(
            mode=self.MODE,
            status=run.status if run else None,
            runs=len(self.comparison.groups),
            pane="chart",
            single_pane=self.single,
            loaded=self.lab.loaded,
        )

    def shown(self) -> list[Shown]:
        """How the two stand, what they wrote, and the twin."""
        said = of_text("verdict", f"{self.standing.said}\n", "race.txt")
        samples = of_text("samples", self.query_one("#race-samples", TextPane).plain, "race-samples.txt")
        return [said, samples, *(of_run(self.run) if self.run is not None else [])]

    def pointed_at(self) -> list[str]:
        """What it is about."""
        return ["val", "baseline", "a sample"]

    # Showing it

    def show_app(self) -> None:
        """Shows what is known now."""
        self.show_size()
        self.set_class(self.single, "-single")
        self.want(Wanted(compare=self._wanted()))
        look = self.look_of_app()
        self.query_one("#race-runs", Static).update(self._runs_text(look))
        self._show_chart(look)
        self._show_samples(look)
        self.query_one("#race-verdict", Static).update(self._verdict_text(look))
        self.query_one(KeyBar).show(footer_actions(self.situation), theme_colours(self.app.theme_variables))
        self.show_status()

    def _wanted(self) -> CompareWanted:
        return CompareWanted(
            run_ids=self.drawn, by=BY_RUN, baseline=self.pair.original, metric=self.metric, samples=self.drawn
        )

    def _runs_text(self, look: Look) -> Text:
        """A line for each of the two: its name, how it stands, and what is broken in it."""
        said, muted = Text(no_wrap=True, overflow="ellipsis"), look.colour("text-muted")
        for run, sign in ((self.original, "◆"), (self.run, "●")):
            if run is None:
                continue
            said.append("\n" if said else "")
            said.append(f" {sign} ", look.colour_of(run.id))
            said.append(f"{text.clip(text.literal(run.name), 40)}  ", f"bold {look.colour_of(run.id)}")
            if run is self.run:
                said.append(f"{self.pair.breakage.label}  ", f"bold {look.colour('accent')}")
            said.append_text(status_text(run, look))
            if run.val_loss is not None:
                said.append(f"  val {text.loss(run.val_loss)}", "bold")
            said.append(f"  step {run.step:,} of {run.steps:,}  {changes_text(run.config_json)}", muted)
        return said

    def _show_chart(self, look: Look) -> None:
        chart, comparison = self.chart, self.comparison
        chart.show(overlay(comparison, self.lab.snapshot, Drawing(self.options), look))
        switches = (("log y", self.options.log_y), ("log x", self.options.log_x), ("zoomed", self.options.zoom))
        words = [self.metric.replace("/loss", " loss"), *(word for word, on in switches if on)]
        chart.set_heading(Text(" · ".join(words)))

    def _show_samples(self, look: Look) -> None:
        """What both had written by the same step; until the twin has begun, what each wrote last."""
        comparison, pane = self.comparison, self.query_one("#race-samples", TextPane)
        runs = [run for run in (self.original, self.run) if run is not None]
        if not comparison.groups or not runs:
            return
        common = min(run.step for run in runs)
        steps = {run.id: step_at(run, comparison, self.options) for run in runs}
        if self.options.cursor is None and common:
            steps = dict.fromkeys(steps, common)
        pane.show(samples_text(comparison, runs, steps, look), (comparison.version, tuple(steps.items()), look.dark))
        pane.border_subtitle = samples_remark(runs, len(runs))

    def _verdict_text(self, look: Look) -> Text:
        found = self.standing
        colour = "foreground"
        if found.over:
            colour = "warning" if found.difference is None else "error" if found.difference > 0 else "success"
        said = Text(f" {text.literal(found.said)}", f"bold {look.colour(colour)}")
        said.append(f"\n expected: {self.pair.breakage.expect}", f"not bold {look.colour('text-muted')}")
        return said

    def on_resize(self, event: events.Resize) -> None:
        """What is fitted to the room is so again."""
        if self.is_whole:
            self.call_after_refresh(self.show_app)

    def watch_options(self) -> None:
        """The curves are drawn another way, or the cursor is elsewhere."""
        if self.is_whole:
            self.show_app()

    def watch_metric(self) -> None:
        """Other curves."""
        if self.is_whole:
            self.show_app()

    # What can be done

    def action_back(self) -> None:
        """Goes back to where it was opened from; the twin trains on."""
        self.dismiss()

    def action_metric(self) -> None:
        """Draws val, or the loss of every batch."""
        self.metric = METRICS[(METRICS.index(self.metric) + 1) % len(METRICS)]

    async def action_compare_in_full(self) -> None:
        """Marks the two alone, the original as the baseline, and goes to Compare."""
        self.lab.marks, self.lab.baseline = self.drawn, self.pair.original
        lab = self.lab
        await self.dismiss()
        await lab.switch_mode("compare")

    def action_cursor_down(self) -> None:
        """Moves the samples."""
        self.query_one("#race-samples", TextPane).action_scroll_down()

    def action_cursor_up(self) -> None:
        """Moves the samples back."""
        self.query_one("#race-samples", TextPane).action_scroll_up()
