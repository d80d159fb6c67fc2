"""The Compare mode: the marked runs in groups, with verdicts, curves, what differs, samples and insides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import OptionList, Static

from lab import text
from lab.analysis.alignment import BANDS
from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.comparison_charts import KINDS, Drawing, axis_of, bars_text, caption, multiples, overlay, step_at
from lab.tui.comparisons import BY_RUN, BY_SEED, VAL, CompareWanted, ComparisonView
from lab.tui.screens.chart_actions import restored_options
from lab.tui.screens.compare_actions import restored_choice
from lab.tui.screens.compare_panes import KINDS_BY_ID, PANES, ComparePanes
from lab.tui.shown import Shown, of_run, of_text
from lab.tui.snapshot import Wanted
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.compare_pages import (
    INSIDE_KINDS,
    PAGES,
    differs_text,
    inside_text,
    sampled_runs,
    samples_remark,
    samples_text,
    verdict_text,
)
from lab.tui.widgets.group_table import GroupTable
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.question_line import QuestionLine
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

PANELS = 12
"""Charts side by side at most."""
PANEL_SIZE = (34, 9)
"""Cells that a chart among several needs."""


class CompareScreen(ComparePanes):
    """Which group is looked at lives in the table; what came of comparing is read on a thread."""

    MODE = "compare"
    CSS_PATH = "compare.tcss"
    BINDINGS = bindings("compare", priority=("next_pane", "previous_pane"))
    AUTO_FOCUS = "#groups-rows"

    def __init__(self) -> None:
        super().__init__()
        self._chart_shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """The table over the curves and what is told of the group under the cursor."""
        yield StatusBar(id="status")
        yield PaneStrip(("groups", "chart", *PAGES), id="strip")
        with Vertical(id="body"):
            yield Static(id="nothing-marked", markup=False)
            yield GroupTable(id="groups")
            yield QuestionLine(id="question")
            with Horizontal(id="below"):
                with Vertical(id="charts"):
                    yield LossChart(id="compare-chart")
                    with Container(id="multiples"):
                        for place in range(PANELS):
                            yield LossChart(id=f"panel-{place}")
                    yield TextPane("", id="bars")
                yield TextPane("", id="beside")
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        for panel in self.query("#multiples LossChart"):
            panel.can_focus = False
        self.query_one("#multiples").can_focus = True
        self.follow("marks", "baseline")

    def on_screen_resume(self) -> None:
        """Another screen may have wanted something else meanwhile."""
        self._app_changed()

    # What is looked at

    @property
    def comparison(self) -> ComparisonView:
        """What is known of it; of nothing where nothing is marked."""
        found = self.lab.snapshot.comparison
        return found if found is not None and self.marked else ComparisonView()

    @property
    def group_place(self) -> int:
        """The group under the cursor, by its place."""
        return self.query_one(GroupTable).place

    @property
    def run(self) -> RunRow | None:
        """The run that stands for the group under the cursor."""
        groups = self.comparison.groups
        return self.lab.snapshot.by_id.get(groups[self.group_place].first.id) if groups else None

    @property
    def drawn(self) -> tuple[str, ...]:
        """The runs that are compared."""
        return self.marked

    @property
    def drawing(self) -> Drawing:
        """How the comparison is drawn."""
        return Drawing(self.options, self.kind, self.band)

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        return Situation(
            mode=self.MODE,
            status=self.run.status if self.run else None,
            runs=len(self.comparison.groups),
            marks=len(self.marked),
            pane="chart" if self.pane == "charts" else self.page if self.pane == "beside" else self.pane,
            single_pane=self.single,
            zoomed=self.zoomed,
            loaded=self.lab.loaded,
            undo=self.lab.edits.next_undo,
        )

    def shown(self) -> list[Shown]:
        """What the current pane shows."""
        if not self.comparison.groups:
            return []
        table = of_text("verdicts (CSV)", self.query_one(GroupTable).csv(), "compare.csv")
        if self.pane == "beside":
            return [of_text(self.page, self.query_one("#beside", TextPane).plain, f"compare-{self.page}.txt"), table]
        if self.pane == "charts" and self.kind == "bars":
            return [of_text("bars", self.query_one("#bars", TextPane).plain, "compare-bars.txt"), table]
        return [table, *(of_run(self.run) if self.run is not None else [])]

    def pointed_at(self) -> list[str]:
        """What the current pane is about."""
        pages = {"verdict": ["verdict", "not fair", "interval"], "inside": ["saturated"]}
        about = {"groups": ["verdict", "group"], "charts": ["band", self.metric]}
        return about.get(self.pane) or pages.get(self.page, [])

    def in_view(self) -> list[str]:
        """The heads of the table, and what is drawn."""
        return ["group", "val", "Δ", "verdict", "not fair", "interval", "band", "baseline", "params", "chars/s"]

    # How it was left

    def layout_values(self) -> dict[str, Any]:
        """What is drawn how, and which pane has how much room."""
        return {
            "by": self.by,
            "metric": self.metric,
            "kind": self.kind,
            "band": self.band,
            "target": self.target,
            "inside": self.inside_kind,
            "chart": asdict(self.options),
            "page": self.page,
            "pane": self.pane,
            "zoomed": self.zoomed,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes that over, as far as it still makes sense."""
        self.set_reactive(CompareScreen.by, str(values.get("by") or BY_SEED))
        self.set_reactive(CompareScreen.metric, str(values.get("metric") or VAL))
        target = values.get("target")
        self.set_reactive(CompareScreen.target, float(target) if isinstance(target, float) else None)
        self.set_reactive(CompareScreen.kind, restored_choice(values.get("kind"), KINDS))
        self.set_reactive(CompareScreen.band, restored_choice(values.get("band"), BANDS))
        self.set_reactive(CompareScreen.inside_kind, restored_choice(values.get("inside"), INSIDE_KINDS))
        self.set_reactive(CompareScreen.page, restored_choice(values.get("page"), PAGES))
        self.set_reactive(CompareScreen.options, restored_options(values.get("chart")))
        if self.marked and values.get("pane") in PANES:
            self.set_reactive(CompareScreen.zoomed, values.get("zoomed") is True)
            self.go_to(values["pane"])

    # Showing it

    def show_app(self) -> None:
        """Shows what is known now."""
        self.lay_out_panes()
        if not self.marked:
            self.query_one("#nothing-marked", Static).update(self._hint())
        else:
            self.query_one(GroupTable).show(self.comparison, self.look_of_app())
        self.show_parts()

    def show_parts(self) -> None:
        """Shows what depends on the cursor, too."""
        self.want(Wanted(compare=self._wanted()))
        comparison, look = self.comparison, self.look_of_app()
        self._show_heading(comparison, look)
        if self.marked:
            self._show_chart(comparison, look)
            self._show_page(comparison, look)
        self.show_bars()

    def _wanted(self) -> CompareWanted:
        beside = self.query_one("#beside").display
        axis = axis_of(self.comparison, self.options) if self.comparison.groups else "step"
        return CompareWanted(
            run_ids=self.marked,
            by=self.by,
            baseline=self.lab.baseline,
            metric=self.metric,
            target=self.target,
            clock=self.options.x == "seconds" or axis == "seconds",
            samples=tuple(run.id for run in self._sampled()) if beside and self.page == "samples" else (),
            inside=tuple(run.id for run in self._laid_over()) if beside and self.page == "inside" else (),
        )

    def _sampled(self) -> tuple[RunRow, ...]:
        """The runs whose samples stand side by side."""
        width = self.query_one("#beside").size.width
        return sampled_runs(self.comparison, self.group_place, width) if self.comparison.groups else ()

    def _laid_over(self) -> tuple[RunRow, ...]:
        """The two runs whose histograms are laid over each other: the cursor's and the baseline's, or the next."""
        groups, place, base = self.comparison.groups, self.group_place, self.comparison.baseline
        if not groups:
            return ()
        other = base if place != base else (place + 1) % len(groups)
        return tuple(groups[each].first for each in dict.fromkeys((other, place)))  # type: ignore[misc]

    def _hint(self) -> Text:
        colours = theme_colours(self.app.theme_variables)
        strong, muted = f"bold {colours['accent']}", colours["text-muted"]
        if not self.lab.loaded:
            return Text(self.lab.opening, muted)
        said = Text.assemble(("Nothing is marked. ", "bold"), ("Which runs do you want to compare?\n\n", muted))
        keys = (("/", "choose them here"), ("2", "go to the runs: space marks one, A all that are shown"),
                ("n", "there, or e: train what is missing; seeds 1 2 3 make three runs of one config"))  # fmt: skip
        if not self.lab.snapshot.runs:
            said = Text.assemble(("No runs yet. ", "bold"), ("There is nothing to compare.\n\n", muted))
            keys = (("1", "the ladder: every stage, and one key to train them all"), ("2", "the runs"), ("?", "keys"))
        for key, meaning in keys:
            said.append(f"{key:<5}", strong)
            said.append(f"{meaning}\n")
        said.append(
            "\nRuns that are equal but for the seed are taken together: their mean, how they scatter, and a verdict "
            "against the baseline, with what is unfair about it.",
            muted,
        )
        return said

    def _show_heading(self, comparison: ComparisonView, look: Look) -> None:
        table = self.query_one(GroupTable)
        said = Text("Groups" if self.by != BY_RUN else "Runs")
        if comparison.groups:
            said.append(f" · {len(comparison.groups)}")
            said.append(f" of {text.plural(len(self.marked), 'run')}" if self.by != BY_RUN else "")
            said.append(f" · by {text.literal(self.by)}" if self.by not in (BY_RUN, BY_SEED) else "")
        table.border_title = said
        table.border_subtitle = Text(
            text.literal(comparison.problem) or ("" if comparison.groups else "reading…"),
            look.colour("error" if comparison.problem else "text-muted"),
        )

    def _show_chart(self, comparison: ComparisonView, look: Look) -> None:
        """The current kind of drawing; what is not seen is not drawn."""
        snapshot, drawing = self.lab.snapshot, self.drawing
        looks = (comparison.version, drawing, look.dark, look.colours["background"], len(snapshot.references))
        key = (*looks, self._holder("charts").size, self.group_place if self.kind == "multiples" else None)
        if key == self._chart_shown:
            return
        self._chart_shown = key
        content = overlay(comparison, snapshot, drawing, look)
        self.chart.show(content)
        title = Text(self._chart_title(comparison, drawing))
        for name in KINDS_BY_ID:
            self.query_one(f"#{name}").border_title = title
        if self.kind == "multiples":
            self._show_panels(comparison, drawing, look)
        elif self.kind == "bars":
            pane = self.query_one("#bars", TextPane)
            width = max(30, (pane.scrollable_content_region.width or self.app.size.width // 2))
            said = bars_text(comparison, drawing, width, look, ascii_only=self.lab.ascii_charts)
            pane.show(said, (*content.key, width))

    def _chart_title(self, comparison: ComparisonView, drawing: Drawing) -> str:
        options = drawing.options
        switches = (("log y", options.log_y), ("log x", options.log_x), ("whole range", options.whole_range))
        words = [caption(comparison, drawing), *(word for word, on in switches if on and drawing.kind != "bars")]
        if options.zoom is not None and drawing.kind != "bars":
            words.append("zoomed")
        if options.cursor is not None and drawing.kind == "bars":
            words.append(f"at {axis_of(comparison, options)} {text.si(options.cursor)}")
        return " · ".join(words)

    def _show_panels(self, comparison: ComparisonView, drawing: Drawing, look: Look) -> None:
        """Charts side by side: the page of them that the group under the cursor is on."""
        frame = self.query_one("#multiples")
        width, height = frame.content_size
        across = max(1, min(4, width // PANEL_SIZE[0]))
        fitting = max(1, min(PANELS, across * max(1, height // PANEL_SIZE[1])))
        groups = comparison.groups
        across = max(1, min(across, len(groups)))
        first = self.group_place // fitting * fitting if groups else 0
        places = [place for place in range(first, min(first + fitting, len(groups))) if place in comparison.drawn]
        contents = multiples(comparison, self.lab.snapshot, drawing, look, places)
        frame.styles.grid_size_columns = across
        for index, panel in enumerate(self.query("#multiples LossChart").results(LossChart)):
            panel.display = index < len(places)
            if index < len(places):
                group = groups[places[index]]
                panel.show(contents[index])
                panel.border_title = Text(text.literal(group.label), look.colour_of(group.first.id))
        shown = f"{first + 1} to {first + len(places)} of {len(groups)}" if len(places) < len(groups) else ""
        frame.border_subtitle = Text(shown, look.colour("text-muted"))

    def _show_page(self, comparison: ComparisonView, look: Look) -> None:
        """The page beside the chart."""
        pane, place = self.query_one("#beside", TextPane), self.group_place
        title = Text()
        for name in PAGES:
            title.append(" · " if title else "", look.colour("border"))
            title.append(name.capitalize(), f"bold {look.colour('foreground')}" if name == self.page else "")
        pane.border_title = title
        pane.border_subtitle = ""
        if not comparison.groups or not pane.display:
            return
        width = max(20, pane.scrollable_content_region.width or pane.size.width - 4)
        key: tuple[object, ...] = (comparison.version, self.page, place, width, look.dark, look.colours["background"])
        runs = self._sampled() if self.page == "samples" else self._laid_over()
        steps = {run.id: step_at(run, comparison, self.options) for run in runs}
        key = (*key, tuple(steps.items()), self.inside_kind)
        if self.page == "verdict":
            pane.show(verdict_text(comparison, place, look), key)
        elif self.page == "differs":
            pane.show(differs_text(comparison, place, width, look), key)
        elif self.page == "samples":
            pane.show(samples_text(comparison, runs, steps, look), key)
            pane.border_subtitle = samples_remark(runs, len(comparison.groups))
        else:
            pane.show(inside_text(comparison, runs, self.inside_kind, steps, width, look), key)
            pane.border_subtitle = f"{self.inside_kind} · heights by their square root"

    def show_bars(self) -> None:
        """Shows the keys and the status."""
        colours = theme_colours(self.app.theme_variables)
        self.query_one(KeyBar).show(footer_actions(self.situation), colours)
        self.query_one(PaneStrip).show(self.strip_place(), colours)
        self.show_status()

    # What changes the picture

    @on(OptionList.OptionHighlighted, "#groups-rows")
    def _cursor_moved(self) -> None:
        if self.is_whole:
            self.show_parts()

    @on(OptionList.OptionSelected, "#groups-rows")
    def _entered(self) -> None:
        self.action_open_run()

    def watch_options(self) -> None:
        """The curves are drawn another way, or the cursor is elsewhere."""
        self.after_change()

    def watch_by(self) -> None:
        """Other groups."""
        self.after_change()

    def watch_metric(self) -> None:
        """Other curves."""
        self.after_change()

    def watch_target(self) -> None:
        """Another loss to reach."""
        self.after_change()

    def watch_kind(self) -> None:
        """Another drawing."""
        self.after_change()

    def watch_band(self) -> None:
        """Other bands."""
        self.after_change()

    def watch_inside_kind(self) -> None:
        """Other histograms."""
        self.after_change()

    def action_open_run(self) -> None:
        """Opens the run that stands for the group under the cursor."""
        if self.run is not None:
            self.open_run(self.run.id)
