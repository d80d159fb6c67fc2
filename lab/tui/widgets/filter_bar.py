"""The line in which a filter is typed; under it what the word may become, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.highlighter import Highlighter
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from lab import text
from lab.analysis.run_filter import FilterError, RunFilter, parse_filter
from lab.tui.theme import theme_colours

if TYPE_CHECKING:
    from lab.analysis.filter_completion import Completions

Values = Mapping[str, Iterable[str]]
_MOST_OPTIONS = 40
"""Options written out; there is no room for more."""


class _WrongPart(Highlighter):
    """Underlines what is wrong with the filter."""

    def __init__(self) -> None:
        self.error: FilterError | None = None

    def highlight(self, text: Text) -> None:
        """Marks the characters that the error is about."""
        if self.error is not None:
            text.stylize("underline", self.error.start, self.error.end)


class FilterBar(Vertical):
    """Hidden while there is no filter; two lines while one is typed, then one."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape", "clear", show=False),
        Binding("tab", "complete(1)", show=False, priority=True),
        Binding("shift+tab", "complete(-1)", show=False, priority=True),
    ]

    @dataclass
    class Changed(Message):
        """The filter now reads otherwise."""

        filter: RunFilter

    @dataclass
    class Closed(Message):
        """The keys go back to the table."""

    def __init__(self, values: Callable[[], Values], *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._values = values
        self._known: Values | None = None
        """The values, from when the first is wanted until the line is opened again."""
        self._wrong = _WrongPart()
        self._completions: Completions | None = None
        self._chosen = -1
        self._completed = ""

    def compose(self) -> ComposeResult:
        """A slash and the line; under it a line of help."""
        with Horizontal(id="filter-line"):
            yield Static("/", id="filter-sign", markup=False)
            yield Input(
                placeholder="words, stage:residual, val<2.1, lr<1e-3, status:failed, -tag:quick",
                compact=True,
                highlighter=self._wrong,
            )
        yield Static(id="filter-help", markup=False)

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
        self._known = None
        self.query_one("#filter-help").display = True
        self.query_one(Input).focus()
        self._show_help()

    def clear(self) -> None:
        """Lets every run through again and hides the line."""
        self.query_one(Input).value = ""
        self.display = False
        self.post_message(self.Closed())

    def action_clear(self) -> None:
        """Leaves the line without a filter."""
        self.clear()

    def action_complete(self, by: int) -> None:
        """Puts in the next of what the word may become."""
        line, found = self.query_one(Input), self._completions
        if found is None or line.value != self._completed or self._chosen < 0:
            found = self._completions = self._complete(line)
            self._chosen = -1 if by > 0 else 0
        options, start = found.options, found.start
        if not options:
            return
        self._chosen = (self._chosen + by) % len(options)
        option = options[self._chosen]
        line.value = self._completed = line.value[:start] + option + line.value[line.cursor_position :]
        line.cursor_position = start + len(option)
        if len(options) == 1:
            self._chosen = -1
        self._show_help()

    def _complete(self, line: Input) -> Completions:
        """What the word at the cursor may become."""
        from lab.analysis.filter_completion import complete

        return complete(line.value, line.cursor_position, self._known_values)

    def _known_values(self) -> Values:
        if self._known is None:
            self._known = self._values()
        return self._known

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            found = parse_filter(event.value)
        except FilterError as problem:
            self._wrong.error = problem
        else:
            self._wrong.error = None
            self.post_message(self.Changed(found))
        self._show_help()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = bool(event.value.strip())
        self.query_one("#filter-help").display = self._wrong.error is not None
        self.post_message(self.Closed())

    def _show_help(self) -> None:
        """What may come next, where the word is the beginning of something; else what is wrong."""
        line = self.query_one(Input)
        if line.value != self._completed:
            self._chosen = -1
        colours = theme_colours(self.app.theme_variables)
        muted = colours["text-muted"]
        completions = self._completions
        if completions is None or self._chosen < 0:
            completions = self._complete(line)
        said = Text(no_wrap=True, overflow="ellipsis")
        word_begun = bool(line.value.strip()) and not line.value[: line.cursor_position].endswith(" ")
        error = self._wrong.error
        if error is not None and not (word_begun and completions.options and error.end >= line.cursor_position):
            said.append(f"✗ {text.literal(str(error))}", colours["error"])
        elif completions.options:
            said.append("tab ", f"bold {colours['accent']}")
            for place, option in enumerate(completions.options[:_MOST_OPTIONS]):
                said.append(text.literal(option), "reverse" if place == self._chosen else "")
                said.append("  ", muted)
        else:
            said.append("enter", f"bold {colours['accent']}")
            said.append(" keeps the filter   ", muted)
            said.append("esc", f"bold {colours['accent']}")
            said.append(" shows every run", muted)
        self.query_one("#filter-help", Static).update(said, layout=False)
