"""The whole dataset as one tensor on the device, and batches of it as a pure function of the seed and the step."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.models.layers import PADDING_TARGET

STEPS_DRAWN_TOGETHER = 256
"""Steps whose examples are drawn from one random state; part of what a run's batches are, so never changed."""
_TOKENS_GATHERED_TOGETHER = 65_536


def cut_targets(examples: Tensor, *, every_position: bool) -> tuple[Tensor, Tensor]:
    """Inputs (…, T) and targets (…, P) of examples (…, T+1); P is T, or 1 where only the window's end is predicted."""
    inputs = examples[..., :-1]
    targets = examples[..., 1:] if every_position else examples[..., -1:]
    return inputs, targets


class Batches:
    """Draws training examples uniformly, with replacement.

    The batch of a step depends on the seed, the step, the dataset, the batch size and the context length alone: runs
    that agree in these see the same batches, and a resumed run sees what it would have seen.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, device: torch.device) -> None:
        every_position = config.predicts_every_position
        if dataset.kind == "stream":
            text = torch.from_numpy(dataset.splits["train"]).to(device)
            self._examples = text.unfold(0, config.context_length + 1, 1)  # (N, T+1), a view of the text
        else:
            rows = dataset.examples("train", config.context_length, every_position=every_position)
            self._examples = torch.from_numpy(rows).to(device)
        self._padded = bool((self._examples[:, -1] == PADDING_TARGET).any()) if dataset.kind == "words" else False
        self._config = config
        self._every_position = every_position
        self._device = device
        self._gathered_together = max(1, _TOKENS_GATHERED_TOGETHER // (config.batch_size * self._examples.shape[1]))
        self._drawn: tuple[int, Tensor] = (-1, torch.empty(0))
        self._ready: dict[int, tuple[Tensor, Tensor]] = {}
        self.characters_per_step = config.batch_size * self._characters_per_example()
        """Characters predicted in a step, on average over the dataset: padding does not count."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs (B, T) and targets (B, P) of a step, counted from 1."""
        if self._config.overfit_one_batch:
            step = 1
        if step not in self._ready:
            self._gather(step)
        return self._ready[step]

    def _characters_per_example(self) -> float:
        if not self._every_position:
            return 1.0
        if not self._padded:
            return float(self._config.context_length)
        return (self._examples[:, 1:] != PADDING_TARGET).sum().item() / len(self._examples)

    def _gather(self, step: int) -> None:
        """Gathers a few small batches in one indexing operation; a large one alone."""
        chunk, place = divmod(step - 1, STEPS_DRAWN_TOGETHER)
        if self._drawn[0] != chunk:
            self._drawn = (chunk, self._draw(chunk))
        together = self._drawn[1][place : place + self._gathered_together]
        examples = self._examples[together]  # (K, B) of (N, T+1) -> (K, B, T+1)
        inputs, targets = cut_targets(examples, every_position=self._every_position)
        if self._padded:
            inputs = inputs.clamp(min=0)
        pairs = zip(inputs.contiguous().unbind(), targets.contiguous().unbind(), strict=True)
        self._ready = {step + i: pair for i, pair in enumerate(pairs)}

    def _draw(self, chunk: int) -> Tensor:
        """Which examples the steps of a chunk see, shape (steps, B)."""
        digest = hashlib.sha256(f"batches {self._config.seed} {chunk}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        shape = (STEPS_DRAWN_TOGETHER, self._config.batch_size)
        return torch.randint(len(self._examples), shape, generator=generator).to(self._device)
