"""The panes of a comparison: which one has the keys, and what of them is on the screen."""

from __future__ import annotations

from textual import events, on
from textual.reactive import var
from textual.widget import Widget

from lab.tui.screens.compare_actions import CompareActions
from lab.tui.widgets.bars import PaneStrip
from lab.tui.widgets.compare_pages import PAGES
from lab.tui.widgets.group_table import GroupTable
from lab.tui.widgets.question_line import QuestionLine
from lab.tui.widgets.text_pane import TextPane

PANES = ("groups", "charts", "beside")
KINDS_BY_ID = {"compare-chart": "overlay", "multiples": "multiples", "bars": "bars"}
"""The widgets of the charts' pane, and what each draws."""


class ComparePanes(CompareActions):
    """The keys of the panes: the table of groups, the charts, and the pages beside them."""

    pane: var[str] = var("groups", init=False)
    page: var[str] = var(PAGES[0], init=False)
    zoomed: var[bool] = var(False, init=False)

    @property
    def marked(self) -> tuple[str, ...]:
        """The marked runs that there still are."""
        known = self.lab.snapshot.by_id
        return tuple(run_id for run_id in self.lab.marks if run_id in known)

    def show_bars(self) -> None:
        """Shows the keys and the status."""
        raise NotImplementedError

    def show_parts(self) -> None:
        """Shows what depends on the group under the cursor."""
        raise NotImplementedError

    def after_change(self) -> None:
        """Shows all of it anew, once there is the room that it is laid out by."""
        if self.is_whole:
            self.lay_out_panes()
            self.call_after_refresh(self.show_parts)

    def lay_out_panes(self) -> None:
        """Shows the panes that there is room for."""
        empty = not self.marked
        alone = self.single or self.zoomed
        self.show_size()
        self.set_class(self.single and not empty, "-single")
        self.set_alone(PANES, alone)
        shown = {pane: not empty and (not alone or pane == self.pane) for pane in PANES}
        shown |= {"nothing-marked": empty, "below": shown["charts"] or shown["beside"]}
        shown |= {name: kind == self.kind for name, kind in KINDS_BY_ID.items()}
        for name, is_shown in shown.items():
            self.query_one(f"#{name}").display = is_shown

    def on_resize(self, event: events.Resize) -> None:
        """Panes come and go with the room there is; what is laid out by it is so again."""
        if self.is_whole:
            self.lay_out_panes()
            self.call_after_refresh(self.show_parts)

    def _holder(self, pane: str) -> Widget:
        """The widget of a pane that takes the keys."""
        if pane == "charts":
            return next(self.query_one(f"#{name}") for name, kind in KINDS_BY_ID.items() if kind == self.kind)
        return self.query_one("#groups-rows" if pane == "groups" else f"#{pane}")

    def go_to(self, pane: str) -> None:
        """Shows a pane and gives it the keys."""
        self.pane = pane
        self.lay_out_panes()
        self._holder(pane).focus()
        self.call_after_refresh(self.show_parts)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane that has the keys is the current one."""
        pane = next((pane for pane in PANES if self._holder(pane) is event.widget), "")
        if pane and self.is_whole and pane != self.pane:
            self.pane = pane
            self.show_bars()

    def strip_place(self) -> int:
        return 2 + PAGES.index(self.page) if self.pane == "beside" else PANES.index(self.pane)

    def _to_strip_place(self, place: int) -> None:
        place %= 2 + len(PAGES)
        if place >= 2:
            self.page = PAGES[place - 2]
        self.go_to(PANES[min(place, 2)])

    @on(PaneStrip.Chosen)
    def _strip_clicked(self, event: PaneStrip.Chosen) -> None:
        self._to_strip_place(event.place)

    def action_next_pane(self, by: int = 1) -> None:
        """Goes to the next pane; where one fills the screen, through the pages too."""
        if not self.marked:
            return
        if self.single:
            self._to_strip_place(self.strip_place() + by)
        else:
            self.go_to(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def action_previous_pane(self) -> None:
        """Goes to the pane before."""
        self.action_next_pane(-1)

    def action_next_tab(self, by: int = 1) -> None:
        """Shows another page beside the chart."""
        if not self.marked:
            return
        self.page = PAGES[(PAGES.index(self.page) + by) % len(PAGES)]
        self.query_one("#beside", TextPane).scroll_home(animate=False)
        if self.single or self.zoomed:
            self.go_to("beside")
        else:
            self.after_change()

    def action_previous_tab(self) -> None:
        """Shows the page before."""
        self.action_next_tab(-1)

    def action_zoom(self) -> None:
        """Gives the current pane the whole screen, or gives it back."""
        if not self.single and self.marked:
            self.zoomed = not self.zoomed
            self.go_to(self.pane)

    def action_unmark_all(self) -> None:
        """Leaves the zoom, else takes away all marks."""
        if self.zoomed:
            self.action_zoom()
        else:
            self.lab.marks = ()

    @on(QuestionLine.Closed)
    def _line_closed(self) -> None:
        self._holder(self.pane).focus()

    # Moving

    def _move(self, row_action: str, scroll: str) -> None:
        """Moves the cursor through the groups; where a text has the keys, the text."""
        if self.pane == "beside":
            getattr(self.query_one("#beside"), scroll)()
        else:
            getattr(self.query_one(GroupTable).rows, row_action)()

    def action_cursor_down(self) -> None:
        """Moves down."""
        self._move("action_cursor_down", "action_scroll_down")

    def action_cursor_up(self) -> None:
        """Moves up."""
        self._move("action_cursor_up", "action_scroll_up")

    def action_cursor_first(self) -> None:
        """Moves to the first."""
        self._move("action_first", "action_scroll_home")

    def action_cursor_last(self) -> None:
        """Moves to the last."""
        self._move("action_last", "action_scroll_end")
