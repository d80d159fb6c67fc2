"""What the tests of models and training share: tiny configs, a recorder in memory, and how two runs are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lab.config.diagnostics import Reading
from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.training.checkpoint import Checkpoint, read_checkpoint, weights_of
from lab.training.device import Resources
from lab.training.loop import Outcome, TrainingLoop

WALL_CLOCK_METRICS = ("chars_per_second", "memory_mb", "cpu_percent", "gpu_memory_mb")
"""What another run of the same config need not repeat."""
CPU = Resources("cpu", "fp32", 1)
TINY: dict[str, dict[str, Any]] = {
    "bigram": {},
    "linear": {"embedding_dim": 8},
    "mlp": {"embedding_dim": 4, "hidden_dim": 12, "context_length": 3},
    "single-head": {"embedding_dim": 8, "head_dim": 4},
    "multi-head": {"embedding_dim": 8, "heads": 2},
    "feed-forward": {"embedding_dim": 8, "heads": 2},
    "blocks": {"embedding_dim": 8, "heads": 2, "layers": 2},
    "residual": {"embedding_dim": 8, "heads": 2, "layers": 2},
    "layernorm": {"embedding_dim": 8, "heads": 2, "layers": 2},
    "scaled": {"embedding_dim": 8, "heads": 2, "layers": 2, "context_length": 8, "batch_size": 4},
    "scaled-cpu": {"embedding_dim": 8, "heads": 2, "layers": 2, "context_length": 8, "batch_size": 4},
    "modern": {"embedding_dim": 8, "heads": 2, "layers": 2, "context_length": 8, "batch_size": 4},
}
"""Every stage, small enough to train in a moment."""


def tiny_config(stage: str, dataset: Dataset, **settings: Any) -> RunConfig:
    """A stage's config on a dataset, shrunk."""
    sizes = dict(TINY[stage])
    if dataset.kind == "words" and stage != "mlp":
        sizes.pop("context_length", None)
    small = {"batch_size": 4, "steps": 40, "eval_every": 8, "eval_examples": 16}
    return stage_config(stage, dataset=dataset.name, dataset_as=dataset.kind, settings=sizes | small | settings)


@dataclass
class MemoryRecorder:
    """Keeps in memory what a run says of itself. Checkpoints are written when the run is over, not when asked for.

    `wishes` says from which step on a person asks what.
    """

    folder: Path
    wishes: Mapping[int, str] = field(default_factory=dict)
    points: dict[str, dict[int, float]] = field(default_factory=dict)
    snapshots: dict[int, Sequence[Reading]] = field(default_factory=dict)
    samples: dict[int, str] = field(default_factory=dict)
    events: list[tuple[int, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    beats: int = 0
    restored_buckets: Mapping[str, Any] | None = None
    files: dict[tuple[str, int], Path] = field(default_factory=dict)
    _waiting: list[tuple[Path, Callable[[Path], None]]] = field(default_factory=list)
    _step: int = 0

    @property
    def wish(self) -> Any:
        return next((wish for step, wish in self.wishes.items() if self._step >= step), None)

    def beat(self) -> None:
        self.beats += 1

    def log(self, metric: str, step: int, values: Sequence[float]) -> None:
        for place, value in enumerate(values):
            kept = self.points.setdefault(metric, {})
            assert step + place not in kept, f"{metric} at step {step + place} was told twice"
            kept[step + place] = value
        if metric == "train/loss":
            self._step = step + len(values) - 1

    def snapshot(self, step: int, readings: Sequence[Reading]) -> None:
        assert step not in self.snapshots, f"step {step} was looked at twice"
        self.snapshots[step] = readings

    def sample(self, step: int, text: str) -> None:
        self.samples[step] = text

    def event(self, step: int, text: str, level: str = "info") -> None:
        self.events.append((step, text))

    def progress(self, **facts: object) -> None:
        self.facts.update(facts)

    def flush(self) -> None:
        pass

    def checkpoint(self, kind: str, step: int, write: Callable[[Path], None]) -> None:
        path = self.folder / f"{kind}-{step}-{len(self._waiting)}.safetensors"
        self._waiting.append((path, write))
        self.files[kind, step] = path

    def open_buckets(self) -> dict[str, Any]:
        return {metric: {"points": len(points)} for metric, points in self.points.items()}

    def restore_buckets(self, open_buckets: Mapping[str, Any]) -> None:
        self.restored_buckets = open_buckets

    def write_checkpoints(self) -> None:
        for path, write in self._waiting:
            write(path)
        self._waiting.clear()

    def read(self, kind: str, step: int) -> Checkpoint:
        return read_checkpoint(self.files[kind, step])

    def steps_of(self, kind: str) -> list[int]:
        return [step for found, step in self.files if found == kind]


@dataclass
class Trained:
    """A stretch of training that is over."""

    outcome: Outcome
    recorder: MemoryRecorder
    loop: TrainingLoop

    @property
    def weights(self) -> dict[str, Tensor]:
        return weights_of(self.loop.model)

    @property
    def losses(self) -> dict[int, float]:
        return self.recorder.points["train/loss"]


def train(
    config: RunConfig,
    dataset: Dataset,
    folder: Path,
    *,
    resume: Checkpoint | None = None,
    parent: Checkpoint | None = None,
    wishes: Mapping[int, str] | None = None,
    resources: Resources = CPU,
    change: Callable[[TrainingLoop], object] = lambda loop: None,
) -> Trained:
    """Trains a config until it ends one way or another; `change` may tamper with the loop before it begins."""
    folder.mkdir(parents=True, exist_ok=True)
    recorder = MemoryRecorder(folder, wishes or {})
    loop = TrainingLoop(config, dataset, recorder, resources, resume=resume, parent=parent)
    change(loop)
    outcome = loop.run()
    recorder.write_checkpoints()
    return Trained(outcome, recorder, loop)


def joined_points(before: MemoryRecorder, step: int, after: MemoryRecorder) -> dict[str, dict[int, float]]:
    """The points of a run that was resumed: those up to the checkpoint's step, then those of the next attempt."""
    metrics = [metric for metric in before.points | after.points if metric not in WALL_CLOCK_METRICS]
    return {
        metric: {at: value for at, value in before.points.get(metric, {}).items() if at <= step}
        | after.points.get(metric, {})
        for metric in metrics
    }


def assert_same_weights(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
    """Bit for bit."""
    assert some.keys() == others.keys()
    for name, tensor in some.items():
        assert torch.equal(tensor, others[name]), name


def set_weights(model: nn.Module, value: float) -> None:
    """The same number everywhere."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def token_batch(config: RunConfig, vocabulary_size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random tokens (B, T) and targets (B, P) for a model."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocabulary_size, (config.batch_size, config.context_length), generator=generator)
    predicted = config.context_length if config.predicts_every_position else 1
    return tokens, torch.randint(vocabulary_size, (config.batch_size, predicted), generator=generator)


def finite(values: Sequence[float]) -> bool:
    """Whether all are numbers."""
    return all(math.isfinite(value) for value in values)
