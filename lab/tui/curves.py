"""From a snapshot to what the chart draws: which curves, over what, how smooth, in which colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lab import text
from lab.analysis.alignment import on_axis, on_clock
from lab.analysis.smoothing import smooth
from lab.tui.chart_content import ChartContent, Line, Mark, Reference
from lab.tui.chart_options import MOST_LINES, SMOOTHINGS, X_AXES, ChartOptions, chart_key
from lab.tui.lineage import joined_curves, lineage
from lab.tui.run_colours import run_colour
from lab.tui.snapshot import Curve, Snapshot
from lab.tui.theme import blend

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

TRAIN_SHOWN_FOR = 2
"""Runs up to which train/loss is drawn dimmed behind val/loss."""
MARKS_LABELLED_FOR = 3
"""Runs up to which marks are said in words."""
WORTH_MARKING = 0.0005
"""Nats that the best val must be below the last."""


def chart_content(
    snapshot: Snapshot, run_ids: Sequence[str], options: ChartOptions, *, dark: bool, background: str
) -> ChartContent:
    """The curves of these runs, the last on top."""
    by_id = snapshot.by_id
    runs = [by_id[run_id] for run_id in run_ids if run_id in by_id and run_id in snapshot.curves][:MOST_LINES]
    axis = options.x if options.x in x_axes(snapshot, [run.id for run in runs]) else "step"
    behind: list[Line] = []
    front: list[Line] = []
    marks: list[Mark] = []
    for run in runs:
        colour = run_colour(snapshot.slots.get(run.id, 0), dark=dark)
        drawn = _RunLines(run, joined_curves(snapshot, run), options, axis, len(runs))
        behind += drawn.behind(colour, background)
        front += drawn.front(colour)
        marks += drawn.marks(colour)
        marks += drawn.branches(lineage(snapshot, run)[:-1], colour)
    return ChartContent(
        key=chart_key(snapshot, run_ids, options, dark=dark, background=background),
        lines=behind + front,
        references=_references(snapshot, runs),
        marks=marks,
        x_name=axis,
        log_x=options.log_x,
        log_y=options.log_y,
        whole_range=options.whole_range,
        zoom=options.zoom,
        cursor=options.cursor,
        caption=_caption(len(runs), options, bool(behind)) if front else "",
        nothing=_nothing(snapshot, runs, run_ids),
    )


def x_axes(snapshot: Snapshot, run_ids: Sequence[str]) -> tuple[str, ...]:
    """What the curves of these runs can be drawn over."""
    by_id = snapshot.by_id
    runs = [by_id[run_id] for run_id in run_ids if run_id in by_id]
    timed = all(len(snapshot.curves.get(run.id, {}).get("chars_per_second", _EMPTY).steps) for run in runs)
    counted = all(chars_per_step(run) for run in runs)
    sized = counted and all(run.parameters for run in runs)
    known = {"chars": counted, "seconds": timed and counted, "FLOPs": sized}
    return tuple(axis for axis in X_AXES if known.get(axis, True))


class _RunLines:
    """What is drawn of one run: val/loss where it has one, else train/loss."""

    def __init__(self, run: RunRow, curves: Mapping[str, Curve], options: ChartOptions, axis: str, count: int) -> None:
        self.run, self.count = run, count
        self.train, self.val = curves.get("train/loss", _EMPTY), curves.get("val/loss", _EMPTY)
        self.weight = SMOOTHINGS[options.smoothing]
        self.has_val = bool(np.isfinite(self.val.values).sum() > 1)
        self.speed = curves.get("chars_per_second", _EMPTY)
        self.axis = axis
        self.factor = chars_per_step(run) if axis != "step" else 1.0
        if axis == "FLOPs":
            self.factor *= 6 * (run.parameters or 0)

    def place(self, curve: Curve) -> np.ndarray:
        """Where on the x-axis the steps of a curve stand."""
        return placed(curve, self.speed if self.axis == "seconds" else None, self.factor)

    def behind(self, colour: str, background: str) -> list[Line]:
        """Dimmed: the raw metric where it is smoothed, and train/loss where val/loss is drawn."""
        lines: list[Line] = []
        if not len(self.train.steps):
            return lines
        x = self.place(self.train)
        if self.count == 1 and self.weight:
            raw = blend(colour, background, 0.28)
            lines.append(Line(x, self.train.values, raw, in_range=False, key=f"{self.run.id} raw"))
        if self.count <= TRAIN_SHOWN_FOR and self.has_val:
            y = smoothed(self.train, self.weight)
            lines.append(Line(x, y, blend(colour, background, 0.5), key=f"{self.run.id} train"))
        return lines

    def front(self, colour: str) -> list[Line]:
        """The line that carries the run's name and what it came to; none where it has no value yet."""
        curve, said = (self.val, self.run.val_loss) if self.has_val else (self.train, self.run.train_loss)
        y = self.val.values if self.has_val else smoothed(self.train, self.weight)
        finite = y[np.isfinite(y)]
        if not len(finite):
            return []
        name = text.clip(text.literal(self.run.name), 19)
        label = f"{name} {text.loss(float(finite[-1]) if said is None else said)}"
        return [Line(self.place(curve), y, colour, label, name=name, key=f"{self.run.id} main")]

    def marks(self, colour: str) -> list[Mark]:
        """Where it was best, if it got worse from there; where it diverged."""
        labelled = self.count <= MARKS_LABELLED_FOR
        run, marks = self.run, []
        known = np.flatnonzero(np.isfinite(self.train.values))
        if run.status == "diverged" and len(known):
            last = int(known[-1])
            x, y = float(self.place(self.train)[last]), float(self.train.values[last])
            marks.append(Mark("diverged", x, y, colour, "diverged here" if labelled else ""))
        best, val = run.best_val_loss, run.val_loss
        if self.has_val and best is not None and run.best_step and val is not None and best < val - WORTH_MARKING:
            x = float(np.interp(run.best_step, self.val.steps, self.place(self.val)))
            marks.append(Mark("best", x, best, colour, f"best {text.loss(best)}" if labelled else ""))
        return marks

    def branches(self, before: Sequence[tuple[RunRow, int]], colour: str) -> list[Mark]:
        """Where it went on from another run, and where that did from the one before."""
        curve = self.val if self.has_val else self.train
        known = np.isfinite(curve.values)
        if not known.any():
            return []
        steps, values, places = curve.steps[known], curve.values[known], self.place(curve)[known]
        return [
            Mark(
                "branch",
                float(np.interp(step, steps, places)),
                float(np.interp(step, steps, values)),
                colour,
                f"from {text.clip(text.literal(run.name), 19)}" if self.count <= MARKS_LABELLED_FOR else "",
            )
            for run, step in before
        ]


@lru_cache(maxsize=1024)
def smoothed(curve: Curve, weight: float) -> np.ndarray:
    """Smoothed once: a curve is never changed, and an array that is the same need not be drawn again."""
    return smooth(curve.values, weight) if weight else curve.values


@lru_cache(maxsize=1024)
def placed(curve: Curve, speed: Curve | None, factor: float) -> np.ndarray:
    """Where steps stand on the x-axis, as so much a step; with a speed, the seconds of training alone by then."""
    if speed is None:
        return on_axis(curve.steps, factor)
    return on_clock(curve.steps, factor, speed.steps, speed.values)


def chars_per_step(run: RunRow) -> float:
    """Characters that a step predicts; 0 of a run that another program trains, which does not say."""
    if run.kind == "external":
        return 0.0
    config = run.config
    return config.batch_size * (config.context_length if config.predicts_every_position else 1)


def _references(snapshot: Snapshot, runs: Sequence[RunRow]) -> list[Reference]:
    """Guessing evenly and the bigram by counting, of each dataset among the runs; named where there are several."""
    keys = dict.fromkeys((run.dataset_sha256, run.dataset_kind) for run in runs)
    known = [snapshot.references[key] for key in keys if key in snapshot.references]
    references = []
    for each in known:
        where = f" ({text.literal(each.dataset.rpartition('/')[2])})" if len(known) > 1 else ""
        references.append(Reference(f"bigram by counting{where} {each.counting:.2f}", each.counting))
        references.append(Reference(f"guessing evenly{where} {each.guessing_evenly:.2f}", each.guessing_evenly))
    return references


def _caption(runs: int, options: ChartOptions, train_shown: bool) -> str:
    weight = SMOOTHINGS[options.smoothing]
    smoothed = f", smoothed {weight:g}" if weight else ""
    said = f"val bright, train dimmed{smoothed}" if train_shown else "val"
    return said + (f" · the first {MOST_LINES} of the marked" if runs == MOST_LINES else "")


def _nothing(snapshot: Snapshot, runs: Sequence[RunRow], run_ids: Sequence[str]) -> str:
    if not run_ids:
        return "no run to draw"
    waits = [run for run in runs if run.status == "queued"]
    if runs and len(waits) == len(runs):
        return "waiting: its curve starts when its turn comes"
    if any(len(curve.steps) for run in runs for curve in snapshot.curves[run.id].values()):
        return "no number among its values: it diverged at once"
    if any(run.status == "training" for run in runs):
        return "the first steps are on their way"
    return "nothing was recorded" if runs else "reading…"


_EMPTY = Curve(np.zeros(0, dtype=int), np.zeros(0), (0, 0))
