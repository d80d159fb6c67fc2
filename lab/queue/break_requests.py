"""Breaking one thing in a stored run: the twin that is queued beside it, and which runs are each other's twins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.config.breakage import Breakage, Twin, find_breakage, twins_of
from lab.errors import ConfigError, UsageError
from lab.queue.requests import dataset_facts, dataset_of
from lab.store.model_sources import check_may_run
from lab.store.run_store import LARGEST_NAME, TRAINING, NewRun, RunRow, RunStore

BROKEN_TAG = "broken"
"""What a twin is tagged with."""
_STANDS = ("finished", "training", "queued", "paused", "diverged", "stopped")
"""The statuses in which a stored run is the twin that is meant, the best first."""


@dataclass(frozen=True)
class Offer:
    """Something that can be broken in a run, and the run that has it broken, where there is one."""

    twin: Twin
    stored: RunRow | None = None

    @property
    def breakage(self) -> Breakage:
        """What is broken."""
        return self.twin.breakage


@dataclass(frozen=True)
class Pair:
    """A run and its twin, by their ids, and what is broken in the twin."""

    original: str
    twin: str
    breakage: Breakage


def why_not(run: RunRow) -> str:
    """Why nothing can be broken in a run; empty where something can."""
    if run.kind != TRAINING:
        return f"{run.name} is of kind {run.kind}: only a training has a config to break"
    return ""


def offers_of(run: RunRow, runs: Iterable[RunRow]) -> list[Offer]:
    """What can be broken in a run, each with its twin among stored runs. Raises `UsageError` where nothing can."""
    refused = why_not(run)
    if refused:
        raise UsageError(refused)
    by_hash: dict[str, RunRow] = {}
    for row in runs:
        alike = (row.kind, row.parent_id, row.parent_step) == (TRAINING, run.parent_id, run.parent_step)
        known = by_hash.get(row.config_hash)
        if alike and row.status in _STANDS and (known is None or _rank(row) < _rank(known)):
            by_hash[row.config_hash] = row
    twins = twins_of(run.config, keeping_shapes=run.parent_id is not None)
    return [Offer(twin, by_hash.get(twin.config.hash(run.dataset_sha256))) for twin in twins]


def _rank(run: RunRow) -> int:
    return _STANDS.index(run.status)


def chosen_offer(run: RunRow, runs: Iterable[RunRow], name: str) -> Offer:
    """The offer that a person names. Raises `UsageError` where it is none, or does not apply to the run."""
    offers = offers_of(run, runs)
    breakage = find_breakage(name)
    for offer in offers:
        if offer.breakage == breakage:
            return offer
    known = ", ".join(offer.breakage.name for offer in offers)
    raise UsageError(f"'{breakage.name}' changes nothing in {run.name}, or does not go with it; what does: {known}")


def compose_twin(run: RunRow, offer: Offer, store: RunStore) -> NewRun:
    """The twin of a run: the same seed, the same batches, one thing broken.

    Raises `DatasetError`, and `OwnModelError` where its model is somebody's own and may not be run here.
    """
    check_may_run(store, run)
    facts = dataset_facts(dataset_of(run, store.database.path))
    name = f"{run.name}-{offer.breakage.name}"[:LARGEST_NAME]
    return NewRun(
        offer.twin.config, facts, name=name, tags=(BROKEN_TAG,), parent_id=run.parent_id, parent_step=run.parent_step
    )


def pairs_with(run: RunRow, runs: Iterable[RunRow]) -> list[Pair]:
    """The runs that a run is the broken twin of; empty for one that was not queued as such."""
    if BROKEN_TAG not in run.tags or run.kind != TRAINING:
        return []
    like = (run.kind, run.dataset_sha256, run.seed, run.stage, run.parent_id)
    found = []
    for row in runs:
        if row.id == run.id or (row.kind, row.dataset_sha256, row.seed, row.stage, row.parent_id) != like:
            continue
        try:
            twins = twins_of(row.config, keeping_shapes=row.parent_id is not None)
        except ConfigError:
            continue
        hashes = {twin.config.hash(row.dataset_sha256): twin.breakage for twin in twins}
        if run.config_hash in hashes and BROKEN_TAG not in row.tags:
            found.append(Pair(row.id, run.id, hashes[run.config_hash]))
    return found
