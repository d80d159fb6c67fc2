"""The Runs mode: waiting, training and stored runs in one table, the marked ones' curves, and one run's details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.reactive import var
from textual.widgets import Static

from lab.tui.actions import Situation, bindings, footer_actions
from lab.tui.chart_options import ChartOptions, chart_key
from lab.tui.config_changes import config_changes
from lab.tui.lineage import with_ancestors
from lab.tui.screens.chart_actions import ChartActions, restored_options
from lab.tui.screens.run_actions import RunActions
from lab.tui.screens.table_actions import TableActions
from lab.tui.shown import Shown, file_stem, of_curves, of_run, of_runs, of_text
from lab.tui.snapshot import Snapshot, Wanted
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import KeyBar, PaneStrip, StatusBar
from lab.tui.widgets.detail_pane import TABS, DetailPane
from lab.tui.widgets.empty_state import EmptyState
from lab.tui.widgets.filter_bar import FilterBar
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.question_line import QuestionLine
from lab.tui.widgets.run_columns import STATUS_SIGNS, Look, WaitingTime, all_columns, column_of, ordered
from lab.tui.widgets.run_table import RunTable
from lab.tui.widgets.waiting_times import waiting_times

AGE_SECONDS = 5.0
ACTIONS_OF_TRASH = ("restore", "delete_for_good")
NOT_IN_TRASH = (
    "again", "break_run", "cancel", "move_down", "move_first", "move_up", "pause_resume", "retry", "stop", "trash",
)  # fmt: skip
PANES = ("runs", "chart", "detail")


class RunsScreen(RunActions, TableActions, ChartActions):
    """Runs. What is selected lives here; the widgets show it."""

    MODE = "runs"
    CSS_PATH = "runs.tcss"
    BINDINGS = bindings("runs", priority=("next_pane", "previous_pane"))
    AUTO_FOCUS = "#runs"

    options: var[ChartOptions] = var(ChartOptions, init=False)

    def __init__(self) -> None:
        super().__init__()
        self._table_shown: tuple[object, ...] = ()
        self._times_of: Snapshot | None = None
        self._times_known: dict[str, WaitingTime] = {}

    def compose(self) -> ComposeResult:
        """The status bar, the panes, the key bar."""
        yield StatusBar(id="status")
        yield PaneStrip(("runs", "chart", *TABS), id="strip")
        with Vertical(id="body"):
            yield RunTable(id="runs")
            yield EmptyState(id="empty")
            yield FilterBar(self.filter_values, id="filter")
            yield QuestionLine(id="question")
            with Horizontal(id="below"):
                yield LossChart(id="chart")
                yield DetailPane(id="detail")
        yield Static(self.too_small, id="too-small", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Follows what is read."""
        self.follow("ladder", "marks", "baseline")
        self.set_interval(AGE_SECONDS, self._time_goes_by)
        self._arrange()

    def _time_goes_by(self) -> None:
        """Ages and times to wait are not what they were; what nobody sees is not drawn."""
        if self.is_foremost and self.is_whole:
            self.show_table(ages=True)

    def on_screen_resume(self) -> None:
        """Another screen may have wanted something else meanwhile."""
        self._app_changed()

    # What is selected

    @property
    def snapshot(self) -> Snapshot:
        """What is known of the database."""
        return self.lab.snapshot

    @property
    def situation(self) -> Situation:
        """What the footer goes by."""
        run = self.run
        return Situation(
            status=run.status if run else None,
            runs=len(self.listed),
            marks=len(self.marked),
            statuses=frozenset(run.status for run in self.marked),
            undo=self.lab.edits.next_undo,
            pane=self.pane,
            single_pane=self.single,
            zoomed=self.zoomed,
            filtered=bool(self.filter.terms),
            loaded=self.lab.loaded,
            trash=self.in_trash,
            queue_paused=self.snapshot.queue_paused,
        )

    def look(self) -> Look:
        """What the cells of the table, and the details, depend on."""
        return replace(
            self.look_of_app(),
            marks=frozenset(self.marks),
            baseline=self.snapshot.by_id.get(self.baseline or ""),
            times=self._times(),
        )

    def _times(self) -> dict[str, WaitingTime]:
        """When waiting runs start, and how long they take; worked out once for a snapshot."""
        if self._times_of is not self.snapshot:
            self._times_of, self._times_known = self.snapshot, waiting_times(self.snapshot)
        return self._times_known

    def shown(self) -> list[Shown]:
        """What the current pane shows."""
        run, detail = self.run, self.query_one(DetailPane)
        if self.pane == "chart":
            return of_curves(self.snapshot, self.drawn)
        if self.pane == "detail" and run is not None and detail.tab != "config":
            return [of_text(detail.tab, detail.plain, f"{file_stem(run.name)}-{detail.tab}.txt")]
        of_table = of_runs([run for run in self.listed if self.filter(run)]) if self.pane == "runs" else []
        return (of_run(run) if run is not None else []) + of_table

    def pointed_at(self) -> list[str]:
        """What the current pane is about, with the mouse the column under it; then the run's status and stage."""
        run, table = self.run, self.query_one(RunTable)
        if self.pane == "chart":
            return ["val", "train", "smoothed", "guessing evenly", "bigram by counting"]
        if self.pane == "detail" and run is not None and self.query_one(DetailPane).tab == "config":
            return [*config_changes(run.config_json), run.stage]
        hovered = table.column_under_mouse
        status = STATUS_SIGNS[run.status][1] if run is not None and run.status in STATUS_SIGNS else ""
        return [*([hovered] if hovered else []), "val", status, run.stage if run is not None else ""]

    def in_view(self) -> list[str]:
        """The heads of the table's columns, and the lines of the chart."""
        labels = [column.label for column in self.query_one(RunTable).columns_shown]
        return [*labels, "guessing evenly", "bigram by counting", "smoothed", "baseline"]

    # How it was left

    def layout_values(self) -> dict[str, Any]:
        """What is marked, pinned, filtered, sorted, drawn how, and which pane has how much room."""
        return {
            "marks": list(self.marks),
            "baseline": self.baseline,
            "sort": self.sort,
            "reverse": self.reverse,
            "columns": list(self.columns),
            "filter": self.query_one(FilterBar).text,
            "chart": asdict(self.options),
            "tab": self.query_one(DetailPane).tab,
            "pane": self.pane,
            "zoomed": self.zoomed,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes that over; the application has the marks and the baseline, which other screens show too."""
        sort, tab, pane = (values.get(name) for name in ("sort", "tab", "pane"))
        every = all_columns()
        sortable = sort in every and column_of(sort).sort is not None
        self.set_reactive(RunsScreen.sort, str(sort) if sortable else "")
        columns = values.get("columns")
        columns = columns if isinstance(columns, list) else []
        self.set_reactive(RunsScreen.columns, tuple(key for key in columns if key in every))
        self.set_reactive(RunsScreen.reverse, values.get("reverse") is True)
        self.set_reactive(RunsScreen.options, restored_options(values.get("chart")))
        if tab in TABS:
            self.query_one(DetailPane).tab = tab
        self.query_one(FilterBar).restore(values.get("filter"))
        if self.snapshot.runs and pane in PANES:
            self.set_reactive(RunsScreen.zoomed, values.get("zoomed") is True)
            self.go_to(pane)

    # Showing it

    def show_app(self) -> None:
        """Shows what is known now."""
        self._arrange()
        self.show_table()
        self._selection_changed()

    def show_table(self, *, ages: bool = False) -> None:
        """Shows the table, unless it would look as before; `ages` says that time has gone by."""
        listed = self.listed
        of_runs = (listed, self.snapshot.slots, self.snapshot.places, self.marks, self.baseline, self.in_trash)
        key = (*of_runs, self.filter, self.sort, self.reverse, self.columns, self.app.theme)
        if key == self._table_shown and not ages:
            return
        self._table_shown = key
        runs = [run for run in listed if self.filter(run)] if self.filter.terms else list(listed)
        look = self.look()
        table = self.query_one(RunTable)
        table.say_nothing(self._why_nothing(look))
        table.show(
            ordered(runs, self.sort, reverse=self.reverse),
            look,
            of=len(listed),
            sort=self.sort,
            reverse=self.reverse,
            columns=self.columns,
        )
        where = "Trash" if self.in_trash else "Runs"
        table.set_heading(shown=len(runs), of=len(listed), marks=len(self.marked), sort=self.sort, where=where)
        if ages and self.snapshot.training:
            self.show_status()

    def _why_nothing(self, look: Look) -> Text:
        """Why no run is shown, and what to press."""
        strong, muted = f"bold {look.colour('accent')}", look.colour("text-muted")
        if self.listed:
            return Text.assemble((" no run matches the filter   ", muted), ("esc", strong), (" shows every run", muted))
        said = " the trash is empty   " if self.lab.loaded else " reading…   "
        return Text.assemble((said, muted), ("D", strong), (" goes back to the runs", muted))

    def _selection_changed(self) -> None:
        run, drawn = self.run, self.drawn
        self.lab.selected = run.id if run else self.lab.selected
        self.want(self._wanted())
        look = self.look()
        self.query_one(DetailPane).show(run, self.snapshot.detail, look)
        self._show_chart(drawn, look)
        self._show_bars()

    def _wanted(self) -> Wanted:
        run = self.run
        return Wanted(with_ancestors(self.snapshot, self.drawn), run.id if run else None, trash=self.in_trash)

    def _show_chart(self, drawn: tuple[str, ...], look: Look) -> None:
        if not self.lab.loaded or (drawn and not self.snapshot.curves):
            return  # frame and rows come before numpy is there
        chart = self.query_one(LossChart)
        dark, background = look.dark, look.colours["background"]
        if chart.content.key != chart_key(self.snapshot, drawn, self.options, dark=dark, background=background):
            from lab.tui.curves import chart_content

            content = chart_content(self.snapshot, drawn, self.options, dark=dark, background=background)
            chart.show(content)
            chart.set_heading(self.chart_heading(content))

    def _show_bars(self) -> None:
        colours = theme_colours(self.app.theme_variables)
        self.query_one(KeyBar).show(footer_actions(self.situation), colours)
        self.query_one(PaneStrip).show(self._page(), colours)
        if not self.snapshot.runs:
            opening = "" if self.lab.loaded else self.lab.opening
            self.query_one(EmptyState).show(self.lab.ladder.untrained, colours, opening)
        self.show_status()

    # Panes

    def _arrange(self) -> None:
        """Shows the panes that there is room for."""
        empty = not self.snapshot.runs and not self.in_trash
        alone = self.single or self.zoomed
        self.show_size()
        self.set_class(self.single and not empty, "-single")
        shown = {pane: not empty and (not alone or pane == self.pane) for pane in PANES}
        shown["empty"] = empty
        shown["below"] = shown["chart"] or shown["detail"]
        for name, is_shown in shown.items():
            self.query_one(f"#{name}").display = is_shown
        self.set_alone(PANES, alone)

    def on_resize(self, event: events.Resize) -> None:
        """Panes come and go with the room there is."""
        if self.is_whole:
            self._arrange()
            self._show_bars()

    def go_to(self, pane: str) -> None:
        """Shows a pane and gives it the keys."""
        self.pane = pane
        self._arrange()
        self.query_one(f"#{pane}").focus()
        self._show_bars()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane that has the keys is the current one."""
        if event.widget.id in PANES and self.is_whole:
            self.pane = event.widget.id or "runs"
            self._show_bars()

    def _page(self) -> int:
        """Which of the strip's names is shown: runs, chart, and the tabs of the details."""
        tab = self.query_one(DetailPane).tab
        return 2 + TABS.index(tab) if self.pane == "detail" else PANES.index(self.pane)

    def _to_page(self, page: int) -> None:
        page %= 2 + len(TABS)
        if page >= 2:
            self.query_one(DetailPane).tab = TABS[page - 2]
        self.go_to(PANES[min(page, 2)])

    @on(PaneStrip.Chosen)
    def _strip_clicked(self, event: PaneStrip.Chosen) -> None:
        self._to_page(event.place)

    def action_next_pane(self, step: int = 1) -> None:
        """Goes to the next pane; where one fills the screen, through the details' tabs too."""
        if not self.listed:
            return
        if self.single:
            self._to_page(self._page() + step)
        else:
            self.go_to(PANES[(PANES.index(self.pane) + step) % len(PANES)])

    def action_previous_pane(self) -> None:
        """Goes to the pane before."""
        self.action_next_pane(-1)

    def action_next_tab(self, step: int = 1) -> None:
        """Shows another tab of the details."""
        if not self.snapshot.runs:
            return
        detail = self.query_one(DetailPane)
        detail.tab = TABS[(TABS.index(detail.tab) + step) % len(TABS)]
        if self.single or self.zoomed:
            self.go_to("detail")
        self._show_bars()

    def action_previous_tab(self) -> None:
        """Shows the tab before."""
        self.action_next_tab(-1)

    def action_zoom(self) -> None:
        """Gives the current pane the whole screen, or gives it back."""
        if not self.single and self.snapshot.runs:
            self.zoomed = not self.zoomed
            self.go_to(self.pane)

    def action_open_run(self) -> None:
        """Opens the run under the cursor."""
        if self.run is not None:
            self.open_run(self.run.id)

    # What changes the picture

    @on(RunTable.Moved)
    def _cursor_moved(self) -> None:
        if self.is_whole:
            self._selection_changed()

    def watch_filter(self) -> None:
        """Other runs are shown."""
        self.show_app()

    def watch_in_trash(self) -> None:
        """Other runs are listed; those of the trash are read first."""
        self.want(self._wanted())
        self.show_app()

    def watch_options(self) -> None:
        """The chart is drawn another way."""
        self._selection_changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the trash, runs are restored or deleted for good; what is there is not trained."""
        if action in ACTIONS_OF_TRASH:
            return self.in_trash
        if action in NOT_IN_TRASH:
            return not self.in_trash
        return super().check_action(action, parameters)
