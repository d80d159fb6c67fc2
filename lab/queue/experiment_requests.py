"""An experiment as a request to the queue, without torch: its runs, which of them are stored already, and queueing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.config.expansion import FindModel, expand
from lab.config.experiment import Experiment, MeasureSpeed
from lab.config.named_model import named_model
from lab.config.own_model import OwnSource
from lab.config.run_config import DatasetKind, RunConfig
from lab.datasets.dataset import Dataset
from lab.inference.client import InferenceClient
from lab.queue.forecast import group_of, speed_request
from lab.queue.orphans import pause_orphans
from lab.queue.requests import dataset_facts, read_dataset
from lab.store import lifecycle
from lab.store.model_sources import check_trusted
from lab.store.run_store import LARGEST_NAME, DatasetFacts, NewRun, RunRow, RunStore

ReadDataset = Callable[[str, DatasetKind | None], tuple[Dataset, DatasetFacts]]

_STANDS_FOR = ("finished", "training", "queued", "paused")
"""The statuses of a run that need not be trained again, the best first."""


@dataclass(frozen=True)
class Plan:
    """The runs of an experiment, and beside each the stored one that stands for it, where there is one."""

    runs: tuple[NewRun, ...]
    stored: tuple[RunRow | None, ...]

    @cached_property
    def missing(self) -> tuple[NewRun, ...]:
        """The runs that nothing stored stands for."""
        return tuple(run for run, stored in zip(self.runs, self.stored, strict=True) if stored is None)

    def to_queue(self, *, again: bool = False) -> tuple[NewRun, ...]:
        """What is to be queued: what is missing, or with `again` everything."""
        return self.runs if again else self.missing


class MeasuredSpeed:
    """Characters a second of configs, each kind measured once by the torch helper; on a thread, as it waits."""

    def __init__(self, client: InferenceClient, read: ReadDataset, database: Path) -> None:
        self._client, self._read, self._database = client, read, database
        self._known: dict[str, float] = {}

    def __call__(self, config: RunConfig, source: OwnSource | None) -> float:
        """Of training alone. Raises `LabError` where it cannot be measured."""
        _, facts = self._read(config.dataset, config.dataset_as)
        run = NewRun(config, facts, source=source)
        group = group_of(run)
        if group not in self._known:
            self._known[group] = self._client.measured(speed_request(run, self._database)).chars_per_second
        return self._known[group]


class DatasetReader:
    """Reads each dataset once, however many runs are composed on it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._read: dict[tuple[str, DatasetKind | None], tuple[Dataset, DatasetFacts]] = {}

    def __call__(self, name: str, kind: DatasetKind | None) -> tuple[Dataset, DatasetFacts]:
        """A dataset and what the database keeps of it. Raises `DatasetError`."""
        if (name, kind) not in self._read:
            dataset = read_dataset(name, kind, self._database)
            self._read[name, kind] = dataset, dataset_facts(dataset)
        return self._read[name, kind]


def compose_experiment(
    experiment: Experiment,
    read: ReadDataset,
    *,
    name: str | None = None,
    tags: tuple[str, ...] = (),
    measure: MeasureSpeed | None = None,
    find_model: FindModel = named_model,
    confirmed: bool = False,
) -> list[NewRun]:
    """The runs of an experiment, checked against their datasets; `name` is kept with them as their experiment's.

    Raises what `expand` does, and `DatasetError`; nothing is written.
    """

    def find_dataset(name: str, kind: DatasetKind | None) -> tuple[str, DatasetKind]:
        dataset, _ = read(name, kind)
        return dataset.name, dataset.kind

    planned = expand(experiment, find_dataset, find_model=find_model, measure=measure, confirmed=confirmed)
    runs, checked = [], set()
    for run in planned:
        config = run.config
        dataset, facts = read(config.dataset, config.dataset_as)
        fits = (facts.sha256, facts.kind, config.context_length, config.predicts_every_position)
        if fits not in checked:
            dataset.check_fits(config.context_length, every_position=config.predicts_every_position)
            checked.add(fits)
        runs.append(NewRun(config, facts, name=run.name[:LARGEST_NAME], experiment=name, tags=tags, source=run.source))
    return runs


def plan(runs: Iterable[NewRun], stored: Sequence[RunRow]) -> Plan:
    """Which of some runs are stored, or under way, with exactly the same config on the same dataset."""
    by_hash: dict[str, RunRow] = {}
    for row in stored:
        if row.status in _STANDS_FOR:
            known = by_hash.get(row.config_hash)
            if known is None or _STANDS_FOR.index(row.status) < _STANDS_FOR.index(known.status):
                by_hash[row.config_hash] = row
    runs = tuple(runs)
    return Plan(runs, tuple(by_hash.get(run.config.hash(run.dataset.sha256)) for run in runs))


def queue_plan(store: RunStore, planned: Plan, *, again: bool = False) -> list[RunRow]:
    """Queues what is to be trained, has paused runs that stand for others go on, and returns what is new.

    Raises `UsageError` on a name that no run can have, and `OwnModelError` on a model that may not be run here: an
    experiment's file may come from anybody, and names others.
    """
    for source in {run.source for run in planned.to_queue(again=again) if run.source is not None}:
        check_trusted(source)
    pause_orphans(store)
    if not again:
        for row in planned.stored:
            if row is not None and row.status == "paused":
                lifecycle.resume(store, row.id)
    return store.add_runs(planned.to_queue(again=again))
