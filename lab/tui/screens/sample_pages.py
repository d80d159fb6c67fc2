"""What of the Sample mode there is room for, and moving about in it."""

from __future__ import annotations

from textual import events, on
from textual.widget import Widget
from textual.widgets import Input, OptionList, TextArea

from lab.tui.screens.lab_screen import LabScreen
from lab.tui.widgets.bars import PaneStrip
from lab.tui.widgets.model_lists import ModelLists
from lab.tui.widgets.sample_form import SampleForm

PAGES = ("model", "text", "next")
FIRST, SECOND = "first", "second"
_STOPS = (
    ("model", "models"), ("model", "checkpoints"), ("text", f"{FIRST}-text"), ("text", "prompt"),
    *(("text", f"sample-{name}") for name in ("temp", "top-k", "top-p", "length", "seed", "count")),
    ("next", f"{FIRST}-text"),
)  # fmt: skip


class SamplePages(LabScreen):
    """The pages: the lists, the text with the form, the bars. Where there is room all are shown."""

    page = "text"
    beside: tuple[str, str] | None = None
    """Run and checkpoint of the second pane."""

    def show(self) -> None:
        """Shows what is chosen and what is written."""
        raise NotImplementedError

    def show_bars(self) -> None:
        """Fills the lines at the top and the bottom."""
        raise NotImplementedError

    # Moving about

    def go_to_page(self, page: str) -> None:
        """Shows a page, where one fills the screen."""
        self.page = page
        self.show_pages()
        self.show_bars()
        self.call_after_refresh(self.show)  # what is laid out by its size has got one

    def turn_to(self, page: str) -> None:
        """Shows a page, and gives what is foremost on it the keys."""
        self.go_to_page(page)
        self.query_one("#models" if page == "model" else f"#{FIRST}-text").focus()

    @on(PaneStrip.Chosen)
    def _strip_clicked(self, event: PaneStrip.Chosen) -> None:
        self.turn_to(PAGES[event.place])

    def action_next_tab(self, by: int = 1) -> None:
        """Turns to the next page, where one fills the screen."""
        if self.single:
            self.turn_to(PAGES[(PAGES.index(self.page) + by) % len(PAGES)])

    def action_previous_tab(self) -> None:
        """Turns to the page before."""
        self.action_next_tab(-1)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Other keys mean something in another pane."""
        if self.is_whole:
            self.show_bars()

    def action_next_pane(self, by: int = 1) -> None:
        """Goes to the next list, text or field."""
        stops = [stop for stop in _STOPS if self._reachable(*stop)]
        focused = self.focused.id if self.focused else None
        here = [i for i, (page, name) in enumerate(stops) if name == focused and (page == self.page or not self.single)]
        page, name = stops[((here[0] if here else -1) + by) % len(stops)]
        if self.single:
            self.go_to_page(page)
        self.query_one(f"#{name}").focus()

    def action_previous_pane(self) -> None:
        """Goes to the one before."""
        self.action_next_pane(-1)

    def _reachable(self, page: str, name: str) -> bool:
        return page != "next" or self.single

    def _moved(self, in_list: str, in_text: str) -> None:
        target: Widget | None = self.focused
        if isinstance(target, OptionList):
            getattr(target, in_list)()
        elif target is not None and not isinstance(target, Input | TextArea):
            getattr(target, in_text)()

    def action_cursor_down(self) -> None:
        """Moves down."""
        self._moved("action_cursor_down", "action_scroll_down")

    def action_cursor_up(self) -> None:
        """Moves up."""
        self._moved("action_cursor_up", "action_scroll_up")

    def action_cursor_first(self) -> None:
        """Moves to the first."""
        self._moved("action_first", "action_scroll_home")

    def action_cursor_last(self) -> None:
        """Moves to the last."""
        self._moved("action_last", "action_scroll_end")

    def show_pages(self) -> None:
        """Shows what there is room for."""
        single = self.single
        self.show_size()
        self.set_class(single, "-single")
        self.set_class(self.page == "next", "-bars")
        self.query_one(ModelLists).display = not single or self.page == "model"
        self.query_one("#sample-right").display = not single or self.page != "model"
        self.query_one(SampleForm).display = not single or self.page == "text"
        self.query_one(f"#{SECOND}").display = self.beside is not None
        for bars in self.query(".next"):
            bars.display = not single or self.page == "next"

    def on_resize(self, event: events.Resize) -> None:
        """Pages come and go with the room there is."""
        if self.is_whole:
            self.show_pages()
            self.call_after_refresh(self.show)
