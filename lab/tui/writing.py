"""Texts as they come in from the torch helper: what has been written, and how much of it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.inference.client import InferenceClient, Listener
from lab.inference.protocol import SampleRequest, Token
from lab.tui.asked import LOADING_TORCH, Asked

if TYPE_CHECKING:
    from lab.store.run_store import RunRow


@dataclass
class Writing(Asked):
    """Texts that are being written.

    `cursor` is the character that is looked at (None: the last one); `revealed` how many are shown (None: all).
    """

    BEGUN = "reading the checkpoint"
    ACTIVE = (LOADING_TORCH, BEGUN, "writing")

    run: RunRow
    request: SampleRequest
    tokens: list[Token] = field(default_factory=list)
    cursor: int | None = None
    revealed: int | None = None

    @property
    def shown(self) -> int:
        """How many characters are shown."""
        return len(self.tokens) if self.revealed is None else min(self.revealed, len(self.tokens))

    @property
    def looked_at(self) -> int | None:
        """The place of the character that is looked at; None where nothing is written."""
        if not self.shown:
            return None
        return self.shown - 1 if self.cursor is None else min(self.cursor, self.shown - 1)

    @property
    def text(self) -> str:
        """What is shown of it, with the prompt that it goes on from; several texts under each other."""
        texts = texts_of(self.tokens[: self.shown])
        prompt = self.request.prompt
        return "\n\n".join(prompt + "".join(token.character for token in one) for one in texts) + "\n"

    def send(self, client: InferenceClient, listener: Listener) -> int:
        """Asks for the texts."""
        return client.sample(self.request, listener)

    def keep(self, value: object) -> None:
        """Takes up the next character."""
        if isinstance(value, Token):
            self.tokens.append(value)
            if self.active:
                self.state = "writing"

    def step(self, by: int) -> None:
        """Looks at another character; a hidden one is revealed on the way."""
        if by < 0:
            if (at := self.looked_at) is not None:
                self.cursor = max(0, at + by)
            return
        at = -1 if self.looked_at is None else self.looked_at
        target = at + by
        if self.revealed is not None and target >= self.revealed:
            self.revealed = min(target + 1, len(self.tokens) + (1 if self.active else 0))
        self.cursor = None if target >= self.shown - 1 else target

    def reveal(self) -> None:
        """Shows all that is written, from now on."""
        self.revealed = self.cursor = None


def texts_of(tokens: list[Token]) -> list[list[Token]]:
    """The characters of each of several texts."""
    texts: list[list[Token]] = []
    for token in tokens:
        while len(texts) <= token.text:
            texts.append([])
        texts[token.text].append(token)
    return texts
