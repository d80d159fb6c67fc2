"""What the screen knows of the database at one moment; made by the reader's thread, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lab.store.demo import DEMO_TAG

if TYPE_CHECKING:
    import numpy as np

    from lab.store.run_store import EventRow, RunRow, SampleRow
    from lab.tui.comparisons import CompareWanted, ComparisonView
    from lab.tui.sweeps import SweepView


@dataclass(frozen=True, eq=False)
class Curve:
    """One metric of a run over steps. `version` changes with the data, so that equal ones need no new drawing."""

    steps: np.ndarray
    values: np.ndarray
    version: tuple[int, int]


@dataclass(frozen=True)
class References:
    """The losses on a dataset of the models that need no training."""

    dataset: str
    guessing_evenly: float
    counting: float


@dataclass(frozen=True)
class Detail:
    """What is told of the run under the cursor alone."""

    run_id: str
    sample: SampleRow | None
    events: tuple[EventRow, ...]


@dataclass(frozen=True)
class CountedBigram:
    """What can be said of a dataset without training: shown where there are no runs yet."""

    dataset: str
    vocabulary_size: int
    guessing_evenly: float
    counting: float
    even_sample: str
    counted_sample: str


@dataclass(frozen=True)
class Wanted:
    """What the screen needs beyond the list of runs."""

    curves: tuple[str, ...] = ()
    detail: str | None = None
    metrics: tuple[str, ...] = ()
    """Metrics, beside the losses and the speed, of the run whose detail is wanted."""
    samples: tuple[str, ...] = ()
    """Runs whose last sample is shown."""
    trash: bool = False
    """Whether the runs in the trash are shown."""
    compare: CompareWanted | None = None
    """What is to be compared, where the Compare mode is shown."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Every run as it stood, with the curves and details that were wanted."""

    runs: tuple[RunRow, ...] = ()
    slots: Mapping[str, int] = field(default_factory=dict)
    """The place of each run's colour in the palette."""
    curves: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    references: Mapping[tuple[str, str], References] = field(default_factory=dict)
    detail: Detail | None = None
    samples: Mapping[str, SampleRow | None] = field(default_factory=dict)
    """The last sample of each run that it was wanted of; None where it has written nothing."""
    trashed: tuple[RunRow, ...] = ()
    """The runs in the trash, where they were wanted."""
    queue_paused: bool = False
    """Whether nothing that waits may start."""
    storage_problem: str = ""
    """Why training waits for the disk, where it does."""

    sweeps: Mapping[str, SweepView] = field(default_factory=dict)
    """Every LR sweep, by its run."""
    comparison: ComparisonView | None = None
    """What came of comparing, where that was wanted."""

    @cached_property
    def by_id(self) -> dict[str, RunRow]:
        """The runs by their ids, those in the trash too."""
        return {run.id: run for run in (*self.runs, *self.trashed)}

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each waiting run stands in the queue, counted from 1."""
        waiting = [run for run in self.runs if run.status == "queued"]
        waiting.sort(key=lambda run: run.queue_position or 0.0)
        return {run.id: place for place, run in enumerate(waiting, start=1)}

    @cached_property
    def training(self) -> tuple[RunRow, ...]:
        """Runs that are being trained."""
        return tuple(run for run in self.runs if run.status == "training")

    @cached_property
    def is_demo(self) -> bool:
        """Whether these are the runs that came with lab."""
        return any(f'"{DEMO_TAG}"' in run.tags_json for run in self.runs)

    @property
    def waiting(self) -> int:
        """How many runs wait in the queue."""
        return len(self.places)
