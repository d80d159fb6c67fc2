"""Choosing which runs are marked, where the table of runs is not on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lab import text
from lab.analysis.run_filter import RunFilter, parse_filter
from lab.errors import LabError
from lab.tui.config_changes import changes_text
from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


class ChooseRunsScreen(Window[tuple[str, ...] | None]):
    """Answers the ids of the runs that are to be marked, in the order of marking; None on escape."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("tab,shift+tab", "mark", show=False, priority=True),
        Binding("ctrl+a", "mark_all", show=False, priority=True),
        Binding("escape", "leave", show=False),
        Binding("down", "move('cursor_down')", show=False),
        Binding("up", "move('cursor_up')", show=False),
        Binding("pagedown", "move('page_down')", show=False),
        Binding("pageup", "move('page_up')", show=False),
    ]

    def __init__(self, runs: Sequence[RunRow], marks: Sequence[str], look: Look) -> None:
        super().__init__()
        self._runs, self._look = tuple(reversed(runs)), look
        self.marks = tuple(marks)
        self._filter = RunFilter()

    def compose(self) -> ComposeResult:
        """A line to filter by, the runs, the keys."""
        colours = theme_colours(self.app.theme_variables)
        said = Text()
        for key, does in (("tab", "mark"), ("ctrl+a", "mark all shown"), ("enter", "compare them"), ("esc", "leave")):
            said.append(key, f"bold {colours['accent']}")
            said.append(f" {does}   ", colours["text-muted"])
        with Vertical(id="choose-runs") as box:
            box.border_title = "Which runs to compare"
            yield Input(placeholder="type to filter: residual, stage:mlp, val<2.1, seed:1337", id="choose-filter",
                        compact=True)  # fmt: skip
            yield SafeList(id="choose-list", compact=True)
            yield Static(said, id="choose-keys", markup=False)

    def on_mount(self) -> None:
        """Starts with all of them; the list is moved through while one types."""
        self.query_one(OptionList).can_focus = False
        self._show()

    @property
    def shown(self) -> list[RunRow]:
        """The runs that the filter lets through, the newest first."""
        return [run for run in self._runs if self._filter(run)]

    def _show(self) -> None:
        options = self.query_one(OptionList)
        shown = self.shown
        rows = [Option(self._row(run), id=run.id) for run in shown]
        place = options.highlighted
        options.set_options(rows)
        options.highlighted = min(place or 0, len(rows) - 1) if rows else None
        box = self.query_one("#choose-runs", Vertical)
        box.border_subtitle = f"{len(self.marks)} marked · {len(shown)} of {text.plural(len(self._runs), 'run')}"

    def _row(self, run: RunRow) -> Text:
        marked = run.id in self.marks
        muted = self._look.colour("text-muted")
        said = Text(no_wrap=True, overflow="ellipsis")
        said.append("● " if marked else "· ", self._look.colour_of(run.id))
        said.append(f"{text.clip(text.literal(run.name), 22):<22} ", "bold" if marked else "")
        said.append(f"{text.loss(run.val_loss):>7}  ")
        said.append(f"{run.status:<9} seed {run.seed}  {changes_text(run.config_json)}", muted)
        return said

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            self._filter = parse_filter(event.value)
        except LabError:
            return  # half a term: the last whole filter stays
        self._show()

    @on(Input.Submitted)
    def _entered(self) -> None:
        """Compares what is marked; where nothing is, the run under the cursor is marked first."""
        if not self.marks:
            self._toggle()
        self.dismiss(self.marks)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._toggle()

    def _toggle(self) -> None:
        option = self.query_one(OptionList).highlighted_option
        if option is None or option.id is None:
            return
        others = tuple(run_id for run_id in self.marks if run_id != option.id)
        self.marks = others if option.id in self.marks else (*self.marks, option.id)
        self._show()

    def action_mark(self) -> None:
        """Marks the run under the cursor, or takes its mark away, and goes on to the next."""
        self._toggle()
        self.query_one(OptionList).action_cursor_down()

    def action_mark_all(self) -> None:
        """Marks all that are shown; where they are, takes their marks away."""
        shown = [run.id for run in self.shown]
        others = tuple(run_id for run_id in self.marks if run_id not in set(shown))
        self.marks = others if set(shown) <= set(self.marks) else (*others, *shown)
        self._show()

    def action_move(self, how: str) -> None:
        """Moves the cursor while the line keeps the focus."""
        getattr(self.query_one(OptionList), f"action_{how}")()

    def action_leave(self) -> None:
        """Leaves the marks as they were."""
        self.dismiss(None)
