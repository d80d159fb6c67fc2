"""A run with those that it went on from, as one: which they are, and their curves joined where it branched off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from lab.tui.snapshot import Curve, Snapshot

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

_JOINED = ("train/loss", "val/loss", "chars_per_second")


def lineage(snapshot: Snapshot, run: RunRow) -> list[tuple[RunRow, int]]:
    """The runs that a run went on from, oldest first, each with the step up to which it counts; itself last."""
    chain = [(run, run.steps)]
    seen = {run.id}
    while (child := chain[0][0]).parent_id and child.parent_id not in seen:
        parent = snapshot.by_id.get(child.parent_id)
        if parent is None or child.parent_step is None:
            break
        seen.add(parent.id)
        chain.insert(0, (parent, child.parent_step))
    return chain


def with_ancestors(snapshot: Snapshot, run_ids: Iterable[str]) -> tuple[str, ...]:
    """These runs and all that they went on from, each once, in order: what must be read to draw them."""
    by_id = snapshot.by_id
    known = {run_id: [each.id for each, _ in lineage(snapshot, by_id[run_id])] for run_id in run_ids if run_id in by_id}
    return tuple(dict.fromkeys(each for chain in known.values() for each in reversed(chain)))


def joined_curves(snapshot: Snapshot, run: RunRow) -> Mapping[str, Curve]:
    """A run's curves, the losses and the speed with those of the runs before it in front, up to where it went on."""
    own = snapshot.curves.get(run.id, {})
    chain = lineage(snapshot, run)
    if len(chain) == 1:
        return own
    joined = dict(own)
    for metric in _JOINED:
        parts = [(snapshot.curves.get(each.id, {}).get(metric), until) for each, until in chain]
        joined[metric] = _joined(tuple(parts))
    return joined


@lru_cache(maxsize=256)
def _joined(parts: tuple[tuple[Curve | None, int], ...]) -> Curve:
    """Made once of the same curves, so that what is drawn of it need not be drawn again."""
    import numpy as np  # late: the rows come before numpy is there

    steps, values, versions = [np.zeros(0, dtype=int)], [np.zeros(0)], []
    after = -1
    for curve, until in parts:
        if curve is not None:
            keep = (curve.steps > after) & (curve.steps <= until)
            steps.append(curve.steps[keep])
            values.append(curve.values[keep])
            versions.append(curve.version)
        after = until
    whole = np.concatenate(steps)
    return Curve(whole, np.concatenate(values), (hash(tuple(versions)), len(whole)))
