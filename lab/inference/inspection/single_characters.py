"""What a model says after each single character: its own table of pairs, whatever it is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lab.config.run_config import RunConfig


@torch.no_grad()
def next_character_table(model: nn.Module, config: RunConfig, vocabulary_size: int, start_id: int) -> Tensor:
    """Probabilities (V, V) of the next character, row by row, of a model that has read one character alone.

    A model that needs a full window has the start token before it, as at the beginning of a word.
    """
    characters = torch.arange(vocabulary_size)[:, None]  # (V, 1)
    if not config.predicts_every_position:
        before = torch.full((vocabulary_size, config.context_length - 1), start_id)
        characters = torch.cat([before, characters], dim=1)  # (V, T)
    logits, _ = model(characters)
    return logits[:, -1].float().softmax(dim=-1)  # (V, P, V) -> (V, V)
