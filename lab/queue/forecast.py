"""When runs will start and end: the queue played through, as the worker fills its slots. No torch.

How long a run takes is measured: by finished runs that are alike in all that costs time, else by training it for a
moment.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lab.config.run_config import RunConfig
from lab.inference.protocol import SpeedRequest
from lab.queue.slots import cores, threads_for
from lab.store.demo import DEMO_TAG
from lab.store.run_store import NewRun, RunRow

_COSTS_NO_TIME = {
    "stage", "dataset", "lr", "schedule", "warmup_steps", "decay_start", "decay_to", "weight_decay", "init",
    "last_layer_scale", "residual_scale", "activation_gain", "attention_scale", "overfit_one_batch", "seed",
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What a run needs: seconds on so many threads."""

    seconds: float
    threads: int = 1


@dataclass(frozen=True)
class Span:
    """When a run starts and ends, in seconds from now."""

    start: float
    end: float


def forecast(waiting: Sequence[Work], training: Sequence[Work] = (), *, slots: int | None = None) -> list[Span]:
    """When each waiting run starts and ends, in their order; of those in training `seconds` is what is left.

    As the worker does it: a run that needs more threads than are free keeps those behind it waiting too.
    """
    slots = slots or cores()
    busy = [(work.seconds, min(work.threads, slots)) for work in training]
    spans, now = [], 0.0
    for work in waiting:
        threads = min(work.threads, slots)
        while slots - sum(taken for _, taken in busy) < threads:
            now = min(end for end, _ in busy)
            busy = [(end, taken) for end, taken in busy if end > now]
        spans.append(Span(now, now + work.seconds))
        busy.append((now + work.seconds, threads))
    return spans


def seconds_until_done(waiting: Sequence[Work], training: Sequence[Work] = (), *, slots: int | None = None) -> float:
    """When the last of them ends, in seconds from now; 0 where there is nothing to do."""
    spans = forecast(waiting, training, slots=slots)
    return max([span.end for span in spans] + [work.seconds for work in training], default=0.0)


def seconds_left(run: RunRow) -> float | None:
    """What is left of a training run, at its pace so far; None before its first steps."""
    trained = run.step - (run.parent_step or 0)
    if trained <= 0 or run.seconds <= 0:
        return None
    return run.seconds * (run.steps - run.step) / trained


def known_seconds(runs: Iterable[RunRow]) -> dict[str, float]:
    """Mean seconds of finished runs by `group_of`.

    A run that went on from another's checkpoint says nothing, nor does one of the demo, which was trained elsewhere.
    """
    of_group: dict[str, list[float]] = {}
    for run in runs:
        whole = run.status == "finished" and run.parent_id is None and run.kind == "training" and run.seconds > 0
        if whole and DEMO_TAG not in run.tags:
            of_group.setdefault(group_of(run), []).append(run.seconds)
    return {group: statistics.fmean(seconds) for group, seconds in of_group.items()}


def group_of(run: NewRun | RunRow) -> str:
    """The same for runs, new or stored, whose configs are alike in all that costs time, on the same dataset."""
    if isinstance(run, RunRow):
        return _time_group(run.config_json, run.dataset_sha256)
    return _time_group(run.config.to_json(), run.dataset.sha256)


@lru_cache(maxsize=10_000)
def _time_group(config_json: str, dataset_sha256: str) -> str:
    try:
        values = json.loads(config_json)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return config_json  # another program's nonsense is like nothing else
    return json.dumps([dataset_sha256, sorted((key, values[key]) for key in values if key not in _COSTS_NO_TIME)])


def threads_of(config: RunConfig, vocabulary_size: int) -> int:
    """Threads that the worker would give a run here."""
    return threads_for(config, vocabulary_size, cores())


def unknown(runs: Sequence[NewRun], known: Mapping[str, float]) -> dict[str, NewRun]:
    """One run of each group whose time is not known yet, by `group_of`, in order."""
    groups = {group_of(run): run for run in reversed(runs)}
    in_order = dict.fromkeys(group_of(run) for run in runs)
    return {group: groups[group] for group in in_order if group not in known}


def speed_request(run: NewRun, database: Path) -> SpeedRequest:
    """The question to the torch helper how long a run takes here."""
    source = run.source
    return SpeedRequest(
        database=str(database),
        config_json=run.config.to_json(),
        threads=threads_of(run.config, len(run.dataset.vocabulary)),
        source=(source.file_name, source.class_name, source.text) if source is not None else (),
    )


def works(runs: Sequence[NewRun], known: Mapping[str, float]) -> list[Work] | None:
    """What new runs need; None while it is not known of every one."""
    groups = [group_of(run) for run in runs]
    if any(group not in known for group in groups):
        return None
    threads = [threads_of(run.config, len(run.dataset.vocabulary)) for run in runs]
    return [Work(known[group], each) for group, each in zip(groups, threads, strict=True)]
