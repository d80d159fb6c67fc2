"""How the run view is arranged: which page each pane holds, which pane is current, and whether it fills the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

PAGES = ("loss", "lr", "gradient", "speed", "memory", "CPU", "inside", "sample", "config", "log")
"""All that a pane can hold."""

FOUR = (0, 1, 2, 3)
"""Panes in reading order, two a row."""
SIX = (0, 1, 4, 2, 3, 5)
"""Panes in reading order, three a row."""


@dataclass(frozen=True)
class Arrangement:
    """What a person has made of the panes. A page is in one pane at most; a wide screen alone shows the last two."""

    panes: tuple[str, ...] = ("loss", "inside", "lr", "sample", "gradient", "log")
    current: int = 0
    zoomed: bool = False

    @property
    def page(self) -> str:
        """The page of the current pane."""
        return self.panes[self.current]

    def with_page(self, page: str) -> Arrangement:
        """The current pane holds another page; the pane that held it, if any, gets this one's in return."""
        held = {page: self.page, self.page: page}
        return replace(self, panes=tuple(held.get(each, each) for each in self.panes))

    def turned(self, by: int, shown: tuple[int, ...]) -> Arrangement:
        """The current pane holds the next page that is in no other pane of those shown."""
        elsewhere = {self.panes[pane] for pane in shown if pane != self.current}
        free = [page for page in PAGES if page not in elsewhere]
        return self.with_page(free[(free.index(self.page) + by) % len(free)])

    def moved(self, by: int, shown: tuple[int, ...]) -> Arrangement:
        """The next of the panes shown is the current one."""
        place = shown.index(self.current) if self.current in shown else 0
        return replace(self, current=shown[(place + by) % len(shown)])

    def with_zoom(self, zoomed: bool) -> Arrangement:
        """The current pane has the whole screen, or shares it."""
        return replace(self, zoomed=zoomed)

    def to_plain(self) -> dict[str, object]:
        """As JSON values, read back by `from_plain`."""
        return {"panes": list(self.panes), "current": self.current, "zoomed": self.zoomed}

    @classmethod
    def from_plain(cls, values: object) -> Arrangement:
        """An arrangement from what `to_plain` made; as it is at first where the values are anything else."""
        usual = cls()
        if not isinstance(values, Mapping):
            return usual
        panes, current, zoomed = values.get("panes"), values.get("current"), values.get("zoomed")
        held = isinstance(panes, list) and len(panes) == len(usual.panes) == len({str(page) for page in panes})
        if not (held and isinstance(panes, list) and all(page in PAGES for page in panes)):
            return usual
        place = current if isinstance(current, int) and 0 <= current < len(FOUR) else 0
        return cls(tuple(panes), place, zoomed is True)
