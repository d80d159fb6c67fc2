"""What the threads behind the screen tell it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from lab.tui.snapshot import Snapshot


@dataclass
class SnapshotRead(Message):
    """The database was read anew; a later one replaces it."""

    snapshot: Snapshot

    def can_replace(self, message: Message) -> bool:
        """Only the newest snapshot is worth drawing."""
        return isinstance(message, SnapshotRead)


@dataclass
class ReadFailed(Message):
    """The database could not be read."""

    reason: str
    final: bool = False
    """Whether it will not be tried again."""


@dataclass
class WorkerChanged(Message):
    """What is known of the background worker."""

    pid: int | None
    problem: str = ""


@dataclass
class SelectionChanged(Message):
    """Another run is under the cursor, or other runs are marked, filtered or sorted."""


@dataclass
class Edited(Message):
    """A change to the runs was made, or could not be."""

    text: str
    failed: bool = False


@dataclass
class NotRemembered(Message):
    """What is to be remembered could not be written."""

    path: Path
    reason: str
