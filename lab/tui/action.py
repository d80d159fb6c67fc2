"""One thing that a person can do, and what a screen tells of itself by which the footer chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Situation:
    """What is selected and shown: by this the footer chooses its keys."""

    mode: str = "runs"
    status: str | None = None
    """Of the run under the cursor."""
    runs: int = 0
    marks: int = 0
    undo: str = ""
    pane: str = "runs"
    single_pane: bool = False
    zoomed: bool = False
    filtered: bool = False
    loaded: bool = False
    missing_rungs: int = 0
    """Rungs of the ladder that climbing would queue."""
    writing: bool = False
    """Whether text is being written."""
    rate_chosen: bool = False
    """Whether a learning rate is under the cursor."""
    statuses: frozenset[str] = frozenset()
    """Of the marked runs."""
    trash: bool = False
    """Whether what is listed is the trash."""
    queue_paused: bool = False
    written: int = 0
    """Characters that are."""
    figures: int = 0
    """Of the page that is looked at."""
    options: frozenset[str] = frozenset()
    """What the view that is looked at can be asked for."""


def always(_: Situation) -> bool:
    """Where nothing else is said."""
    return True


@dataclass(frozen=True)
class Action:
    """One thing a person can do. Its id names the `action_…` method that does it.

    `footer` ranks it there, 1 first, where `when` holds; 0 keeps it out.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    when: Callable[[Situation], bool] = always
    footer: int = 0
    synonyms: str = ""
    shown_key: str = ""
    modes: tuple[str, ...] = ()
    """The screens that it is for; every one where none is named."""

    def is_for(self, mode: str) -> bool:
        """Whether it can be done on a screen."""
        return not self.modes or mode in self.modes

    @property
    def key_text(self) -> str:
        """Its keys as they are shown: `space`, `*`, `ctrl+p`."""
        return self.shown_key or " ".join(self.keys)
