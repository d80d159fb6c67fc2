"""What a training loop tells, and whom: the recorder is handed in, so that training knows no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from lab.config.diagnostics import Reading

CheckpointKind = Literal["complete", "best", "milestone"]
Wish = Literal["pause", "stop", "cancel"]


class Recorder(Protocol):
    """Keeps what a run says of itself. Calls return at once; what went wrong before is raised by the next one."""

    @property
    def wish(self) -> Wish | None:
        """What a person has asked of the run since it started."""
        ...

    def beat(self) -> None:
        """Says that the trainer is alive and getting on."""
        ...

    def log(self, metric: str, step: int, values: Sequence[float]) -> None:
        """Adds values of a metric at consecutive steps, the first at `step`. Any value may be NaN or infinite."""
        ...

    def snapshot(self, step: int, readings: Sequence[Reading]) -> None:
        """Keeps what diagnostics read of each tensor at a step; always of the same tensors in the same order."""
        ...

    def sample(self, step: int, text: str) -> None:
        """Keeps what the model wrote at a step."""
        ...

    def event(self, step: int, text: str, level: str = "info") -> None:
        """Adds a line to the run's log."""
        ...

    def progress(self, **facts: object) -> None:
        """Updates what lists show of the run: step, losses, chars_per_second, seconds, device, …"""
        ...

    def flush(self) -> None:
        """Hands on what has gathered, to be written soon."""
        ...

    def checkpoint(self, kind: CheckpointKind, step: int, write: Callable[[Path], None]) -> None:
        """Has a checkpoint written by `write` to the path it is given, and named once it is whole."""
        ...

    def open_buckets(self) -> Mapping[str, Any]:
        """What must be kept in a checkpoint to go on with half-filled buckets, as JSON values."""
        ...

    def restore_buckets(self, open_buckets: Mapping[str, Any]) -> None:
        """Goes on from what `open_buckets` told at a checkpoint."""
        ...
