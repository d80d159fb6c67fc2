"""What is told of one run in words: who it is, how it stands, and what it had come to at a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from lab import text
from lab.config.ladder import STAGES_BY_NAME
from lab.tui.config_changes import changes_text
from lab.tui.run_charts import last_value, rate_at, short_number, short_rate
from lab.tui.snapshot import Curve, Snapshot
from lab.tui.widgets.run_columns import Look, status_text

if TYPE_CHECKING:
    from lab.store.run_store import RunRow, SampleRow

RISING = 0.02
"""Nats above the best val from which on it is said to rise."""
LONGEST_REASON = 60
"""Characters of an error in the line of the verdict; the log has all of it."""
SETTLED_SHARE = 0.1
"""Of the run: only after it does a val no better than guessing say anything."""


# Who it is


def headline(run: RunRow, snapshot: Snapshot, look: Look) -> Text:
    """Name, status, where it goes on from, what it changes, tags and notes."""
    muted = look.colour("text-muted")
    said = Text(" ", no_wrap=True, overflow="ellipsis")
    said.append(text.clip(text.literal(run.name), 30), f"bold {look.colour_of(run.id)}")
    said.append("  ")
    said.append_text(status_text(run, look))
    if run.status == "training":
        said.append(f" {int(100 * run.step / max(1, run.steps))}%")
    kind = {"lr-sweep": "an LR sweep", "external": "another program's run"}.get(run.kind)
    if kind:
        said.append(f" · {kind}", look.colour("secondary"))
    if run.parent_id:
        parent = snapshot.by_id.get(run.parent_id)
        name = text.clip(text.literal(parent.name), 30) if parent else f"{run.parent_id}, put away"
        said.append(" · goes on from ", muted)
        said.append(name, look.colour_of(run.parent_id) if parent else muted)
        said.append(f" at step {run.parent_step or 0:,}", muted)
    if changes := changes_text(run.config_json):
        said.append(" · ", muted)
        said.append(changes, look.colour("accent"))
    for tag in run.tags:
        said.append(f" #{text.literal(tag)}", look.colour("secondary"))
    if run.notes.strip():
        said.append(f" · “{text.literal(run.notes.strip().splitlines()[0])}”", muted)
    return said


# How it stands


def verdict(run: RunRow, snapshot: Snapshot, look: Look) -> Text:
    """How the run stands, in one line: health, val and choices, speed, and the time it takes or took; what to press."""
    muted = look.colour("text-muted")
    said = Text(" ", no_wrap=True, overflow="ellipsis")
    for place, (part, style) in enumerate(_parts(run, snapshot, look)):
        said.append(" · " if place else "", muted)
        said.append(part, style)
    return said


def _parts(run: RunRow, snapshot: Snapshot, look: Look) -> list[tuple[str, str]]:
    muted, warning, error = look.colour("text-muted"), look.colour("warning"), look.colour("error")
    if run.status == "queued":
        return [(_waits(run, snapshot), look.colour("secondary"))]
    parts: list[tuple[str, str]] = []
    reason = text.clip(text.literal(run.error or ""), LONGEST_REASON)
    at = f"step {run.step:,} of {run.steps:,}"
    if run.status == "training":
        words, colour = _health(run, snapshot)
        parts.append((words, look.colour(colour)))
    elif run.status == "finished":
        parts.append(("finished", look.colour("success")))
    elif run.status == "failed":
        parts.append((f"failed at {at}: {reason or 'no reason was given'}", error))
    elif run.status == "diverged":
        parts.append((reason or f"diverged at {at}", error))
    elif run.status == "stopped":
        parts.append((f"stopped at {at} and scored there", warning))
    else:
        parts.append((f"{'given up' if run.status == 'cancelled' else run.status} at {at}", warning))
        parts += [(reason, muted)] if reason else []
    hint = _HINTS.get(run.status) if run.kind == "training" else None
    parts += [(hint, look.colour("accent"))] if hint else []
    parts += _numbers(run, look)
    return parts + [(words, muted) for words in (_times(run),) if words]


_HINTS = {
    "paused": "p lets it go on",
    "failed": "R tries again from its last checkpoint",
    "diverged": "c goes on from its best with a smaller lr",
    "stopped": "R trains it to its end",
    "cancelled": "R queues it again",
}


def _waits(run: RunRow, snapshot: Snapshot) -> str:
    place = snapshot.places.get(run.id, 1)
    before = len(snapshot.training) + place - 1
    said = f"waits, {text.plural(before, 'run')} before it" if before else "waits: its turn is next"
    seconds = starts_in(run, snapshot)
    if run.failures and run.error:
        said = f"{text.literal(run.error)}: it is tried again · {said}"
    return f"{said} · starts in about {text.duration(max(1.0, seconds))}" if seconds else said


def starts_in(run: RunRow, snapshot: Snapshot) -> float | None:
    """Seconds until a waiting run's turn comes; None where it is not known how long those before it take."""
    from lab.queue.forecast import Work, forecast, group_of, known_seconds, seconds_left

    known = known_seconds(snapshot.runs)
    places = snapshot.places
    waiting = sorted((each for each in snapshot.runs if each.id in places), key=lambda each: places[each.id])
    before = waiting[: places.get(run.id, 1) - 1]
    left = [(seconds_left(each) or known.get(group_of(each)), each.threads or 1) for each in snapshot.training]
    needed = [(known.get(group_of(each)), each.threads or 1) for each in before]
    training = [Work(seconds, threads) for seconds, threads in left if seconds is not None]
    works = [Work(seconds, threads) for seconds, threads in needed if seconds is not None]
    if len(training) < len(left) or len(works) < len(needed):
        return None
    return forecast([*works, Work(0.0, run.threads or 1)], training)[-1].start


def _health(run: RunRow, snapshot: Snapshot) -> tuple[str, str]:
    """What its val says so far, and the colour of that."""
    if not run.step or (run.parent_step is not None and run.step <= run.parent_step and run.val_loss is None):
        return "starting", "text-muted"
    if run.val_loss is None or run.best_val_loss is None:
        has_none = run.kind != "training"
        return ("training" if has_none else "no val yet"), "text-muted"
    if run.val_loss > run.best_val_loss + RISING:
        return f"val rising since step {run.best_step or 0:,}", "warning"
    known = snapshot.references.get((run.dataset_sha256, run.dataset_kind))
    if known is not None and run.step > SETTLED_SHARE * run.steps and run.val_loss >= known.guessing_evenly:
        return "no better than guessing evenly", "warning"
    return "healthy so far", "success"


def _numbers(run: RunRow, look: Look) -> list[tuple[str, str]]:
    """Val and choices, the best, and the speed."""
    muted = look.colour("text-muted")
    parts: list[tuple[str, str]] = []
    if run.val_loss is not None:
        parts.append((f"val {text.loss(run.val_loss)} ({text.choices(run.val_loss)} choices)", "bold"))
        best = run.best_val_loss
        if best is not None and best < run.val_loss - 0.0005:
            parts.append((f"best {text.loss(best)} at step {run.best_step or 0:,}", muted))
    elif run.train_loss is not None and math.isfinite(run.train_loss):
        parts.append((f"train {text.loss(run.train_loss)}", "bold"))
    if run.chars_per_second:
        parts.append((f"{text.si(run.chars_per_second)} chars/s", muted))
    return parts


def _times(run: RunRow) -> str:
    """What is left, or what it took; and the lecture's time for the stage."""
    from lab.queue.forecast import seconds_left

    stage = STAGES_BY_NAME.get(run.stage) if run.kind == "training" and not run.parent_id else None
    lecture = f" (the lecture: {stage.lecture_time})" if stage is not None and stage.lecture_time else ""
    left = seconds_left(run) if run.status == "training" else None
    if left is not None:
        return f"{text.duration(left)} left{lecture}"
    return f"in {text.duration(run.seconds)}{lecture}" if run.seconds and run.status != "training" else lecture.strip()


# What it had come to


def cursor_unit(run: RunRow) -> int:
    """Steps that the cursor goes at a time: a hundredth of the run."""
    return max(1, round(run.steps / 100))


def values_at(run: RunRow, curves: Mapping[str, Curve], step: int) -> list[tuple[str, str]]:
    """Names and values of what the run had come to at a step, the last ones known by then."""
    values = []
    for name, metric in (("train", "train/loss"), ("val", "val/loss")):
        known = last_value(curves.get(metric), step)
        if known is not None:
            values.append((name, text.loss(known)))
            if name == "val":
                values.append(("choices", text.choices(known)))
    rate = rate_at(run, step)
    if rate is None:
        rate = last_value(curves.get("lr"), step)
    if rate is not None:
        values.append(("lr", short_rate(rate)))
    for name, metric, unit in _MEASURED:
        known = last_value(curves.get(metric), step)
        if known is not None:
            values.append((name, f"{short_number(known)}{unit}"))
    return values


def figures_at(run: RunRow, curves: Mapping[str, Curve], step: int) -> list[tuple[str, str]]:
    """The numbers that matter at a step, for large figures: train, val and choices; at its end what it came to."""
    train = last_value(curves.get("train/loss"), step)
    val = run.val_loss if step >= run.step else last_value(curves.get("val/loss"), step)
    figures = [("train", text.loss(train))] if train is not None else []
    return figures + ([("val", text.loss(val)), ("choices", text.choices(val))] if val is not None else [])


_MEASURED = (
    ("gradient", "grad_norm", ""),
    ("chars/s", "chars_per_second", ""),
    ("memory", "memory_mb", " MB"),
    ("GPU", "gpu_memory_mb", " MB"),
    ("CPU", "cpu_percent", "%"),
)


def step_line(run: RunRow, step: int, *, held: bool, playing: bool, width: int, look: Look) -> Text:
    """The step, and where it is among all of them: `▶` while it plays, `◆` where it is held, `●` where it follows."""
    sign = "▶" if playing else "◆" if held else "●"
    said = Text(" ", no_wrap=True, overflow="ellipsis")
    said.append(f"{sign} ", look.colour("accent"))
    said.append("step ", look.colour("text-muted"))
    said.append(f"{step:,} of {run.steps:,} ", "bold")
    if width > 0:
        place = round(min(1.0, step / max(1, run.steps)) * (width - 1))
        reached = max(place, round(min(1.0, run.step / max(1, run.steps)) * (width - 1)))
        said.append("━" * place, look.colour("accent"))
        said.append("●" if not held else "◆", f"bold {look.colour('accent')}")
        said.append("━" * (reached - place), look.colour("text-muted"))
        said.append("─" * (width - 1 - reached), look.colour("border"))
    return said.append("  ")


# What it wrote


def sample_at(samples: Sequence[SampleRow], step: int) -> SampleRow | None:
    """The sample nearest at or before a step."""
    return next((sample for sample in reversed(samples) if sample.step <= step), None)


def sample_text(run: RunRow, samples: Sequence[SampleRow] | None, step: int, width: int, look: Look) -> Text:
    """What the run wrote by a step, words in columns; why there is nothing, where there is nothing."""
    muted = look.colour("text-muted")
    sample = sample_at(samples, step) if samples is not None else None
    if sample is not None:
        if run.dataset_kind == "words":
            return Text(in_word_columns(sample.text.split("\n"), width))
        return Text(text.literal(sample.text, lines=True))
    if samples is None:
        return Text("reading…", muted)
    if samples:
        return Text(f"its first sample is of step {samples[0].step:,}", muted)
    if run.kind != "training":
        return Text("a run of its kind writes nothing", muted)
    if run.status in ("queued", "training"):
        return Text("its first sample comes with its first evaluation", muted)
    return Text("it wrote no sample", muted)


def in_word_columns(words: Sequence[str], width: int) -> str:
    """Words under each other, in as many columns as there is room for, down the first one first."""
    shown = [text.clip(text.literal(word), max(8, width)) or "·" for word in words]
    widest = max((len(word) for word in shown), default=1) + 3
    columns = max(1, width // widest)
    rows = -(-len(shown) // columns)
    return "\n".join("".join(word.ljust(widest) for word in shown[row::rows]).rstrip() for row in range(rows))
