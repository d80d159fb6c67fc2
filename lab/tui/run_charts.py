"""The charts of one run: its losses after those of the runs before it, its learning rate, and its other metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lab import text
from lab.analysis.smoothing import smooth
from lab.config.schedule import learning_rate
from lab.errors import ConfigError
from lab.tui.chart_content import ChartContent, Line, Mark
from lab.tui.chart_options import SMOOTHINGS, ChartOptions, chart_key
from lab.tui.curves import chart_content
from lab.tui.lineage import joined_curves, lineage
from lab.tui.snapshot import Curve, Snapshot
from lab.tui.theme import blend
from lab.tui.widgets.run_columns import Look, shown_value

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

RATE_POINTS = 400
CHECKPOINTS_APART = 0.04
"""Of the run's steps: marks of checkpoints that lie closer to a later one are left out."""


@dataclass(frozen=True)
class MetricPage:
    """What a page draws beside losses and learning rate: metrics in one unit, each with its own name."""

    heading: str
    metrics: tuple[tuple[str, str], ...]
    unit: str
    nothing: str
    """Said of a run that has ended and recorded none."""
    noisy: bool = False
    """Whether it is smoothed as the loss is."""


METRIC_PAGES: Mapping[str, MetricPage] = {
    "gradient": MetricPage(
        "Gradient norm", (("grad_norm", ""),), "", "no gradient norm was recorded of this run", noisy=True,
    ),
    "speed": MetricPage(
        "Speed", (("chars_per_second", ""),), "chars/s", "no speed was recorded of this run",
    ),
    "memory": MetricPage(
        "Memory of the trainer", (("memory_mb", "process"), ("gpu_memory_mb", "GPU, peak")), "MB",
        "its trainer's memory was not recorded: lab did not do that yet, or another program trained it",
    ),
    "CPU": MetricPage(
        "Processor time of the trainer", (("cpu_percent", ""),), "% of a core",
        "its trainer's processor time was not recorded: lab did not do that yet, or another program trained it",
    ),
}  # fmt: skip

VIEW_METRICS = ("grad_norm", "lr", "memory_mb", "gpu_memory_mb", "cpu_percent")
"""What the run view reads of a run beside its losses and its speed."""


# Loss


def loss_content(
    snapshot: Snapshot,
    run: RunRow,
    options: ChartOptions,
    cursor: int | None,
    look: Look,
    checkpoints: Sequence[int] = (),
) -> ChartContent:
    """The losses over all steps, the branch from the run before and the checkpoints marked, with the cursor."""
    content = chart_content(snapshot, [run.id], options, dark=look.dark, background=look.colours["background"])
    lines = list(content.lines)
    if run.parent_step is not None and lines:
        lines.insert(0, _upright(float(run.parent_step), lines, look))
    key = loss_key(snapshot, run, options, cursor, look, checkpoints)
    marks = [mark for mark in content.marks if mark.kind != "branch"]  # which the upright line is for
    taken = {round(mark.x) for mark in marks}
    kept = [step for step in checkpoints if step not in taken]
    of_checkpoints = _checkpoint_marks(kept, joined_curves(snapshot, run).get("val/loss"), run, look)
    caption = content.caption + (" · checkpoints marked" if of_checkpoints else "")
    marks += of_checkpoints
    return replace(content, key=key, lines=lines, marks=marks, caption=caption, x_to=float(run.steps), cursor=cursor)


def _checkpoint_marks(steps: Sequence[int], val: Curve | None, run: RunRow, look: Look) -> list[Mark]:
    """Where a checkpoint was kept, on the val curve: those that lie too close to another are left out."""
    if val is None or not np.isfinite(val.values).any():
        return []
    known = np.isfinite(val.values)
    places, values = val.steps[known], val.values[known]
    marks: list[Mark] = []
    for step in reversed(steps):
        apart = not marks or marks[-1].x - step >= CHECKPOINTS_APART * run.steps
        if apart and places[0] <= step <= places[-1]:
            y = float(np.interp(step, places, values))
            marks.append(Mark("checkpoint", float(step), y, look.colour_of(run.id)))
    return marks


def loss_key(
    snapshot: Snapshot,
    run: RunRow,
    options: ChartOptions,
    cursor: int | None,
    look: Look,
    checkpoints: Sequence[int] = (),
) -> tuple[object, ...]:
    """Equal where `loss_content` would look the same; the cursor last."""
    drawn = chart_key(snapshot, [run.id], options, dark=look.dark, background=look.colours["background"])
    return (drawn, tuple(checkpoints), cursor)


def _upright(x: float, lines: list[Line], look: Look) -> Line:
    """A line across the chart where the run branched off."""
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    span = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    colour = blend(look.colours["accent"], look.colours["background"], 0.6)
    return Line(np.array([x, x]), np.array(span), colour, in_range=False)


# Learning rate


def rate_at(run: RunRow, step: int) -> float | None:
    """The learning rate of a step by the run's config; None where that cannot be read, or does not say."""
    if run.kind != "training":
        return None
    try:
        return learning_rate(run.config, max(1, min(step, run.steps)))
    except ConfigError:
        return None


def rate_content(snapshot: Snapshot, run: RunRow, options: ChartOptions, here: int, look: Look) -> ChartContent:
    """The learning rate over all steps: by the schedule, else as it was recorded; and where the run is."""
    colour = look.colour_of(run.id)
    chain = lineage(snapshot, run)
    recorded = snapshot.curves.get(run.id, {}).get("lr")
    version = recorded.version if recorded is not None and rate_at(run, 1) is None else None
    drawn = ("rate", tuple(each.id for each, _ in chain), options, look.dark, look.colours["background"], version)
    return ChartContent(
        key=(*drawn, here),
        zoom=options.zoom,
        lines=[Line(*_rates(chain, run, recorded), colour)],
        log_x=options.log_x,
        log_y=options.log_y or run.kind == "lr-sweep",
        whole_range=True,
        x_to=float(run.steps),
        cursor=float(here),
        cursor_label="you are here",
        nothing="its learning rate is not known",
    )


def _rates(chain: list[tuple[RunRow, int]], run: RunRow, recorded: Curve | None) -> tuple[np.ndarray, np.ndarray]:
    """Steps and learning rates: of the schedules of the run and those before it, else of what was recorded."""
    if rate_at(run, 1) is None:
        return (recorded.steps.astype(float), recorded.values) if recorded is not None else (np.zeros(0), np.zeros(0))
    steps = np.unique(np.linspace(1, max(1, run.steps), min(max(1, run.steps), RATE_POINTS)).astype(int))
    ends = [until for _, until in chain[:-1]]
    runs = np.searchsorted(ends, steps).tolist()
    rates = [rate_at(chain[place][0], step) for place, step in zip(runs, steps.tolist(), strict=True)]
    return steps.astype(float), np.array([np.nan if rate is None else rate for rate in rates], dtype=float)


def trained_by(snapshot: Snapshot, run: RunRow, step: int) -> RunRow:
    """The run of a lineage that a step belongs to: itself, or one that it went on from."""
    return next(each for each, until in lineage(snapshot, run) if step <= until or each.id == run.id)


def schedule_text(run: RunRow, here: int, recorded: float | None = None) -> str:
    """The schedule in words, and the learning rate at a step."""
    parts = ["Learning rate"]
    rate = rate_at(run, here)
    if rate is not None:
        parts.append(run.config.schedule)
        if run.config.warmup_steps:
            parts.append(f"{run.config.warmup_steps:,} steps of warm-up")
    else:
        rate = recorded
    if rate is not None:
        parts.append(f"{short_rate(rate)} at step {here:,}")
    return " · ".join(parts)


def short_rate(rate: float) -> str:
    """A learning rate in three digits, as one types it."""
    return shown_value(float(f"{rate:.3g}"))


# Other metrics


def metric_content(
    page: MetricPage, snapshot: Snapshot, run: RunRow, options: ChartOptions, cursor: int | None, look: Look
) -> ChartContent:
    """A page's metrics over the steps, in one unit."""
    curves = snapshot.curves.get(run.id, {})
    known = [(curves[metric], name) for metric, name in page.metrics if metric in curves and len(curves[metric].steps)]
    colours = (look.colour_of(run.id), look.colour("secondary"))
    weight = SMOOTHINGS[options.smoothing] if page.noisy else 0.0
    drawn = (page.heading, run.id, tuple(curve.version for curve, _ in known), options, look.dark, colours)
    return ChartContent(
        key=(*drawn, cursor, run.status),
        zoom=options.zoom,
        lines=[
            line
            for (curve, name), colour in zip(known, colours, strict=False)
            for line in _metric_lines(curve, name, colour, weight, look)
        ],
        log_x=options.log_x,
        log_y=options.log_y,
        whole_range=options.whole_range or not page.noisy,
        x_to=float(run.steps),
        cursor=cursor,
        nothing="it comes with the first evaluations" if run.status in ("queued", "training") else page.nothing,
    )


def _metric_lines(curve: Curve, name: str, colour: str, weight: float, look: Look) -> list[Line]:
    """A metric as a line; a noisy one smoothed, with what was recorded dimmed behind it."""
    steps = curve.steps.astype(float)
    if not weight:
        return [Line(steps, curve.values, colour, name)]
    behind = Line(steps, curve.values, blend(colour, look.colours["background"], 0.35))
    return [behind, Line(steps, smooth(curve.values, weight), colour, name)]


def metric_heading(page: MetricPage, snapshot: Snapshot, run: RunRow, step: int) -> str:
    """What a page draws, and the values at a step."""
    curves = snapshot.curves.get(run.id, {})
    said = [page.heading]
    for metric, name in page.metrics:
        value = last_value(curves.get(metric), step)
        if value is not None:
            said.append(f"{name} {short_number(value)} {page.unit}".strip())
    return " · ".join(said)


def short_number(value: float) -> str:
    """Three digits, or a count with its suffix."""
    return text.si(value) if abs(value) >= 1000 else f"{value:.3g}"


def last_value(curve: Curve | None, step: int) -> float | None:
    """A curve's value at the last of its steps up to this one; None where it has none or it is not finite."""
    if curve is None:
        return None
    place = int(np.searchsorted(curve.steps, step, side="right")) - 1
    if place < 0 or not np.isfinite(curve.values[place]):
        return None
    return float(curve.values[place])
