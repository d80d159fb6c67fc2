"""From a snapshot to what the chart draws: which curves, over what, how smooth, in which colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lab import text
from lab.analysis.smoothing import smooth
from lab.tui.chart_frame import ChartContent, Line, Reference
from lab.tui.run_colours import run_colour
from lab.tui.snapshot import Curve, Snapshot
from lab.tui.theme import blend

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99, 0.997)
MOST_LINES = 24
"""Runs drawn over each other; more can be marked, and are counted."""
TRAIN_SHOWN_FOR = 2
"""Runs up to which train/loss is drawn dimmed behind val/loss."""
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


def chart_key(
    snapshot: Snapshot, run_ids: Sequence[str], options: ChartOptions, *, dark: bool, background: str
) -> tuple[object, ...]:
    """Equal where `chart_content` would look the same."""
    runs = []
    for run in (snapshot.by_id[run_id] for run_id in run_ids if run_id in snapshot.by_id):
        versions = tuple(curve.version for curve in snapshot.curves.get(run.id, {}).values())
        runs.append((run.id, run.name, run.val_loss, run.parameters, run.status, versions))
    return (tuple(runs), tuple(run_ids), len(snapshot.references), options, dark, background)


def chart_content(
    snapshot: Snapshot, run_ids: Sequence[str], options: ChartOptions, *, dark: bool, background: str
) -> ChartContent:
    """The curves of these runs, the last on top."""
    by_id = snapshot.by_id
    runs = [by_id[run_id] for run_id in run_ids if run_id in by_id and run_id in snapshot.curves][:MOST_LINES]
    axis = options.x if options.x in x_axes(snapshot, [run.id for run in runs]) else "step"
    colours = {run.id: run_colour(snapshot.slots.get(run.id, 0), dark=dark) for run in runs}
    behind: list[Line] = []
    front: list[Line] = []
    for run in runs:
        dimmed, bright = _lines_of(run, snapshot, options, colours[run.id], background, axis, len(runs))
        behind += dimmed
        front += bright
    return ChartContent(
        key=chart_key(snapshot, run_ids, options, dark=dark, background=background),
        lines=behind + front,
        references=_references(snapshot, runs),
        x_name=axis,
        log_x=options.log_x,
        log_y=options.log_y,
        whole_range=options.whole_range,
        caption=_caption(len(runs), options, bool(behind)) if front else "",
        nothing=_nothing(runs, run_ids),
    )


def x_axes(snapshot: Snapshot, run_ids: Sequence[str]) -> tuple[str, ...]:
    """What the curves of these runs can be drawn over."""
    by_id = snapshot.by_id
    runs = [by_id[run_id] for run_id in run_ids if run_id in by_id]
    timed = all(len(snapshot.curves.get(run.id, {}).get("chars_per_second", _EMPTY).steps) for run in runs)
    known = {"seconds": timed, "FLOPs": all(run.parameters for run in runs)}
    return tuple(axis for axis in X_AXES if known.get(axis, True))


def _lines_of(
    run: RunRow, snapshot: Snapshot, options: ChartOptions, colour: str, background: str, axis: str, count: int
) -> tuple[list[Line], list[Line]]:
    """A run's lines: those dimmed behind, and the one that carries its label."""
    curves = snapshot.curves[run.id]
    place = _x_of(axis, run, curves)
    train, val = curves.get("train/loss", _EMPTY), curves.get("val/loss", _EMPTY)
    weight = SMOOTHINGS[options.smoothing]
    has_val = bool(np.isfinite(val.values).sum() > 1)
    behind: list[Line] = []
    main, said = (val, run.val_loss) if has_val else (train, run.train_loss)
    smoothed = smooth(train.values, weight)
    if count == 1 and weight and len(train.steps):
        behind.append(Line(place(train.steps), train.values, blend(colour, background, 0.28), in_range=False))
    if count <= TRAIN_SHOWN_FOR and has_val and len(train.steps):
        behind.append(Line(place(train.steps), smoothed, blend(colour, background, 0.5)))
    y = main.values if has_val else smoothed
    finite = y[np.isfinite(y)]
    if said is None and len(finite):
        said = float(finite[-1])
    if not len(finite):
        return behind, []
    return behind, [Line(place(main.steps), y, colour, f"{text.clip(text.literal(run.name), 19)} {text.loss(said)}")]


def _x_of(axis: str, run: RunRow, curves: Mapping[str, Curve]) -> Callable[[np.ndarray], np.ndarray]:
    """Where on the x-axis a run's steps stand; seconds are those of training alone, by its speed until each step."""
    factor = chars_per_step(run) if axis != "step" else 1.0
    if axis == "seconds":
        speed = curves["chars_per_second"]
        known = np.isfinite(speed.values) & (speed.values > 0)
        clock = np.maximum.accumulate(speed.steps[known] * factor / speed.values[known])
        at, seconds = np.concatenate([[0], speed.steps[known]]), np.concatenate([[0.0], clock])
        return lambda steps: np.interp(steps, at, seconds)
    if axis == "FLOPs":
        factor *= 6 * (run.parameters or 0)
    return lambda steps: steps * factor


def chars_per_step(run: RunRow) -> float:
    """Characters that a step predicts."""
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


def _nothing(runs: Sequence[RunRow], run_ids: Sequence[str]) -> str:
    if not run_ids:
        return "no run to draw"
    waits = [run for run in runs if run.status == "queued"]
    if runs and len(waits) == len(runs):
        return "waiting: its curve starts when its turn comes"
    if any(run.status == "training" for run in runs):
        return "the first steps are on their way"
    return "nothing was recorded" if runs else "reading…"


_EMPTY = Curve(np.zeros(0, dtype=int), np.zeros(0), (0, 0))
