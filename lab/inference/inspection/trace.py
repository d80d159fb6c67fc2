"""What flows through a model on one batch: the stream after each block, and every head's attention weights.

The modules stay as they are: hooks look on for one forward pass. The fused attention never stores its weights, so they
are computed again from the module's own queries and keys (`MultiHeadAttention.weights`, tested equal to its output).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from lab.models.layers import Block, MultiHeadAttention
from lab.models.transformer import Transformer


@dataclass
class Trace:
    """One forward pass: logits (B, T, V), the stream (B, T, ·) before the first block and after each, the weights."""

    logits: Tensor
    streams: list[Tensor] = field(default_factory=list)
    attention: list[Tensor] = field(default_factory=list)
    """Of each block, (B, nh, T, T): row the position that asks, column the one that it takes from."""


@torch.no_grad()
def trace_transformer(model: nn.Module, tokens: Tensor) -> Trace:
    """Runs tokens (B, T) through a transformer and keeps what flows."""
    transformer = cast("Transformer", model)
    trace = Trace(torch.empty(0))

    def keep_stream(module: nn.Module, inputs: Any, output: Tensor) -> None:
        trace.streams.append(output)

    def keep_input(module: nn.Module, inputs: Any) -> None:
        trace.streams.append(inputs[0])

    def keep_weights(module: nn.Module, inputs: Any, output: Tensor) -> None:
        trace.attention.append(attention_weights(cast("MultiHeadAttention", module), inputs[0]))

    blocks = cast("Sequence[Block]", list(transformer.blocks))
    with hooked([(transformer.blocks, keep_input)], before=True):
        hooks: list[tuple[nn.Module, Callable[..., Any]]] = [(block, keep_stream) for block in blocks]
        hooks += [(block.attention, keep_weights) for block in blocks]
        with hooked(hooks):
            trace.logits, _ = model(tokens)
    return trace


@torch.no_grad()
def attention_weights(attention: MultiHeadAttention, x: Tensor) -> Tensor:
    """The weights (B, nh, T, T) of an attention module that reads x (B, T, C), computed openly."""
    query, key, value = attention.read(x)
    return attention.weights(query, key, x.shape[1]).expand(*value.shape[:2], -1, -1)


@torch.no_grad()
def read_stream(model: nn.Module, stream: Tensor) -> Tensor:
    """What the model's own head makes of a stream (B, T, C) at any depth: logits (B, T, V), as `Transformer` does."""
    transformer = cast("Transformer", model)
    logits = transformer.head(transformer.final_norm(stream))  # (B, T, C) -> (B, T, V)
    if transformer.logit_softcap:
        logits = transformer.logit_softcap * torch.tanh(logits / transformer.logit_softcap)
    return logits


@contextmanager
def hooked(hooks: Sequence[tuple[nn.Module, Callable[..., Any]]], *, before: bool = False) -> Iterator[None]:
    """Lets hooks look at (or, before, into) modules, and takes them away again whatever happens."""
    handles = [
        module.register_forward_pre_hook(hook) if before else module.register_forward_hook(hook)
        for module, hook in hooks
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
