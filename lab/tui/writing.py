"""Texts as they come in from the torch helper: what has been written, and how much of it is shown."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.inference.client import InferenceClient, Listener
from lab.inference.protocol import SampleRequest, Token

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

ACTIVE_STATES = ("loading torch", "reading the checkpoint", "writing")
"""The others are done, stopped and failed."""


@dataclass
class Writing:
    """One answer of the helper. The client's thread puts into `inbox`, which the screen empties some times a second.

    `cursor` is the character that is looked at (None: the last one); `revealed` how many are shown (None: all).
    """

    run: RunRow
    request: SampleRequest
    state: str = "loading torch"
    problem: str = ""
    tokens: list[Token] = field(default_factory=list)
    cursor: int | None = None
    revealed: int | None = None
    request_id: int | None = None
    inbox: deque[tuple[str, object]] = field(default_factory=deque)

    @property
    def active(self) -> bool:
        """Whether more is to come."""
        return self.state in ACTIVE_STATES

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

    def ask(self, client: InferenceClient) -> None:
        """Sends the request; what is answered gathers in the inbox."""
        put = self.inbox.append
        listener = Listener(
            token=lambda token: put(("token", token)),
            done=lambda: put(("done", None)),
            failed=lambda reason: put(("failed", reason)),
            started=lambda: put(("started", None)),
        )
        if client.warm:
            self.state = "reading the checkpoint"
        try:
            self.request_id = client.sample(self.request, listener)
        except LabError as error:
            self.state, self.problem = "failed", str(error)

    def take_in(self) -> bool:
        """Takes what has come out of the inbox; False where there was nothing."""
        came = bool(self.inbox)
        while self.inbox:
            kind, value = self.inbox.popleft()
            if kind == "token" and isinstance(value, Token):
                self.tokens.append(value)
                if self.active:
                    self.state = "writing"
            elif kind == "started" and self.active:
                self.state = "reading the checkpoint"
            elif kind == "failed":
                self.state, self.problem = "failed", str(value)
            elif kind == "done" and self.active:
                self.state = "done"
        return came

    def stop(self, client: InferenceClient) -> None:
        """Ends it early."""
        if self.active:
            self.state = "stopped"
            if self.request_id is not None:
                client.cancel(self.request_id)

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
