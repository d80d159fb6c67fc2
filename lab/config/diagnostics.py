"""What diagnostics read of a tensor at a step: the words that the trainer, the store, analysis and the screen share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["activations", "gradients", "weights", "weight-gradients", "updates", "attention-entropy"]
"""`gradients` are of a layer's output, `updates` what the optimiser added to a weight in one step; the entropy of a
head's attention is a share of the largest possible, ln of the positions that it may look at."""
KINDS: tuple[Kind, ...] = get_args(Kind)

BINS = 64
"""Bins of every histogram. Their edges are fixed, so that histograms of several steps, or runs, add up exactly."""
OCTAVES = (BINS - 2) // 2
"""Bins for each sign on a logarithmic axis."""
SATURATED_ABOVE = 0.97
"""A tanh beyond this passes on less than 6 % of its gradient: 1 − 0.97²."""

Edges = Literal["log2-20", "log2-30", "linear", "share"]
"""`log2-N`: 31 octaves for each sign from 2^-N, between them one bin for what is smaller; `linear` on [−1, 1] and
`share` on [0, 1]: 63 bins of one width. What lies beyond the outermost edge counts in the outermost bin; the last bin
counts what is not finite."""


@dataclass(frozen=True)
class Reading:
    """One tensor at one step, or so many of its values as were looked at; sums and extremes are of the finite ones.

    `saturated` is the share of values with |tanh| > 0.97, `dead` the share of ReLUs that were active nowhere in the
    batch, `log10_ratio` the log10 of the deviation of a gradient, or an update, over that of its weights.
    """

    tensor: str
    kind: Kind
    edges: Edges
    counts: tuple[int, ...]
    total: float
    total_of_squares: float
    low: float | None = None
    high: float | None = None
    saturated: float | None = None
    dead: float | None = None
    log10_ratio: float | None = None
