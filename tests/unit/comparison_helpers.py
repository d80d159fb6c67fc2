"""Runs as comparisons see them, made up."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig

_ids = itertools.count(1)


@dataclass(frozen=True)
class MadeRun:
    """A finished run, unless said otherwise."""

    config: RunConfig
    val_loss: float | None = 2.0
    status: str = "finished"
    kind: str = "training"
    dataset_sha256: str = "5" * 64
    lab_version: str = "1"
    parameters: int | None = 1000
    device: str | None = "cpu"
    parent_id: str | None = None
    parent_step: int | None = None
    chars_per_second: float | None = 1e5
    seconds: float = 10.0
    own_settings: dict[str, Any] | None = None
    id: str = field(default_factory=lambda: f"r{next(_ids):05}")
    name: str = "made"
    experiment: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return self.config.resolved() if self.own_settings is None else self.own_settings

    @property
    def stage(self) -> str:
        return self.config.stage

    @property
    def dataset(self) -> str:
        return self.config.dataset

    @property
    def dataset_kind(self) -> str:
        return self.config.dataset_as

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def group_hash(self) -> str:
        return self.config.group_hash(self.dataset_sha256)

    @property
    def step(self) -> int:
        return self.config.steps

    @property
    def best_val_loss(self) -> float | None:
        return self.val_loss


def made(stage: str, losses: dict[int, float], settings: dict[str, Any] | None = None, **facts: Any) -> list[MadeRun]:
    """Runs of one config, by seed."""
    config = stage_config(stage, settings=settings or {})
    return [MadeRun(config.replace(seed=seed), loss, **facts) for seed, loss in losses.items()]
