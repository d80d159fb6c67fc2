"""The loss of every single character of the val split, and where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.inference.inspection.subject import Progress, Subject
from lab.models.layers import PADDING_TARGET
from lab.training.evaluate import Split

MOST_AT_ONCE = 16_384
MOMENT_OF_WORK = 2 * 10**9
"""Parameters times positions: some tenths of a second on one core."""


@dataclass(frozen=True, eq=False)
class CharacterLosses:
    """Of the characters of a split in its own order, from the first predicted one on: each array is (N,).

    Character i stands at place `first + i` of the split's ids and has had `context[i]` characters before it in its
    window (1 is the start alone).
    """

    ids: np.ndarray
    first: int
    losses: np.ndarray
    context: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """The characters that were to be predicted."""
        return self.ids[self.first : self.first + len(self.losses)]

    def places(self, places: np.ndarray) -> np.ndarray:
        """The loss of the characters at some places of the split; NaN where none was predicted."""
        at = places - self.first
        inside = (at >= 0) & (at < len(self.losses))
        return np.where(inside, self.losses[np.clip(at, 0, len(self.losses) - 1)], np.nan)


def tokens_at_once(model: nn.Module) -> int:
    """Positions that go through a model before anybody can be told how far it is: a moment's work."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return min(MOST_AT_ONCE, MOMENT_OF_WORK // parameters)


def losses_of(logits: Tensor, targets: Tensor) -> Tensor:
    """The loss (B, P) of each target (B, P) after logits (B, P, V); zero where there is no target."""
    flat = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=PADDING_TARGET, reduction="none"
    )
    return flat.view(targets.shape)  # (B × P) -> (B, P)


@torch.no_grad()
def character_losses(subject: Subject, tell: Progress) -> CharacterLosses:
    """Every character of the val split, scored as an evaluation scores it."""
    config, dataset = subject.config, subject.dataset
    return split_losses(subject.model, config, dataset, "val", tell)


@torch.no_grad()
def split_losses(model: nn.Module, config: RunConfig, dataset: Dataset, split: str, tell: Progress) -> CharacterLosses:
    """Every character of a split. Windows, words and single predictions all come in the order of the text."""
    examples = Split(config, dataset, split, torch.device("cpu"))
    losses, contexts = [], []
    done = 0
    for tokens, targets in examples.batches(tokens_at_once(model)):
        logits, _ = model(tokens)
        predicted = targets != PADDING_TARGET
        depth = (
            torch.arange(1, targets.shape[1] + 1) if config.predicts_every_position else torch.tensor([tokens.shape[1]])
        )
        losses.append(losses_of(logits, targets)[predicted])
        contexts.append(depth.expand_as(targets)[predicted])
        done += len(tokens)
        tell(done, len(examples))
    # A word's windows begin with its first character; a stream's first window without every position, after T of them.
    first = 1 if config.predicts_every_position or dataset.kind == "words" else config.context_length
    return CharacterLosses(
        dataset.splits[split], first, torch.cat(losses).double().numpy(), torch.cat(contexts).numpy()
    )
