"""An experiment from the command line: what it comes to, and queueing it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.config.experiment import Experiment
    from lab.inference.client import InferenceClient
    from lab.queue.experiment_requests import Plan
    from lab.store.run_store import NewRun, RunRow


def queue_experiment(
    name_or_path: str, database: Path, *, again: bool, confirmed: bool, dry_run: bool, as_json: bool
) -> list[RunRow]:
    """Queues what an experiment lacks, or with `dry_run` says what that is; returns what is new.

    Raises `ExperimentError`, `ConfigError` and `DatasetError`.
    """
    from lab.cli.stored import opened
    from lab.config.experiment_files import errors_located, find_experiment, read_experiment
    from lab.inference.client import InferenceClient
    from lab.queue.experiment_requests import DatasetReader, MeasuredSpeed, compose_experiment, plan, queue_plan

    path = find_experiment(name_or_path)
    experiment = read_experiment(path)
    with contextlib.closing(InferenceClient()) as client:
        read = DatasetReader(database)
        measure = MeasuredSpeed(client, read, database)
        with errors_located(path):
            runs = compose_experiment(experiment, read, name=path.stem, measure=measure, confirmed=confirmed)
        if dry_run:
            stored = _stored(database)
            planned = plan(runs, stored)
            known = _known_seconds(planned.to_queue(again=again), stored, client, database)
            _say_plan(experiment, path.stem, planned, known, again=again, as_json=as_json)
            return []
    with opened(database) as store:
        planned = plan(runs, store.runs())
        rows = queue_plan(store, planned, again=again)
    _say_queued(path.stem, planned, rows, again, as_json)
    return rows


def _stored(database: Path) -> list[RunRow]:
    from lab.cli.stored import opened

    if not database.exists():
        return []
    with opened(database) as store:
        return store.runs()


def _known_seconds(
    runs: Sequence[NewRun], stored: Sequence[RunRow], client: InferenceClient, database: Path
) -> dict[str, float]:
    """How long each kind of run takes here, by its group: of stored runs, else measured for a moment."""
    from lab.cli.output import say
    from lab.errors import LabError
    from lab.queue.forecast import known_seconds, speed_request, unknown
    from lab.text import plural

    known = known_seconds(stored)
    missing = unknown(runs, known)
    if missing:
        say(f"measuring how fast this machine trains {plural(len(missing), 'kind')} of run…")
    for group, run in missing.items():
        try:
            known[group] = client.measured(speed_request(run, database)).seconds
        except LabError as error:
            say(f"not measured: {error}")
            break
    return known


def _say_plan(
    experiment: Experiment, name: str, planned: Plan, known: Mapping[str, float], *, again: bool, as_json: bool
) -> None:
    from lab.cli.output import WRAPPED, print_json, print_table, say
    from lab.queue.forecast import group_of, seconds_until_done, works
    from lab.text import NOTHING, duration

    needed = works(planned.to_queue(again=again), known)
    seconds = seconds_until_done(needed) if needed is not None else None
    if as_json:
        print_json(_document(experiment, name, planned, again) | {"seconds": seconds})
        return
    say(experiment.title)
    if experiment.question:
        say(experiment.question)
    rows = [
        [
            run.name,
            run.dataset.name,
            f"{run.config.steps:,}",
            duration(known[group_of(run)]) if group_of(run) in known else NOTHING,
            _said_of(stored, again),
        ]
        for run, stored in zip(planned.runs, planned.stored, strict=True)
    ]
    print_table([("run", WRAPPED), ("dataset", "left"), ("steps", "right"), ("alone", "right"), ("", "left")], rows)
    time = "no estimate" if seconds is None else f"about {duration(seconds)} here" if needed else "nothing to train"
    say(f"{size_said(planned, again=again)}, {time}; nothing is queued")


def _said_of(stored: RunRow | None, again: bool) -> str:
    if stored is None or again:
        return "to queue"
    words = {"finished": "trained already", "training": "in training", "queued": "waits already", "paused": "paused"}
    return f"{words[stored.status]}: {stored.name} ({stored.id})"


def size_said(planned: Plan, *, again: bool) -> str:
    """How many runs an experiment has, and how many of them are to be trained."""
    from lab.text import plural

    known = len(planned.runs) - len(planned.missing)
    said = plural(len(planned.runs), "run")
    if known:
        said += f", {known:,} of them trained already" + (" (to be trained again)" if again else "")
    return f"{said}, {len(planned.to_queue(again=again)):,} to queue"


def _say_queued(name: str, planned: Plan, rows: Sequence[RunRow], again: bool, as_json: bool) -> None:
    from lab.cli.output import print_json, run_document, say
    from lab.text import literal

    if as_json:
        print_json([run_document(row) for row in rows])
        return
    for row in rows:
        print(f"{row.id}  {literal(row.name)}")
    hint = "; to train those again too: --again" if len(planned.missing) < len(planned.runs) and not again else ""
    say(f"{name}: {size_said(planned, again=again)}{hint}")


def _document(experiment: Experiment, name: str, planned: Plan, again: bool) -> dict[str, Any]:
    return {
        "experiment": name,
        "title": experiment.title,
        "question": experiment.question,
        "to_queue": len(planned.to_queue(again=again)),
        "runs": [
            {
                "name": run.name,
                "stage": run.config.stage,
                "seed": run.config.seed,
                "steps": run.config.steps,
                "stored": stored.id if stored else None,
                "stored_status": stored.status if stored else None,
                "config": run.config.resolved(),
            }
            for run, stored in zip(planned.runs, planned.stored, strict=True)
        ],
    }
