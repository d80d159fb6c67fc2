"""What the table of runs shows: the cursor, marks, filter, order, columns, and the trash instead of the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.reactive import var
from textual.widget import Widget

from lab.analysis.run_filter import RunFilter
from lab.tui.chart_options import MOST_LINES
from lab.tui.screens.queue_actions import QueueActions
from lab.tui.widgets.detail_pane import DetailPane
from lab.tui.widgets.filter_bar import FilterBar, Values
from lab.tui.widgets.question_line import QuestionLine
from lab.tui.widgets.run_columns import column_of
from lab.tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


class TableActions(QueueActions):
    """The table's keys. What is marked and shown lives here; the table shows it."""

    sort: var[str] = var("", init=False)
    reverse: var[bool] = var(False, init=False)
    columns: var[tuple[str, ...]] = var((), init=False)
    """Those that a person has chosen, by their keys; empty where they go by the width."""
    filter: var[RunFilter] = var(RunFilter, init=False)
    in_trash: var[bool] = var(False, init=False)
    """Whether the runs in the trash are shown instead of the others."""
    pane: var[str] = var("runs", init=False)
    zoomed: var[bool] = var(False, init=False)

    @property
    def marks(self) -> tuple[str, ...]:
        """The marked runs, here and wherever else runs are marked."""
        return self.lab.marks

    @marks.setter
    def marks(self, marks: tuple[str, ...]) -> None:
        self.lab.marks = marks

    @property
    def baseline(self) -> str | None:
        """The pinned run, here and in every comparison."""
        return self.lab.baseline

    @baseline.setter
    def baseline(self, baseline: str | None) -> None:
        self.lab.baseline = baseline

    @property
    def listed(self) -> tuple[RunRow, ...]:
        """The runs, or those in the trash, before filtering."""
        snapshot = self.lab.snapshot
        return snapshot.trashed if self.in_trash else snapshot.runs

    @property
    def run(self) -> RunRow | None:
        """The run under the cursor."""
        return self.lab.snapshot.by_id.get(self.query_one(RunTable).run_id or "")

    @property
    def marked(self) -> tuple[RunRow, ...]:
        """The marked runs that are listed, filtered out or not, in the order of marking."""
        known = (self.lab.snapshot.by_id.get(run_id) for run_id in self.marks)
        return tuple(run for run in known if run is not None and (run.trashed_at is not None) == self.in_trash)

    @property
    def chosen(self) -> tuple[RunRow, ...]:
        """The marked runs, where there are any, else the one under the cursor."""
        return self.marked or super().chosen

    @property
    def drawn(self) -> tuple[str, ...]:
        """The runs whose curves are drawn: the chosen ones, as many as a chart can show."""
        return tuple(run.id for run in self.chosen[:MOST_LINES])

    def show_table(self) -> None:
        """Shows the table, unless it would look as before."""
        raise NotImplementedError

    def go_to(self, pane: str) -> None:
        """Shows a pane and gives it the keys."""
        raise NotImplementedError

    # The cursor

    def _move(self, table_action: str, scroll: str) -> None:
        """Moves the cursor; in the details, the text."""
        target: Widget = self.query_one(DetailPane) if self.pane == "detail" else self.query_one(RunTable)
        getattr(target, scroll if self.pane == "detail" else table_action)()

    def action_cursor_down(self) -> None:
        """Moves down."""
        self._move("action_cursor_down", "action_scroll_down")

    def action_cursor_up(self) -> None:
        """Moves up."""
        self._move("action_cursor_up", "action_scroll_up")

    def action_cursor_first(self) -> None:
        """Moves to the first."""
        self._move("action_scroll_top", "action_scroll_home")

    def action_cursor_last(self) -> None:
        """Moves to the last."""
        self._move("action_scroll_bottom", "action_scroll_end")

    # Marks

    def action_mark(self) -> None:
        """Marks the run under the cursor, or takes its mark away, and goes on to the next."""
        run = self.run
        if run is None:
            return
        others = tuple(marked for marked in self.marks if marked != run.id)
        self.marks = others if run.id in self.marks else (*self.marks, run.id)
        if self.pane == "runs":
            self.query_one(RunTable).action_cursor_down()

    @on(RunTable.MarkAsked)
    def _mark_clicked(self) -> None:
        run = self.run
        if run is not None:
            others = tuple(marked for marked in self.marks if marked != run.id)
            self.marks = others if run.id in self.marks else (*self.marks, run.id)

    def action_mark_all(self) -> None:
        """Marks every run that the filter lets through; takes the marks away where all of them are marked."""
        shown = [run.id for run in self.listed if self.filter(run)]
        others = tuple(run_id for run_id in self.marks if run_id not in set(shown))
        every = set(shown) <= set(self.marks)
        self.marks = others if every else (*others, *shown)

    def action_unmark_all(self) -> None:
        """Leaves what was entered last: the zoom, the filter, the marks, the trash."""
        bar = self.query_one(FilterBar)
        if self.zoomed:
            self.zoomed = False
            self.go_to(self.pane)
        elif bar.display or self.filter.terms:
            bar.clear()
        elif self.marks:
            self.marks = ()
        else:
            self.in_trash = False

    def action_pin(self) -> None:
        """Pins the run under the cursor as the baseline, or takes it off."""
        run = self.run
        if run is not None:
            self.baseline = None if run.id == self.baseline else run.id

    # Which are shown

    def action_filter(self) -> None:
        """Opens the line to filter by."""
        if self.listed:
            if self.single:
                self.go_to("runs")
            self.query_one(FilterBar).open()

    def filter_values(self) -> Values:
        """What the values of a filter's terms may be."""
        from lab.analysis.filter_completion import values_of

        return values_of(self.listed)

    @on(FilterBar.Changed)
    def _filter_changed(self, event: FilterBar.Changed) -> None:
        self.filter = event.filter

    @on(FilterBar.Closed)
    @on(QuestionLine.Closed)
    def _line_closed(self) -> None:
        pane = self.query_one(f"#{self.pane}")
        (pane if pane.display else self.query_one(RunTable)).focus()

    def action_show_trash(self) -> None:
        """Shows the trash instead of the runs, or the runs again."""
        self.in_trash = not self.in_trash
        if self.in_trash:
            self.go_to("runs")

    # In which order, in which columns

    def action_sort(self) -> None:
        """Sorts by the next column."""
        sorts = ["", *(column.key for column in self.query_one(RunTable).columns_shown if column.sort)]
        place = sorts.index(self.sort) if self.sort in sorts else 0
        self._sort_by(sorts[(place + 1) % len(sorts)])

    def action_sort_reverse(self) -> None:
        """Turns the order round."""
        self._sort_by(self.sort, reverse=not self.reverse)

    @on(RunTable.SortAsked)
    def _head_clicked(self, event: RunTable.SortAsked) -> None:
        if column_of(event.column).sort:
            self._sort_by(event.column, reverse=event.column == self.sort and not self.reverse)
        elif event.column == "status":
            self._sort_by("")

    def _sort_by(self, sort: str, *, reverse: bool = False) -> None:
        self.sort, self.reverse = sort, reverse
        self.show_table()
        self.show_status()

    def action_columns(self) -> None:
        """Opens the list of columns."""
        from lab.tui.screens.columns import ColumnsScreen, TableLayout

        def changed(layout: TableLayout) -> None:
            self.columns = layout.columns
            self._sort_by(layout.sort, reverse=layout.reverse)

        shown = tuple(column.key for column in self.query_one(RunTable).columns_shown)
        self.app.push_screen(ColumnsScreen(TableLayout(self.columns, self.sort, self.reverse), shown, changed))
