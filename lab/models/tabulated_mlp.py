"""An MLP that writes: its first layer is read from a table, and equal windows of many texts are computed once.

What the first layer makes of a window is a sum over its places, and at each of them there are V characters. The logits
are those of `MLP.forward`, and are tested equal.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.run_config import RunConfig
from lab.models.mlp import MLP

LARGEST_WORK = 2**22
"""Multiplications that a table may take: about a millisecond's."""
MOST_WINDOWS = 2**62
"""Windows that there may be, V^T: each has a number."""
FEW = 256
"""Of fewer windows, equal ones are not looked for: they take no longer than that."""


def can_tabulate(model: nn.Module, config: RunConfig) -> bool:
    """Whether a model is an MLP with a first layer, and its table soon made."""
    if type(model) is not MLP or not config.layers:
        return False
    v, t = model.head.out_features, config.context_length
    work = v * t * config.embedding_dim * config.hidden_dim
    return work <= LARGEST_WORK and v**t <= MOST_WINDOWS


class TabulatedMLP:
    """An `MLP` with the weights that it has now."""

    def __init__(self, model: nn.Module, config: RunConfig) -> None:
        mlp = cast("MLP", model)
        first = cast("nn.Linear", mlp.hidden[0])
        v, t, device = mlp.head.out_features, config.context_length, first.weight.device
        by_place = first.weight.t().view(t, config.embedding_dim, -1)  # (H, T × C) -> (T, C, H)
        table = (mlp.token_embedding.weight @ by_place).float()  # (V, C) @ (T, C, H) -> (T, V, H)
        if first.bias is not None:
            table[0] += first.bias
        self._table = table.flatten(0, 1)  # -> (T × V, H)
        self._rows = v * torch.arange(t, device=device)  # (T), where the rows of a place begin
        self._digits = v ** torch.arange(t, device=device)  # (T), what a token counts for in the number of a window
        self._v, self._after_first, self._head = v, mlp.hidden[1:], mlp.head

    def next_logits(self, windows: Tensor) -> Tensor:
        """Logits (N, V) after windows (N, T)."""
        if len(windows) < FEW:
            return self._logits(windows)
        numbers = (windows * self._digits).sum(dim=1)  # (N, T) -> (N)
        distinct, places = numbers.unique(return_inverse=True)
        return self._logits(distinct[:, None] // self._digits % self._v).index_select(0, places)

    def _logits(self, windows: Tensor) -> Tensor:
        hidden = F.embedding_bag(windows + self._rows, self._table, mode="sum")  # (N, T) -> (N, H)
        return cast("Tensor", self._head(self._after_first(hidden)))
