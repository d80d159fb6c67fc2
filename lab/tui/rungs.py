"""The rungs of the ladder as they stand in a snapshot: which runs are theirs, and what each rung bought."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lab.tui.ladder_facts import LadderFacts

if TYPE_CHECKING:
    from lab.config.ladder import Stage
    from lab.store.run_store import RunRow

QUICK_TAG = "quick"
_WORK_ORDER = ("training", "queued", "paused")


@dataclass(frozen=True)
class RungState:
    """A stage and the runs of exactly its own config, but for the seed, on its home dataset."""

    stage: Stage
    runs: tuple[RunRow, ...] = ()
    delta: float | None = None
    """Its val loss against that of the rung before it on the same dataset."""
    below: str = ""
    """The name of that rung."""

    @cached_property
    def finished(self) -> tuple[RunRow, ...]:
        """Those that ended well, the newest of each seed."""
        by_seed = {run.seed: run for run in self.runs if run.status == "finished" and run.val_loss is not None}
        return tuple(by_seed.values())

    @cached_property
    def losses(self) -> list[float]:
        """Their val losses."""
        return [run.val_loss for run in self.finished if run.val_loss is not None]

    @property
    def val_loss(self) -> float | None:
        """Mean val loss over seeds; None where none has finished."""
        return statistics.fmean(self.losses) if self.losses else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None where there are fewer than two."""
        return statistics.stdev(self.losses) if len(self.losses) > 1 else None

    @property
    def seconds(self) -> float | None:
        """Mean time that a run took."""
        return statistics.fmean(run.seconds for run in self.finished) if self.finished else None

    @cached_property
    def best(self) -> RunRow | None:
        """The finished run with the lowest val loss."""
        return min(self.finished, key=lambda run: (run.val_loss or 0.0, run.id), default=None)

    @cached_property
    def active(self) -> RunRow | None:
        """The run that is furthest on its way: training, waiting or paused."""
        for status in _WORK_ORDER:
            of_status = [run for run in self.runs if run.status == status]
            if of_status:
                return min(of_status, key=lambda run: (run.queue_position or 0.0, run.id))
        return None

    @property
    def last(self) -> RunRow | None:
        """The run that the rung's state is about."""
        return self.active or self.best or (self.runs[-1] if self.runs else None)

    @property
    def missing(self) -> bool:
        """Whether climbing has something to do here."""
        return not self.finished and (self.active is None or self.active.status == "paused")


def rung_states(facts: LadderFacts, runs: Sequence[RunRow]) -> tuple[RungState, ...]:
    """Every rung that suits this machine, from the foot up."""
    of_rung: dict[str, list[RunRow]] = {}
    stages = {group: name for name, group in facts.group_hashes.items()}
    for run in runs:
        name = stages.get(run.group_hash)
        if name is not None and run.stage == name and run.parent_id is None and QUICK_TAG not in run.tags:
            of_rung.setdefault(name, []).append(run)
    states: list[RungState] = []
    before: dict[str, RungState] = {}
    for stage in facts.stages:
        below = before.get(stage.home_dataset)
        state = RungState(stage, tuple(of_rung.get(stage.name, ())))
        if below is not None:
            known = state.val_loss is not None and below.val_loss is not None
            delta = state.val_loss - below.val_loss if known else None  # type: ignore[operator]
            state = RungState(stage, state.runs, delta, below.stage.name)
        states.append(state)
        before[stage.home_dataset] = state
    return tuple(states)
