"""The marked runs set against each other: their groups and verdicts, what differs, curves, samples, histograms.

Worked out on the reader's thread, for SciPy takes its time to import and curves take theirs to read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.analysis.comparison import Comparison, compare_groups
from lab.analysis.config_diff import Difference
from lab.analysis.fairness import Unfairness
from lab.analysis.groups import Group, group_runs
from lab.analysis.verdict import Verdict
from lab.errors import ConfigError
from lab.reports.lineage import whole_curve
from lab.tui.snapshot import Curve

if TYPE_CHECKING:
    from lab.reports.compared_runs import Reached
    from lab.store.histograms import TensorHistograms
    from lab.store.run_store import RunRow, RunStore, SampleRow

VAL = "val/loss"
SPEED = "chars_per_second"
BY_RUN, BY_SEED = "run", "seed"
"""Every run by itself; or runs that are equal but for the seed together. Any other way is a setting's name."""
MOST_GROUPS = 24
"""Groups whose curves are drawn; the table has them all."""
MOST_RUNS = 120
"""Runs whose curves are read for the chart."""
KEPT = 3
"""Ways of grouping that are kept: one goes to and fro between them."""
READING_SECONDS = 0.2
"""How long curves are read before what is known by then is shown."""


@dataclass(frozen=True)
class CompareWanted:
    """What is to be compared, and how."""

    run_ids: tuple[str, ...] = ()
    by: str = BY_SEED
    baseline: str | None = None
    """A run of the group that the others are compared with."""
    metric: str = VAL
    target: float | None = None
    """The loss that is to be reached; the baseline's val where None."""
    clock: bool = False
    """Whether the curves are drawn over seconds."""
    samples: tuple[str, ...] = ()
    """Runs whose samples are shown."""
    inside: tuple[str, ...] = ()
    """Runs whose histograms are shown."""


@dataclass(frozen=True, eq=False)
class ComparisonView:
    """What came of comparing; groups, verdicts, warnings and what was reached stand in one order, the best first."""

    wanted: CompareWanted = CompareWanted()
    groups: tuple[Group, ...] = ()
    baseline: int = 0
    """The place of the baseline among the groups."""
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[tuple[Unfairness, ...], ...] = ()
    differences: tuple[Difference, ...] = ()
    """The settings that are not the same in all groups, each with its values by group."""
    metrics: tuple[str, ...] = ()
    """Those that all runs have that have any."""
    target: float | None = None
    reached: Mapping[int, Reached] = field(default_factory=dict)
    """By the place of the group."""
    curves: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    samples: Mapping[str, tuple[SampleRow, ...]] = field(default_factory=dict)
    inside: Mapping[str, tuple[TensorHistograms, ...]] = field(default_factory=dict)
    unread: int = 0
    """How much is still to be read."""
    problem: str = ""
    version: int = 0
    """Another one whenever anything in it is."""

    @cached_property
    def drawn(self) -> tuple[int, ...]:
        """The places of the groups whose curves are drawn: the first ones, and the baseline."""
        return drawn_groups(self.groups, self.baseline)


def drawn_groups(groups: Sequence[Group], baseline: int) -> tuple[int, ...]:
    """The places of as many groups as one chart can show."""
    places: list[int] = []
    runs = 0
    for place in sorted(range(len(groups)), key=lambda place: place != baseline):
        runs += len(groups[place].runs)
        if len(places) < MOST_GROUPS and (runs <= MOST_RUNS or not places):
            places.append(place)
    return tuple(sorted(places))


class ComparisonReader:
    """Compares; what does not change between two readings is kept. For the reader's thread."""

    def __init__(self) -> None:
        self._judged: dict[tuple[object, ...], ComparisonView] = {}
        self._curves: dict[tuple[str, str], tuple[tuple[object, ...], Curve]] = {}
        self._reached: dict[tuple[object, ...], Reached] = {}
        self._samples: dict[str, tuple[tuple[object, ...], tuple[SampleRow, ...]]] = {}
        self._inside: dict[str, tuple[tuple[object, ...], tuple[TensorHistograms, ...]]] = {}
        self._last: tuple[tuple[object, ...], ComparisonView] | None = None
        self._version = 0

    def read(self, store: RunStore, by_id: Mapping[str, RunRow], wanted: CompareWanted) -> ComparisonView:
        """The comparison as far as it is read by now; with something `unread` there is more to come."""
        runs = [by_id[run_id] for run_id in wanted.run_ids if run_id in by_id]
        judged = self._judge(store, runs, by_id, wanted)
        until = time.monotonic() + READING_SECONDS
        unread = self._read_curves(store, judged, wanted, by_id, until)
        target = wanted.target if wanted.target is not None else self._usual_target(judged)
        reached = self._read_reached(store, judged, target, by_id, until) if not unread else {}
        unread += len(judged.groups) - len(reached) if target is not None else 0
        samples = {run.id: self._samples_of(store, run) for run in runs if run.id in wanted.samples}
        inside = {run.id: self._inside_of(store, run) for run in runs if run.id in wanted.inside}
        curves = {run.id: held for run in runs if (held := self._known(run, wanted))}
        arrays = tuple((run_id, id(curve)) for run_id, held in curves.items() for curve in held.values())
        key = (judged.version, wanted, unread, target, arrays, *map(id, samples.values()), *map(id, inside.values()))
        if self._last is None or self._last[0] != key:
            self._version += 1
            self._last = key, replace(
                judged, wanted=wanted, target=target, reached=reached, curves=curves, samples=samples, inside=inside,
                unread=unread, version=self._version,
            )  # fmt: skip
        return self._last[1]

    # Numbers

    def _judge(
        self, store: RunStore, runs: Sequence[RunRow], by_id: Mapping[str, RunRow], wanted: CompareWanted
    ) -> ComparisonView:
        """Groups and verdicts, from the table of runs alone."""
        key = (tuple(runs), wanted.by, wanted.baseline)
        known = self._judged.pop(key, None)
        if known is None:
            self._version += 1
            try:
                groups = in_groups(runs, wanted.by)
                held = store.metric_names_of([run.id for run in runs])
                found = compare_groups(groups, baseline_id=wanted.baseline, by_id=by_id) if groups else None
                known = _view(found, held) if found is not None else ComparisonView()
            except ConfigError as error:
                known = ComparisonView(problem=str(error))
            known = replace(known, version=self._version)
        self._judged[key] = known
        while len(self._judged) > KEPT:
            self._judged.pop(next(iter(self._judged)))
        return known

    def _usual_target(self, judged: ComparisonView) -> float | None:
        """A loss that the baseline's runs come to: their worst lowest val, rounded up."""
        if not judged.groups:
            return None
        curves = [self._curves[run.id, VAL][1] for run in judged.groups[judged.baseline].runs
                  if (run.id, VAL) in self._curves]  # fmt: skip
        lowest = [float(np.nanmin(curve.values)) for curve in curves if np.isfinite(curve.values).any()]
        return math.ceil(max(lowest) * 100) / 100 if lowest else None

    def _read_reached(
        self, store: RunStore, judged: ComparisonView, target: float | None, by_id: Mapping[str, RunRow], until: float
    ) -> dict[int, Reached]:
        """How soon each group came to a loss, by its place; of as many groups as the time allows."""
        from lab.reports.compared_runs import reached

        found: dict[int, Reached] = {}
        for place, group in enumerate(judged.groups if target is not None else ()):
            key = (target, tuple((run.id, _state(run)) for run in group.runs))
            if key not in self._reached and time.monotonic() < until and target is not None:
                self._reached[key] = reached(store, group, target, by_id)
            if key in self._reached:
                found[place] = self._reached[key]
        return found

    # Reading

    def _read_curves(
        self,
        store: RunStore,
        judged: ComparisonView,
        wanted: CompareWanted,
        by_id: Mapping[str, RunRow],
        until: float,
    ) -> int:
        """Reads as many of the drawn curves as the time allows; returns how many are left."""
        drawn = [run for place in judged.drawn for run in judged.groups[place].runs]
        left = 0
        for run, metric in ((run, metric) for metric in _metrics_of(wanted) for run in drawn):
            state = _state(run)
            known = self._curves.get((run.id, metric))
            if known is not None and known[0] == state:
                continue
            if time.monotonic() > until:
                left += 1
                continue
            steps, values = whole_curve(store, run, metric, by_id)
            self._curves[run.id, metric] = state, Curve(steps, values, (run.step, len(steps)))
        return left

    def _known(self, run: RunRow, wanted: CompareWanted) -> dict[str, Curve]:
        metrics = _metrics_of(wanted)
        return {metric: self._curves[run.id, metric][1] for metric in metrics if (run.id, metric) in self._curves}

    def _samples_of(self, store: RunStore, run: RunRow) -> tuple[SampleRow, ...]:
        known = self._samples.get(run.id)
        if known is None or known[0] != _state(run):
            known = self._samples[run.id] = _state(run), tuple(store.samples(run.id))
        return known[1]

    def _inside_of(self, store: RunStore, run: RunRow) -> tuple[TensorHistograms, ...]:
        from lab.store.histograms import read_histograms

        known = self._inside.get(run.id)
        if known is None or known[0] != _state(run):
            known = self._inside[run.id] = _state(run), tuple(read_histograms(store, run.id))
        return known[1]


def in_groups(runs: Sequence[RunRow], by: str) -> list[Group]:
    """The runs in groups: each by itself, equal but for the seed, or by a setting. Raises `ConfigError`."""
    if by == BY_RUN:
        return [Group(run.name, (run,)) for run in runs]
    return group_runs(runs, None if by == BY_SEED else by)


def _metrics_of(wanted: CompareWanted) -> tuple[str, ...]:
    return tuple(dict.fromkeys((wanted.metric, VAL, *((SPEED,) if wanted.clock else ()))))


def _state(run: Any) -> tuple[object, ...]:
    return run.attempt, run.status, run.step, run.ended_at


def _view(found: Comparison, held: Mapping[str, frozenset[str]]) -> ComparisonView:
    """The comparison with the best group first, and the metrics that all runs have that have any."""
    order = sorted(range(len(found.groups)), key=lambda place: _mean(found.verdicts[place]))
    recorded = [names for names in held.values() if names]
    common = frozenset.intersection(*recorded) if recorded else frozenset()
    return ComparisonView(
        groups=tuple(found.groups[place] for place in order),
        baseline=order.index(next(i for i, group in enumerate(found.groups) if group is found.baseline)),
        verdicts=tuple(found.verdicts[place] for place in order),
        warnings=tuple(found.unfair[place] for place in order),
        differences=tuple(
            replace(each, values=tuple(each.values[place] for place in order)) for each in found.differences
        ),
        metrics=tuple(sorted(common, key=_by_interest)),
    )


def _mean(verdict: Verdict) -> float:
    return verdict.final.mean if verdict.final is not None and math.isfinite(verdict.final.mean) else math.inf


def _by_interest(metric: str) -> tuple[int, str]:
    first = (VAL, "train/loss", "train/eval_loss", "grad_norm", SPEED)
    return (first.index(metric) if metric in first else len(first), metric)
