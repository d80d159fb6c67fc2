"""A view as it comes in from the torch helper: what is asked, how far it is, and the page that came of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.inference.client import InferenceClient, Listener
from lab.inference.figures import Page
from lab.inference.protocol import InspectRequest
from lab.inference.views import InspectOptions, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.store.run_store import CheckpointRow

ACTIVE_STATES = ("loading torch", "computing")
"""The others are done, stopped and failed."""
PAGES_KEPT = 64
COMPARING = ("loss-map",)
"""Views that set two models against each other on one page; of the others two pages stand side by side."""
_SECOND_MODEL = ("other", "other_checkpoint")

PageKey = tuple[object, ...]


@dataclass
class Inspecting:
    """One question to the helper. The client's thread puts into `inbox`, which the screen empties some times a second.

    Who wants another page drops it: what arrives for it later is never looked at.
    """

    request: InspectRequest
    key: PageKey
    state: str = "loading torch"
    problem: str = ""
    page: Page | None = None
    progress: tuple[int, int] = (0, 0)
    request_id: int | None = None
    inbox: deque[tuple[str, object]] = field(default_factory=deque)

    @property
    def active(self) -> bool:
        """Whether more is to come."""
        return self.state in ACTIVE_STATES

    def ask(self, client: InferenceClient) -> None:
        """Sends the request; what is answered gathers in the inbox."""
        put = self.inbox.append
        listener = Listener(
            page=lambda page: put(("page", page)),
            progress=lambda done, total: put(("progress", (done, total))),
            done=lambda: put(("done", None)),
            failed=lambda reason: put(("failed", reason)),
            started=lambda: put(("started", None)),
        )
        if client.warm:
            self.state = "computing"
        try:
            self.request_id = client.inspect(self.request, listener)
        except LabError as error:
            self.state, self.problem = "failed", str(error)

    def take_in(self) -> bool:
        """Takes what has come out of the inbox; False where there was nothing."""
        came = bool(self.inbox)
        while self.inbox:
            kind, value = self.inbox.popleft()
            if kind == "page" and isinstance(value, Page):
                self.page = value
            elif kind == "progress" and isinstance(value, tuple):
                self.progress = value
            elif kind == "started" and self.active:
                self.state = "computing"
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


class KeptPages:
    """The pages that came last, by all that they depend on: going back to one shows it at once."""

    def __init__(self) -> None:
        self._pages: OrderedDict[PageKey, Page] = OrderedDict()

    def get(self, key: PageKey) -> Page | None:
        """The page of a key, if it is still there."""
        if key in self._pages:
            self._pages.move_to_end(key)
        return self._pages.get(key)

    def put(self, key: PageKey, page: Page) -> None:
        """Keeps a page, and forgets the one that was wanted longest ago."""
        self._pages[key] = page
        self._pages.move_to_end(key)
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)


def meant(rows: Sequence[CheckpointRow], which: str) -> CheckpointRow | None:
    """The stored checkpoint that `best`, `last` or a step means; None where there is none."""
    if which == "last":
        return rows[-1] if rows else None
    if which == "best":
        return next((row for row in reversed(rows) if row.kind == "best"), rows[-1] if rows else None)
    return next((row for row in rows if str(row.step) == which), None)


def options_read(view: View, options: InspectOptions) -> InspectOptions:
    """The options as far as a view reads them, the others as they are at first: pages are told apart by no more."""
    alone = view.name not in COMPARING
    return InspectOptions(
        **{name: getattr(options, name) for name in view.options if not (alone and name in _SECOND_MODEL)}
    )
