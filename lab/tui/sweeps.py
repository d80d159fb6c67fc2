"""LR sweeps as the screen knows them: what was asked for, how far it is, and what is read off it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lab.config.lr_sweep import LR_SWEEP, LRSweep
from lab.errors import UsageError
from lab.tui.chart_content import Band, ChartContent, Line, Mark, Reference
from lab.tui.widgets.run_columns import Look

if TYPE_CHECKING:
    from lab.analysis.lr_suggestion import SweepReading
    from lab.store.run_store import RunRow, RunStore


RATE_POINTS = 400
"""Steps at which the learning rate of a sweep is drawn."""


@dataclass(frozen=True, eq=False)
class SweepView:
    """A sweep as it stood when it was read; `reading` is None where nothing is recorded yet, or the spec is broken."""

    run: RunRow
    spec: LRSweep
    reading: SweepReading | None
    guessing_evenly: float

    @property
    def state(self) -> tuple[object, ...]:
        """Another one whenever it must be read anew."""
        return sweep_state(self.run)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        return self.spec.learning_rates[self.spec.point_of(min(max(1, step), self.spec.total_steps))]

    @property
    def result(self) -> str:
        """The suggestion, or what there is in its place, in a word or two."""
        if self.reading is not None and self.reading.suggestion is not None and self.run.ended_at is not None:
            return said_lr(self.reading.suggestion)
        if self.run.status == "finished":
            return "none"
        return {"queued": "waiting", "training": f"{100 * self.run.step // max(1, self.run.steps)}%"}.get(
            self.run.status, self.run.status
        )


def said_lr(lr: float) -> str:
    """A learning rate in two digits, as one types it."""
    return f"{lr:.2g}"


def sweep_state(run: RunRow) -> tuple[object, ...]:
    """Another one whenever more is recorded of a sweep."""
    return run.attempt, run.status, run.step, run.ended_at, run.name


def read_sweeps(store: RunStore, runs: Iterable[RunRow], known: Mapping[str, SweepView]) -> Mapping[str, SweepView]:
    """Every sweep among the runs; those that have not changed are as they are known, as is the whole if none has."""
    from lab.analysis.lr_suggestion import read_sweep, reading_of
    from lab.datasets.counting import guessing_evenly
    from lab.store.lr_sweeps import stored_sweep, sweep_losses

    views = {}
    for run in runs:
        if run.kind != LR_SWEEP:
            continue
        before = known.get(run.id)
        if before is not None and before.state == sweep_state(run):
            views[run.id] = before
            continue
        try:
            sweep = stored_sweep(store, run)
        except UsageError:  # another program has written nonsense: it stays a run, and is no sweep
            continue
        facts = store.dataset(run.dataset_sha256, run.dataset_kind)
        evenly = guessing_evenly(len(facts.vocabulary)) if facts else 1.0
        reading = None
        if sweep.result is not None:
            reading = reading_of(sweep.result)
        elif run.step:
            losses = sweep_losses(store, sweep)
            if np.isfinite(losses).any():
                reading = read_sweep(sweep.spec.learning_rates, losses, evenly, method=sweep.spec.method)
        views[run.id] = SweepView(run, sweep.spec, reading, evenly)
    return known if views == known else views


def sweep_of_run(run: RunRow, views: Mapping[str, SweepView]) -> SweepView | None:
    """The newest ramp of a run's stage and dataset that suggests a rate."""
    alike = [
        view
        for view in views.values()
        if (view.run.stage, view.run.dataset_sha256, view.spec.method) == (run.stage, run.dataset_sha256, "ramp")
        and view.reading is not None
        and view.reading.suggestion is not None
    ]
    return max(alike, key=lambda view: view.run.id, default=None)


def beside(view: SweepView, views: Mapping[str, SweepView]) -> SweepView | None:
    """The newest sweep of the same stage and dataset by the other method, to be drawn over this one."""
    run = view.run
    others = [
        other
        for other in views.values()
        if (other.run.stage, other.run.dataset_sha256) == (run.stage, run.dataset_sha256)
        and other.spec.method != view.spec.method
        and other.reading is not None
        and other.reading.suggestion is not None
    ]
    return max(others, key=lambda other: other.run.id, default=None)


def sweep_content(
    view: SweepView, other: SweepView | None, look: Look, *, cursor: float | None = None, nothing: str = ""
) -> ChartContent:
    """The chart of a sweep: median and band over log lr, what is suggested, the useful interval, guessing evenly."""
    reading = view.reading
    key = (view.run.id, view.state, other.state if other else None, look.dark, look.colours["background"], cursor)
    if reading is None or not np.isfinite(reading.curve.loss).any():
        return ChartContent(key, nothing=nothing or _nothing(view))
    top = _top(view)
    colour = look.colour_of(view.run.id)
    curve = reading.curve
    middle = _below(curve.loss, top)
    seeds = np.isfinite(curve.low) & np.isfinite(curve.high) & (curve.low <= top)
    high = np.minimum(curve.high, top)
    bands = [Band(curve.lr[seeds], middle[seeds], curve.low[seeds], high[seeds], colour)]
    lines = []
    bottom = float(np.nanmin(curve.loss))
    if other is not None and other.reading is not None:
        rates = other.reading.curve
        lines.append(Line(rates.lr, _below(rates.loss, top), look.colour("secondary"), said_method(other)))
        bottom = min(bottom, float(np.nanmin(rates.loss)))
    lines.append(Line(curve.lr, middle, colour, said_method(view)))
    if reading.useful is not None:
        low, high = reading.useful
        inside = (curve.lr >= low) & (curve.lr <= high)
        under = np.full(inside.sum(), bottom - 0.03 * (top - bottom))
        success = look.colour("success")
        bands.append(Band(curve.lr[inside], under, under, middle[inside], success, "useful"))
    marks = []
    for name, lr in sorted(reading.suggestions.items(), key=lambda pair: pair[1] != reading.suggestion):
        style = look.colour("accent" if lr == reading.suggestion else "text-muted")
        marks.append(Mark("point", lr, loss_at(reading, lr), style, f"{name} {said_lr(lr)}"))
    return ChartContent(
        key=key,
        lines=lines,
        bands=bands,
        marks=marks,
        references=[Reference(f"guessing evenly {view.guessing_evenly:.2f}", view.guessing_evenly)],
        x_name="lr",
        log_x=True,
        whole_range=True,
        cursor=cursor,
        cursor_label=f"{said_lr(cursor)}: {loss_at(reading, cursor):.3f}" if cursor is not None else "",
    )


def sweep_rates_content(view: SweepView, step: int, look: Look) -> ChartContent:
    """The learning rate over the steps of a sweep, and where the cursor is."""
    spec = view.spec
    steps = np.unique(np.linspace(1, spec.total_steps, min(spec.total_steps, RATE_POINTS)).astype(int))
    rates = np.array([view.rate_at(int(each)) for each in steps])
    return ChartContent(
        key=("rates", view.run.id, spec, look.dark, look.colours["background"], step),
        lines=[Line(steps.astype(float), rates, look.colour_of(view.run.id))],
        log_y=True,
        whole_range=True,
        x_to=float(spec.total_steps),
        cursor=float(step),
        cursor_label="you are here",
    )


def said_method(view: SweepView) -> str:
    """By which method, and of how many seeds, a curve is the median."""
    seeds = f"{view.spec.seeds} seed{'s' * (view.spec.seeds != 1)}"
    return f"ramp, {seeds}" if view.spec.method == "ramp" else f"runs of {view.spec.steps}, {seeds}"


def loss_at(reading: SweepReading, lr: float) -> float:
    """The curve's loss at a learning rate; at its end beyond that."""
    curve = reading.curve
    known = np.isfinite(curve.loss)
    return float(np.interp(np.log10(lr), np.log10(curve.lr[known]), curve.loss[known]))


def _top(view: SweepView) -> float:
    """As high as the chart goes: what the loss starts from, and guessing evenly; what diverges leaves it."""
    assert view.reading is not None
    curve = view.reading.curve
    bottom, lowest = float(np.nanmin(curve.loss)), int(np.nanargmin(curve.loss))
    if view.reading.suggestion is None:
        return float(np.nanmax(curve.high))
    start = float(np.nanmax(curve.loss[: lowest + 1]))
    highest = max(start, view.guessing_evenly if view.guessing_evenly < start + (start - bottom) else start)
    return highest + 0.1 * max(highest - bottom, 0.05)


def _below(loss: np.ndarray, top: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(loss <= top, loss, np.nan)


def _nothing(view: SweepView) -> str:
    run = view.run
    if run.status == "queued":
        return "waiting for its turn"
    if run.status == "training":
        return "the worker is loading torch…" if not run.step else "nothing recorded yet"
    return f"{run.status}: {run.error}" if run.error else f"{run.status} before there was a loss"
