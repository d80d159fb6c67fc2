"""Rules of the findings that look inside the model: what its layers put out, their gradients, and its updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.analysis.seen import Finding, Histograms, Seen, hidden_parts, layer_name
from lab.config.diagnostics import Kind
from lab.config.run_config import RunConfig

SATURATED_SHARE = 0.4
"""Share of a layer's tanh beyond 0.97. A Kaiming-initialised layer on N(0, 1) inputs has about a quarter."""
DEAD_SHARE = 0.5
"""Share of a layer's ReLUs that no position of a batch activates."""
SHRINKING = 10.0
"""Factor by which the deviation of the nonlinearities' outputs may fall from the first layer to the last."""
VANISHING = 10.0
"""Factor by which the deviation of gradients may fall from the last layer down to the first."""
LARGEST_UPDATE = -1.25
"""log10 of the update:data ratio, the median weight's, at any step; about −3 is the lectures' advice."""
OWN_GAINS = {"tanh": 5 / 3}
GAIN_OF_RELU = math.sqrt(2)
"""The gains at which nonlinearities keep the size of what passes through them (He et al. 2015; makemore, part 3)."""
LEAST_ENTROPY = 0.7
"""Share of the largest possible entropy that attention must have before it has learned anything."""


def saturated(seen: Seen) -> Finding | None:
    """A saturated tanh passes no gradient back (makemore, part 3)."""
    worst = _worst([of for of in seen.of_kind("activations") if np.isfinite(of.saturated).any()], "saturated")
    if worst is None or worst.value <= SATURATED_SHARE:
        return None
    return Finding(
        "saturated",
        f"{_named(seen, worst.tensor)} tanh {worst.value:.0%} saturated: little gradient passes through it",
        f"{worst.value:.0%} of its outputs lie beyond ±0.97 at step {worst.step:,}{worst.also(SATURATED_SHARE)}",
        worst.tensor,
        worst.step,
        "smaller weights before it: " + _rescaled(seen.config, "smaller"),
    )


def dead(seen: Seen) -> Finding | None:
    """A ReLU that nothing activates learns nothing more."""
    worst = _worst([of for of in seen.of_kind("activations") if np.isfinite(of.dead).any()], "dead")
    if worst is None or worst.value <= DEAD_SHARE:
        return None
    return Finding(
        "dead",
        f"{_named(seen, worst.tensor)} ReLU {worst.value:.0%} dead: nothing in the batch activates them",
        f"{worst.value:.0%} of them are zero at every position of the batch at step {worst.step:,}"
        + worst.also(DEAD_SHARE),
        worst.tensor,
        worst.step,
        "a lower lr, or --set activation=gelu",
    )


def shrinking(seen: Seen) -> Finding | None:
    """Activations that shrink from layer to layer leave nothing to tell inputs apart (He et al. 2015)."""
    depth = [of for of in _in_depth(seen, "activations") if np.isfinite(of.stds[0])]
    if len(depth) < 2 or not seen.from_start or depth[0].steps[0] > 1:
        return None
    first, last = depth[0].stds[0], depth[-1].stds[0]
    if first <= SHRINKING * last:
        return None
    return Finding(
        "shrinking",
        f"activations shrink from {first:.2g} in {_named(seen, depth[0].tensor)} to {last:.2g} in "
        f"{_named(seen, depth[-1].tensor)}: the gain is too small",
        "their deviations at the start are " + ", ".join(f"{of.stds[0]:.2g}" for of in depth),
        depth[-1].tensor,
        int(depth[-1].steps[0]),
        "larger weights: " + _rescaled(seen.config, "larger"),
    )


def vanishing(seen: Seen) -> Finding | None:
    """Gradients that shrink on their way down leave the first layers untrained; skips keep them (He et al. 2016)."""
    depth = [of for of in _in_depth(seen, "gradients") if of.stds[0] > 0]
    if len(depth) < 2 or not seen.from_start or depth[0].steps[0] > 1:
        return None
    first, last = depth[0].stds[0], depth[-1].stds[0]
    if last <= VANISHING * first:
        return None
    return Finding(
        "vanishing",
        f"gradients fall by {_power_of_ten(last / first)} from {_named(seen, depth[-1].tensor)} down to "
        f"{_named(seen, depth[0].tensor)}: the first layers hardly learn",
        "their deviations at the start are, from the first layer up, " + ", ".join(f"{of.stds[0]:.1e}" for of in depth),
        depth[0].tensor,
        int(depth[0].steps[0]),
        "skip connections and norms: --set residual=true --set norm=pre"
        if seen.config.model == "transformer"
        else "larger weights: " + _rescaled(seen.config, "larger"),
    )


def large_updates(seen: Seen) -> Finding | None:
    """Updates of a thousandth of the weights are about right; of a tenth, each step undoes the last (makemore, 3).

    Adam's weights grow until the ratio is bearable, so that the first steps show it best. Where val has come as low as
    that of the stage's known curve all the same, the rate was not too high.
    """
    updates = seen.of_kind("updates")
    compared = seen.above_known()
    if not updates or (compared is not None and compared[2] <= 0):
        return None
    ratios = np.array([of.log10_ratios for of in updates])  # (tensors, S)
    typical = np.array([np.median(of[np.isfinite(of)]) if np.isfinite(of).any() else -np.inf for of in ratios.T])  # (S)
    place = int(np.argmax(typical))
    if typical[place] <= LARGEST_UPDATE:
        return None
    largest = int(np.nanargmax(ratios[:, place]))
    return Finding(
        "large-updates",
        f"updates {10 ** typical[place]:.1g} of the data: lr={seen.config.lr:g} is too high",
        f"the median weight moved by 10^{typical[place]:.1f} of its deviation in one step, "
        f"{updates[largest].tensor} by 10^{ratios[largest, place]:.1f}; about 10^-3 is usual",
        updates[largest].tensor,
        int(updates[largest].steps[place]),
        f"a lower lr: --set lr={_rounded(seen.config.lr * 10 ** (-2.5 - typical[place]))}, or --set warmup_steps=100",
    )


def peaked_attention(seen: Seen) -> Finding | None:
    """Attention that looks at one place before it has learned anything was scaled up (Vaswani et al. 2017, 3.2.1)."""
    heads = [of for of in seen.of_kind("attention-entropy") if np.isfinite(of.means[0])]
    if not heads or not seen.from_start or heads[0].steps[0] > 1:
        return None
    worst = min(heads, key=lambda of: float(of.means[0]))
    if worst.means[0] >= LEAST_ENTROPY:
        return None
    return Finding(
        "peaked-attention",
        f"{_named(seen, worst.tensor)} attends to few places before it has learned anything: q·k is too large",
        f"its entropy is {worst.means[0]:.0%} of the largest possible at step {int(worst.steps[0]):,}",
        worst.tensor,
        int(worst.steps[0]),
        "divide q·k by sqrt(d): --set 'attention_scale=1/sqrt(d)'"
        if seen.config.attention_scale != "1/sqrt(d)"
        else "keep what attention reads at its size: --set norm=pre, or --set qk_norm=true",
    )


@dataclass(frozen=True)
class _Worst:
    """The largest share that any layer has at its latest snapshot, and of how many layers it is one."""

    tensor: str
    value: float
    step: int
    values: tuple[float, ...]

    def also(self, threshold: float) -> str:
        others = sum(value > threshold for value in self.values) - 1
        return f", and {others} of {len(self.values) - 1} other layers are too" if others > 0 else ""


def _worst(layers: Sequence[Histograms], share: str) -> _Worst | None:
    if not layers:
        return None
    latest = tuple(float(getattr(of, share)[-1]) for of in layers)
    if not np.isfinite(latest).any():
        return None
    place = int(np.nanargmax(latest))
    return _Worst(layers[place].tensor, latest[place], int(layers[place].steps[-1]), latest)


def _in_depth(seen: Seen, kind: Kind) -> list[Histograms]:
    """The same of every layer, from the first up: whole blocks of a transformer, the nonlinearities of an MLP."""
    of_kind = seen.of_kind(kind)
    if seen.config.model == "transformer":
        return [of for of in of_kind if of.tensor.startswith("blocks.") and of.tensor.count(".") == 1]
    nonlinear = {of.tensor for of in seen.of_kind("activations") if _is_nonlinearity(of.tensor, seen.config)}
    return [of for of in of_kind if of.tensor in nonlinear]


def _named(seen: Seen, tensor: str) -> str:
    return layer_name(tensor, hidden_parts(seen.config.dropout))


def _rescaled(config: RunConfig, way: str) -> str:
    """What makes the weights before the nonlinearities smaller or larger."""
    if config.model == "transformer":
        return "skip connections and norms: --set residual=true --set norm=pre"
    own = OWN_GAINS.get(config.activation, GAIN_OF_RELU)
    if config.init != "kaiming":
        return "--set init=kaiming"
    gain = own if config.activation_gain is None else config.activation_gain
    if gain > own if way == "smaller" else gain < own:
        return f"--set activation_gain={own:.3g}, which keeps the size of what passes {config.activation}"
    return f"a {way} activation_gain than {gain:.3g}"


def _is_nonlinearity(tensor: str, config: RunConfig) -> bool:
    """Whether a tensor is a nonlinearity's output: of each hidden layer of an MLP, the second part."""
    first, _, place = tensor.partition(".")
    return first == "hidden" and place.isdecimal() and int(place) % hidden_parts(config.dropout) == 1


def _power_of_ten(value: float) -> str:
    return f"10^{math.log10(value):.1f}"


def _rounded(lr: float) -> str:
    return f"{float(f'{lr:.0e}'):g}"
