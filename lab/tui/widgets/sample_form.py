"""The prompt, and how the next character is drawn; checked as one types."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from lab import text
from lab.tui.sample_draft import FIELDS, SampleDraft, placeholders


class PromptArea(TextArea):
    """Several lines: enter writes, ctrl+j starts a new line."""

    @dataclass
    class Entered(Message):
        """Enter was pressed."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Entered())
        elif event.key in ("ctrl+j", "shift+enter"):
            event.stop()
            event.prevent_default()
            self.insert("\n")
        else:
            await super()._on_key(event)


class SampleForm(Vertical):
    """Holds the draft."""

    @dataclass
    class Changed(Message):
        """Something was typed."""

    @dataclass
    class Entered(Message):
        """Text is to be written."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.draft = SampleDraft()

    def compose(self) -> ComposeResult:
        """The prompt over a row of fields over what is wrong with them."""
        prompt = PromptArea(id="prompt", classes="pane", show_line_numbers=False, placeholder="starts as it likes")
        prompt.border_title = "Prompt"
        prompt.border_subtitle = "enter write · ctrl+j new line · esc leave"
        yield prompt
        with Horizontal(id="sample-fields"):
            for name in FIELDS:
                yield Static(name, classes="sample-name", id=f"name-{name}", markup=False)
                yield Input(id=f"sample-{name}", compact=True, select_on_focus=False)
        yield Static(id="sample-error", markup=False)

    def set_value(self, name: str, value: str) -> None:
        """Fills a field in, as if it had been typed."""
        self.draft = self.draft.with_value(name, value)
        self.query_one(f"#sample-{name}", Input).value = value

    def fill_in(self, draft: SampleDraft) -> None:
        """Fills in all of it."""
        self.query_one("#prompt", TextArea).text = draft.prompt
        for name in FIELDS:
            self.set_value(name, draft.value(name))

    def show(self, errors: dict[str, str], *, words: bool, colour: str) -> None:
        """Shows what is wrong, and what an empty field means."""
        for name, meant in placeholders(words=words).items():
            self.query_one(f"#sample-{name}", Input).placeholder = meant
        self.query_one("#sample-error", Static).update(Text(text.literal(" · ".join(errors.values())), colour))

    @on(TextArea.Changed, "#prompt")
    def _prompt_typed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._change(SampleDraft(event.text_area.text, self.draft.values))

    @on(Input.Changed)
    def _field_typed(self, event: Input.Changed) -> None:
        event.stop()
        self._change(self.draft.with_value((event.input.id or "").removeprefix("sample-"), event.value))

    def _change(self, draft: SampleDraft) -> None:
        if draft != self.draft:
            self.draft = draft
            self.post_message(self.Changed())

    @on(Input.Submitted)
    @on(PromptArea.Entered)
    def _entered(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Entered())
