"""When the waiting runs of a snapshot will start, and how long each takes, as far as others like it tell."""

from __future__ import annotations

from lab.tui.snapshot import Snapshot
from lab.tui.widgets.run_columns import WaitingTime


def waiting_times(snapshot: Snapshot) -> dict[str, WaitingTime]:
    """By run; behind one whose length is not known nothing is known of when the others start."""
    if not snapshot.waiting:
        return {}
    from lab.queue.forecast import Work, forecast, group_of, known_seconds, seconds_left

    training = [(run, seconds_left(run)) for run in snapshot.training]
    at_this_pace = {
        group_of(run): run.seconds + left for run, left in training if left is not None and run.parent_id is None
    }
    known = at_this_pace | known_seconds(snapshot.runs)
    waiting = sorted(
        (run for run in snapshot.runs if run.id in snapshot.places), key=lambda run: snapshot.places[run.id]
    )
    lengths = {run.id: _left(run.step, run.steps, known.get(group_of(run))) for run in waiting}
    times = {run_id: WaitingTime(seconds=seconds) for run_id, seconds in lengths.items()}
    if snapshot.queue_paused or any(left is None for _, left in training):
        return times
    foreseen = []
    for run in waiting:
        seconds = lengths[run.id]
        foreseen.append(Work(seconds or 0.0, run.threads or 1))
        if seconds is None:
            break
    spans = forecast(foreseen, [Work(left or 0.0, run.threads or 1) for run, left in training])
    for run, span in zip(waiting, spans, strict=False):
        times[run.id] = WaitingTime(span.start, lengths[run.id])
    return times


def _left(step: int, steps: int, seconds: float | None) -> float | None:
    """Of a run's seconds those that are left from a step on."""
    return None if seconds is None else seconds * (steps - step) / max(1, steps)
