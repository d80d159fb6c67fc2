"""What of the Inspect mode there is room for, and moving about in it."""

from __future__ import annotations

from textual import events, on
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import OptionList

from lab.tui.screens.run_choices import RunChoices
from lab.tui.widgets.bars import PaneStrip
from lab.tui.widgets.model_lists import ModelLists
from lab.tui.widgets.page_view import PageView
from lab.tui.widgets.question_line import QuestionLine

PAGES = ("views", "model", "page", "beside")
FIRST, SECOND = "page-first", "page-second"
_STOPS = (("views", "views"), ("model", "models"), ("model", "checkpoints"), ("page", FIRST), ("beside", SECOND))
FAR = 10


class InspectPages(RunChoices):
    """The lists on the left, one page or two on the right; where there is little room one of these alone."""

    tab: var[str] = var("views", init=False)
    zoomed: var[bool] = var(False, init=False)

    @property
    def has_beside(self) -> bool:
        """Whether a second page is shown."""
        raise NotImplementedError

    def show(self) -> None:
        """Shows what is chosen and what came of it."""
        raise NotImplementedError

    def show_bars(self) -> None:
        """Fills the lines at the top and the bottom."""
        raise NotImplementedError

    @property
    def view_in_hand(self) -> PageView:
        """The page whose cursor the keys move."""
        return self.query_one(f"#{SECOND if self.tab == 'beside' and self.has_beside else FIRST}", PageView)

    # What is on the screen

    def show_pages(self) -> None:
        """Shows what there is room for."""
        single, alone = self.single, self.zoomed
        self.show_size()
        self.set_class(single, "-single")
        self.set_class(alone, "-alone")
        in_lists = self.tab in ("views", "model")
        shown = {
            "views": not alone and (not single or self.tab == "views"),
            "model-lists": not alone and (not single or self.tab == "model"),
            "inspect-left": not alone and (not single or in_lists),
            "inspect-right": not single or not in_lists or alone,
            "first": not self._hides("first"),
            "second": self.has_beside and not self._hides("second"),
        }
        for name, is_shown in shown.items():
            self.query_one(f"#{name}").display = is_shown
        for view in self.query(PageView):
            view.show_alone(alone=alone)

    def _hides(self, name: str) -> bool:
        """Whether a page makes room for the other."""
        if not self.has_beside or not (self.single or self.zoomed):
            return False
        return (name == "second") != (self.tab == "beside")

    def on_resize(self, event: events.Resize) -> None:
        """Panes come and go with the room there is."""
        if self.is_whole:
            self.show_pages()
            self.call_after_refresh(self.show)

    # Moving about

    def turn_to(self, tab: str) -> None:
        """Shows a pane, and gives what is foremost in it the keys."""
        self._stop_at(tab, next(name for stop, name in _STOPS if stop == tab))

    def _stop_at(self, tab: str, name: str) -> None:
        if tab in ("views", "model"):
            self.zoomed = False
        self.tab = tab
        self.show_pages()
        self.query_one(f"#{name}").focus()
        self.show_bars()

    @on(PaneStrip.Chosen)
    def _strip_clicked(self, event: PaneStrip.Chosen) -> None:
        if PAGES[event.place] != "beside" or self.has_beside:
            self.turn_to(PAGES[event.place])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane that has the keys is the current one."""
        tab = next((tab for tab, name in _STOPS if name == event.widget.id), "")
        if self.is_whole and event.widget is self.focused and tab and tab != self.tab:
            self.tab = tab
            self.show_pages()
        if self.is_whole:
            self.show_bars()

    def action_next_pane(self, by: int = 1) -> None:
        """Goes to the next list or page."""
        stops = [(tab, name) for tab, name in _STOPS if tab != "beside" or self.has_beside]
        focused = self.focused.id if self.focused else None
        here = [i for i, (_, name) in enumerate(stops) if name == focused]
        self._stop_at(*stops[((here[0] if here else -1) + by) % len(stops)])

    def action_previous_pane(self) -> None:
        """Goes to the one before."""
        self.action_next_pane(-1)

    @on(QuestionLine.Closed)
    def _line_closed(self) -> None:
        self.turn_to(self.tab)

    # Moving in it

    def _moved(self, in_list: str, right: int = 0, down: int = 0) -> None:
        target: Widget | None = self.focused
        if isinstance(target, OptionList):
            if in_list:
                getattr(target, in_list)()
            return
        if isinstance(target, PageView):
            target.move(right, down)

    def action_cursor_down(self) -> None:
        """Moves down."""
        self._moved("action_cursor_down", down=1)

    def action_cursor_up(self) -> None:
        """Moves up."""
        self._moved("action_cursor_up", down=-1)

    def action_cursor_first(self) -> None:
        """Moves to the first."""
        self._to_end("action_first", last=False)

    def action_cursor_last(self) -> None:
        """Moves to the last."""
        self._to_end("action_last", last=True)

    def _to_end(self, in_list: str, *, last: bool) -> None:
        if isinstance(self.focused, OptionList):
            getattr(self.focused, in_list)()
        elif isinstance(self.focused, PageView):
            self.focused.move_to_end(last=last)

    def action_step_forward(self, by: int = 1) -> None:
        """Moves the cursor of the figure to the right; from a list goes to the page first."""
        if isinstance(self.focused, OptionList):
            self.turn_to("page")
        else:
            self._moved("", right=by)

    def action_step_back(self, by: int = 1) -> None:
        """Moves it to the left."""
        if not isinstance(self.focused, OptionList):
            self._moved("", right=-by)

    def action_step_forward_far(self) -> None:
        """Ten to the right."""
        self.action_step_forward(FAR)

    def action_step_back_far(self) -> None:
        """Ten to the left."""
        self.action_step_back(FAR)

    def action_next_figure(self, by: int = 1) -> None:
        """Makes the next figure of the page the current one."""
        if self.tab not in ("page", "beside"):
            self.turn_to("page")
        self.view_in_hand.turn(by)

    def action_previous_figure(self) -> None:
        """Makes the figure before the current one."""
        self.action_next_figure(-1)

    def action_zoom(self) -> None:
        """Gives the current figure all the room, or gives it back."""
        self.zoomed = not self.zoomed
        self.turn_to("beside" if self.tab == "beside" else "page")

    def lists(self) -> ModelLists:
        """The runs and checkpoints."""
        return self.query_one(ModelLists)
