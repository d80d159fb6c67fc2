"""One model's text being written, and under it what the model thought came next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from lab import text
from lab.tui.widgets.next_character import next_character_bars
from lab.tui.widgets.written_text import (
    SURPRISE_WORDS,
    counted_names,
    surprise_styles,
    written_names,
    written_stream,
)
from lab.tui.writing import Writing, texts_of


@dataclass(frozen=True)
class PaneFacts:
    """What a pane shows beside the writing itself."""

    title: str = ""
    colour: str = "default"
    idle: str = ""
    """What is said before anything is written."""
    words: bool = False
    known: frozenset[str] | None = None
    """The words of the training set, where they are known."""
    colours: Mapping[str, str] = field(default_factory=dict)


class WrittenPane(Vertical):
    """Text over bars."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)

    def compose(self) -> ComposeResult:
        """The text, which takes the keys, and the bars."""
        with VerticalScroll(id=f"{self.id}-text", classes="written pane"):
            yield Static(markup=False)
        yield Static(id=f"{self.id}-next", classes="next pane", markup=False)

    def show(self, writing: Writing | None, facts: PaneFacts) -> None:
        """Shows a writing as far as it has come."""
        scroll = self.query_one(".written", VerticalScroll)
        state = f" · {_state(writing)}" if writing else ""
        scroll.border_title = Text(f"{text.literal(facts.title)}{state}", facts.colour)
        scroll.border_subtitle = self._subtitle(writing, facts)
        scroll.query_one(Static).update(self._written(writing, facts))
        self._show_next(writing, facts)
        if writing is not None:
            self._follow(writing, facts, scroll)

    def _written(self, writing: Writing | None, facts: PaneFacts) -> Text:
        muted = facts.colours["text-muted"]
        if writing is None:
            return Text(facts.idle, muted)
        if writing.state == "failed":
            said = _content(writing, facts) + "\n" if writing.tokens else Text()
            return said + Text(f"✗ {text.literal(writing.problem)}", facts.colours["error"])
        if not writing.tokens and writing.active:
            return Text(f"{writing.state}…", muted)
        return _content(writing, facts)

    def _subtitle(self, writing: Writing | None, facts: PaneFacts) -> Text:
        if writing is None or not writing.tokens:
            return Text()
        if facts.words:
            return Text(counted_names(writing, facts.known))
        said = Text()
        for word, style in zip(SURPRISE_WORDS, surprise_styles(facts.colours), strict=True):
            said.append(word, style)
            said.append(" ")
        return said

    def _show_next(self, writing: Writing | None, facts: PaneFacts) -> None:
        bars = self.query_one(".next", Static)
        at = writing.looked_at if writing else None
        if writing is None or at is None:
            bars.border_title = Text("Next character")
            bars.update(Text("its likeliest characters stand here, once it writes", facts.colours["text-muted"]))
            return
        token, request = writing.tokens[at], writing.request
        bars.border_title = Text(f"Character {at + 1:,} · {token.surprise:.2f} nats of surprise")
        changed = request.temperature != 1 or request.top_k is not None or request.top_p not in (None, 1)
        size = bars.content_size
        bars.update(next_character_bars(token, facts.colours, size.width, size.height - 1, changed=changed))

    def _follow(self, writing: Writing, facts: PaneFacts, scroll: VerticalScroll) -> None:
        """Keeps the character that is looked at on the screen."""
        if writing.cursor is None:
            scroll.scroll_end(animate=False)
            return
        between = "" if facts.words else "\n──\n"
        texts = texts_of(writing.tokens[: writing.cursor]) or [[]]
        written = ("".join(token.character for token in each) for each in texts)
        before = between.join(writing.request.prompt + each for each in written)
        width = max(1, scroll.content_size.width)
        line = sum(1 + len(each) // width for each in before.split("\n")) - 1
        scroll.scroll_to(y=max(0, line - scroll.size.height // 2), animate=False)


def _content(writing: Writing, facts: PaneFacts) -> Text:
    if facts.words:
        return written_names(writing, facts.known, facts.colours)
    return written_stream(writing, facts.colours)


def _state(writing: Writing) -> str:
    if writing.revealed is not None:
        return "step by step"
    if writing.state == "done":
        return text.plural(len(writing.tokens), "character")
    return f"writing {len(writing.tokens):,}" if writing.state == "writing" else writing.state
