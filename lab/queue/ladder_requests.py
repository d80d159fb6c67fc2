"""The whole ladder as a request to the queue, without torch: which runs of it are there, and which are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lab.config.ladder import ladder_stages
from lab.queue.orphans import pause_orphans
from lab.queue.requests import RunRequest, compose
from lab.queue.rungs import QUICK_TAG
from lab.queue.slots import approximate_step_arithmetic, has_gpu
from lab.store import lifecycle
from lab.store.run_store import NewRun, RunStore

QUICK_SHARE = 10
"""What `--quick` divides the steps by."""


@dataclass(frozen=True)
class Adopted:
    """The runs that stand for each rung, and which of them the request has brought into the queue."""

    ids: Mapping[str, list[str]]
    added: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()


def default_stages(*, modern: bool = False) -> list[str]:
    """The rungs that suit this machine: `scaled` with a GPU, its stand-in without; `modern` where it is asked for."""
    return list(ladder_stages(gpu=has_gpu(), modern=modern))


def compose_rung(request: RunRequest, database: Path, *, seeds: int = 1, quick: bool = False) -> list[NewRun]:
    """A rung's runs, one a seed; with `quick` a tenth of the steps. Raises what `compose` does."""
    config = compose(request, database)[0].config
    settings = {"steps": max(1, config.steps // QUICK_SHARE)} if quick else {}
    tags = (QUICK_TAG,) if quick else ()
    asked = replace(request, settings=settings, seeds=range(config.seed, config.seed + seeds), tags=tags)
    return compose(asked, database)


def adopt_or_add(store: RunStore, wanted: Mapping[str, list[NewRun]], *, longest_at: int | None = 0) -> Adopted:
    """Finds runs with these configs among those that are stored or under way, and queues new ones for the rest.

    The longest of the new ones is queued at place `longest_at`, so that it is not left to train alone at the end; with
    None they are queued from the foot of the ladder up.
    """
    pause_orphans(store)
    ids: dict[str, dict[int, str]] = {name: {} for name in wanted}
    missing: list[tuple[str, int, NewRun]] = []
    resumed: list[str] = []
    for name, runs in wanted.items():
        for place, new in enumerate(runs):
            same = store.find_by_config(new.config.hash(new.dataset.sha256))
            known = next((run for run in same if run.status in ("finished", "queued", "training")), None)
            paused = next((run for run in same if run.status == "paused"), None)
            if known is None and paused is not None and lifecycle.resume(store, paused.id):
                known = paused
                resumed.append(paused.id)
            if known is None:
                missing.append((name, place, new))
            else:
                ids[name][place] = known.id
    if missing and longest_at is not None:
        longest = max(missing, key=lambda entry: _arithmetic(entry[2]))
        missing.remove(longest)
        missing.insert(longest_at, longest)
    added = store.add_runs([new for _, _, new in missing])
    for (name, place, _), row in zip(missing, added, strict=True):
        ids[name][place] = row.id
    in_order = {name: [places[place] for place in sorted(places)] for name, places in ids.items()}
    return Adopted(in_order, tuple(row.id for row in added), tuple(resumed))


def _arithmetic(new: NewRun) -> float:
    """Floating-point operations of a whole run, roughly."""
    return new.config.steps * approximate_step_arithmetic(new.config, len(new.dataset.vocabulary))
