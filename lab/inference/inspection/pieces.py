"""The pieces that can be knocked out of a trained model, and how: hooks that put nothing, or its mean, in their place.

Nothing of the model is changed: the hooks are taken away after the forward pass. A piece is a head, an attention, a
feed-forward layer, a block, a skip connection, a norm, a hidden layer, a position, or a dimension of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.inference.inspection.trace import hooked
from lab.models.layers import ACTIVATIONS, Block

Group = Literal["parts", "heads", "positions", "dimensions"]
Replacement = Literal["zero", "mean"]
REPLACEMENTS: tuple[Replacement, ...] = ("zero", "mean")
Hook = tuple[nn.Module, Callable[..., Any], bool]
"""A module, what is hooked to it, and whether before its forward pass."""


@dataclass(frozen=True)
class Piece:
    """One thing to remove. `block` is the first block that it touches; None where all must be computed anew.

    `layer` and `index` count from 0; a piece of several is all of them at once.
    """

    name: str
    kind: str
    layer: int = 0
    index: int = 0
    several: tuple[Piece, ...] = ()

    @property
    def block(self) -> int | None:
        """From which block on the model must be computed again; None from its beginning."""
        if self.several:
            blocks = [piece.block for piece in self.several]
            return None if None in blocks else min(cast("list[int]", blocks))
        return None if self.kind in ("position", "dimension", "hidden layer") else self.layer


def pieces_of(config: RunConfig, group: Group) -> tuple[Piece, ...]:
    """The pieces of a model that belong to a group; empty where it has none of them."""
    if group == "positions":
        if config.model == "transformer" and config.positions != "learned":
            return ()
        return tuple(Piece(f"position {i + 1}", "position", index=i) for i in range(config.context_length))
    if group == "dimensions":
        return tuple(Piece(f"dimension {i + 1}", "dimension", index=i) for i in range(config.embedding_dim))
    if config.model == "mlp":
        hidden = [Piece(f"hidden layer {i + 1}", "hidden layer", i) for i in range(config.layers)]
        return tuple(hidden) if group == "parts" else ()
    if group == "heads":
        return tuple(each for i in range(config.layers) for each in _heads(config, i)) if config.heads > 1 else ()
    return _parts(config)


def groups_of(config: RunConfig) -> tuple[Group, ...]:
    """The groups of which a model has pieces."""
    groups: tuple[Group, ...] = ("parts", "heads", "positions", "dimensions")
    return tuple(group for group in groups if pieces_of(config, group))


def _heads(config: RunConfig, layer: int) -> list[Piece]:
    return [Piece(f"head {layer + 1}.{j + 1}", "head", layer, j) for j in range(config.heads)]


def _parts(config: RunConfig) -> tuple[Piece, ...]:
    """Block by block: heads, branches, skips, norms, the whole; then all skips and all norms together."""
    pieces: list[Piece] = []
    for i in range(config.layers):
        number = i + 1
        pieces += _heads(config, i) if config.heads > 1 else []
        pieces.append(Piece(f"attention {number}", "attention", i))
        branches = ["attention"]
        if config.feed_forward_multiple:
            pieces.append(Piece(f"feed-forward {number}", "feed-forward", i))
            branches.append("feed-forward")
        pieces.append(Piece(f"block {number}", "block", i))
        if config.residual:
            pieces += [Piece(f"skip around {name} {number}", "skip", i, j) for j, name in enumerate(branches)]
        if config.norm != "none":
            pieces += [Piece(f"norm of {name} {number}", "norm", i, j) for j, name in enumerate(branches)]
    if config.layers and config.norm == "pre":
        pieces.append(Piece("norm before the head", "norm", config.layers))
    for kind, said in (("skip", "all skip connections"), ("norm", "all norms")):
        every = tuple(piece for piece in pieces if piece.kind == kind)
        if every:
            pieces.append(Piece(said, kind, several=every))
    return tuple(pieces)


class Means:
    """The mean of what modules read and write, over every position of some batches, and of norms their statistics."""

    def __init__(self) -> None:
        self._sums: dict[object, Tensor] = {}
        self._counts: dict[object, int] = {}

    def add(self, key: object, x: Tensor) -> None:
        """Takes x (…, width) in."""
        rows = x.detach().flatten(0, -2).double()
        self._sums[key] = self._sums.get(key, torch.zeros(rows.shape[1], dtype=torch.float64)) + rows.sum(dim=0)
        self._counts[key] = self._counts.get(key, 0) + len(rows)

    def __getitem__(self, key: object) -> Tensor:
        return (self._sums[key] / self._counts[key]).float()


def watched(model: nn.Module, config: RunConfig, means: Means) -> list[Hook]:
    """Hooks that collect, while a model runs, every mean that a piece may be replaced by."""
    hooks: list[Hook] = []

    def keep_output(key: object) -> Callable[..., None]:
        return lambda module, inputs, output: means.add(key, output)

    def keep_input(key: object) -> Callable[..., None]:
        return lambda module, inputs: means.add(key, inputs[0])

    def keep_difference(key: object) -> Callable[..., None]:
        return lambda module, inputs, output: means.add(key, output - inputs[0])

    def keep_norm(key: object) -> Callable[..., None]:
        return lambda module, inputs, output: means.add(key, torch.stack(_statistics(module, inputs[0]), dim=-1))

    embedding = cast("nn.Module", model.token_embedding)
    hooks.append((embedding, keep_output("embedding"), False))
    if config.model == "mlp":
        return hooks + [(m, keep_output(("hidden layer", i)), False) for i, m in enumerate(activations(model))]
    for i, block in enumerate(blocks_of(model)):
        hooks.append((block.attention.output, keep_input(("head", i)), True))
        hooks.append((block.attention, keep_output(("attention", i)), False))
        hooks.append((block, keep_difference(("block", i)) if config.residual else keep_output(("block", i)), False))
        for j, module in enumerate(streams_in(block)):
            hooks.append((module, keep_input(("skip", i, j)), True))
        if block.feed_forward is not None:
            hooks.append((block.feed_forward, keep_output(("feed-forward", i)), False))
    hooks += [(norm, keep_norm(("norm", *place)), False) for place, norm in norms_of(model, config).items()]
    return hooks


def removal(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    """Hooks that take a piece out; what stands in its place is nothing, or its mean where means are given."""
    if piece.several:
        return [hook for each in piece.several for hook in removal(each, model, config, means)]
    return _REMOVALS[piece.kind](piece, model, config, means)


def run_without(hooks: Sequence[Hook], compute: Callable[[], Tensor]) -> Tensor:
    """What is computed while hooks are in place."""
    before = [(module, hook) for module, hook, early in hooks if early]
    after = [(module, hook) for module, hook, early in hooks if not early]
    with hooked(before, before=True), hooked(after), torch.no_grad():
        return compute()


def blocks_of(model: nn.Module) -> list[Block]:
    """A transformer's blocks."""
    return cast("list[Block]", list(cast("nn.Sequential", model.blocks)))


def activations(model: nn.Module) -> list[nn.Module]:
    """What each hidden layer of an MLP writes through."""
    kinds = tuple(ACTIVATIONS.values())
    return [module for module in cast("nn.Sequential", model.hidden) if isinstance(module, kinds)]


def streams_in(block: Block) -> list[nn.Module]:
    """The modules whose input is the stream that a skip connection carries past the attention, and past the rest."""
    modules: list[nn.Module] = [block]
    if block.feed_forward is not None:
        modules.append(block.feed_forward_norm if block.norm == "pre" else block.feed_forward)
    return modules


def norms_of(model: nn.Module, config: RunConfig) -> dict[tuple[int, int], nn.Module]:
    """Norms by block and place in it; the one before the head stands after the last block."""
    norms: dict[tuple[int, int], nn.Module] = {}
    if config.norm == "none":
        return norms
    for i, block in enumerate(blocks_of(model)):
        norms[i, 0] = block.attention_norm
        if block.feed_forward is not None:
            norms[i, 1] = block.feed_forward_norm
    if config.norm == "pre":
        norms[config.layers, 0] = cast("nn.Module", model.final_norm)
    return norms


def _in_place_of(x: Tensor, mean: Tensor | None) -> Tensor:
    return torch.zeros_like(x) if mean is None else mean.expand_as(x)


def _without_head(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    attention = blocks_of(model)[piece.layer].attention
    own = slice(piece.index * attention.head_dim, (piece.index + 1) * attention.head_dim)
    mean = None if means is None else means["head", piece.layer][own]

    def cut(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        side_by_side = inputs[0].clone()  # (B, T, nh × hs)
        side_by_side[..., own] = 0 if mean is None else mean
        return side_by_side

    return [(attention.output, cut, True)]


def _without_branch(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    block = blocks_of(model)[piece.layer]
    module = block.attention if piece.kind == "attention" else cast("nn.Module", block.feed_forward)
    mean = None if means is None else means[piece.kind, piece.layer]
    return [(module, lambda module, inputs, output: _in_place_of(output, mean), False)]


def _without_block(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    """With skip connections the stream passes the block as it was; without them nothing comes through."""
    mean = None if means is None else means["block", piece.layer]

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        instead = _in_place_of(output, mean)
        return inputs[0] + instead if config.residual else instead

    return [(blocks_of(model)[piece.layer], cut, False)]


def _without_skip(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    """The branch writes what it adds less the stream that is added to it, so that it alone is left."""
    block = blocks_of(model)[piece.layer]
    branch = (block.attention, block.feed_forward)[piece.index]
    mean = None if means is None else means["skip", piece.layer, piece.index]
    carried: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        carried.append(inputs[0])

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        stream = carried.pop()
        return output - stream if mean is None else output - stream + mean

    return [(streams_in(block)[piece.index], keep, True), (cast("nn.Module", branch), cut, False)]


def _without_norm(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    """Its input passes as it is; or, by its mean, is scaled by the same numbers everywhere."""
    norm = norms_of(model, config)[piece.layer, piece.index]
    usual = None if means is None else means["norm", piece.layer, piece.index]

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if usual is None:
            return inputs[0]
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        scaled = (inputs[0] - usual[0]) / usual[1]
        scaled = scaled if weight is None else scaled * weight
        return scaled if bias is None else scaled + bias

    return [(norm, cut, False)]


def _statistics(norm: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (zero for RMS) and the scale that a norm divides each position of x (…, C) by."""
    if isinstance(norm, nn.LayerNorm):
        return x.mean(dim=-1), x.var(dim=-1, correction=0).sqrt()
    return torch.zeros(x.shape[:-1]), x.square().mean(dim=-1).sqrt()


def _without_hidden_layer(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    mean = None if means is None else means["hidden layer", piece.layer]
    return [(activations(model)[piece.layer], lambda module, inputs, output: _in_place_of(output, mean), False)]


def _without_position(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    """A transformer's position embedding there; of an MLP, the character at that place of its window."""
    if config.model == "mlp":
        module = cast("nn.Embedding", model.token_embedding)
        mean = None if means is None else means["embedding"]
    else:
        module = cast("nn.Embedding", model.position_embedding)
        mean = None if means is None else module.weight.detach().mean(dim=0)

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if piece.index >= output.shape[-2]:
            return output
        kept = output.clone()  # (B, T, C), or (T, C)
        kept[..., piece.index, :] = 0 if mean is None else mean
        return kept

    return [(module, cut, False)]


def _without_dimension(piece: Piece, model: nn.Module, config: RunConfig, means: Means | None) -> list[Hook]:
    mean = None if means is None else means["embedding"][piece.index]

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        kept = output.clone()  # (B, T, C)
        kept[..., piece.index] = 0 if mean is None else mean
        return kept

    return [(cast("nn.Module", model.token_embedding), cut, False)]


_REMOVALS: Mapping[str, Callable[[Piece, nn.Module, RunConfig, Means | None], list[Hook]]] = {
    "head": _without_head,
    "attention": _without_branch,
    "feed-forward": _without_branch,
    "block": _without_block,
    "skip": _without_skip,
    "norm": _without_norm,
    "hidden layer": _without_hidden_layer,
    "position": _without_position,
    "dimension": _without_dimension,
}
