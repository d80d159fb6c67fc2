"""Dropout on a CPU, where drawing what is dropped costs more than leaving it out.

torch draws a number for each value (8 ns); here 16 bits of a number of 64 decide (2 ns). Elsewhere torch's own runs.

Shapes: B examples, nh heads, T positions, hs head size; S query positions that are computed together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_SHARES = 2**16
QUERIES_TOGETHER = 64
"""Positions whose attention is computed together: what causal ones cannot see is left out in pieces of so many."""
WEIGHTS_TOGETHER = 2**17
"""Attention weights computed together, at least those of one example: half a megabyte stays in a core's cache."""


def drawn_to_stay(like: Tensor, p: float) -> Tensor:
    """Which values of a tensor stay when each is dropped with probability p, to 2^-16: bool, of its shape."""
    count = like.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    return (words.view(torch.int16)[:count] >= round(p * _SHARES) - _SHARES // 2).view(like.shape)


class _Dropped(torch.autograd.Function):
    """y = x · stays / (1 - p); back: the same of the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        """Any shape to the same."""
        stays = drawn_to_stay(x, p)
        ctx.save_for_backward(stays)
        ctx.scale = 1 / (1 - p)
        return (x * stays).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient by x."""
        (stays,) = ctx.saved_tensors
        return (gradient * stays).mul_(ctx.scale), None


class Dropout(nn.Dropout):
    """Sets values to zero with probability p while training, and scales up what is left (Srivastava et al. 2014)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        if not self.training or not 0 < self.p < 1 or x.device.type != "cpu":
            return super().forward(x)
        dropped: Tensor = _Dropped.apply(x, self.p)  # type: ignore[no-untyped-call]
        return dropped


class _DroppedAttention(torch.autograd.Function):
    """softmax(scale · q kᵀ, masked), dropped, times v: a few examples and query positions at a time.

    With P the weights, D those that are left, scaled up, and O = D v, the ways back are dv = Dᵀ dO and, by the scores,
    D · (dO vᵀ) - P · rowsum(dO · O). What a causal position cannot see is never computed.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, p: float, is_causal: bool, scale: float) -> Tensor:
        """From three (B, nh, T, hs) to one."""
        t, dtype = query.shape[2], query.dtype
        wide = torch.promote_types(dtype, torch.float32)
        hidden = torch.full((t, t), -math.inf, dtype=dtype).triu(1) if is_causal else torch.zeros(t, t, dtype=dtype)
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        kept = []
        for some, first, last, seen in _pieces(query, is_causal):
            q, k, v = _flat(query, some, first, last), _flat(key, some, 0, seen), _flat(value, some, 0, seen)
            scores = torch.baddbmm(hidden[first:last, :seen], q, k.transpose(1, 2), alpha=scale)  # (B' × nh, S, T')
            weights = torch.softmax(scores, dim=-1, dtype=wide).to(dtype)
            left = (weights * drawn_to_stay(weights, p)).mul_(1 / (1 - p))
            out[some, :, first:last] = (left @ v).view(-1, query.shape[1], last - first, query.shape[3])
            kept += [weights, left]
        ctx.save_for_backward(query, key, value, out, *kept)
        ctx.is_causal, ctx.scale = is_causal, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by query, key and value."""
        query, key, value, out, *kept = ctx.saved_tensors
        by_query, by_key, by_value = (
            torch.zeros_like(each, memory_format=torch.contiguous_format) for each in (query, key, value)
        )
        along = (gradient * out).sum(dim=-1, keepdim=True)  # (B, nh, T, 1)
        pieces = _pieces(query, ctx.is_causal)
        for (some, first, last, seen), weights, left in zip(pieces, kept[::2], kept[1::2], strict=True):
            q, k, v = _flat(query, some, first, last), _flat(key, some, 0, seen), _flat(value, some, 0, seen)
            g = _flat(gradient, some, first, last)  # (B' × nh, S, hs)
            by_scores = (g @ v.transpose(1, 2)).mul_(left)  # (B' × nh, S, T')
            by_scores.addcmul_(weights, _flat(along, some, first, last), value=-1).mul_(ctx.scale)
            heads = (-1, *query.shape[1:2])
            by_query[some, :, first:last] = (by_scores @ k).unflatten(0, heads)
            by_key[some, :, :seen] += (by_scores.transpose(1, 2) @ q).unflatten(0, heads)
            by_value[some, :, :seen] += (left.transpose(1, 2) @ g).unflatten(0, heads)
        return by_query, by_key, by_value, None, None, None


def _pieces(query: Tensor, is_causal: bool) -> Iterator[tuple[slice, int, int, int]]:
    """Examples, first and last query position, and how many positions are seen, of each piece."""
    b, heads, t, _ = query.shape
    examples = max(1, WEIGHTS_TOGETHER // (heads * min(t, QUERIES_TOGETHER) * t))
    for start in range(0, b, examples):
        for first in range(0, t, QUERIES_TOGETHER):
            last = min(t, first + QUERIES_TOGETHER)
            yield slice(start, start + examples), first, last, last if is_causal else t


def _flat(x: Tensor, examples: slice, first: int, last: int) -> Tensor:
    """Some positions of some examples (B, nh, T, …), as (B' × nh, T', …)."""
    return x[examples, :, first:last].flatten(0, 1)


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, *, dropout_p: float, is_causal: bool, scale: float
) -> Tensor:
    """`F.scaled_dot_product_attention` with dropout, each (B, nh, T, hs): on a CPU in pieces that its cache holds."""
    if not 0 < dropout_p < 1 or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_p, is_causal=is_causal, scale=scale)
    if torch.is_autocast_enabled("cpu"):  # as torch's own does: a value that is a slice of x itself is fp32 there
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    heads: Tensor = _DroppedAttention.apply(query, key, value, dropout_p, is_causal, scale)  # type: ignore[no-untyped-call]
    return heads
