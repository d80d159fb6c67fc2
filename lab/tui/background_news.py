"""What happened to runs in the background: how those that trained have ended, several said as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import text
from lab.tui.snapshot import Snapshot

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

ENDED = ("finished", "diverged", "failed")
"""How a run ends by itself; whoever stops or cancels one knows it."""
MOST_NAMED = 3


@dataclass(frozen=True)
class News:
    """Something to be said."""

    said: str
    bad: bool = False


@dataclass(frozen=True)
class Ended:
    """A run that has ended, and of an LR sweep what it suggests."""

    run: RunRow
    suggestion: str = ""


class BackgroundNews:
    """Sees snapshots go by, and gathers what ended until it is asked for."""

    def __init__(self) -> None:
        self._statuses: dict[str, str] | None = None
        self._ended: dict[str, Ended] = {}

    def see(self, snapshot: Snapshot) -> bool:
        """Compares with the snapshot before; whether there is something to say."""
        before = self._statuses
        self._statuses = {run.id: run.status for run in snapshot.runs}
        if before is not None:
            for run in snapshot.runs:
                if run.status in ENDED and before.get(run.id, run.status) not in ENDED:
                    sweep = snapshot.sweeps.get(run.id)
                    self._ended[run.id] = Ended(run, sweep.result if sweep is not None else "")
        return bool(self._ended)

    def forget(self, run_id: str) -> None:
        """This one has been said already."""
        self._ended.pop(run_id, None)

    def take(self) -> list[News]:
        """What has gathered, one piece of news for each way of ending."""
        by_status = {status: [each for each in self._ended.values() if each.run.status == status] for status in ENDED}
        self._ended = {}
        return [News(_said(status, ended), status != "finished") for status, ended in by_status.items() if ended]


def _said(status: str, ended: Sequence[Ended]) -> str:
    if len(ended) > 1:
        names = ", ".join(_named(each) for each in ended[:MOST_NAMED])
        more = f" and {len(ended) - MOST_NAMED} more" if len(ended) > MOST_NAMED else ""
        return f"{len(ended)} runs {status}: {names}{more}"
    run = ended[0].run
    name = text.clip(text.literal(run.name), 40)
    if status == "finished" and run.kind == "lr-sweep":
        return f"{name} finished: {_suggested(ended[0])}"
    if status == "finished":
        return f"{name} finished: val {text.loss(run.val_loss)}, {text.choices(run.val_loss)} choices"
    reason = text.clip(text.literal((run.error or "").partition("\n")[0]), 120)
    return f"{name} {status}" + (f": {reason}" if reason else "")


def _named(ended: Ended) -> str:
    run = ended.run
    name = text.clip(text.literal(run.name), 24)
    if run.status != "finished":
        return name
    return f"{name} {_suggested(ended) if run.kind == 'lr-sweep' else text.loss(run.val_loss)}"


def _suggested(sweep: Ended) -> str:
    return f"lr {sweep.suggestion}" if sweep.suggestion not in ("", "none") else "no suggestion"
