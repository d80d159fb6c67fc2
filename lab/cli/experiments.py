"""An experiment from the command line: what it comes to, and queueing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.config.experiment import Experiment
    from lab.queue.experiment_requests import Plan
    from lab.store.run_store import RunRow


def queue_experiment(
    name_or_path: str, database: Path, *, again: bool, confirmed: bool, dry_run: bool, as_json: bool
) -> list[RunRow]:
    """Queues what an experiment lacks, or with `dry_run` says what that is; returns what is new.

    Raises `ExperimentError`, `ConfigError` and `DatasetError`.
    """
    from lab.cli.stored import opened
    from lab.config.experiment_files import find_experiment, read_experiment
    from lab.queue.experiment_requests import DatasetReader, compose_experiment, plan, queue_plan

    path = find_experiment(name_or_path)
    experiment = read_experiment(path)
    runs = compose_experiment(experiment, DatasetReader(database), name=path.stem, confirmed=confirmed)
    if dry_run and not database.exists():
        _say_plan(experiment, path.stem, plan(runs, ()), again, as_json)
        return []
    with opened(database) as store:
        planned = plan(runs, store.runs())
        if dry_run:
            _say_plan(experiment, path.stem, planned, again, as_json)
            return []
        rows = queue_plan(store, planned, again=again)
    _say_queued(path.stem, planned, rows, again, as_json)
    return rows


def _say_plan(experiment: Experiment, name: str, planned: Plan, again: bool, as_json: bool) -> None:
    from lab.cli.output import WRAPPED, print_json, print_table, say

    if as_json:
        print_json(_document(experiment, name, planned, again))
        return
    say(experiment.title)
    if experiment.question:
        say(experiment.question)
    rows = [
        [run.name, run.dataset.name, f"{run.config.steps:,}", _said_of(stored, again)]
        for run, stored in zip(planned.runs, planned.stored, strict=True)
    ]
    print_table([("run", WRAPPED), ("dataset", "left"), ("steps", "right"), ("", "left")], rows)
    say(f"{size_said(planned, again=again)}; nothing is queued")


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
