"""What the rules of the findings look at, and what they yield."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lab.analysis.known_curves import Curve
from lab.config.diagnostics import Kind
from lab.config.run_config import RunConfig


class Histograms(Protocol):
    """What is kept of one tensor over S snapshots, arrays (S,)."""

    @property
    def tensor(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def steps(self) -> np.ndarray: ...
    @property
    def means(self) -> np.ndarray: ...
    @property
    def stds(self) -> np.ndarray: ...
    @property
    def saturated(self) -> np.ndarray: ...
    @property
    def dead(self) -> np.ndarray: ...
    @property
    def log10_ratios(self) -> np.ndarray: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Seen:
    """What was recorded of a run: the finite values of its metrics, and its histograms in the model's order.

    `known` is val over steps as the stage trains when it is right, where that is known; `ended` whether the run has
    trained all its steps, `from_start` whether it began with its own initial weights.
    """

    config: RunConfig
    vocabulary_size: int
    metrics: Mapping[str, Curve]
    histograms: Sequence[Histograms]
    known: Curve | None = None
    ended: bool = False
    from_start: bool = True

    def of_kind(self, kind: Kind) -> list[Histograms]:
        """The histograms of one kind."""
        return [found for found in self.histograms if found.kind == kind]

    def above_known(self) -> tuple[int, float, float] | None:
        """The last step at which val and the known curve can be compared, val there, and by how much it lies above."""
        steps, _, val = self.losses()
        if self.known is None:
            return None
        comparable = (steps >= self.known.steps[0]) & (steps <= self.known.steps[-1]) & (steps > 0)
        if not comparable.any():
            return None
        step, value = int(steps[comparable][-1]), float(val[comparable][-1])
        return step, value, value - float(np.interp(step, self.known.steps, self.known.values))

    def losses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps, train and val losses of the evaluations, each (E,)."""
        train, val = self.metrics.get("train/eval_loss"), self.metrics.get("val/loss")
        if train is None or val is None:
            return np.empty(0, int), np.empty(0), np.empty(0)
        steps, of_train, of_val = np.intersect1d(train.steps, val.steps, return_indices=True)
        return steps, train.values[of_train], val.values[of_val]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run: what, by what evidence, where in the model and when, and what helps."""

    rule: str
    text: str
    evidence: str
    where: str
    step: int
    remedy: str

    def document(self) -> dict[str, object]:
        """The finding as JSON values."""
        return dict(vars(self))


def hidden_parts(dropout: float | None) -> int:
    """Modules of each hidden layer of an MLP: its linear map, its nonlinearity, and a dropout where there is some."""
    return 3 if dropout else 2


def layer_name(tensor: str, parts_of_hidden: int = 2) -> str:
    """A tensor's place in words: `blocks.1.feed_forward.activation` is "block 2's feed-forward"."""
    parts = tensor.split(".")
    if parts[0] == "hidden" and len(parts) > 1:
        return f"layer {int(parts[1]) // parts_of_hidden + 1}"
    if parts[0] != "blocks" or len(parts) < 2:
        return tensor
    block = f"block {int(parts[1]) + 1}"
    if len(parts) == 2:
        return block
    head = f" head {int(parts[-1]) + 1}" if parts[-2] == "head" else ""
    return f"{block}'s {parts[2].replace('_', '-')}{head}"
