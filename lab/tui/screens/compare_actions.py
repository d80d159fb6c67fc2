"""What a person can change about a comparison: what is compared, by what, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from textual.reactive import var

from lab import text
from lab.analysis.alignment import BANDS, BandKind
from lab.errors import UsageError
from lab.tui.comparison_charts import BAND_WORDS, KINDS, x_axes_of
from lab.tui.comparisons import BY_RUN, BY_SEED, VAL, ComparisonView
from lab.tui.screens.break_run import BreakActions
from lab.tui.screens.chart_actions import ChartActions
from lab.tui.widgets.compare_pages import INSIDE_KINDS
from lab.tui.widgets.question_line import Question, QuestionLine

if TYPE_CHECKING:
    from lab.config.diagnostics import Kind

Choice = TypeVar("Choice", bound=str)


class CompareActions(BreakActions, ChartActions):
    """The comparison's keys. What is marked and pinned is the application's; how it is shown lives here."""

    by: var[str] = var(BY_SEED, init=False)
    metric: var[str] = var(VAL, init=False)
    kind: var[str] = var(KINDS[0], init=False)
    band: var[BandKind] = var("interval", init=False)
    target: var[float | None] = var(None, init=False)
    inside_kind: var[Kind] = var("activations", init=False)

    @property
    def comparison(self) -> ComparisonView:
        """What is known of it."""
        raise NotImplementedError

    @property
    def group_place(self) -> int:
        """The group under the cursor, by its place."""
        raise NotImplementedError

    # What is compared

    def action_choose_runs(self) -> None:
        """Lets one mark runs from here."""
        from lab.tui.screens.choose_runs import ChooseRunsScreen

        def chosen(marks: tuple[str, ...] | None) -> None:
            if marks is not None:
                self.lab.marks = marks

        runs = self.lab.snapshot.runs
        if runs:
            self.app.push_screen(ChooseRunsScreen(runs, self.lab.marks, self.look_of_app()), chosen)

    def action_unmark(self) -> None:
        """Takes the group under the cursor out of the comparison: its runs are marked no more."""
        groups = self.comparison.groups
        if groups:
            out = {run.id for run in groups[self.group_place].runs}
            self.lab.marks = tuple(run_id for run_id in self.lab.marks if run_id not in out)

    def action_pin(self) -> None:
        """Compares with the group under the cursor."""
        groups = self.comparison.groups
        if groups:
            self.lab.baseline = groups[self.group_place].first.id

    def action_group_seeds(self) -> None:
        """Shows runs that are equal but for the seed together, or every run by itself."""
        self.by = BY_RUN if self.by == BY_SEED else BY_SEED

    def action_group_by(self) -> None:
        """Asks for a setting to group by, among those that differ."""
        from lab.tui.screens.choice import ChoiceScreen

        keys = self.setting_keys()

        def chosen(answer: tuple[int, str] | None) -> None:
            if answer is not None:
                self.by = (BY_SEED, BY_RUN, *keys)[answer[0]]

        named = ["equal but for the seed", "every run by itself", *keys]
        self.app.push_screen(ChoiceScreen("Group by", named, [("enter", "group")]), chosen)

    def setting_keys(self) -> list[str]:
        """The settings that are not the same in all compared runs."""
        from lab.analysis.config_diff import differing

        runs = [run for group in self.comparison.groups for run in group.runs]
        configs = [{"stage": run.stage, "dataset": run.dataset, **run.settings} for run in runs]
        return [key for key in differing(configs) if key != "seed"]

    def action_metric(self) -> None:
        """Asks for the metric to draw, among those that the runs have in common."""
        from lab.tui.screens.choice import ChoiceScreen

        metrics = self.comparison.metrics
        if not metrics:
            self.app.notify("these runs have no metric in common", severity="warning", markup=False, timeout=4)
            return

        def chosen(answer: tuple[int, str] | None) -> None:
            if answer is not None:
                self.metric = metrics[answer[0]]

        self.app.push_screen(ChoiceScreen("Metric", [text.literal(each) for each in metrics], [("enter", "draw")]),
                             chosen)  # fmt: skip

    def action_target(self) -> None:
        """Asks for the loss whose reaching is timed."""

        def check(value: str) -> str:
            if not value.strip():
                return "times how soon the baseline's val is reached"
            return f"times how soon val {_loss(value):.3f} is reached"

        def answer(value: str) -> None:
            self.target = _loss(value) if value.strip() else None

        known = self.comparison.target
        shown = "" if self.target is None else f"{self.target:g}"
        example = f"{known:.2f}, the baseline's" if known is not None else "2.1"
        self.query_one(QuestionLine).ask(Question("time to reach val", shown, check, answer, example))

    # How it is drawn

    def action_chart_kind(self) -> None:
        """Draws curves over each other, side by side, or bars."""
        self.kind = KINDS[(KINDS.index(self.kind) + 1) % len(KINDS)]

    def action_band(self) -> None:
        """Shows another measure of how the seeds scatter."""
        self.band = BANDS[(BANDS.index(self.band) + 1) % len(BANDS)]
        self.app.notify(f"bands: {BAND_WORDS[self.band]}", markup=False, timeout=2)

    def action_inside_kind(self) -> None:
        """Lays other histograms over each other."""
        self.inside_kind = INSIDE_KINDS[(INSIDE_KINDS.index(self.inside_kind) + 1) % len(INSIDE_KINDS)]

    def action_x_axis(self) -> None:
        """Draws over the next of what is known of every run."""
        known = x_axes_of(self.comparison)
        place = known.index(self.options.x) if self.options.x in known else 0
        self.options = replace(self.options, x=known[(place + 1) % len(known)], zoom=None, cursor=None)


def _loss(value: str) -> float:
    """A loss as it was typed. Raises `UsageError`."""
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 < found < 1e6:
        raise UsageError(f"'{value}' is no loss: a number above 0")
    return found


def restored_choice(value: Any, choices: Sequence[Choice]) -> Choice:
    """A remembered choice, where it still is one; else the usual, which stands first."""
    return next((choice for choice in choices if choice == value), choices[0])
