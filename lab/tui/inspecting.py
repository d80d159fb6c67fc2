"""A view as it comes in from the torch helper: what is asked, how far it is, and the page that came of it."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.inference.client import InferenceClient, Listener
from lab.inference.figures import Page
from lab.inference.protocol import InspectRequest
from lab.inference.views import InspectOptions, View
from lab.tui.asked import LOADING_TORCH, Asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.store.run_store import CheckpointRow

PAGES_KEPT = 64
SECONDS_UNTIL_TOLD = 3.0
"""Of work, before it is told how long the rest will take."""
COMPARING = ("loss-map",)
"""Views that set two models against each other on one page; of the others two pages stand side by side."""
_SECOND_MODEL = ("other", "other_checkpoint")

PageKey = tuple[object, ...]


@dataclass
class Inspecting(Asked):
    """A page that is asked for."""

    BEGUN = "computing"
    ACTIVE = (LOADING_TORCH, BEGUN)

    request: InspectRequest
    key: PageKey
    page: Page | None = None
    progress: tuple[int, int] = (0, 0)
    began: tuple[float, int] | None = None
    """When the first of it was told, and how much had been done by then."""

    @property
    def seconds_left(self) -> float | None:
        """By how fast it has been so far; None until that can be told."""
        if self.began is None:
            return None
        since, first = self.began
        (done, total), taken = self.progress, time.monotonic() - since
        if taken < SECONDS_UNTIL_TOLD or done <= first:
            return None
        return taken / (done - first) * (total - done)

    def send(self, client: InferenceClient, listener: Listener) -> int:
        """Asks for the page."""
        return client.inspect(self.request, listener)

    def keep(self, value: object) -> None:
        """Takes up the page, or how far it is."""
        if isinstance(value, Page):
            self.page = value
        elif isinstance(value, tuple):
            self.progress = value
            self.began = self.began or (time.monotonic(), value[0])


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
