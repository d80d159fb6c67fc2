"""A line that asks for one thing, where the runs stand; what is typed is judged as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from lab import text
from lab.errors import LabError
from lab.tui.theme import theme_colours


@dataclass(frozen=True)
class Question:
    """What is asked: `check` says what an answer comes to, or raises `LabError`; `answer` takes it."""

    label: str
    value: str
    check: Callable[[str], str]
    answer: Callable[[str], None]
    example: str = ""


class QuestionLine(Vertical):
    """Hidden until something is asked."""

    BINDINGS = [Binding("escape", "leave", show=False)]  # noqa: RUF012 (Textual's own form)

    @dataclass
    class Closed(Message):
        """The keys go back to where they were."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.question: Question | None = None

    def compose(self) -> ComposeResult:
        """What is asked and the line; under it what the answer comes to."""
        with Horizontal(id="question-line"):
            yield Static(id="question-label", markup=False)
            yield Input(compact=True, select_on_focus=False)
        yield Static(id="question-help", markup=False)

    def on_mount(self) -> None:
        """Hidden at first."""
        self.display = False

    def ask(self, question: Question) -> None:
        """Shows the line and gives it the keys."""
        self.question = question
        self.query_one("#question-label", Static).update(Text(f"{text.clip(question.label, 40)} "))
        line = self.query_one(Input)
        line.value, line.placeholder = question.value, question.example
        line.cursor_position = len(question.value)
        self.display = True
        line.focus()
        self._judge(question.value)

    def action_leave(self) -> None:
        """Answers nothing."""
        self.question, self.display = None, False
        self.post_message(self.Closed())

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._judge(event.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        question = self.question
        if question is not None and self._judge(event.value):
            self.action_leave()
            question.answer(event.value)

    def _judge(self, value: str) -> bool:
        """Says what an answer comes to, or what is wrong with it."""
        if self.question is None:
            return False
        colours = theme_colours(self.app.theme_variables)
        said = Text(no_wrap=True, overflow="ellipsis")
        try:
            meaning = self.question.check(value)
        except LabError as error:
            said.append(f"✗ {text.literal(str(error))}", colours["error"])
        else:
            for key, does in (("enter", meaning), ("esc", "leaves it")):
                said.append(key, f"bold {colours['accent']}")
                said.append(f" {text.literal(does)}   ", colours["text-muted"])
        self.query_one("#question-help", Static).update(said, layout=False)
        return not said.plain.startswith("✗")
