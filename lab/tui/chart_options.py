"""What a person has set about a chart, and when it looks the same. No numpy: the first frame comes before that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.tui.lineage import with_ancestors

if TYPE_CHECKING:
    from lab.tui.snapshot import Snapshot

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99, 0.997)
MOST_LINES = 24
"""Runs drawn over each other; more can be marked, and are counted."""
X_AXES = ("step", "chars", "seconds", "FLOPs")


@dataclass(frozen=True)
class ChartOptions:
    """What a person has set about the chart."""

    x: str = "step"
    log_x: bool = False
    log_y: bool = False
    smoothing: int = 3
    """Place in `SMOOTHINGS`."""
    whole_range: bool = False
    zoom: tuple[float, float] | None = None
    """What part of the x-axis is shown; all of it where None."""
    cursor: float | None = None
    """Where on the x-axis the values are read; at the newest points where None."""


def chart_key(
    snapshot: Snapshot, run_ids: Sequence[str], options: ChartOptions, *, dark: bool, background: str
) -> tuple[object, ...]:
    """Equal where `chart_content` would look the same."""
    runs = []
    for run in (snapshot.by_id[run_id] for run_id in with_ancestors(snapshot, run_ids)):
        versions = tuple(curve.version for curve in snapshot.curves.get(run.id, {}).values())
        runs.append((run.id, run.name, run.val_loss, run.parameters, run.status, versions))
    return (tuple(runs), tuple(run_ids), len(snapshot.references), options, dark, background)
