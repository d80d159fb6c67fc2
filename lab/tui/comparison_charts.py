"""From a comparison to what is drawn of it: curves over each other, side by side on one scale, or bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from lab import text
from lab.analysis.alignment import BandKind, band
from lab.tui.chart_content import Band, ChartContent, Line, Mark, Reference
from lab.tui.chart_options import SMOOTHINGS, X_AXES, ChartOptions
from lab.tui.chart_range import axes
from lab.tui.comparisons import SPEED, VAL, ComparisonView
from lab.tui.curves import chars_per_step, placed, smoothed
from lab.tui.run_charts import short_number
from lab.tui.snapshot import Snapshot
from lab.tui.widgets.run_columns import Look

if TYPE_CHECKING:
    from lab.analysis.groups import Group
    from lab.analysis.intervals import Interval

KINDS = ("overlay", "multiples", "bars")
"""How the groups are drawn, one after the other."""
BAND_WORDS: Mapping[BandKind, str] = {"interval": "95 % interval", "range": "lowest to highest", "sd": "± one sd"}
LOSSES = ("train/loss", VAL, "train/eval_loss")
MOST_BANDS = 8
"""Bands that one chart shows over each other: more cannot be told apart; the multiples have them all."""
LABEL_WIDTH = 20


@dataclass(frozen=True)
class Drawing:
    """What a person has set about the drawing of a comparison."""

    options: ChartOptions
    kind: str = "overlay"
    band: BandKind = "interval"


@lru_cache(maxsize=4)
def x_axes_of(comparison: ComparisonView) -> tuple[str, ...]:
    """What the compared runs can be drawn over; worked out once for a comparison, which is never changed."""
    runs = [run for group in comparison.groups for run in group.runs]
    own = [_factor(run, "chars") is not None for run in runs]
    known = {
        "chars": all(own),
        "seconds": all(own) and SPEED in comparison.metrics,
        "FLOPs": all(own) and all(run.parameters for run in runs),
    }
    return tuple(axis for axis in X_AXES if known.get(axis, True))


def axis_of(comparison: ComparisonView, options: ChartOptions) -> str:
    """The x-axis that is drawn over: the chosen one where it is known of all."""
    return options.x if options.x in x_axes_of(comparison) else "step"


def step_at(run: Any, comparison: ComparisonView, options: ChartOptions) -> int:
    """The step of a run at the cursor; its last where there is no cursor."""
    if options.cursor is None:
        return int(run.step)
    axis = axis_of(comparison, options)
    if axis == "step":
        return round(options.cursor)
    curves = comparison.curves.get(run.id, {})
    if axis == "seconds":
        speed = curves.get(SPEED)
        if speed is None or not len(speed.steps):
            return int(run.step)
        clock = placed(speed, speed, _factor(run, axis) or 1.0)
        return round(float(np.interp(options.cursor, clock, speed.steps)))
    return round(options.cursor / (_factor(run, axis) or 1.0))


def overlay(comparison: ComparisonView, snapshot: Snapshot, drawing: Drawing, look: Look) -> ChartContent:
    """Every drawn group over the others: one run as a line, several as their mean with a band."""
    content = _content(comparison, snapshot, drawing, look, comparison.drawn, alone=False)
    if len(content.bands) <= MOST_BANDS:
        return content
    return replace(content, lines=content.all_lines, bands=())


def multiples(
    comparison: ComparisonView, snapshot: Snapshot, drawing: Drawing, look: Look, places: Sequence[int]
) -> list[ChartContent]:
    """A chart for each of these groups, all on the scale that the whole comparison needs."""
    whole = _content(comparison, snapshot, drawing, look, comparison.drawn, alone=False)
    found = axes(whole)
    if found is None:
        return [replace(whole, key=(*whole.key, place)) for place in places]
    spans, far = (found[1].low, found[1].high), max(line.x[-1] for line in whole.all_lines if len(line.x))
    contents = [_content(comparison, snapshot, drawing, look, (place,), alone=True) for place in places]
    return [
        replace(
            content,
            y_range=spans,
            x_to=float(far),
            key=(*whole.key, *content.key),
            references=[each for each in content.references if spans[0] <= each.y <= spans[1]],
        )
        for content in contents
    ]


def _content(
    comparison: ComparisonView, snapshot: Snapshot, drawing: Drawing, look: Look, places: Sequence[int], *, alone: bool
) -> ChartContent:
    options, metric = drawing.options, comparison.wanted.metric
    axis = axis_of(comparison, options)
    lines: list[Line] = []
    bands: list[Band] = []
    marks: list[Mark] = []
    for place in places:
        group = comparison.groups[place]
        curves = _placed_curves(comparison, group, options, axis)
        label = "" if alone else text.clip(text.literal(group.label), LABEL_WIDTH)
        final = comparison.verdicts[place].final if metric == VAL else None
        colour = look.colour_of(group.first.id)
        if len(curves) == 1:
            marks += _branch_marks(comparison, group, options, axis, curves[0], colour)
            lines.append(_line(curves[0], colour, label, _end(label, curves[0][1], metric, final), f"{place}"))
        elif curves:
            found = _kept_band(_Arrays(tuple(curves)), drawing.band)
            said = _end(label, found.mean, metric, final)
            bands.append(Band(found.x, found.mean, found.low, found.high, colour, said, label, f"{place}"))
    return ChartContent(
        key=(comparison.version, drawing, look.dark, look.colours.get("background"), tuple(places), alone),
        lines=lines,
        bands=bands,
        marks=marks,
        references=_references(comparison, snapshot, alone) if metric in LOSSES else [],
        x_name=axis,
        log_x=options.log_x,
        log_y=options.log_y,
        whole_range=options.whole_range or metric not in LOSSES,
        zoom=options.zoom,
        cursor=options.cursor,
        nothing=_nothing(comparison),
        best="highest" if metric == SPEED else "lowest",
        say=text.loss if metric in LOSSES else short_number,
    )


def _branch_marks(
    comparison: ComparisonView,
    group: Group,
    options: ChartOptions,
    axis: str,
    curve: tuple[np.ndarray, np.ndarray],
    colour: str,
) -> list[Mark]:
    """Where a run that stands alone went on from another, on its curve."""
    run = group.first
    held = comparison.curves.get(run.id, {}).get(comparison.wanted.metric)
    if held is None or run.parent_step is None:
        return []
    steps = held.steps
    if not steps[0] <= run.parent_step <= steps[-1]:
        return []
    x = float(np.interp(run.parent_step, steps, curve[0]))
    finite = np.isfinite(curve[1])
    return [Mark("branch", x, float(np.interp(x, curve[0][finite], curve[1][finite])), colour)]


def _line(curve: tuple[np.ndarray, np.ndarray], colour: str, name: str, label: str, key: str) -> Line:
    return Line(*curve, colour, label, name=name, key=key)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Curves, known again by their arrays, which are never changed."""

    curves: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __hash__(self) -> int:
        return hash(tuple(id(array) for curve in self.curves for array in curve))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Arrays) or len(self.curves) != len(other.curves):
            return False
        pairs = zip(self.curves, other.curves, strict=True)
        return all(mine[0] is its[0] and mine[1] is its[1] for mine, its in pairs)


@lru_cache(maxsize=256)
def _kept_band(arrays: _Arrays, kind: BandKind) -> Any:
    return band(arrays.curves, kind)


def _end(label: str, y: np.ndarray, metric: str, final: Interval | None) -> str:
    """What stands at a line's end: the group, and what it was scored with, else the last value."""
    finite = y[np.isfinite(y)]
    if not label or not len(finite):
        return label
    return f"{label} {_said(float(finite[-1]) if final is None else final.mean, metric)}"


def _said(value: float, metric: str) -> str:
    return text.loss(value) if metric in LOSSES else short_number(value)


def _placed_curves(
    comparison: ComparisonView, group: Group, options: ChartOptions, axis: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The metric of each run of a group that has it, on the x-axis, smoothed."""
    metric = comparison.wanted.metric
    weight = 0.0 if metric == VAL else SMOOTHINGS[options.smoothing]
    found = []
    for run in group.runs:
        held = comparison.curves.get(run.id, {})
        curve = held.get(metric)
        if curve is None or not np.isfinite(curve.values).any():
            continue
        speed = held.get(SPEED) if axis == "seconds" else None
        if axis == "seconds" and speed is None:
            continue
        found.append((placed(curve, speed, _factor(run, axis) or 1.0), smoothed(curve, weight)))
    return found


def _factor(run: Any, axis: str) -> float | None:
    """What a step of a run comes to on an x-axis; None where nobody knows."""
    from lab.errors import ConfigError

    if axis == "step":
        return 1.0
    try:
        characters = float(chars_per_step(run))
    except ConfigError:
        return None
    return characters * 6 * (run.parameters or 0) if axis == "FLOPs" else characters


def _references(comparison: ComparisonView, snapshot: Snapshot, alone: bool) -> list[Reference]:
    """Guessing evenly and the bigram by counting, where all runs are on one dataset."""
    keys = {(run.dataset_sha256, run.dataset_kind) for group in comparison.groups for run in group.runs}
    known = snapshot.references.get(next(iter(keys))) if len(keys) == 1 else None
    if known is None:
        return []
    names = ("", "") if alone else ("bigram by counting ", "guessing evenly ")
    return [
        Reference(f"{names[0]}{known.counting:.2f}", known.counting),
        Reference(f"{names[1]}{known.guessing_evenly:.2f}", known.guessing_evenly),
    ]


def _nothing(comparison: ComparisonView) -> str:
    if comparison.unread:
        return "reading…"
    if not comparison.metrics:
        return "these runs have no metric in common"
    if comparison.wanted.metric not in comparison.metrics:
        return f"these runs have no {comparison.wanted.metric} in common: m chooses another metric"
    return f"no {comparison.wanted.metric} yet"


# Bars


@dataclass(frozen=True)
class Bar:
    """A group's value with what it scatters; NaN where it has none."""

    place: int
    mean: float
    low: float
    high: float
    count: int


def bars(comparison: ComparisonView, drawing: Drawing) -> list[Bar]:
    """Each group's value at the cursor; without one its last, of val the one that it was scored with."""
    metric, options = comparison.wanted.metric, drawing.options
    found = []
    for place, group in enumerate(comparison.groups):
        if metric == VAL and options.cursor is None:
            values = [run.val_loss for run in group.scored if run.val_loss is not None]
        else:
            axis = axis_of(comparison, options)
            values = [_value_at(curve, options.cursor) for curve in _placed_curves(comparison, group, options, axis)]
        values = [value for value in values if np.isfinite(value)]
        if not values:
            found.append(Bar(place, np.nan, np.nan, np.nan, 0))
            continue
        spread = band([(np.zeros(1), np.array([value])) for value in values], drawing.band)
        mean, low, high = (float(side[0]) for side in (spread.mean, spread.low, spread.high))
        found.append(Bar(place, mean, low, high, len(values)))
    return found


def _value_at(curve: tuple[np.ndarray, np.ndarray], cursor: float | None) -> float:
    x, y = curve
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    place = len(x) - 1 if cursor is None else int(np.searchsorted(x, cursor, side="right")) - 1
    return float(y[place]) if place >= 0 else np.nan


def bars_text(
    comparison: ComparisonView, drawing: Drawing, width: int, look: Look, *, ascii_only: bool = False
) -> Text:
    """The groups as bars, the whole scatter marked on each, with what the axis spans."""
    found = bars(comparison, drawing)
    known = [bar for bar in found if np.isfinite(bar.mean)]
    said = Text(no_wrap=True, overflow="ellipsis")
    muted, metric = look.colour("text-muted"), comparison.wanted.metric
    if not known:
        return Text(_nothing(comparison), muted)
    names = [text.clip(text.literal(comparison.groups[bar.place].label), 24) for bar in found]
    widest = max(map(len, names))
    low, high = min(bar.low for bar in known), max(bar.high for bar in known)
    start = 0.0 if low >= 0 and low < 0.5 * high else low - 0.15 * ((high - low) or abs(high) or 1.0)
    figures = 22
    room = max(8, width - widest - figures - 3)
    for bar, name in zip(found, names, strict=True):
        colour = look.colour_of(comparison.groups[bar.place].first.id)
        pinned = bar.place == comparison.baseline
        said.append(f"{name:<{widest}} ", "bold" if pinned else "")
        if not np.isfinite(bar.mean):
            said.append("–\n", muted)
            continue
        said.append(_bar_cells(bar, start, high, room, ascii_only=ascii_only), colour)
        reach = f" ±{_said((bar.high - bar.low) / 2, metric)}" if bar.count > 1 else ""
        said.append(f" {_said(bar.mean, metric)}", "bold")
        said.append(f"{reach} n={bar.count}\n", muted)
    ends = _said(start, metric), _said(high, metric)
    gap = max(1, room - len(ends[0]) - len(ends[1]))
    said.append(f"{'':<{widest}} {ends[0]}{' ' * gap}{ends[1]}", muted)
    if start:
        said.append("   not from zero", muted)
    return said


def _bar_cells(bar: Bar, start: float, end: float, room: int, *, ascii_only: bool) -> str:
    """The bar up to the mean, lighter from the lowest on, and a whisker up to the highest."""
    scale = (room - 1) / ((end - start) or 1.0)
    low, mean, high = (round((value - start) * scale) for value in (bar.low, bar.mean, bar.high))
    full, light, line, last = ("#", "=", "-", "|") if ascii_only else ("█", "▒", "─", "┤")
    whisker = line * (high - mean - 1) + last if high > mean else ""
    return (full * low + light * (mean - low) + full[: mean == low] + light[: mean > low] + whisker).ljust(room)[:room]


def caption(comparison: ComparisonView, drawing: Drawing) -> str:
    """What is drawn, and how, in a few words."""
    several = [place for place in comparison.drawn if len(comparison.groups[place].runs) > 1]
    banded = drawing.kind != "overlay" or len(several) <= MOST_BANDS
    mean = f"mean, {BAND_WORDS[drawing.band]}" if banded else f"mean (bands up to {MOST_BANDS} groups)"
    weight = SMOOTHINGS[drawing.options.smoothing]
    words = [
        comparison.wanted.metric,
        mean if several else "",
        f"smoothed {weight:g}" if weight and comparison.wanted.metric != VAL and drawing.kind != "bars" else "",
    ]
    if drawing.kind == "overlay" and len(comparison.drawn) < len(comparison.groups):
        words.append(f"the {len(comparison.drawn)} best of {len(comparison.groups)}")
    if comparison.unread:
        words.append(f"reading {comparison.unread} more…")
    return " · ".join(word for word in words if word)
