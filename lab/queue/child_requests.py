"""Going on from a stored run's checkpoint, as a new run, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.errors import ConfigError
from lab.queue.requests import dataset_facts, dataset_of
from lab.store.checkpoints import sound_checkpoint
from lab.store.model_sources import check_may_run
from lab.store.run_store import NewRun, RunRow, RunStore, check_name


@dataclass(frozen=True)
class ChildRequest:
    """What a person fills in to go on from a run: from which checkpoint, for how long, and what to change."""

    parent: RunRow
    checkpoint: str = "last"
    """`best`, `last`, or the step of one."""
    more_steps: int | None = None
    """As many again as the parent had, where None."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


def compose_child(request: ChildRequest, store: RunStore) -> NewRun:
    """The child run that a request asks for; nothing is written.

    Raises `ConfigError` on changes that do not keep the shapes, and `CheckpointError`, `DatasetError` or `UsageError`.
    """
    check_name(request.name)
    parent = request.parent
    check_may_run(store, parent)
    row, _ = sound_checkpoint(store, parent, request.checkpoint)
    more = parent.steps if request.more_steps is None else request.more_steps
    if more < 1:
        raise ConfigError(f"steps={more} must be at least 1")
    old = parent.config
    config = old.replace(**(dict(request.settings) | {"steps": row.step + more}))
    same_dataset = (config.dataset, config.dataset_as) == (old.dataset, old.dataset_as)
    if config.weights_layout != old.weights_layout or not same_dataset:
        raise ConfigError(f"these changes do not keep the shapes and the dataset of {parent.name}; train a new run")
    dataset = dataset_of(parent, store.database.path)
    dataset.check_fits(config.context_length, every_position=config.predicts_every_position)
    name = request.name.strip()
    return NewRun(config, dataset_facts(dataset), name, parent_id=parent.id, parent_step=row.step)
