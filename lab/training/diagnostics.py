"""What goes on inside a model while it trains: activations, gradients, weights and updates, as histograms.

A step that is looked at is computed once more beforehand, by autograd and with hooks, on the same batch and from the
same random state, which is then put back; no gradient is left behind. So the weights of a run are the same with
diagnostics and without, bit for bit, however the step itself is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lab.config.diagnostics import BINS, OCTAVES, SATURATED_ABOVE, Edges, Kind, Reading
from lab.config.run_config import RunConfig
from lab.models.layers import Block, MultiHeadAttention
from lab.training.device import Resources

VALUES_LOOKED_AT = 4096
"""Of a larger tensor so many values are looked at, evenly spaced, always the same ones."""
ENTROPY_POSITIONS = 128
"""Positions of a batch whose attention is computed once more, for its entropy; of two examples where they are long."""


@dataclass(frozen=True)
class _Look:
    """The values of one tensor that are looked at, 1-D in fp32, and what only the whole tensor could tell."""

    tensor: str
    kind: Kind
    edges: Edges
    values: Tensor
    saturated: Tensor | None = None
    dead: Tensor | None = None


class Diagnostics:
    """Looks inside one model, at the steps that its config names.

    `before` comes just before such a step, with its batch, and `after` just after its update.
    """

    def __init__(self, config: RunConfig, model: nn.Module, resources: Resources) -> None:
        self._config = config
        self._model = model
        self._resources = resources
        self._weights = {
            name: weight for name, weight in model.named_parameters() if weight.dim() > 1 and weight.requires_grad
        }
        self._modules = dict(model.named_modules())
        self._readings: list[Reading] = []
        self._weights_before: dict[str, Tensor] = {}
        state = model.state_dict(keep_vars=True)
        self._buffers = [name for name, _ in model.named_buffers() if name in state]
        """What a forward pass in training may change beside the weights: the running means of a batch norm."""

    def due(self, step: int) -> bool:
        """Whether a step is looked at: the first, which shows the initial weights, the last, and those between."""
        interval = self._config.diagnostics_interval
        return interval > 0 and (step % interval == 0 or step in (1, self._config.steps))

    def before(self, tokens: Tensor, targets: Tensor) -> None:
        """Looks at activations, gradients and weights as they are for a batch: tokens (B, T), targets (B, P)."""
        outputs: dict[str, Tensor] = {}
        entropies: list[_Look] = []
        buffers = {name: self._model.get_buffer(name).clone() for name in self._buffers}
        with _random_state_put_back(tokens.device):
            with _hooks(self._modules, outputs, entropies), self._resources.autocast():
                _, loss = self._model(tokens, targets)
            differentiable = {name: output for name, output in outputs.items() if output.requires_grad}
            wanted = [*differentiable.values(), *self._weights.values()]
            gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
        for name, kept in buffers.items():
            self._model.get_buffer(name).copy_(kept)
        of_outputs = dict(zip(differentiable, gradients, strict=False))
        of_weights = dict(zip(self._weights, gradients[len(differentiable) :], strict=True))
        self._weights_before = {name: _some_values(weight).clone() for name, weight in self._weights.items()}
        looks = [_activations(name, self._modules[name], output) for name, output in outputs.items()]
        looks += entropies
        looks += _all("gradients", of_outputs.items(), "log2-30")
        looks += [_Look(name, "weights", "log2-20", some) for name, some in self._weights_before.items()]
        looks += _all("weight-gradients", of_weights.items(), "log2-30")
        self._readings = _readings(looks)

    def after(self) -> list[Reading]:
        """Everything that was looked at, and what the optimiser has added to the weights since `before`."""
        changes = [
            _Look(name, "updates", "log2-30", _some_values(weight) - self._weights_before[name])
            for name, weight in self._weights.items()
        ]
        readings = self._readings + _readings(changes)
        self._readings, self._weights_before = [], {}
        weights = {reading.tensor: _deviation(reading) for reading in readings if reading.kind == "weights"}
        return [_with_ratio(reading, weights) for reading in readings]


@contextmanager
def _random_state_put_back(device: torch.device) -> Iterator[None]:
    """Whatever is drawn within (by dropout) is drawn again after it."""
    cpu = torch.get_rng_state()
    own: Any = getattr(torch, device.type) if device.type != "cpu" else None
    kept = own.get_rng_state() if own else None
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        if own:
            own.set_rng_state(kept)


@contextmanager
def _hooks(modules: Mapping[str, nn.Module], outputs: dict[str, Tensor], entropies: list[_Look]) -> Iterator[None]:
    """Gathers, within, what the layers of a model put out, and the entropy of its attention."""
    handles = []
    for name, module in modules.items():
        if _is_layer(module):
            handles.append(module.register_forward_hook(_keep_output(outputs, name)))
        if isinstance(module, MultiHeadAttention):
            handles.append(module.register_forward_hook(_keep_entropy(entropies, name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_layer(module: nn.Module) -> bool:
    """Whether a module's output is looked at; what another one puts out unchanged is looked at once."""
    if isinstance(module, Block):
        return True
    if isinstance(module, MultiHeadAttention):
        return isinstance(module.output, nn.Identity)
    return not any(module.children()) and not isinstance(module, nn.Dropout | nn.Identity)


def _keep_output(outputs: dict[str, Tensor], name: str) -> Callable[..., None]:
    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.is_floating_point():
            outputs.setdefault(name, output)  # the first: reading the attention's entropy calls layers again

    return keep


def _keep_entropy(entropies: list[_Look], name: str) -> Callable[..., None]:
    """Of each head, at each position that sees more than one: its entropy over the largest possible there."""

    @torch.no_grad()
    def keep(module: MultiHeadAttention, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        t = inputs[0].shape[1]
        x = inputs[0][: max(2, ENTROPY_POSITIONS // t)]
        query, key, _ = module.read(x)
        if query is None or key is None or t == 1:
            return
        first = int(module.is_causal)  # under the mask, the first position sees itself alone
        entropy = torch.special.entr(module.weights(query, key, t).float()).sum(dim=-1)  # (B, nh, T, T) -> (B, nh, T)
        largest = module.visible[first:t, :t].sum(dim=-1).log()  # (T')
        share = (entropy[..., first:] / largest).transpose(0, 1).flatten(1)  # (nh, B × T')
        for head, of_head in enumerate(share):
            look = _Look(f"{name}.head.{head}", "attention-entropy", "share", _some_values(of_head))
            entropies.append(look)

    return keep


def _activations(name: str, module: nn.Module, output: Tensor) -> _Look:
    some = _some_values(output)
    if isinstance(module, nn.Tanh):
        saturated = (some.abs() > SATURATED_ABOVE).float().mean()
        return _Look(name, "activations", "linear", some, saturated=saturated)
    if isinstance(module, nn.ReLU):
        highest = output.detach().flatten(0, -2).amax(dim=0)  # (…, H) -> (H)
        return _Look(name, "activations", "log2-20", some, dead=(highest <= 0).float().mean())
    return _Look(name, "activations", "log2-20", some)


def _all(kind: Kind, tensors: Iterable[tuple[str, Tensor | None]], edges: Edges) -> list[_Look]:
    return [_Look(name, kind, edges, _some_values(tensor)) for name, tensor in tensors if tensor is not None]


def _some_values(tensor: Tensor) -> Tensor:
    """A tensor's values, 1-D in fp32; evenly spaced ones where there are many.

    The spacing shares no factor with the tensor's width, so that every column has its turn.
    """
    flat = tensor.detach().reshape(-1)
    spacing = max(1, flat.numel() // VALUES_LOOKED_AT)
    while spacing > 1 and math.gcd(spacing, tensor.shape[-1]) > 1:
        spacing += 1
    return flat[: spacing * VALUES_LOOKED_AT : spacing].float()


def _readings(looks: Sequence[_Look]) -> list[Reading]:
    """Bins and sums of everything that was looked at: tensors of the same edges in a few operations together."""
    readings: dict[int, Reading] = {}
    for edges in dict.fromkeys(look.edges for look in looks):
        places = [place for place, look in enumerate(looks) if look.edges == edges and look.values.numel()]
        readings |= zip(places, _readings_together([looks[place] for place in places], edges), strict=True)
    return [readings[place] for place in sorted(readings)]


def _readings_together(looks: Sequence[_Look], edges: Edges) -> list[Reading]:
    """The same edges for all. By numpy, whose passes over some hundred thousand values take a third of torch's."""
    values = torch.cat([look.values for look in looks]).cpu().numpy()  # (N) over S tensors
    lengths = np.array([look.values.numel() for look in looks])  # (S)
    starts = lengths.cumsum() - lengths
    places = np.repeat(np.arange(len(looks)) * BINS, lengths)  # (N), where the bins of each value's tensor begin
    places += _bins(values, edges)
    counts = np.bincount(places, minlength=len(looks) * BINS).reshape(-1, BINS)  # (S, 64)
    zeroed = lowest = highest = values
    if counts[:, -1].any():
        finite = np.isfinite(values)
        zeroed, lowest, highest = (np.where(finite, values, other) for other in (0.0, math.inf, -math.inf))
    doubles = zeroed.astype(np.float64)
    columns = zip(
        looks,
        counts.tolist(),
        np.add.reduceat(doubles, starts).tolist(),
        np.add.reduceat(np.square(doubles), starts).tolist(),
        np.minimum.reduceat(lowest, starts).tolist(),
        np.maximum.reduceat(highest, starts).tolist(),
        strict=True,
    )
    return [
        Reading(
            look.tensor,
            look.kind,
            edges,
            tuple(of_bins),
            total,
            squares,
            low if low < math.inf else None,
            high if high > -math.inf else None,
            saturated=None if look.saturated is None else float(look.saturated),
            dead=None if look.dead is None else float(look.dead),
        )
        for look, of_bins, total, squares, low, high in columns
    ]


def _bins(values: np.ndarray, edges: Edges) -> np.ndarray:
    """The bin of each value (N), in the order of the values; of what is not finite, the last."""
    if edges in ("linear", "share"):
        shares = ((values + 1) / 2 if edges == "linear" else values).clip(0, 1)
        bins = (np.nan_to_num(shares) * (BINS - 1)).clip(0, BINS - 2).astype(np.int64)
        return np.where(np.isfinite(values), bins, BINS - 1)
    return _bins_of_octaves(int(edges.removeprefix("log2")))[values.view(np.uint32) >> 23]


@cache
def _bins_of_octaves(lowest: int) -> np.ndarray:
    """The bin of an fp32 number by its first nine bits (512): its sign, and its exponent, the floor of log2 |x|."""
    octaves = (np.arange(256) - 127 - lowest).clip(-1, OCTAVES - 1)  # −1: smaller than all of them
    bins = np.concatenate((OCTAVES + 1 + octaves, OCTAVES - 1 - octaves))
    bins[[255, 511]] = BINS - 1  # the exponent of infinities and of what is no number
    return bins


def _deviation(reading: Reading) -> float:
    count = sum(reading.counts[:-1])
    if not count:
        return math.nan
    mean = reading.total / count
    return math.sqrt(max(0.0, reading.total_of_squares / count - mean * mean))


def _with_ratio(reading: Reading, weights: Mapping[str, float]) -> Reading:
    """A reading of a gradient or an update with its size beside that of its weights, where both are numbers."""
    if reading.kind not in ("weight-gradients", "updates"):
        return reading
    deviation, of_weight = _deviation(reading), weights[reading.tensor]
    if not (deviation > 0 and of_weight > 0 and math.isfinite(deviation / of_weight)):
        return reading
    return replace(reading, log10_ratio=math.log10(deviation / of_weight))
