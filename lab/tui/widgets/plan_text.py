"""What a grid of runs comes to, in words: how many, how long, what is there already, and the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.text import Text

from lab import text
from lab.tui.widgets.run_columns import STATUS_SIGNS, Look

if TYPE_CHECKING:
    from lab.queue.experiment_requests import Plan
    from lab.store.run_store import NewRun, RunRow

MOST_LISTED = 200


def size_text(plan: Plan, *, again: bool, time: str, look: Look) -> Text:
    """How many runs are to be queued, out of how many, and how long they take."""
    queued, known = len(plan.to_queue(again=again)), len(plan.runs) - len(plan.missing)
    said = Text()
    said.append(f"{text.plural(queued, 'run')} to queue", f"bold {look.colour('success' if queued else 'warning')}")
    if queued and time:
        said.append(f" · {text.literal(time)}")
    if known and again:
        said.append(f"\n{text.plural(known, 'run')} of them again", look.colour("warning"))
    elif known:
        said.append(f"\n{known:,} stored already with the same config", look.colour("warning"))
        said.append(" · ctrl+r trains again", look.colour("text-muted"))
    return said


def list_text(plan: Plan, seconds: Callable[[NewRun], float | None], *, again: bool, look: Look, width: int) -> Text:
    """Each run in a line: its name, its steps, how long it takes by itself, and what stands for it already."""
    said, muted = Text(no_wrap=True), look.colour("text-muted")
    listed = list(zip(plan.runs, plan.stored, strict=True))[:MOST_LISTED]
    names = [text.literal(run.name or f"{run.config.stage}, seed {run.config.seed}") for run, _ in listed]
    noted = max((len(stored.name) for _, stored in listed if stored), default=0)
    name_width = max(8, min(max(map(len, names), default=0), width - 21 - (min(noted, 16) + 3 if noted else 0)))
    for (run, stored), name in zip(listed, names, strict=True):
        known = seconds(run)
        said.append(text.clip(name, name_width).ljust(name_width + 1), muted if stored and not again else "")
        said.append(
            f"{text.si(run.config.steps):>5} steps {text.duration(known) if known else text.NOTHING:>7} ", muted
        )
        if stored is not None:
            said.append_text(_stands_for(stored, look, again))
        said.append("\n")
    if len(plan.runs) > len(listed):
        said.append(f"and {len(plan.runs) - len(listed):,} more\n", muted)
    return said


def _stands_for(stored: RunRow, look: Look, again: bool) -> Text:
    sign, _, colour = STATUS_SIGNS[stored.status]
    if again:
        return Text(f"↻ {text.literal(stored.name)}", look.colour("warning"))
    return Text(f"{sign} {text.literal(stored.name)}", look.colour(colour))
