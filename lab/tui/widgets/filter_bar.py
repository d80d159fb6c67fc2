"""The line in which a filter is typed; what is wrong with it is said beside it while one types."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from lab.analysis.run_filter import RunFilter, parse_filter
from lab.errors import UsageError


class FilterBar(Horizontal):
    """Hidden while there is no filter."""

    BINDINGS = [Binding("escape", "clear", show=False)]  # noqa: RUF012 (Textual's own form)

    @dataclass
    class Changed(Message):
        """The filter now reads otherwise."""

        filter: RunFilter

    @dataclass
    class Closed(Message):
        """The keys go back to the table."""

    def compose(self) -> ComposeResult:
        """A slash, the line, and what is wrong with it."""
        yield Static("/", id="filter-sign", markup=False)
        yield Input(placeholder="words, stage:residual, val<2.1, lr<1e-3, status:failed, -tag:quick", compact=True)
        yield Static(id="filter-error", markup=False)

    def on_mount(self) -> None:
        """Hidden at first."""
        self.display = False

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    def restore(self, text: object) -> None:
        """Shows the line with a filter that was typed before, without giving it the keys."""
        if isinstance(text, str) and text.strip():
            self.query_one(Input).value = text
            self.display = True

    def open(self) -> None:
        """Shows the line and gives it the keys."""
        self.display = True
        self.query_one(Input).focus()

    def clear(self) -> None:
        """Lets every run through again and hides the line."""
        self.query_one(Input).value = ""
        self.display = False
        self.post_message(self.Closed())

    def action_clear(self) -> None:
        """Leaves the line without a filter."""
        self.clear()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        error = self.query_one("#filter-error", Static)
        try:
            found = parse_filter(event.value)
        except UsageError as problem:
            error.update(str(problem))
            return
        error.update("")
        self.post_message(self.Changed(found))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = bool(event.value.strip())
        self.post_message(self.Closed())
