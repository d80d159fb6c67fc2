"""What the bins of a histogram of the diagnostics stand for."""

from __future__ import annotations

import numpy as np

from lab.config.diagnostics import BINS, OCTAVES, Edges


def bin_edges(edges: Edges) -> np.ndarray:
    """The 64 edges of the 63 bins of finite values, ascending; the outermost bins reach beyond the outermost edges.

    The 64th bin, of what is not finite, has none.
    """
    if edges == "linear":
        return np.linspace(-1, 1, BINS)
    if edges == "share":
        return np.linspace(0, 1, BINS)
    octaves = 2.0 ** (int(edges.removeprefix("log2")) + np.arange(OCTAVES + 1))
    return np.concatenate([-octaves[::-1], octaves])
