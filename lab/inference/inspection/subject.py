"""What is inspected: a run, its config, its dataset, and its model at one checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.datasets.tokenizer import CharacterTokenizer, visible
from lab.inference.loaded import LoadedModel, LoadedModels
from lab.store.run_store import RunRow

Progress = Callable[[int, int], None]
"""Told how much of the work is done, and of how much; raises where nobody waits for it any more."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A run to look into; `loaded` is None for views that need no checkpoint. `other` stands beside it, if any."""

    database: str
    run: RunRow
    config: RunConfig
    loaded: LoadedModel | None
    models: LoadedModels
    other: Subject | None = None

    @cached_property
    def dataset(self) -> Dataset:
        """The run's dataset, read when it is first asked for. Raises `DatasetError` where it is gone or has changed."""
        return self.models.dataset(self.database, self.run)

    @cached_property
    def val_text(self) -> str:
        """The val split as one text."""
        return self.dataset.tokenizer.decode(self.dataset.splits["val"].tolist())

    @cached_property
    def tokenizer(self) -> CharacterTokenizer:
        """The model's own vocabulary, which outlives the text."""
        if self.loaded is not None:
            return CharacterTokenizer(self.loaded.checkpoint.vocabulary)
        facts = self.models.store(self.database).dataset(self.run.dataset_sha256, self.run.dataset_kind)
        return CharacterTokenizer(facts.vocabulary) if facts else self.dataset.tokenizer

    @property
    def model(self) -> nn.Module:
        """The model at the checkpoint, in evaluation mode."""
        assert self.loaded is not None, "this view was declared to need no checkpoint"
        return self.loaded.module

    @property
    def step(self) -> int | None:
        """The checkpoint's step."""
        return self.loaded.row.step if self.loaded else None

    @property
    def name(self) -> str:
        """The run and its step, as the title of what is shown of it beside another."""
        return self.run.name if self.step is None else f"{self.run.name} at step {self.step:,}"

    @cached_property
    def characters(self) -> tuple[str, ...]:
        """The vocabulary as it can stand in a table; the boundary of words as the lecture writes it."""
        words = self.config.dataset_as == "words"
        return tuple("." if words and each == "\n" else visible(each) for each in self.tokenizer.vocabulary)

    def shown(self, ids: list[int]) -> str:
        """Some ids as their visible characters."""
        return "".join(self.characters[i] for i in ids)
