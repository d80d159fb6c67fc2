"""`lab queue` and `lab worker`: what waits, and what trains it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import options
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.store.run_store import NewRun, RunRow, RunStore

queue = typer.Typer(help="Add runs to the queue, and look after it.")

Runs = Annotated[list[str], typer.Argument(metavar="RUN", help="Ids, unique prefixes, or names.")]
RunsOrAll = Annotated[
    list[str] | None, typer.Argument(metavar="RUN", help="Ids, unique prefixes, or names; the whole queue without.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(queue, name="queue")
    app.command("worker")(worker)


@queue.command("add")
def add(
    stages: options.StageNames = None,
    file: Annotated[
        str, typer.Option("-f", "--file", metavar="FILE", help="An experiment: its path, or the name of one.")
    ] = "",
    dataset: options.DatasetName = "",
    dataset_as: options.DatasetAs = None,
    steps: options.Steps = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of each, from --seed on.")] = 1,
    seed: options.Seed = None,
    settings: options.Settings = None,
    name: options.Name = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be queued, and queue nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Train what is trained already again, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="More than 1,000 runs are meant.")] = False,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Queue runs: one of each stage and seed, or an experiment's.

    Of an experiment, those that are not trained yet.
    """
    from dataclasses import replace

    from lab.cli.output import print_json, run_document
    from lab.cli.stored import opened
    from lab.cli.train import run_request
    from lab.queue.requests import compose, let_own_models_run
    from lab.store.location import find_database
    from lab.text import literal

    path = find_database(database)
    if file:
        if stages or dataset or dataset_as or steps or seeds != 1 or seed is not None or settings or name:
            raise UsageError(
                "-f FILE says everything: no stages, and none of --dataset --as --steps --seeds --set --name"
            )
        from lab.cli.experiments import queue_experiment

        queue_experiment(file, path, again=again, confirmed=yes, dry_run=dry_run, as_json=as_json)
        if not dry_run and not as_json:
            say_where_none_trains(path)
        return
    if not stages:
        raise UsageError("name a stage, or an experiment with -f FILE (see: lab queue add --help)")
    new = []
    for stage in stages:
        request = run_request(stage, dataset, dataset_as, steps, seed, settings, name)
        first = compose(request, path)[0].config.seed
        new += compose(replace(request, seeds=range(first, first + seeds)), path)
    if dry_run:
        _say_what_would_be(new, as_json)
        return
    let_own_models_run(new)
    with opened(path) as store:
        rows = store.add_runs(new)
        say_where_paused(store)
    if as_json:
        print_json([run_document(row) for row in rows])
        return
    for row in rows:
        print(f"{row.id}  {literal(row.name)}")
    say_where_none_trains(path)


@queue.command("list")
def list_queue(as_json: options.AsJson = False, database: options.Database = None) -> None:
    """List what trains, and what waits, first in turn first."""
    from lab.cli.output import WRAPPED, print_json, print_table, run_document, say
    from lab.cli.stored import opened
    from lab.store import lifecycle
    from lab.store.location import find_database

    path = find_database(database)
    training: list[RunRow] = []
    waiting: list[RunRow] = []
    if path.exists():
        with opened(path) as store:
            training = [run for by in ("worker", "command") for run in lifecycle.training_runs(store, by)]
            waiting = lifecycle.waiting_runs(store)
            say_where_paused(store)
            say_where_storage_fails(store)
    if as_json:
        print_json([run_document(run) for run in (*training, *waiting)])
    elif training or waiting:
        rows = [["", run.id, run.name, run.status, f"{run.step:,} of {run.steps:,}"] for run in training]
        rows += [[str(i), run.id, run.name, "waiting", f"{run.steps:,}"] for i, run in enumerate(waiting, start=1)]
        columns = [("", "right"), ("id", "left"), ("name", WRAPPED), ("status", "left"), ("steps", "right")]
        print_table(columns, rows)
    else:
        say("nothing trains or waits; queue a run with: lab queue add STAGE")


@queue.command("pause")
def pause(runs: RunsOrAll = None, database: options.Database = None) -> None:
    """Take runs out of the queue, or stop them at a checkpoint.

    Without RUN, nothing that waits starts; what trains goes on. `lab queue resume` undoes either.
    """
    if runs:
        _each("pause", runs, database)
    else:
        _whole_queue(database, pause=True)


@queue.command("resume")
def resume(runs: RunsOrAll = None, database: options.Database = None) -> None:
    """Put paused runs back, at the head of the queue.

    Without RUN, a queue that was paused as a whole goes on.
    """
    if runs:
        _each("resume", runs, database)
    else:
        _whole_queue(database, pause=False)


@queue.command("stop")
def stop(runs: Runs, database: options.Database = None) -> None:
    """End training runs at their present step and score them there."""
    _each("stop", runs, database)


@queue.command("cancel")
def cancel(runs: Runs, database: options.Database = None) -> None:
    """Give runs up, waiting, paused or training."""
    _each("cancel", runs, database)


@queue.command("retry")
def retry(runs: Runs, database: options.Database = None) -> None:
    """Queue again what failed, diverged, was stopped or cancelled.

    It goes on from its last checkpoint.
    """
    _each("retry", runs, database)


@queue.command("move")
def move(
    run: options.RunName,
    place: Annotated[int, typer.Argument(metavar="PLACE", help="Place in the queue; 1 is next.")],
    database: options.Database = None,
) -> None:
    """Put a waiting run at another place."""
    from lab.cli.stored import stored_runs
    from lab.store import lifecycle

    with stored_runs(database) as store:
        row = store.resolve(run)
        if not lifecycle.move(store, row.id, place):
            raise UsageError(f"run {row.name} is {row.status}, not waiting; there is nothing to move")


def worker(
    slots: Annotated[int | None, typer.Option("--slots", metavar="N", min=1, help="Runs at once; a core each.")] = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when the queue is empty.")] = False,
    stop_it: Annotated[bool, typer.Option("--stop", help="Ask the worker at work to end.")] = False,
    idle_seconds: Annotated[float | None, typer.Option("--idle-seconds", hidden=True)] = None,
    database: options.Database = None,
) -> None:
    """Train what waits, in the foreground.

    Ctrl-C keeps a checkpoint of each run and ends.
    """
    from lab.cli.output import say
    from lab.cli.stored import opened
    from lab.queue.requests import stop_worker
    from lab.store.location import find_database

    path = find_database(database)
    if stop_it:
        say("the worker has ended; what it trained waits in the queue" if stop_worker(path) else "no worker is at work")
        return
    from lab.queue.worker import Worker

    if idle_seconds is not None:  # started in the background, to outlive whoever started it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with opened(path) as store:
        say_where_paused(store)
        Worker(store, slots=slots, say=say).run(until_empty=until_empty, idle_seconds=idle_seconds)


_DONE_TO = {
    "pause": "be paused",
    "resume": "be resumed",
    "stop": "be stopped",
    "cancel": "be cancelled",
    "retry": "be tried again",
}


def _each(wish: str, names: list[str], database: options.Database) -> None:
    """Applies a wish to each run. Raises `UsageError`, after the others, for those whose status does not allow it."""
    from lab.cli.output import say
    from lab.cli.stored import stored_runs
    from lab.queue.orphans import pause_orphans
    from lab.store import lifecycle

    with stored_runs(database) as store:
        pause_orphans(store)
        runs = list({run.id: run for run in map(store.resolve, names)}.values())
        refused = [run for run in runs if not getattr(lifecycle, wish)(store, run.id)]
        for run in runs:
            if run not in refused:
                now = store.run(run.id)
                say(f"{run.name} ({run.id}): {now.status}" + (f", will {_DONE_TO[now.wish]}" if now.wish else ""))
        if len(refused) < len(runs) and wish in ("resume", "retry"):
            say_where_none_trains(store.database.path)
        if refused:
            raise UsageError(
                "; ".join(f"run {run.name} is {run.status}: it cannot {_DONE_TO[wish]}" for run in refused)
            )


def _whole_queue(database: options.Database, *, pause: bool) -> None:
    from lab.cli.output import say
    from lab.cli.stored import stored_runs
    from lab.store import lifecycle

    with stored_runs(database) as store:
        if pause:
            changed = lifecycle.pause_queue(store)
            say("the queue is paused" + ("; what trains goes on" if changed else " already"))
            return
        say("the queue goes on" if lifecycle.resume_queue(store) else "the queue is not paused")
        if lifecycle.waiting_runs(store):
            say_where_none_trains(store.database.path)


def say_where_paused(store: RunStore) -> None:
    """Says so where what waits will not start."""
    from lab.cli.output import say
    from lab.store import lifecycle

    if lifecycle.queue_paused(store):
        say("the queue is paused; let it go on with: lab queue resume")


def say_where_storage_fails(store: RunStore) -> None:
    """Says so where training waits for the disk."""
    from lab.cli.output import say
    from lab.store import lifecycle
    from lab.store.storage import problem_seen

    problem = lifecycle.storage_problem(store) or problem_seen(store.database.path)
    if problem:
        say(f"training waits: {problem}; it goes on when there is room")


def _say_what_would_be(new: Sequence[NewRun], as_json: bool) -> None:
    from lab.cli.output import print_json, say
    from lab.text import plural

    if as_json:
        print_json([{"stage": each.config.stage, "name": each.name, "config": each.config.resolved()} for each in new])
    else:
        for each in new:
            print(f"{each.config.stage}: {each.config.steps:,} steps, seed {each.config.seed}, on {each.dataset.name}")
    say(f"{plural(len(new), 'run')}; nothing is queued")


def say_where_none_trains(database: Path) -> None:
    """Says so where what waits has nobody to train it."""
    from lab.cli.output import say
    from lab.queue.requests import worker_pid

    if worker_pid(database) is None:
        say("no worker is at work; start one with: lab worker")
