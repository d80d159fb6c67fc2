"""Comparisons of stored runs: which runs are meant, and what must be read of them beside their rows."""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lab.analysis.alignment import first_reached, on_axis, on_clock
from lab.analysis.comparison import Comparison, compare
from lab.analysis.fairness import characters_seen
from lab.analysis.groups import Group
from lab.analysis.run_filter import parse_filter
from lab.config.lr_sweep import LR_SWEEP
from lab.errors import RunNotFoundError, UsageError
from lab.reports.experiment_runs import runs_of_experiment
from lab.reports.lineage import whole_curve
from lab.store.run_store import RunRow, RunStore

VAL = "val"
_LOSSES = ("loss", VAL, "perplexity", "error")
"""What smaller is better of."""


@dataclass(frozen=True)
class Reached:
    """How long a group's runs took to come down to a loss; means over those that did."""

    seconds: float | None
    characters: float | None
    runs: int


def runs_meant(store: RunStore, words: Sequence[str], *, alone: bool = False, sweeps: bool = False) -> list[RunRow]:
    """The runs that a person names: an experiment's, a filter's, a stage's, or a run with those of its other seeds.

    With `alone` a run stands for itself; with `sweeps` LR sweeps are meant too.
    Raises `RunNotFoundError` where a word names none.
    """
    stored = [run for run in store.runs() if sweeps or run.kind != LR_SWEEP]
    found: dict[str, RunRow] = {}
    for word in words:
        for run in _named(store, stored, word, alone):
            found[run.id] = run
    return list(found.values())


def _named(store: RunStore, stored: Sequence[RunRow], word: str, alone: bool) -> list[RunRow]:
    is_name = any(run.name == word for run in stored)
    if not is_name:
        named = runs_of_experiment(store, stored, word.removesuffix(".toml"))
        named = named or [run for run in stored if run.stage == word]
        if named:
            return named
    if not is_name and any(mark in word for mark in ":<>="):  # which names of an experiment's runs have too
        matches = parse_filter(word)
        named = [run for run in stored if matches(run)]
        if not named:
            raise RunNotFoundError(f"no run matches '{word}'; see: lab runs")
        return named
    try:
        run = store.resolve(word)
    except RunNotFoundError as error:
        names = {name for run in stored for name in (run.name, run.stage, run.experiment or run.name)}
        near = difflib.get_close_matches(word, sorted(names), n=1)
        if str(error).startswith("no run") and near:
            raise RunNotFoundError(f"no run, stage or experiment '{word}': did you mean '{near[0]}'?") from None
        raise
    if run not in stored:
        raise UsageError(f"run {run.name} is an LR sweep, which has no val to compare")
    return [run] if alone else [each for each in stored if each.group_hash == run.group_hash]


def compare_stored(
    store: RunStore,
    runs: Sequence[RunRow],
    *,
    by: str | None = None,
    baseline_id: str | None = None,
    metric: str = VAL,
    lone: bool = False,
) -> Comparison:
    """Compares runs by val at their end, or by the last value of another metric.

    Raises `UsageError` where the groups have no such metric in common, or are one group, unless it may be `lone`.
    """
    values = None if metric in (VAL, "val_loss") else _last_values(store, runs, metric)
    smaller_is_better = any(word in metric for word in _LOSSES)
    by_id = {run.id: run for run in store.runs()}
    comparison = compare(
        runs,
        by=by,
        baseline_id=baseline_id,
        values=values,
        words=("better", "worse") if smaller_is_better else ("lower", "higher"),
        by_id=by_id,
    )
    if len(comparison.groups) < 2 and not lone:
        key = f"one value of {by}" if by else "one config"
        raise UsageError(
            f"these {len(runs)} runs are one group ({key}): name another run to compare with"
            if len(runs) > 1
            else f"{runs[0].name} is alone: name another run to compare with"
        )
    _check_in_common(store, comparison, metric)
    return comparison


def _last_values(store: RunStore, runs: Sequence[RunRow], metric: str) -> dict[str, float]:
    found = {}
    for run in runs:
        values = store.points(run.id, metric).values
        finite = values[np.isfinite(values)]
        if len(finite):
            found[run.id] = float(finite[-1])
    return found


def _check_in_common(store: RunStore, comparison: Comparison, metric: str) -> None:
    """Raises `UsageError` where a finished group lacks what others are compared by, naming what all have."""
    finished = [verdict for verdict in comparison.verdicts if verdict.group.scored]
    lacking = [verdict for verdict in finished if verdict.final is None]
    if not lacking:
        return
    names = [set(store.metric_names(verdict.group.first.id)) for verdict in finished]
    common = sorted(set.intersection(*names)) if names else []
    said = f"{lacking[0].group.label} has no {metric}"
    if not common:
        raise UsageError(f"{said}, and these runs have no metric in common: compare runs that recorded one")
    raise UsageError(f"{said}; all of them have {', '.join(common[:6])}: choose one with --metric")


def reached(store: RunStore, group: Group, target: float, by_id: Mapping[str, RunRow]) -> Reached:
    """When the runs of a group first came down to a val loss, straight between their evaluations."""
    seconds, characters, count = [], [], 0
    for run in group.runs:
        steps, values = whole_curve(store, run, "val/loss", by_id)
        step = first_reached(steps.astype(float), values, target)
        if step is None:
            continue
        count += 1
        whole = characters_seen(run, by_id)
        if whole is None or not run.step:
            continue
        per_step = whole / run.step
        characters.append(float(on_axis(np.array(step), per_step)))
        speed_steps, speeds = whole_curve(store, run, "chars_per_second", by_id)
        if len(speed_steps):
            seconds.append(float(on_clock(np.array(step), per_step, speed_steps, speeds)))
    return Reached(
        statistics.fmean(seconds) if seconds else None, statistics.fmean(characters) if characters else None, count
    )
