"""A recorder that keeps what a training loop says in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.config.diagnostics import Reading


class MemoryRecorder:
    """Keeps metrics, samples, events and facts; checkpoints are written where a folder is given, else forgotten."""

    def __init__(self, folder: Path | None = None) -> None:
        self.wish: Any = None
        self.beats = 0
        self.metrics: dict[str, dict[int, float]] = defaultdict(dict)
        self.snapshots: dict[int, Sequence[Reading]] = {}
        self.samples: dict[int, str] = {}
        self.events: list[tuple[int, str, str]] = []
        self.facts: dict[str, object] = {}
        self.checkpoints: dict[tuple[str, int], Path] = {}
        self._folder = folder

    def beat(self) -> None:
        """Counts."""
        self.beats += 1

    def log(self, metric: str, step: int, values: Sequence[float]) -> None:
        """Keeps values at consecutive steps."""
        for offset, value in enumerate(values):
            self.metrics[metric][step + offset] = value

    def snapshot(self, step: int, readings: Sequence[Reading]) -> None:
        """Keeps what was read of each tensor."""
        self.snapshots[step] = readings

    def sample(self, step: int, text: str) -> None:
        """Keeps a text."""
        self.samples[step] = text

    def event(self, step: int, text: str, level: str = "info") -> None:
        """Keeps a line."""
        self.events.append((step, level, text))

    def progress(self, **facts: object) -> None:
        """Keeps the newest facts."""
        self.facts |= facts

    def flush(self) -> None:
        """Nothing waits."""

    def checkpoint(self, kind: str, step: int, write: Callable[[Path], None]) -> None:
        """Writes a checkpoint where there is a folder for it."""
        if self._folder is not None:
            path = self._folder / f"{kind}-{step}.safetensors"
            write(path)
            self.checkpoints[kind, step] = path

    def open_buckets(self) -> Mapping[str, Any]:
        """There are none: every value is kept."""
        return {}

    def restore_buckets(self, open_buckets: Mapping[str, Any]) -> None:
        """There are none."""
