"""The panes of the run view: which page each holds, which one is current, and what of them is on the screen."""

from __future__ import annotations

from textual import events, on
from textual.reactive import reactive
from textual.widget import Widget

from lab.tui.arrangement import FOUR, PAGES, SIX, Arrangement
from lab.tui.screens.lab_screen import LabScreen
from lab.tui.widgets.bars import PaneStrip
from lab.tui.widgets.run_pages import PAGES_BY_ID

SIX_FROM = (200, 50)
"""Columns and rows from which on there is room for six panes."""


class PaneActions(LabScreen):
    """The keys of the panes; their widgets are the children of `#cockpit`, by the ids of `PAGES_BY_ID`."""

    arrangement: reactive[Arrangement] = reactive(Arrangement, init=False)
    single_page: reactive[str] = reactive("loss", init=False)
    """The page that is shown where there is room for one alone."""

    def show_all(self) -> None:
        """Shows everything anew."""
        raise NotImplementedError

    def restore_arrangement(self, arrangement: Arrangement) -> None:
        """Takes over how the panes were left."""
        self.set_reactive(PaneActions.arrangement, arrangement)
        self.set_reactive(PaneActions.single_page, arrangement.page)
        self._focus_page()

    # What is on the screen

    @property
    def shown_panes(self) -> tuple[int, ...]:
        """The panes that there is room for, in reading order."""
        width, height = self.app.size
        return SIX if width >= SIX_FROM[0] and height >= SIX_FROM[1] else FOUR

    @property
    def page(self) -> str:
        """The page that has the keys."""
        return self.single_page if self.single else self.arrangement.page

    @property
    def shown_pages(self) -> tuple[str, ...]:
        """The pages on the screen, in reading order."""
        if self.single or self.arrangement.zoomed:
            return (self.page,)
        return tuple(self.arrangement.panes[pane] for pane in self.shown_panes)

    def pane_of(self, page: str) -> Widget:
        """The widget of a page."""
        return self.query_one(f"#page-{page.casefold()}")

    def lay_out_panes(self) -> None:
        """Shows the pages that there is room for, in their order."""
        self.show_size()
        pages = self.shown_pages
        for name, count in (("-one", 1), ("-four", len(FOUR)), ("-six", len(SIX))):
            self.set_class(len(pages) == count, name)
        self.set_class(self.single, "-single")
        order = {page: pages.index(page) if page in pages else len(pages) for page in PAGES}
        for page in PAGES:
            self.pane_of(page).display = page in pages
        cockpit = self.query_one("#cockpit")
        wanted = sorted(PAGES, key=order.__getitem__)
        if [PAGES_BY_ID[child.id or ""] for child in cockpit.children] != wanted:
            cockpit.sort_children(key=lambda child: wanted.index(PAGES_BY_ID[child.id or ""]))

    # Panes

    def watch_arrangement(self) -> None:
        """The panes change."""
        if not self.single:
            self._focus_page()

    def watch_single_page(self) -> None:
        """Another page fills the screen."""
        if self.single:
            self._focus_page()

    def _focus_page(self) -> None:
        if self.is_mounted and self.is_whole:
            self.lay_out_panes()
            self.pane_of(self.page).focus()
            self.show_all()

    def go_to(self, page: str) -> None:
        """Shows a page and gives it the keys: where it is, else in the current pane."""
        self.single_page = page
        held = [pane for pane in self.shown_panes if self.arrangement.panes[pane] == page]
        if held:
            self.arrangement = self.arrangement.moved(0, (held[0],))
        elif not self.single:
            self.arrangement = self.arrangement.with_page(page)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane that has the keys is the current one."""
        page = PAGES_BY_ID.get(event.widget.id or "", "")
        late = event.widget is not self.focused
        if self.is_whole and not late and page in self.shown_pages and page != self.page:
            self.go_to(page)

    @on(PaneStrip.Chosen)
    def _strip_clicked(self, event: PaneStrip.Chosen) -> None:
        self.go_to(PAGES[event.place])

    def _next(self, by: int) -> None:
        """The next page of all, where one fills the small screen."""
        self.go_to(PAGES[(PAGES.index(self.single_page) + by) % len(PAGES)])

    def action_next_pane(self, by: int = 1) -> None:
        """Goes to the next pane."""
        if self.single:
            self._next(by)
        else:
            self.arrangement = self.arrangement.moved(by, self.shown_panes)

    def action_previous_pane(self) -> None:
        """Goes to the pane before."""
        self.action_next_pane(-1)

    def action_next_tab(self, by: int = 1) -> None:
        """The pane holds its next page."""
        if self.single:
            self._next(by)
        else:
            self.arrangement = self.arrangement.turned(by, self.shown_panes)

    def action_previous_tab(self) -> None:
        """The pane holds its page before."""
        self.action_next_tab(-1)

    def action_zoom(self) -> None:
        """Gives the pane the whole screen, or gives it back."""
        if not self.single:
            self.arrangement = self.arrangement.with_zoom(not self.arrangement.zoomed)
