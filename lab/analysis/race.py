"""A run against its twin that differs in one thing: how they stand while they train, and what came of it at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lab.analysis.groups import SCORED, Comparable
from lab.text import loss

SHOWS_NOTHING_BELOW = 0.02
"""Two seeds of one config end so far apart: below it, one seed tells nothing."""
Curve = tuple[np.ndarray, np.ndarray]
"""Steps and values of a metric."""


@dataclass(frozen=True)
class Standing:
    """How a race stands: a sentence, whether it is over, and the twin's val less the original's."""

    said: str
    over: bool = False
    difference: float | None = None


def standing(original: Comparable, twin: Comparable, curves: Mapping[str, Curve] | None = None) -> Standing:
    """How a twin stands against its original; `curves` are val over steps by run id, for those that still train."""
    for run, other in ((twin, original), (original, twin)):
        if run.status == "diverged":
            ended = f"; {other.name} ended at {loss(other.val_loss)}" if other.status in SCORED else ""
            return Standing(f"{run.name} diverged at step {run.step:,}{ended}", over=True)
        if run.status in ("failed", "cancelled"):
            return Standing(f"{run.name} {run.status} at step {run.step:,}: there is nothing to compare", over=True)
    if twin.status in SCORED and original.status in SCORED:
        return _result(original, twin)
    return _under_way(original, twin, curves or {})


def _result(original: Comparable, twin: Comparable) -> Standing:
    own, other = twin.val_loss, original.val_loss
    if own is None or other is None:
        return Standing("one of them was not scored", over=True)
    difference = own - other
    if twin.config.sees_the_answer and not original.config.sees_the_answer:
        said = f"val {loss(own)} against {loss(other)} means nothing: without its mask it reads the answer"
        return Standing(said, over=True, difference=difference)
    how = _evidence(original, twin)
    if abs(difference) < SHOWS_NOTHING_BELOW:
        said = f"no difference that one seed could show: {_signed(difference)} ({how})"
    else:
        said = f"{'worse' if difference > 0 else 'better'} by {abs(difference):.2f} ({how})"
    return Standing(said, over=True, difference=difference)


def _evidence(original: Comparable, twin: Comparable) -> str:
    """What the result rests on: one pair of runs, and what they have in common."""
    drawn = ("seed", "batch_size", "context_length", "overfit_one_batch")
    same = all(original.settings.get(key) == twin.settings.get(key) for key in drawn)
    words = ["one seed", "the same batches" if same else "other batches"]
    if original.step != twin.step:
        words.append(f"{twin.step:,} steps against {original.step:,}")
    return "; ".join(words)


def _under_way(original: Comparable, twin: Comparable, curves: Mapping[str, Curve]) -> Standing:
    at = _at_common_step(curves.get(original.id), curves.get(twin.id))
    if at is None:
        waiting = [run for run in (original, twin) if not run.step and run.status not in SCORED]
        named = " and ".join(run.name for run in waiting)
        return Standing(f"{named} {'wait' if len(waiting) > 1 else 'waits'} to begin" if waiting else "they begin")
    step, own, other = at
    difference = own - other
    so_far = "level" if abs(difference) < SHOWS_NOTHING_BELOW else f"{'behind' if difference > 0 else 'ahead'} by"
    amount = "" if so_far == "level" else f" {abs(difference):.2f}"
    return Standing(f"at step {step:,}: {twin.name} is {so_far}{amount}", difference=difference)


def _at_common_step(original: Curve | None, twin: Curve | None) -> tuple[int, float, float] | None:
    """The last step that both were evaluated up to, and the twin's and the original's val there."""
    finite = []
    for curve in (original, twin):
        known = np.isfinite(curve[1]) if curve is not None else np.empty(0, bool)
        if curve is None or not known.any():
            return None
        finite.append((curve[0][known], curve[1][known]))
    step = int(min(steps[-1] for steps, _ in finite))
    of_original, of_twin = (float(np.interp(step, steps, values)) for steps, values in finite)
    return step, of_twin, of_original


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
