"""What is told of one run: how it stands in plain words, what it had come to at a step, its learning rate over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from lab import text
from lab.config.ladder import STAGES_BY_NAME
from lab.config.schedule import learning_rate
from lab.errors import ConfigError
from lab.tui.chart_frame import ChartContent, Line
from lab.tui.curves import ChartOptions, chart_content, chart_key
from lab.tui.snapshot import Curve, Snapshot
from lab.tui.widgets.run_columns import Look, shown_value, status_text

if TYPE_CHECKING:
    from lab.store.run_store import RunRow, SampleRow

RATE_POINTS = 400
RISING = 0.02
"""Nats above the best val from which on it is said to rise."""


def headline(run: RunRow, look: Look) -> Text:
    """Status, val and choices, speed, and time: what is left, or what it took; and the lecture's."""
    muted = look.colour("text-muted")
    said = Text(" ", no_wrap=True, overflow="ellipsis")
    said.append(text.clip(text.literal(run.name), 30), f"bold {look.colour_of(run.id)}")
    said.append("  ")
    said.append_text(status_text(run, look))
    if run.status == "training":
        health, colour = _health(run)
        said.append(f" {int(100 * run.step / max(1, run.steps))}%")
        said.append(f", {health}", look.colour(colour))
    if run.val_loss is not None:
        said.append(" · ", muted)
        said.append(f"val {text.loss(run.val_loss)}", "bold")
        said.append(f" ({text.choices(run.val_loss)} choices)")
    best = run.best_val_loss
    if best is not None and run.val_loss is not None and best < run.val_loss - 0.0005:
        said.append(f" · best {text.loss(best)} at step {run.best_step or 0:,}", muted)
    said.append(_times(run), muted)
    if run.chars_per_second:
        said.append(f" · {text.si(run.chars_per_second)} chars/s", muted)
    if run.error:
        said.append(f" · {text.literal(run.error)}", look.colour("error"))
    return said


def _health(run: RunRow) -> tuple[str, str]:
    if run.val_loss is None or run.best_val_loss is None:
        return "no val yet", "text-muted"
    if run.val_loss > run.best_val_loss + RISING:
        return f"val rising since step {run.best_step or 0:,}", "warning"
    return "healthy so far", "success"


def _times(run: RunRow) -> str:
    stage = STAGES_BY_NAME.get(run.stage)
    lecture = f" (the lecture: {stage.lecture_time})" if stage is not None and stage.lecture_time else ""
    if run.status == "training" and run.step and run.seconds > 0:
        return f" · {text.duration(run.seconds * (run.steps - run.step) / run.step)} left{lecture}"
    return f" · in {text.duration(run.seconds)}{lecture}" if run.seconds else lecture


def cursor_unit(run: RunRow) -> int:
    """Steps that the cursor goes at a time: a hundredth of the run."""
    return max(1, round(run.steps / 100))


def rate_at(run: RunRow, step: int) -> float | None:
    """The learning rate of a step; None where the config cannot be read."""
    try:
        return learning_rate(run.config, max(1, min(step, run.steps)))
    except ConfigError:
        return None


def values_at(run: RunRow, curves: Mapping[str, Curve], step: int) -> list[tuple[str, str]]:
    """Names and values of what the run had come to at a step, the last ones known by then."""
    values = [("step", f"{step:,} of {run.steps:,}")]
    for name, metric in (("train", "train/loss"), ("val", "val/loss")):
        known = last_value(curves.get(metric), step)
        if known is not None:
            values.append((name, text.loss(known)))
            if name == "val":
                values.append(("choices", text.choices(known)))
    rate = rate_at(run, step)
    if rate is not None:
        values.append(("lr", _short(rate)))
    speed = last_value(curves.get("chars_per_second"), step)
    if speed is not None:
        values.append(("chars/s", text.si(speed)))
    return values


def last_value(curve: Curve | None, step: int) -> float | None:
    """A curve's value at the last of its steps up to this one; None where it has none or it is not finite."""
    if curve is None:
        return None
    place = int(np.searchsorted(curve.steps, step, side="right")) - 1
    if place < 0 or not np.isfinite(curve.values[place]):
        return None
    return float(curve.values[place])


def sample_at(samples: Sequence[SampleRow], step: int) -> SampleRow | None:
    """The sample nearest at or before a step."""
    return next((sample for sample in reversed(samples) if sample.step <= step), None)


def loss_content(
    snapshot: Snapshot, run: RunRow, options: ChartOptions, cursor: int | None, look: Look
) -> ChartContent:
    """The run's losses over all of its steps, with the cursor."""
    how = {"dark": look.dark, "background": look.colours["background"]}
    content = chart_content(snapshot, [run.id], options, **how)  # type: ignore[arg-type]
    key = loss_key(snapshot, run, options, cursor, look)
    return replace(content, key=key, lines_key=content.key, x_to=float(run.steps), cursor=cursor)


def loss_key(
    snapshot: Snapshot, run: RunRow, options: ChartOptions, cursor: int | None, look: Look
) -> tuple[object, ...]:
    """Equal where `loss_content` would look the same."""
    return (chart_key(snapshot, [run.id], options, dark=look.dark, background=look.colours["background"]), cursor)


def rate_content(run: RunRow, options: ChartOptions, here: int, look: Look) -> ChartContent:
    """The schedule over all steps, from the config alone, and where the run is."""
    colour = look.colour_of(run.id)
    lines_key = ("rate", run.id, options.log_x, look.dark, look.colours["background"], colour)
    steps = np.unique(np.linspace(1, run.steps, min(run.steps, RATE_POINTS)).astype(int))
    rates = np.array([rate_at(run, int(step)) or np.nan for step in steps], dtype=float)
    return ChartContent(
        key=(*lines_key, here),
        lines_key=lines_key,
        lines=[Line(steps.astype(float), rates, colour)],
        log_x=options.log_x,
        whole_range=True,
        x_to=float(run.steps),
        cursor=float(here),
        cursor_label="you are here",
        nothing="its config cannot be read",
    )


def schedule_text(run: RunRow, here: int) -> str:
    """The schedule in words."""
    try:
        config = run.config
    except ConfigError:
        return "Learning rate"
    parts = ["Learning rate", config.schedule]
    if config.warmup_steps:
        parts.append(f"{config.warmup_steps:,} steps of warm-up")
    rate = rate_at(run, here)
    return " · ".join([*parts, f"{_short(rate)} at step {here:,}" if rate is not None else ""]).rstrip(" ·")


def _short(rate: float) -> str:
    return shown_value(float(f"{rate:.3g}"))
