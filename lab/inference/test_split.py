"""The loss of a stored model on its dataset's test split."""

from __future__ import annotations

import torch

from lab.errors import DatasetError
from lab.inference.stored import read_stored_checkpoint
from lab.queue.requests import dataset_of
from lab.store.run_store import CheckpointRow, RunRow, RunStore
from lab.training.evaluate import Split

TEST = "test"


def check_has_test_split(store: RunStore, run: RunRow) -> None:
    """Raises `DatasetError` where the run's dataset is cut without one, or has changed."""
    if run.dataset_kind != "words":
        raise DatasetError(
            f"dataset '{run.dataset}' is a stream, cut into train and val: it has no test split to look at. "
            f"Its val is over the whole held-out tenth (lab show {run.id}); words have a test split"
        )
    dataset_of(run, store.database.path)


def loss_on_test_split(store: RunStore, run: RunRow, row: CheckpointRow) -> float:
    """Mean loss of a checkpoint over every character of the test split, in nats, computed on the CPU.

    Raises `DatasetError` where the dataset has no such split or has changed, and `CheckpointError`.
    """
    check_has_test_split(store, run)
    stored = read_stored_checkpoint(store, row)
    split = Split(stored.config, dataset_of(run, store.database.path), TEST, torch.device("cpu"))
    return split.loss(stored.model())
