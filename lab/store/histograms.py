"""The histograms of a run's diagnostics: merging neighbours, packing their bins, and reading them as arrays.

A run keeps at most 60 of each tensor, whatever its length. Which snapshots share one is a function of their steps
alone, so that a run that was resumed keeps what an undisturbed one does.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from lab.config.diagnostics import BINS, Edges, Kind, Reading
from lab.store.run_store import RunStore
from lab.store.schema import Histogram, Tensor

SNAPSHOTS_KEPT = 60
"""Histograms kept of a tensor, whatever the run's length."""
LARGEST_HISTOGRAM_COUNT = 19_000
"""Histograms kept of a run, 8 MB where every bin is filled: of a model with very many layers, fewer of each are."""
_COUNT_TYPES = {"<u2": 2**16 - 1, "<u4": 2**32 - 1, "<u8": 2**64 - 1}
"""Whole numbers by size, and the largest that each can hold."""
_MEANS = ("saturated", "dead", "log10_ratio")


def snapshot_bucket(step: int, steps: int, tensors: int) -> int:
    """Which snapshots are kept as one: those of an equal number, of which there are at most 60.

    The one of step 1, which shows the initial weights, stays by itself.
    """
    if step <= 1:
        return 0
    kept = max(2, min(SNAPSHOTS_KEPT, LARGEST_HISTOGRAM_COUNT // tensors))
    return 1 + (step - 2) * (kept - 1) // max(1, steps - 1)


@dataclass
class _Mean:
    """A mean over the snapshots that had a value."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        if value is not None and math.isfinite(value):
            self.total += value
            self.count += 1

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass
class MergedHistogram:
    """A histogram of one or several neighbouring snapshots, as it grows."""

    tensor: str
    kind: Kind
    edges: Edges
    bucket: int
    first_step: int
    step: int
    snapshots: int = 0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    total: float = 0.0
    total_of_squares: float = 0.0
    low: float | None = None
    high: float | None = None
    saturated: _Mean = field(default_factory=_Mean)
    dead: _Mean = field(default_factory=_Mean)
    log10_ratio: _Mean = field(default_factory=_Mean)

    def add(self, step: int, reading: Reading) -> None:
        """Takes in a snapshot."""
        self.step = step
        self.snapshots += 1
        self.counts += np.asarray(reading.counts, dtype=np.int64)
        self.total += reading.total
        self.total_of_squares += reading.total_of_squares
        if reading.low is not None:
            self.low = reading.low if self.low is None else min(self.low, reading.low)
        if reading.high is not None:
            self.high = reading.high if self.high is None else max(self.high, reading.high)
        self.saturated.add(reading.saturated)
        self.dead.add(reading.dead)
        self.log10_ratio.add(reading.log10_ratio)

    def row(self) -> tuple[object, ...]:
        """Its columns in the histogram table, but for the tensor."""
        count = int(self.counts[:-1].sum())
        mean = std = None
        if count and math.isfinite(self.total_of_squares):
            mean = self.total / count
            std = math.sqrt(max(0.0, self.total_of_squares / count - mean * mean))
        numbers = (mean, std, self.low, self.high, self.saturated.value, self.dead.value, self.log10_ratio.value)
        return self.bucket, self.step, self.first_step, self.snapshots, pack_counts(self.counts), *numbers

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, for a checkpoint."""
        means = {name: dict(vars(getattr(self, name))) for name in _MEANS}
        return vars(self) | means | {"counts": base64.b64encode(pack_counts(self.counts)).decode()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MergedHistogram:
        """One as `to_json` told it."""
        means = {name: _Mean(**values[name]) for name in _MEANS}
        return cls(**(values | means | {"counts": unpack_counts(base64.b64decode(values["counts"]))}))


@dataclass(frozen=True, eq=False)
class TensorHistograms:
    """What is kept of one tensor over S snapshots, by step; NaN where there is no such number.

    `counts` is (S, 64), its bins as `edges` says; the other arrays are (S,).
    """

    tensor: str
    kind: Kind
    edges: Edges
    steps: np.ndarray
    first_steps: np.ndarray
    snapshots: np.ndarray
    counts: np.ndarray
    means: np.ndarray
    stds: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    saturated: np.ndarray
    dead: np.ndarray
    log10_ratios: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)


def read_histograms(store: RunStore, run_id: str, *, kinds: Collection[Kind] = ()) -> list[TensorHistograms]:
    """A run's histograms, all kinds unless some are named, tensors in the order in which the model computes them."""
    tensors = sa.select(Tensor).where(Tensor.run_id == run_id).order_by(Tensor.id)
    rows = sa.select(Histogram).join(Tensor, Tensor.id == Histogram.tensor_id).where(Tensor.run_id == run_id)
    if kinds:
        tensors, rows = tensors.where(Tensor.kind.in_(kinds)), rows.where(Tensor.kind.in_(kinds))
    with store.database.reader.connect() as connection:
        found = connection.execute(tensors).all()
        by_tensor: dict[int, list[Any]] = {tensor.id: [] for tensor in found}
        for row in connection.execute(rows.order_by(Histogram.tensor_id, Histogram.bucket)):
            by_tensor[row.tensor_id].append(row)
    return [_histograms(tensor, by_tensor[tensor.id]) for tensor in found if by_tensor[tensor.id]]


def _histograms(tensor: Any, rows: list[Any]) -> TensorHistograms:
    numbers = np.array([row[6:] for row in rows], dtype=float)  # (S, 7); None becomes NaN
    return TensorHistograms(
        tensor.name,
        tensor.kind,
        tensor.edges,
        np.array([row.step for row in rows]),
        np.array([row.first_step for row in rows]),
        np.array([row.snapshots for row in rows]),
        np.stack([unpack_counts(row.bins) for row in rows]),
        *numbers.T,
    )


def pack_counts(counts: np.ndarray) -> bytes:
    """Counts as bytes: which of the 64 bins hold any, a bit each, and those counts in the fewest bytes that do."""
    filled = counts > 0
    held = counts[filled]
    largest = int(held.max()) if held.size else 0
    fitting = next(kind for kind, holds in _COUNT_TYPES.items() if largest <= holds)
    return np.packbits(filled).tobytes() + held.astype(fitting).tobytes()


def unpack_counts(packed: bytes) -> np.ndarray:
    """The counts (64,) that `pack_counts` packed."""
    filled = np.unpackbits(np.frombuffer(packed, np.uint8, BINS // 8)).astype(bool)
    counts = np.zeros(BINS, dtype=np.int64)
    if filled.any():
        width = (len(packed) - BINS // 8) // int(filled.sum())
        counts[filled] = np.frombuffer(packed, f"<u{width}", offset=BINS // 8)
    return counts
