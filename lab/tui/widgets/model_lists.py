"""Which model: the runs that have a checkpoint, and the checkpoints of the one under the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lab import text
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.store.run_store import CheckpointRow, RunRow


class _Choice(SafeList):
    """A list whose cursor alone chooses; enter does what its screen has it do, a click does not."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "enter", show=False)]

    def __init__(self, on_enter: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, classes="pane", compact=True)
        self._entered = on_enter

    async def action_enter(self) -> None:
        """Does it."""
        await self.screen.run_action(self._entered)


NARROWEST_NAME, WIDEST_NAME = 16, 48
"""Cells for the name of a run."""


class ModelLists(Vertical):
    """Two lists. What is under their cursors is chosen."""

    @dataclass
    class RunChosen(Message):
        """Another run is under the cursor."""

    @dataclass
    class CheckpointChosen(Message):
        """Another checkpoint is under the cursor."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (Textual's name)
        title: str = "Runs with a checkpoint",
        on_enter: str = "write",
    ) -> None:
        super().__init__(id=id)
        self._title, self._entered = title, on_enter
        self._rows: tuple[tuple[str, str], ...] = ()
        self._show_again: Callable[[], None] = lambda: None
        self._checkpoints: tuple[tuple[str, str], ...] = ()

    def compose(self) -> ComposeResult:
        """The runs over the checkpoints."""
        runs = _Choice(self._entered, id="models")
        runs.border_title = self._title
        yield runs
        checkpoints = _Choice(self._entered, id="checkpoints")
        checkpoints.border_title = "Checkpoint"
        yield checkpoints

    @property
    def run_id(self) -> str | None:
        """The run under the cursor."""
        return self._highlighted("#models")

    @property
    def checkpoint(self) -> str:
        """The checkpoint under the cursor: best, last, or a step."""
        return self._highlighted("#checkpoints") or "best"

    def show_runs(
        self, runs: Sequence[RunRow], beside: str | None, look: Look, *, dimmed: frozenset[str] = frozenset()
    ) -> None:
        """Lists the runs in this order; the cursor stays on its run."""
        self._show_again = partial(self.show_runs, runs, beside, look, dimmed=dimmed)
        width = self._name_width
        rows = tuple(
            (run.id, f"{run.name}{run.val_loss}{run.id == beside}{run.id in dimmed}{look.colour_of(run.id)}{width}")
            for run in runs
        )
        if rows == self._rows:
            return
        self._rows = rows
        options = [
            Option(self._run_text(run, look, beside=run.id == beside, dimmed=run.id in dimmed), id=run.id)
            for run in runs
        ]
        self._replace("#models", options)

    def on_resize(self) -> None:
        """Names take the room there is."""
        self._show_again()

    @property
    def _name_width(self) -> int:
        """Cells for a name: what borders, scrollbar, mark and val leave."""
        return min(WIDEST_NAME, max(NARROWEST_NAME, self.size.width - 13))

    def _run_text(self, run: RunRow, look: Look, *, beside: bool, dimmed: bool) -> Text:
        said = Text(no_wrap=True)
        said.append("‖" if beside else "–" if dimmed else "•", look.colour_of(run.id))
        name = text.clip(text.literal(run.name), self._name_width)
        said.append(f" {name:<{self._name_width}}", look.colour("text-muted") if dimmed else "")
        said.append(f" {text.loss(run.val_loss):>6}", look.colour("text-muted"))
        return said

    def show_checkpoints(self, run: RunRow | None, rows: Sequence[CheckpointRow]) -> None:
        """Lists the checkpoints of the run: best, last, and every step that was kept, the last first."""
        known = _checkpoints(run, rows)
        if known != self._checkpoints:
            self._checkpoints = known
            self._replace("#checkpoints", [Option(Text(said), id=name) for name, said in known])

    def choose_run(self, run_id: str) -> None:
        """Puts the cursor on a run, where it is listed."""
        self._choose("#models", run_id)

    def choose_checkpoint(self, checkpoint: str) -> None:
        """Puts the cursor on a checkpoint, where it is listed."""
        self._choose("#checkpoints", checkpoint)

    def say_missing(self, said: str) -> None:
        """Says of a run that was asked for why it is not among these."""
        self.query_one("#models").border_subtitle = Text(said)

    def _choose(self, selector: str, wanted: str) -> None:
        widget = self.query_one(selector, OptionList)
        place = next((i for i, option in enumerate(widget.options) if option.id == wanted), None)
        if place is not None:
            widget.highlighted = place

    def _highlighted(self, selector: str) -> str | None:
        option = self.query_one(selector, OptionList).highlighted_option
        return option.id if option is not None else None

    def _replace(self, selector: str, options: list[Option]) -> None:
        widget = self.query_one(selector, OptionList)
        before = self._highlighted(selector)
        with self.prevent(OptionList.OptionHighlighted):
            widget.set_options(options)
            place = next((i for i, option in enumerate(options) if option.id == before), 0)
            widget.highlighted = place if options else None
        if self._highlighted(selector) != before:
            self.post_message(self.RunChosen() if selector == "#models" else self.CheckpointChosen())

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.post_message(self.RunChosen() if event.option_list.id == "models" else self.CheckpointChosen())


def _checkpoints(run: RunRow | None, rows: Sequence[CheckpointRow]) -> tuple[tuple[str, str], ...]:
    if run is None or not rows:
        return ()
    best = next((row for row in reversed(rows) if row.kind == "best"), rows[-1])
    said = [("best", f"best   step {best.step:>9,}"), ("last", f"last   step {rows[-1].step:>9,}")]
    steps = sorted({row.step for row in rows}, reverse=True)
    return (*said, *((str(step), f"       step {step:>9,}") for step in steps))
