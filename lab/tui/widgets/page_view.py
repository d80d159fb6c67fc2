"""One page of an inspection: what to look at, and its figures, through which a cursor moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lab import text
from lab.inference.figures import Page
from lab.tui.chart_cells import Row
from lab.tui.figure_drawings import base
from lab.tui.figure_drawings.base import Cursor, Drawing, FigureDrawing, FigureLook, padded
from lab.tui.figure_drawings.kinds import drawing_of
from lab.tui.figure_drawings.layout import Placed, lay_out
from lab.tui.marker_style import marker_style
from lab.tui.theme import theme_colours

if TYPE_CHECKING:
    from lab.tui.app import LabApp

NOTES_FROM = 30
"""Rows from which on the notes stand over the figures, not under them."""


@dataclass
class _Drawn:
    """A page laid out in some room: its lines, and the strips that were drawn of each figure."""

    key: tuple[object, ...]
    head: list[Row] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    foot: list[Row] = field(default_factory=list)
    height: int = 0


class PageView(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws a page, all figures or the current one alone; the screen moves the cursor, so arrows do not scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
    ]

    BORDER_TITLE = "Page"

    @dataclass
    class Moved(Message):
        """The cursor is somewhere else, or another figure is the current one."""

        view: PageView

    def __init__(self, *, id: str, classes: str = "") -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, classes=classes)
        self.page: Page | None = None
        self.said = Text()
        """What is shown where there is no page."""
        self.current = 0
        self.alone = False
        """Whether the current figure has all the room."""
        self._drawings: list[FigureDrawing] = []
        self._cursors: dict[tuple[str, int], Cursor] = {}
        self._drawn = _Drawn(())
        self._kept: dict[int, tuple[tuple[object, ...], Drawing]] = {}
        self._style: Style | None = None
        """Its own, which Textual works out anew each time from all that it stands in."""

    # What is shown

    def show(self, page: Page | None, said: Text) -> None:
        """Shows a page, or what is said where there is none."""
        if page is self.page and said == self.said:
            return
        if page is not self.page:
            another = page is None or self.page is None or page.view != self.page.view
            self._drawings = [drawing_of(figure) for figure in page.figures] if page is not None else []
            if another:
                self.current = 0
                self.scroll_to(0, 0, animate=False)
        self.page, self.said = page, said
        self.current = min(self.current, max(0, len(self._drawings) - 1))
        self._lay_out()

    @property
    def drawing(self) -> FigureDrawing | None:
        """The current figure's."""
        return self._drawings[self.current] if self._drawings else None

    @property
    def cursor(self) -> Cursor:
        """Where the cursor is in the current figure."""
        drawing = self.drawing
        if drawing is None:
            return 0, 0
        return drawing.within(self._cursors.get(self._cursor_key(self.current), drawing.start()))

    def _cursor_key(self, number: int) -> tuple[str, int]:
        """Figures of a group share a cursor: their cells are compared."""
        page, figure = self.page, self._drawings[number].figure
        view = page.view if page is not None else ""
        return (f"{view} {type(figure).__name__} {figure.group}", -1) if figure.group else (view, number)

    @property
    def under(self) -> Text:
        """What is under the cursor."""
        return self.drawing.under(self.cursor) if self.drawing is not None else Text()

    @property
    def place(self) -> str:
        """Which of the figures is the current one."""
        count = len(self._drawings)
        return f"figure {self.current + 1} of {count}" if count > 1 else ""

    # Moving

    def move(self, right: int, down: int) -> None:
        """Moves the cursor in the current figure."""
        drawing = self.drawing
        if drawing is not None:
            self._set_cursor(drawing.moved(self.cursor, right, down))

    def move_to_end(self, *, last: bool) -> None:
        """Moves to the figure's first place, or its last."""
        drawing = self.drawing
        if drawing is not None:
            rows, columns = drawing.extent
            self._set_cursor(drawing.within((rows - 1, columns - 1) if last else (0, 0)))

    def _set_cursor(self, cursor: Cursor) -> None:
        self._cursors[self._cursor_key(self.current)] = cursor
        self._refresh_figures()
        self.post_message(self.Moved(self))

    def turn(self, by: int) -> None:
        """Makes another figure the current one."""
        if self._drawings:
            self.choose((self.current + by) % len(self._drawings))

    def choose(self, number: int) -> None:
        """Makes a figure the current one and brings it into view."""
        self.current = number
        if self.alone:
            self._lay_out()
        self._refresh_figures()
        self._bring_into_view()
        self.post_message(self.Moved(self))

    def show_alone(self, *, alone: bool) -> None:
        """Gives the current figure all the room, or shows all of them."""
        if alone != self.alone:
            self.alone = alone
            self._lay_out()
            self._bring_into_view()

    def _bring_into_view(self) -> None:
        placed = next((each for each in self._drawn.placed if each.number == self.current), None)
        if placed is None:
            return
        top = len(self._drawn.head) + placed.y
        if self.current == 0:
            top = 0
        height = len(self._drawn.head) + placed.bottom - top
        self.scroll_to_region(Region(0, top, 1, height), animate=False, force=True)

    # Laying out

    def on_resize(self, event: events.Resize) -> None:
        """Figures fit themselves to the room there is."""
        self._lay_out()

    def _look(self) -> FigureLook:
        app = cast("LabApp", self.app)
        return FigureLook(
            colours=theme_colours(app.theme_variables),
            dark=app.current_theme.dark,
            marker=marker_style(app.theme_variables, ascii_only=app.ascii_charts),
            colour_system=None if app.no_color else app.console.color_system or "truecolor",
            focused=self.has_focus,
        )

    def _lay_out(self) -> None:
        if not self.is_mounted or not self.size.width:
            self._drawn, self._kept = _Drawn(()), {}  # laid out when there is room, were it while painting
            return
        width, height = self.scrollable_content_region.size
        look = self._look()
        drawn = _Drawn((id(self.page), width, height, self.app.theme, self.alone))
        page = self.page
        if page is None:
            drawn.head = _wrapped(self.said, width)
        else:
            muted = look.colour("text-muted")
            notes = Text("\n".join(text.literal(note) for note in page.notes), muted)
            about = Text(text.literal(page.look_at), look.colour("foreground"))
            if self.said:
                drawn.head += _wrapped(self.said, width)
            if not self.alone:
                drawn.head += _wrapped(about, width)
            over = height >= NOTES_FROM and not self.alone
            if page.notes:
                rows = _wrapped(notes, width)
                if over:
                    drawn.head += rows
                elif not self.alone:
                    drawn.foot = [[Segment("")], *rows]
            if not self.alone:
                drawn.head.append([Segment("")])
            self._place(drawn, look, width, max(4, height - len(drawn.head)))
        drawn.height = len(drawn.head) + max((each.bottom for each in drawn.placed), default=0) + len(drawn.foot)
        self._drawn, self._kept = drawn, {}
        self.virtual_size = Size(width, drawn.height)
        self.refresh()

    def _place(self, drawn: _Drawn, look: FigureLook, width: int, height: int) -> None:
        if not self.alone:
            drawn.placed = lay_out(self._drawings, look, width, height)
        elif self.drawing is not None:
            fitting = [size for size in self.drawing.sizes(look, width) if size.fits(width, height - 1)]
            size = fitting[0] if fitting else base.Size(width, height - 1)
            title = text.literal(self.drawing.figure.title)
            drawn.placed = [Placed(self.current, 0, 0, size, title, width)]

    # Drawing

    def _refresh_figures(self) -> None:
        """What depends on the cursor is drawn anew."""
        self._kept = {number: kept for number, kept in self._kept.items() if kept[0] == self._drawing_key(number)}
        self.refresh()

    def _shown_cursor(self, number: int) -> Cursor | None:
        """The cursor as a figure shows it: the current one, and those of its group."""
        if number == self.current or self._cursor_key(number) == self._cursor_key(self.current):
            return self._drawings[number].within(self.cursor)
        return None

    def _drawing_key(self, number: int) -> tuple[object, ...]:
        return (self._shown_cursor(number),)

    def _drawing_of(self, placed: Placed) -> Drawing:
        kept = self._kept.get(placed.number)
        if kept is None:
            cursor = self._shown_cursor(placed.number)
            drawing = self._drawings[placed.number].draw(self._look(), placed.size, cursor)
            kept = self._kept[placed.number] = (self._drawing_key(placed.number), drawing)
        return kept[1]

    def render_line(self, y: int) -> Strip:
        """One row of the page."""
        width = self.size.width
        if self._drawn.key[3:4] != (self.app.theme,):
            self._lay_out()
        style = self._style = self._style or self.rich_style
        row = self._row(y + self.scroll_offset.y)
        return Strip(row).adjust_cell_length(width, style).apply_style(style)

    def notify_style_update(self) -> None:
        """Its style may be another one."""
        super().notify_style_update()
        self._style = None

    def _row(self, y: int) -> Row:
        drawn = self._drawn
        if y < len(drawn.head):
            return drawn.head[y]
        below = y - len(drawn.head)
        row: Row = []
        used = 0
        for placed in drawn.placed:
            if not placed.y <= below < placed.bottom:
                continue
            if placed.x > used:
                row.append(Segment(" " * (placed.x - used)))
            part = self._title(placed) if below == placed.y else self._line(placed, below - placed.y - 1)
            row += padded(part, placed.width)
            used = placed.x + placed.width
        bottom = drawn.height - len(drawn.head) - len(drawn.foot)
        if not row and bottom <= below < bottom + len(drawn.foot):
            return drawn.foot[below - bottom]
        return row

    def _title(self, placed: Placed) -> Row:
        look = self._look()
        chosen = placed.number == self.current and len(self._drawings) > 1
        sign = (">" if look.ascii_only else "▸") if chosen and not self.alone else ""
        style = look.style("accent" if chosen else "secondary", bold=True)
        return [Segment(text.clip(f"{sign}{' ' if sign else ''}{placed.title}", placed.width), style)]

    def _line(self, placed: Placed, y: int) -> Row:
        rows = self._drawing_of(placed).rows
        return rows[y] if y < len(rows) else []

    def on_focus(self) -> None:
        """The cursor is bright while the keys move it."""
        self._kept.clear()

    def on_blur(self) -> None:
        """And faint else."""
        self._kept.clear()

    # The mouse

    def on_click(self, event: events.Click) -> None:
        """The cursor comes to where one clicks."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        x, y = offset.x, offset.y + self.scroll_offset.y - len(self._drawn.head)
        for placed in self._drawn.placed:
            if placed.x <= x < placed.x + placed.width and placed.y <= y < placed.bottom:
                spot = self._drawing_of(placed).spots.get((x - placed.x, y - placed.y - 1))
                self.current = placed.number
                if spot is not None:
                    self._cursors[self._cursor_key(placed.number)] = spot
                self._refresh_figures()
                self.post_message(self.Moved(self))
                return


def _wrapped(said: Text, width: int) -> list[Row]:
    """A text in lines of so many cells."""
    from rich.console import Console

    if not said:
        return []
    console = Console(width=max(10, width), color_system="truecolor", legacy_windows=False)
    base = console.get_style(said.style)
    lines = said.wrap(console, max(10, width))
    return [
        [Segment(part.text, base + part.style if part.style else base) for part in line.render(console, end="")]
        for line in lines
    ]
