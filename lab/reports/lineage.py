"""A run with those that it went on from, as one: their metrics joined where it branched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lab.analysis.groups import Comparable

if TYPE_CHECKING:
    from lab.store.run_store import RunStore


def whole_curve(
    store: RunStore, run: Comparable, metric: str, by_id: Mapping[str, Comparable]
) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a metric, in front of a run's own those of its parents up to where it went on from them."""
    points = store.points(run.id, metric)
    steps, values, seen = points.steps, points.values, {run.id}
    parent = by_id.get(run.parent_id or "")
    while parent is not None and parent.id not in seen:
        seen.add(parent.id)
        before = store.points(parent.id, metric)
        until = min(run.parent_step or 0, int(steps[0]) - 1 if len(steps) else run.parent_step or 0)
        kept = before.steps <= until
        steps = np.concatenate([before.steps[kept], steps])
        values = np.concatenate([before.values[kept], values])
        run, parent = parent, by_id.get(parent.parent_id or "")
    return steps, values
