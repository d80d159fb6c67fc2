"""Rows of the database as values: runs, their points, samples, checkpoints and logs, as they stood when read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lab.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from lab.config.lr_sweep import LRSweep
    from lab.config.own_model import OwnSource
    from lab.config.run_config import RunConfig

TRAINING = "training"
"""The kind of run that trains one model; others are `lr-sweep` and `external`."""
EXTERNAL = "external"
"""The kind of run that another program trains, and records here."""


@dataclass(frozen=True)
class RunRow:
    """A run as it stood when it was read. Times are seconds since the epoch; losses nats a character."""

    id: str
    kind: str
    name: str
    stage: str
    dataset: str
    dataset_kind: str
    dataset_sha256: str
    config_json: str
    config_hash: str
    group_hash: str
    seed: int
    experiment: str | None
    parent_id: str | None
    parent_step: int | None
    status: str
    queue_position: float | None
    wish: str | None
    trained_by: str
    attempt: int
    failures: int
    error: str | None
    step: int
    steps: int
    parameters: int | None
    train_loss: float | None
    val_loss: float | None
    best_val_loss: float | None
    best_step: int | None
    chars_per_second: float | None
    seconds: float
    device: str | None
    precision: str | None
    threads: int | None
    torch_version: str | None
    lab_version: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    trashed_at: float | None
    tags_json: str
    notes: str

    @cached_property
    def config(self) -> RunConfig:
        """The config, read from its JSON. Raises `ConfigError` for an external run, and where that is nonsense."""
        if self.kind == EXTERNAL:
            raise ConfigError(f"run {self.name} was trained by another program: lab has no config of it")
        from lab.config.run_config import from_json  # late: the screen shows its rows before it needs pydantic

        return from_json(self.config_json)

    @cached_property
    def written(self) -> Mapping[str, Any]:
        """What stands in the JSON of the config, unchecked. Raises `ConfigError` where that is no object."""
        return _object(self.config_json, self.name)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What the run was configured with, as plain JSON values: its config, or whatever an external run came with.

        Raises `ConfigError` where that is nonsense.
        """
        return self.written if self.kind == EXTERNAL else self.config.resolved()

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """What a person, or a command, has marked the run with."""
        return texts_of(self.tags_json)


def texts_of(text: str) -> tuple[str, ...]:
    """A JSON list of texts; what else is there was not written by lab, and is left out."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def _object(text: str, name: str) -> dict[str, Any]:
    """The JSON object of a run's config. Raises `ConfigError` where it is none."""
    from lab.config.run_config import LARGEST_CONFIG  # late, as above

    try:
        values = json.loads(text) if len(text) <= LARGEST_CONFIG else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ConfigError(f"the config of run {name} is no JSON object of a bearable size")
    return values


@dataclass(frozen=True)
class NewRun:
    """What must be known to add a run."""

    config: RunConfig
    dataset: DatasetFacts
    name: str = ""
    status: str = "queued"
    tags: tuple[str, ...] = ()
    experiment: str | None = None
    trained_by: str = "worker"
    parent_id: str | None = None
    parent_step: int | None = None
    sweep: LRSweep | None = None
    """Of a run of kind `lr-sweep`: what it tries with the config."""
    source: OwnSource | None = None
    """The file of a model of one's own; where not given, that of another run with the same."""


@dataclass(frozen=True)
class DatasetFacts:
    """What the database keeps of a dataset."""

    sha256: str
    kind: str
    name: str
    path: str
    characters: int
    vocabulary: tuple[str, ...]
    counting_loss: float


@dataclass(frozen=True, eq=False)
class MetricPoints:
    """A metric over steps. NaN in `values`, `lows` and `highs` where no value of a bucket was finite."""

    steps: np.ndarray
    values: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    nonfinite: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class SampleRow:
    """Text that a model wrote at a step of its training."""

    step: int
    text: str


@dataclass(frozen=True)
class CheckpointRow:
    """A stored checkpoint; `path` is relative to the folder beside the database."""

    id: int
    run_id: str
    step: int
    kind: str
    path: str
    sha256: str
    size: int
    created_at: float


@dataclass(frozen=True)
class EventRow:
    """A line of a run's log."""

    at: float
    step: int
    level: str
    text: str
