"""The pieces that the ladder adds one by one: attention over all heads, the feed-forward layer, the block.

Shapes: B examples, T positions, C embedding, nh heads, hs head size, V vocabulary.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.run_config import RunConfig
from lab.models.dropout import Dropout, scaled_dot_product_attention
from lab.models.short_ways import RMSNorm, rms_norm, squared_relu

PADDING_TARGET = -1
"""The target of a position that is not part of the loss."""


class SquaredReLU(nn.Module):
    """ReLU, squared (So et al. 2021): as sparse, and smooth where it sets in."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return squared_relu(x)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "relu_squared": SquaredReLU,
}


class HiddenLinear(nn.Linear):
    """A linear layer whose output goes through a nonlinearity; Kaiming initialisation gives it that one's gain."""


class OutputProjection(nn.Linear):
    """The linear layer with which heads, or a feed-forward layer, write back to the C-wide stream."""


def next_character_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats a character of logits (…, V) against as many targets, padding left out."""
    return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.flatten(), ignore_index=PADDING_TARGET)


def build_norm(config: RunConfig, width: int) -> nn.Module:
    """Layer norm (Ba et al. 2016), or RMS norm without weights, over the last `width`."""
    if config.norm_kind == "rms":
        return RMSNorm()
    return nn.LayerNorm(width, bias=config.bias)


class RotaryPositions(nn.Module):
    """Turns queries and keys by angles that grow with their place, so that q·k knows their distance (Su et al. 2021).

    A head's numbers are taken in pairs, each a point of the complex plane that turns at a frequency of its own.
    """

    turns: Tensor

    def __init__(self, context_length: int, head_dim: int, base: float = 10_000.0) -> None:
        super().__init__()
        frequencies = [base ** (-pair / head_dim) for pair in range(0, head_dim, 2)]
        turns = [[cmath.rect(1.0, place * each) for each in frequencies] for place in range(context_length)]
        self.register_buffer("turns", torch.tensor(turns, dtype=torch.complex64), persistent=False)  # (T, hs / 2)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Queries or keys (…, T, hs), turned; `first` is the place of the first of them."""
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))  # (…, T, hs) -> (…, T, hs / 2)
        turned = torch.view_as_real(pairs * self.turns[first : first + x.shape[-2]])  # (…, T, hs / 2, 2)
        return turned.flatten(-2).to(x.dtype)  # -> (…, T, hs)


class MultiHeadAttention(nn.Module):
    """Masked self-attention of several heads, their outputs concatenated (and projected, if the config says so).

    Queries, keys and values of all heads come from one matrix; a head is a slice of it.
    """

    visible: Tensor

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.head_dim = config.attention_width // config.heads
        self.learned = config.attention == "learned"
        self.scale = {"1/sqrt(d)": self.head_dim**-0.5, "none": 1.0, "sqrt(d)": self.head_dim**0.5}[
            config.attention_scale
        ]
        c, width = config.embedding_dim, config.attention_width
        self.has_value_projection = config.value_projection
        self.is_causal = config.causal_mask
        self.qk_norm = config.qk_norm
        self.rotary = RotaryPositions(config.context_length, self.head_dim) if config.positions == "rotary" else None
        projected = 2 * self.learned + config.value_projection
        self.projections = nn.Linear(c, projected * width, bias=False) if projected else None
        self.output = OutputProjection(width, c, bias=config.bias) if config.output_projection else nn.Identity()
        self.attention_dropout = Dropout(config.dropout)
        self.output_dropout = Dropout(config.dropout if config.output_projection else 0.0)
        mask = torch.ones(config.context_length, config.context_length, dtype=torch.bool)
        self.register_buffer("visible", mask.tril() if config.causal_mask else mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, nh × hs), or (B, T, C) when projected."""
        query, key, value = self.read(x)  # each (B, nh, T, hs)
        if query is None or key is None:
            even = self.weights(query, key, x.shape[1]).expand(*value.shape[:2], -1, -1)  # (T, T) -> (B, nh, T, T)
            heads = self.attention_dropout(even) @ value  # -> (B, nh, T, hs)
        else:  # what `weights(…) @ value` computes, in one kernel that never stores the weights
            heads = scaled_dot_product_attention(
                query,
                key,
                value,
                is_causal=self.is_causal,
                scale=self.scale,
                dropout_p=self.attention_dropout.p if self.training else 0.0,
            )
        side_by_side = heads.transpose(1, 2).flatten(2)  # (B, nh, T, hs) -> (B, T, nh × hs)
        return self.output_dropout(self.output(side_by_side))

    def weights(self, query: Tensor | None, key: Tensor | None, t: int) -> Tensor:
        """How much each position takes from each: rows sum to 1, shape (B, nh, T, T), or (T, T) for an even average."""
        visible = self.visible[:t, :t]
        if query is None or key is None:
            return visible / visible.sum(dim=-1, keepdim=True)
        affinity = query @ key.transpose(-2, -1) * self.scale  # (B, nh, T, hs) @ (B, nh, hs, T) -> (B, nh, T, T)
        return F.softmax(affinity.masked_fill(~visible, -math.inf), dim=-1)

    def read(self, x: Tensor, first: int = 0) -> tuple[Tensor | None, Tensor | None, Tensor]:
        """Query, key and value of every head, each (B, nh, T, hs), where x begins at the place `first`.

        An even average has neither query nor key; without a value projection the value is a slice of x itself.
        """
        b, t, _ = x.shape
        parts: tuple[Tensor, ...] = ()
        if self.projections is not None:
            parts = self.projections(x).view(b, t, -1, self.heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind()
        itself = x.view(b, t, self.heads, self.head_dim).transpose(1, 2) if not self.has_value_projection else None
        value = parts[-1] if itself is None else itself
        if not self.learned:
            return None, None, value
        if self.qk_norm or self.rotary is not None:
            query, key = self._placed(torch.stack(parts[:2]), first).unbind()
            return query, key, value
        return parts[0], parts[1], value

    def _placed(self, x: Tensor, first: int) -> Tensor:
        """Queries and keys (2, B, nh, T, hs), brought to one length and turned by their place, as the config says."""
        if self.qk_norm:  # Henry et al. 2020
            x = rms_norm(x)
        return x if self.rotary is None else self.rotary(x, first)


class FeedForward(nn.Module):
    """What each position makes of what it has gathered: a linear layer, a nonlinearity, and the way back to C."""

    def __init__(self, config: RunConfig, width: int) -> None:
        super().__init__()
        hidden = config.feed_forward_multiple * width
        self.hidden = HiddenLinear(width, hidden, bias=config.bias)
        self.activation = ACTIVATIONS[config.activation]()
        self.output = OutputProjection(hidden, width, bias=config.bias) if config.output_projection else nn.Identity()
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, C)."""
        return self.dropout(self.output(self.activation(self.hidden(x))))


class Block(nn.Module):
    """Communication, then computation: attention, then feed-forward, with skips and norms as the config says."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        c = config.embedding_dim
        after_attention = c if config.output_projection else config.attention_width
        self.residual = config.residual
        self.norm = config.norm
        self.attention = MultiHeadAttention(config)
        self.feed_forward = FeedForward(config, after_attention) if config.feed_forward_multiple else None
        if config.norm != "none":
            normed = {"pre": (c, after_attention), "post": (after_attention, after_attention)}[config.norm]
            self.attention_norm = build_norm(config, normed[0])
            if self.feed_forward:
                self.feed_forward_norm = build_norm(config, normed[1])

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, C)."""
        x = self.passed(self.attention, "attention_norm", x)
        if self.feed_forward:
            x = self.passed(self.feed_forward, "feed_forward_norm", x)
        return x

    def passed(self, part: Callable[[Tensor], Tensor], norm: str, x: Tensor) -> Tensor:
        """What a part of the block, with the norm of that name and its skip, makes of x (B, T, C)."""
        added = part(getattr(self, norm)(x)) if self.norm == "pre" else part(x)
        x = x + added if self.residual else added
        return getattr(self, norm)(x) if self.norm == "post" else x
