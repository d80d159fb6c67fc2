"""A transformer that writes: each new character goes through alone, and what earlier ones offer to it is kept.

Its logits are those of `Transformer.forward` as long as all characters stand within the context, and are tested equal.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.run_config import RunConfig
from lab.models.layers import Block, MultiHeadAttention
from lab.models.transformer import Transformer


def can_cache(model: nn.Module, config: RunConfig) -> bool:
    """Whether a model is a transformer whose positions offer keys and values that no later one changes."""
    return type(model) is Transformer and config.causal_mask and config.attention == "learned"


class CachedTransformer:
    """Some texts of one length, with the keys and values of their characters in every block."""

    def __init__(self, model: nn.Module, config: RunConfig) -> None:
        self._model = cast("Transformer", model)
        self._context_length = config.context_length
        self._kept: list[tuple[Tensor, Tensor]] = []  # of each block, each (N, nh, T, hs), filled up to `length`
        self.length = 0

    def next_logits(self, tokens: Tensor) -> Tensor:
        """Logits (N, V) after the last of new tokens (N, t): any number at first, then one by one, T in all."""
        model, end = self._model, self.length + tokens.shape[1]
        x = model.token_embedding(tokens)  # (N, t, C)
        if model.position_embedding is not None:
            x = x + model.position_embedding(model.places[self.length : end])
        for place, block in enumerate(cast("list[Block]", model.blocks)):
            x = block.passed(partial(self._attend, block.attention, place), "attention_norm", x)
            if block.feed_forward:
                x = block.passed(block.feed_forward, "feed_forward_norm", x)
        self.length = end
        return model.logits(x[:, -1])

    def keep(self, rows: Tensor) -> None:
        """Goes on with some of the texts alone, told by their places among those there are."""
        self._kept = [(keys[rows], values[rows]) for keys, values in self._kept]

    def _attend(self, attention: MultiHeadAttention, place: int, x: Tensor) -> Tensor:
        """What the attention of a block gives to new characters (N, t, C), which see those before them."""
        first, end = self.length, self.length + x.shape[1]
        query, key, value = attention.read(x, first)  # each (N, nh, t, hs)
        assert query is not None
        assert key is not None
        if not first:
            room = (*value.shape[:2], self._context_length, value.shape[3])
            self._kept.append((key.new_empty(room), value.new_empty(room)))
        keys, values = self._kept[place]
        keys[:, :, first:end], values[:, :, first:end] = key, value
        seen = keys[:, :, :end], values[:, :, :end]
        heads = F.scaled_dot_product_attention(query, *seen, is_causal=not first, scale=attention.scale)
        return cast("Tensor", attention.output(heads.transpose(1, 2).flatten(2)))
