"""Loss and gradients of a transformer of short context without autograd: every layer's way back, written by hand.

At the lectures' sizes the bookkeeping of autograd and the kernels of attention, which are made for long contexts, take
longer than the arithmetic. It computes what `loss.backward()` would after `Transformer.forward`, and is tested equal.

Shapes are as in `layers.py`, but activations are (T × B, C), time first: so queries, keys and values come out of one
product as (nh, hs, T, B), where attention over few positions is a handful of sums over B numbers that lie together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.run_config import RunConfig
from lab.models.layers import PADDING_TARGET, Block, FeedForward, MultiHeadAttention
from lab.models.transformer import Transformer

LONGEST_CONTEXT = 16
"""Characters up to which attention by sums is faster than by the kernel: its work grows with T² × C in memory."""


def can_fuse(config: RunConfig) -> bool:
    """Whether `FusedTransformer` knows this config's model, and is faster than autograd."""
    lecture = config.attention == "learned" and config.value_projection and config.positions in ("none", "learned")
    lecture = lecture and config.norm in ("none", "pre") and config.norm_kind == "layer" and config.activation == "relu"
    modern = config.qk_norm or config.logit_softcap
    plain = config.bias and not config.dropout and not config.tied_embeddings and not config.grad_clip
    short = config.context_length <= LONGEST_CONTEXT
    return config.model == "transformer" and lecture and not modern and plain and short and not config.compile


class FusedTransformer:
    """Loss and gradients of the lectures' transformers in fp32, over the parameters of a `Transformer`."""

    def __init__(self, model: nn.Module) -> None:
        transformer = cast("Transformer", model)
        self._embeddings = _Embeddings(transformer)
        layers = [part for block in transformer.blocks for part in _parts(cast("Block", block))]
        if isinstance(transformer.final_norm, nn.LayerNorm):
            layers.append(_LayerNorm(transformer.final_norm))
        self._layers = _Chain([*layers, _Linear(transformer.head)])

    @torch.inference_mode()  # less to keep than under no_grad: nothing here is ever differentiated
    def loss_and_gradients(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of targets (B, T) after tokens (B, T); leaves each parameter's gradient in `.grad`."""
        wanted = targets.t().flatten()  # (B, T) -> (T × B)
        logits = self._layers.forward(self._embeddings.forward(tokens.t()))  # (T × B, V)
        log_probabilities = F.log_softmax(logits, dim=-1)
        loss = F.nll_loss(log_probabilities, wanted, ignore_index=PADDING_TARGET)
        upstream = log_probabilities.exp_()  # p − 1[target], (T × B, V), and nothing where there is padding
        upstream.scatter_(1, wanted.clamp(min=0)[:, None], -1.0, reduce="add")
        predicted = wanted != PADDING_TARGET
        upstream.mul_((predicted / predicted.sum())[:, None])
        self._embeddings.backward(self._layers.backward(upstream))
        return loss


class _Layer(Protocol):
    """Computes, and keeps what its way back needs."""

    def forward(self, x: Tensor) -> Tensor:
        """From (T × B, C) to (T × B, C')."""
        ...

    def backward(self, upstream: Tensor) -> Tensor:
        """From the loss's gradient by the output to that by the input; leaves the weights' in `.grad`."""
        ...


def _parts(block: Block) -> list[_Layer]:
    """Attention and feed-forward of a block, each with its norm before it and its skip around it."""
    attention = [_Attention(block.attention), *_linear_if(block.attention.output)]
    parts: list[list[_Layer]] = [[*_norm_of(block, "attention_norm"), *attention]]
    if isinstance(block.feed_forward, FeedForward):
        hidden, output = block.feed_forward.hidden, block.feed_forward.output
        parts.append([*_norm_of(block, "feed_forward_norm"), _Linear(hidden), _ReLU(), *_linear_if(output)])
    return [_Skip(part) if block.residual else _Chain(part) for part in parts]


def _linear_if(module: nn.Module) -> list[_Layer]:
    return [_Linear(module)] if isinstance(module, nn.Linear) else []


def _norm_of(block: Block, name: str) -> list[_Layer]:
    return [_LayerNorm(getattr(block, name))] if block.norm == "pre" else []


class _Chain:
    """Layers, one after another."""

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self._forwards = [layer.forward for layer in layers]
        self._backwards = [layer.backward for layer in reversed(layers)]

    def forward(self, x: Tensor) -> Tensor:
        for forward in self._forwards:
            x = forward(x)
        return x

    def backward(self, upstream: Tensor) -> Tensor:
        for backward in self._backwards:
            upstream = backward(upstream)
        return upstream


class _Skip(_Chain):
    """Layers with a skip connection around them, over which the gradient returns as it is."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)

    def backward(self, upstream: Tensor) -> Tensor:
        return upstream + super().backward(upstream)


class _Embeddings:
    """The tokens' embeddings, and where there are any the positions'."""

    def __init__(self, transformer: Transformer) -> None:
        self._table = transformer.token_embedding.weight
        positions = transformer.position_embedding
        self._positions = None if positions is None else positions.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """From (T, B) to (T × B, C)."""
        self._shape = tokens.shape
        self._tokens = tokens.flatten()
        x = self._table.index_select(0, self._tokens)
        if self._positions is not None:
            x.view(*self._shape, -1).add_(self._positions[:, None])  # (T, B, C) + (T, 1, C)
        return x

    def backward(self, upstream: Tensor) -> None:
        """Adds up what each row of the tables was used for."""
        self._table.grad = torch.zeros_like(self._table).index_add_(0, self._tokens, upstream)
        if self._positions is not None:
            self._positions.grad = upstream.view(*self._shape, -1).sum(1)  # (T, B, C) -> (T, C)


class _Linear:
    """x Wᵀ + b."""

    def __init__(self, module: nn.Linear) -> None:
        self._weight, self._bias = module.weight, module.bias

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        return torch.addmm(self._bias, x, self._weight.t())

    def backward(self, upstream: Tensor) -> Tensor:
        self._weight.grad = upstream.t() @ self._x
        self._bias.grad = upstream.sum(0)
        return upstream @ self._weight


class _ReLU:
    """Works in place: what comes before it does not need its own output again."""

    def forward(self, x: Tensor) -> Tensor:
        self._y = x.relu_()
        return self._y

    def backward(self, upstream: Tensor) -> Tensor:
        return torch.ops.aten.threshold_backward(upstream, self._y, 0)


class _LayerNorm:
    def __init__(self, module: nn.LayerNorm) -> None:
        self._weight, self._bias, self._epsilon = module.weight, module.bias, module.eps
        self._width = list(module.normalized_shape)

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        y, self._mean, self._rstd = torch.native_layer_norm(x, self._width, self._weight, self._bias, self._epsilon)
        return y

    def backward(self, upstream: Tensor) -> Tensor:
        kept = (self._mean, self._rstd, self._weight, self._bias)
        back = torch.ops.aten.native_layer_norm_backward(upstream, self._x, self._width, *kept, [True] * 3)
        downstream, self._weight.grad, self._bias.grad = back
        return cast("Tensor", downstream)


class _Attention:
    """All heads of masked self-attention, up to their outputs side by side."""

    def __init__(self, module: MultiHeadAttention) -> None:
        self._weight = cast("nn.Linear", module.projections).weight
        self._heads, self._head_dim, self._scale = module.heads, module.head_dim, module.scale
        visible = module.visible
        self._mask = torch.zeros(visible.shape).masked_fill(~visible, -math.inf)[:, :, None]  # (T, T, 1)

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        self._shape = (self._heads, self._head_dim, len(self._mask), -1)
        parts = (self._weight @ x.t()).view(3, *self._shape)  # (3 × nh × hs, T × B) -> (3, nh, hs, T, B)
        self._query, self._key, self._value = query, key, value = parts.unbind()
        affinity = (query[:, :, :, None] * key[:, :, None]).sum(1)  # (nh, hs, T, T, B) -> (nh, T, T, B)
        self._weights = F.softmax(torch.add(self._mask, affinity, alpha=self._scale), dim=2)
        heads = (self._weights[:, None] * value[:, :, None]).sum(3)  # (nh, hs, T, T, B) -> (nh, hs, T, B)
        return heads.view(-1, x.shape[0]).t()  # -> (T × B, nh × hs)

    def backward(self, upstream: Tensor) -> Tensor:
        heads = upstream.t().contiguous().view(self._shape)[:, :, :, None]  # (T × B, nh × hs) -> (nh, hs, T, 1, B)
        by_weights = (heads * self._value[:, :, None]).sum(1)  # (nh, T, T, B)
        by_affinity = torch.ops.aten._softmax_backward_data(by_weights, self._weights, 2, torch.float32)
        by_affinity = by_affinity.mul_(self._scale)[:, None]  # (nh, 1, T, T, B)
        by_query = (by_affinity * self._key[:, :, None]).sum(3)  # (nh, hs, T, T, B) -> (nh, hs, T, B)
        by_key = (by_affinity * self._query[:, :, :, None]).sum(2)
        by_value = (self._weights[:, None] * heads).sum(2)
        by_parts = torch.stack((by_query, by_key, by_value)).view(-1, len(self._x))  # (3 × nh × hs, T × B)
        self._weight.grad = by_parts @ self._x
        return by_parts.t() @ self._weight
