"""Stored models that have been read, kept for the next question about them."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from lab.datasets.dataset import Dataset
from lab.inference.stored import read_stored_checkpoint
from lab.queue.requests import dataset_of
from lab.store.checkpoints import choose_checkpoint, sound_checkpoint
from lab.store.run_store import CheckpointRow, RunRow, RunStore
from lab.training.checkpoint import Checkpoint

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

MODELS_KEPT = 4
DATASETS_KEPT = 2
FEWEST_PARAMETERS_FOR_THREADS = 1_000_000


@dataclass(frozen=True)
class LoadedModel:
    """A stored run's model at one checkpoint, ready to be asked."""

    row: CheckpointRow
    checkpoint: Checkpoint
    module: nn.Module
    damage: str = ""
    """What is to be said where this is not the checkpoint that was meant, because that one is damaged."""


class LoadedModels:
    """The databases, models and datasets that were asked for last."""

    def __init__(self) -> None:
        self._stores: dict[str, RunStore] = {}
        self._models: OrderedDict[tuple[str, str], LoadedModel] = OrderedDict()
        self._datasets: OrderedDict[tuple[str, str, str], Dataset] = OrderedDict()

    def close(self) -> None:
        """Lets go of the databases."""
        for store in self._stores.values():
            store.close()

    def store(self, database: str) -> RunStore:
        """The database at a path, opened once. Raises `StoreError`."""
        if database not in self._stores:
            self._stores[database] = RunStore.open(Path(database))
        return self._stores[database]

    def model(self, database: str, run_id: str, checkpoint: str) -> LoadedModel:
        """A run's model; read again where the checkpoint that is meant has changed.

        Raises `RunNotFoundError`, `UsageError` and `CheckpointError`.
        """
        store = self.store(database)
        row, damage = choose_checkpoint(store, store.run(run_id), checkpoint), ""
        key = (database, row.sha256)
        if key not in self._models:
            row, damage = sound_checkpoint(store, store.run(run_id), checkpoint)
            key = (database, row.sha256)
        if key not in self._models:
            read = read_stored_checkpoint(store, row)
            self._models[key] = LoadedModel(row, read, read.model())
        _keep_newest(self._models, key, MODELS_KEPT)
        return dataclasses.replace(self._models[key], damage=damage)

    def dataset(self, database: str, run: RunRow) -> Dataset:
        """The dataset that a run was made with. Raises `DatasetError` where it is gone or has changed."""
        key = (database, run.dataset_sha256, run.dataset_kind)
        if key not in self._datasets:
            self._datasets[key] = dataset_of(run, Path(database))
        _keep_newest(self._datasets, key, DATASETS_KEPT)
        return self._datasets[key]


def use_threads_for(run: RunRow) -> None:
    """One thread for a small model, whose operations are over before several have met; all of them for a large one."""
    if (run.parameters or 0) < FEWEST_PARAMETERS_FOR_THREADS:
        torch.set_num_threads(1)


def _keep_newest(kept: OrderedDict[_Key, _Value], key: _Key, most: int) -> None:
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
