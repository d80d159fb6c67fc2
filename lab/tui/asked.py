"""What has been asked of the torch helper: how far it is, and what has come of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from lab.errors import LabError
from lab.inference.client import InferenceClient, Listener

LOADING_TORCH = "loading torch"


@dataclass(kw_only=True)
class Asked:
    """One question to the helper. The client's thread puts into `inbox`, which the screen empties some times a second.

    Who wants something else drops it: what arrives for it later is never looked at.
    """

    BEGUN: ClassVar[str]
    """The state of one whose turn has come."""
    ACTIVE: ClassVar[tuple[str, ...]]
    """The states from which more is to come; the others are done, stopped and failed."""

    state: str = LOADING_TORCH
    problem: str = ""
    request_id: int | None = None
    inbox: deque[tuple[str, object]] = field(default_factory=deque)

    @property
    def active(self) -> bool:
        """Whether more is to come."""
        return self.state in self.ACTIVE

    def ask(self, client: InferenceClient) -> None:
        """Sends the request; what is answered gathers in the inbox."""
        put = self.inbox.append
        listener = Listener(
            token=lambda token: put(("token", token)),
            page=lambda page: put(("page", page)),
            progress=lambda done, total: put(("progress", (done, total))),
            done=lambda: put(("done", None)),
            failed=lambda reason: put(("failed", reason)),
            started=lambda: put(("started", None)),
        )
        if client.warm:
            self.state = self.BEGUN
        try:
            self.request_id = self.send(client, listener)
        except LabError as error:
            self.state, self.problem = "failed", str(error)

    def send(self, client: InferenceClient, listener: Listener) -> int:
        """Asks the helper; returns the request's id. Raises `LabError`."""
        raise NotImplementedError

    def keep(self, value: object) -> None:
        """Takes up a part of the answer."""
        raise NotImplementedError

    def take_in(self) -> bool:
        """Takes what has come out of the inbox; False where there was nothing. What comes after the end is left."""
        came = bool(self.inbox)
        while self.inbox:
            kind, value = self.inbox.popleft()
            if not self.active:
                continue
            if kind == "started":
                self.state = self.BEGUN
            elif kind == "failed":
                self.state, self.problem = "failed", str(value)
            elif kind == "done":
                self.state = "done"
            else:
                self.keep(value)
        return came

    def stop(self, client: InferenceClient) -> None:
        """Ends it early."""
        if self.active:
            self.state = "stopped"
            if self.request_id is not None:
                client.cancel(self.request_id)
