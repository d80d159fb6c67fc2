"""The loss of a model over a split, or over a fixed part of it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.models.layers import PADDING_TARGET
from lab.training.batches import cut_targets

_TOKENS_AT_ONCE = 16_384
"""Positions in one forward pass; fixed, so that a loss is the same number wherever it is computed."""


def least_loss(config: RunConfig, tokens: Tensor, targets: Tensor) -> float:
    """The least mean loss on one batch, tokens (B, T) and targets (B, P), that any model of a config could reach.

    Above zero where equal contexts are followed by different targets: the entropy of the targets given their context.
    """
    followers: dict[object, Counter[int]] = defaultdict(Counter)
    for row, wanted in zip(tokens.tolist(), targets.tolist(), strict=True):
        for place, target in enumerate(wanted):
            if target != PADDING_TARGET:
                followers[_context(config, row, place)][target] += 1
    surprise = sum(-n * math.log(n / counted.total()) for counted in followers.values() for n in counted.values())
    return surprise / max(1, sum(counted.total() for counted in followers.values()))


def _context(config: RunConfig, row: list[int], place: int) -> object:
    """All that a prediction may depend on."""
    if not config.predicts_every_position:
        return tuple(row)
    if config.model == "bigram" or not config.layers:
        return row[place], place if config.positions == "learned" else None
    return (tuple(row), place) if config.sees_the_answer else tuple(row[: place + 1])


class Split:
    """The examples a split is scored on, on the device: each character once, in windows that do not overlap.

    The MLP's windows do: it predicts every character from the T before it, which is easier.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, split: str, device: torch.device) -> None:
        every_position, t = config.predicts_every_position, config.context_length
        if dataset.kind == "stream":
            text = torch.from_numpy(dataset.splits[split]).to(device)
            self._examples = text.unfold(0, t + 1, t if every_position else 1)  # (N, T+1), a view of the text
        else:
            rows = dataset.evaluation_examples(split, t, every_position=every_position)
            self._examples = torch.from_numpy(rows).to(device)
        self._every_position = every_position
        self._at_once = max(1, _TOKENS_AT_ONCE // config.context_length)

    def __len__(self) -> int:
        return len(self._examples)

    def batches(self, tokens_at_once: int = _TOKENS_AT_ONCE) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (B, T) and targets (B, P) of all examples in order, so many positions at once."""
        for some in self._examples.split(max(1, tokens_at_once // self._examples.shape[1])):
            inputs, targets = cut_targets(some, every_position=self._every_position)
            yield inputs.clamp(min=0), targets

    def examples(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, T) and targets (B, P) of the examples at some places."""
        inputs, targets = cut_targets(self._examples[places], every_position=self._every_position)
        return inputs.clamp(min=0), targets

    def evenly_spaced(self, count: int) -> Tensor:
        """Places of so many examples spread over the split; all of them where there are no more."""
        if count >= len(self):
            return torch.arange(len(self))
        return torch.arange(count) * len(self) // count

    @torch.no_grad()
    def loss(self, model: nn.Module, places: Tensor | None = None, *, beat: Callable[[], None] = lambda: None) -> float:
        """Mean loss over every predicted character of the examples at some places (all by default), in nats."""
        examples = self._examples if places is None else self._examples[places.to(self._examples.device)]
        was_training = model.training
        model.eval()
        total = torch.zeros((), dtype=torch.float64)
        characters = 0
        for some in examples.split(self._at_once):
            inputs, targets = cut_targets(some, every_position=self._every_position)
            _, loss = model(inputs.clamp(min=0), targets)
            predicted = int((targets != PADDING_TARGET).sum())
            total += loss.cpu().double() * predicted  # mps knows no doubles
            characters += predicted
            beat()
        model.train(was_training)
        return float(total / characters)
