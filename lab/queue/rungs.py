"""The rungs of the ladder as they stand: which runs are theirs, and what each rung bought. No torch, no SQLAlchemy."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lab.analysis.intervals import Interval, difference_interval, mean_interval

if TYPE_CHECKING:
    from lab.config.ladder import Stage
    from lab.store.run_store import RunRow

QUICK_TAG = "quick"
_WORK_ORDER = ("training", "queued", "paused")


@dataclass(frozen=True)
class RungState:
    """A stage and the runs of one config of it, but for the seed; `compared` adds the rung that it is compared with."""

    stage: Stage
    runs: tuple[RunRow, ...] = ()
    below: RungState | None = None
    """The rung before it on the same dataset."""

    @cached_property
    def finished(self) -> tuple[RunRow, ...]:
        """Those that ended well, the newest of each seed."""
        by_seed = {run.seed: run for run in self.runs if run.status == "finished" and run.val_loss is not None}
        return tuple(by_seed.values())

    @cached_property
    def losses(self) -> dict[int, float]:
        """Their val losses by seed."""
        return {run.seed: run.val_loss for run in self.finished if run.val_loss is not None}

    @property
    def val_loss(self) -> float | None:
        """Mean val loss over seeds; None where none has finished."""
        return self.interval.mean if self.interval else None

    @cached_property
    def interval(self) -> Interval | None:
        """That mean with its interval; None where none has finished."""
        return mean_interval(list(self.losses.values()))

    @cached_property
    def delta(self) -> Interval | None:
        """The val loss against that of the rung below; None until both are trained."""
        return difference_interval(self.losses, self.below.losses) if self.below is not None else None

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
        """Whether climbing has something to do here: the modern rung is trained where it is asked for by name."""
        return not (self.on_request or self.finished) and (self.active is None or self.active.status == "paused")

    @property
    def on_request(self) -> bool:
        """Whether climbing leaves the rung out: it stands above the lectures' ladder."""
        from lab.config.ladder import MODERN

        return self.stage.name == MODERN

    def sampled(self, seed: int | None) -> RunRow | None:
        """The finished run of a seed, to be read beside those of other rungs; the best one where there is none."""
        return next((run for run in self.finished if run.seed == seed), self.best)


def compared(rungs: Sequence[RungState]) -> tuple[RungState, ...]:
    """The rungs, from the foot up, each with the one before it on the same dataset."""
    states: list[RungState] = []
    before: dict[str, RungState] = {}
    for rung in rungs:
        dataset = rung.runs[0].dataset if rung.runs else rung.stage.home_dataset
        states.append(replace(rung, below=before.get(dataset)))
        before[dataset] = states[-1]
    return tuple(states)


def rung_states(
    stages: Sequence[Stage], group_hashes: Mapping[str, str], runs: Sequence[RunRow]
) -> tuple[RungState, ...]:
    """Each stage with its runs of exactly its own config, by the config's group hash, on its home dataset."""
    of_rung: dict[str, list[RunRow]] = {}
    names = {group: name for name, group in group_hashes.items()}
    for run in runs:
        name = names.get(run.group_hash)
        if name is not None and run.stage == name and run.parent_id is None and QUICK_TAG not in run.tags:
            of_rung.setdefault(name, []).append(run)
    return compared([RungState(stage, tuple(of_rung.get(stage.name, ()))) for stage in stages])


def common_seed(rungs: Sequence[RungState]) -> int | None:
    """The seed that most rungs were trained with, the lowest of several: with it their samples compare."""
    seeds = Counter(seed for rung in rungs for seed in rung.losses)
    return min(seeds, key=lambda seed: (-seeds[seed], seed), default=None)
