"""Runs in groups: those whose configs are equal but for the seed, or that have one setting in common."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from lab.analysis.config_diff import differing
from lab.config.fields import known_key
from lab.config.run_config import SYNONYMS, RunConfig
from lab.errors import ConfigError
from lab.text import shown_value

SCORED = ("finished", "stopped")
"""The statuses of a run whose val was measured at its end."""
EXTERNAL = "external"
"""The kind of a run that another program trained."""
MOST_IN_A_LABEL = 3
_SAID_BY_OTHERS = ("model", "eval_every", "eval_examples", "diagnostics_every", "head_dim", "seed", "dataset_as")
"""Settings that follow from others, or change nothing: they name a group only where nothing else does."""


class Comparable(Protocol):
    """What is read of a run to compare it."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def experiment(self) -> str | None: ...
    @property
    def stage(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def dataset_kind(self) -> str: ...
    @property
    def dataset_sha256(self) -> str: ...
    @property
    def group_hash(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def parameters(self) -> int | None: ...
    @property
    def val_loss(self) -> float | None: ...
    @property
    def best_val_loss(self) -> float | None: ...
    @property
    def chars_per_second(self) -> float | None: ...
    @property
    def seconds(self) -> float: ...
    @property
    def device(self) -> str | None: ...
    @property
    def lab_version(self) -> str: ...
    @property
    def parent_id(self) -> str | None: ...
    @property
    def parent_step(self) -> int | None: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def config(self) -> RunConfig: ...


@dataclass(frozen=True)
class Group:
    """Runs that are taken together; `by` is the setting that they have in common, or None where all but the seed is."""

    label: str
    runs: tuple[Comparable, ...]
    by: str | None = None

    @cached_property
    def scored(self) -> tuple[Comparable, ...]:
        """Those that ended with a val loss, the newest of each that repeats another."""
        newest = {replicate(run, self.by): run for run in self.runs if run.status in SCORED}
        return tuple(newest.values())

    @property
    def first(self) -> Comparable:
        """The run that stands for the group's config."""
        return self.scored[0] if self.scored else self.runs[0]

    def values(self, of: Mapping[str, float]) -> dict[Hashable, float]:
        """Numbers by run id, of the scored runs, by what pairs them with another group's."""
        return {replicate(run, self.by): of[run.id] for run in self.scored if run.id in of}


def group_runs(runs: Sequence[Comparable], by: str | None = None) -> list[Group]:
    """The runs in groups, in the order of their first: equal but for the seed, or with one setting in common.

    Raises `ConfigError` on a setting that no config has.
    """
    key = _setting_key(by, runs) if by is not None else None
    gathered: dict[Hashable, list[Comparable]] = {}
    for run in runs:
        gathered.setdefault(run.group_hash if key is None else shown_setting(run, key), []).append(run)
    members = list(gathered.values())
    labels = [f"{key}={value}" for value in gathered] if key is not None else _labels(members)
    return [Group(label, tuple(each), key) for label, each in zip(labels, members, strict=True)]


def replicate(run: Comparable, by: str | None = None) -> Hashable:
    """Equal for two runs of different groups that saw the same batches, and so are compared as a pair.

    Batches are a function of seed, dataset, batch size and context length. Of groups by one setting, runs are pairs
    where all other settings are equal.
    """
    values = run.settings
    if by is not None:
        return tuple(sorted((key, str(value)) for key, value in values.items() if key not in (by, *_FOLLOWING)))
    if run.kind == EXTERNAL:  # nobody knows its batches
        return run.id
    names = ("batch_size", "context_length", "overfit_one_batch")
    return run.seed, run.dataset_sha256, run.dataset_kind, *(values.get(name) for name in names)


def shown_setting(run: Comparable, key: str) -> str:
    """A run's setting as one types it."""
    own: Mapping[str, Any] = {"stage": run.stage, "dataset": run.dataset, "seed": run.seed}
    return shown_value(own[key] if key in own else run.settings.get(key))


_FOLLOWING = ("eval_every", "eval_examples", "diagnostics_every", "head_dim", "stage")


def _setting_key(text: str, runs: Sequence[Comparable]) -> str:
    """The setting that is meant: a field of lab's configs, or one that an external run came with."""
    if any(text in run.settings for run in runs):
        return text
    key = known_key(text)
    if not any(key in run.settings for run in runs):
        raise ConfigError(f"none of these runs has a setting '{text}'{' (' + key + ')' if text in SYNONYMS else ''}")
    return key


def _labels(members: Sequence[Sequence[Comparable]]) -> list[str]:
    """Each group by what a person has called it, by its stage where that tells them apart, else by what differs.

    Where not even that does, by its first run's name.
    """
    called = [_called(runs) for runs in members]
    if all(called) and len(set(called)) == len(called):
        return called
    firsts = [runs[0] for runs in members]
    stages = [run.stage for run in firsts]
    if len(set(stages)) == len(stages):
        return [run.name if run.kind == EXTERNAL else run.stage for run in firsts]
    differ = [key for key in differing([run.settings for run in firsts]) if key not in (*_SAID_BY_OTHERS, "stage")]
    labels = []
    for run in firsts:
        said = [f"{key}={shown_setting(run, key)}" for key in differ if key in run.settings][:MOST_IN_A_LABEL]
        labels.append(" ".join([*([run.stage] if len(set(stages)) > 1 else []), *said]))
    return [
        label if label and labels.count(label) == 1 else run.name for label, run in zip(labels, firsts, strict=True)
    ]


def _called(runs: Sequence[Comparable]) -> str:
    """The name of an experiment's variant, which its runs bear, with their seeds where there are several; else ""."""
    names = {run.name.removesuffix(f"/seed={run.seed}") for run in runs}
    [name, *others] = names
    unnamed = any(run.name == name and not run.experiment for run in runs)
    return "" if others or "=" in name or unnamed else name
