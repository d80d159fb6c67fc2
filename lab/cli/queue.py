"""`lab queue` and `lab worker`: what waits, and what trains it."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli import options
from lab.errors import UsageError

queue = typer.Typer(help="Add runs to the queue, and look after it.", no_args_is_help=True)

Runs = Annotated[list[str], typer.Argument(metavar="RUN…", help="Ids, unique prefixes, or names.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(queue, name="queue")
    app.command("worker")(worker)


@queue.command("add")
def add(
    stages: Annotated[list[str], typer.Argument(metavar="STAGE…", help="Rungs of the ladder.")],
    dataset: options.DatasetName = "",
    dataset_as: options.DatasetAs = None,
    steps: options.Steps = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of each, by seed.")] = 1,
    seed: options.Seed = None,
    settings: options.Settings = None,
    name: options.Name = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be queued, and queue nothing.")] = False,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Queue runs: one of each stage and seed."""
    from dataclasses import replace

    from lab.cli.output import print_json, run_document, say
    from lab.cli.train import run_request
    from lab.queue.requests import compose, worker_pid
    from lab.store.location import find_database
    from lab.store.run_store import RunStore

    path = find_database(database)
    new = []
    for stage in stages:
        request = run_request(stage, dataset, dataset_as, steps, seed, settings, name)
        first = compose(request, path)[0].config.seed
        new += compose(replace(request, seeds=range(first, first + seeds)), path)
    if dry_run:
        for each in new:
            say(f"{each.config.stage}: {each.config.steps:,} steps, seed {each.config.seed}, on {each.dataset.name}")
        say(f"{len(new)} runs; nothing is queued")
        return
    store = RunStore.open(path)
    try:
        rows = store.add_runs(new)
    finally:
        store.close()
    if as_json:
        print_json([run_document(row) for row in rows])
        return
    for row in rows:
        print(f"{row.id}  {row.name}")
    if worker_pid(path) is None:
        say("no worker is at work; start one with: lab worker")


@queue.command("list")
def list_queue(as_json: options.AsJson = False, database: options.Database = None) -> None:
    """What trains, and what waits, first in turn first."""
    from lab.cli.output import print_json, print_table, run_document
    from lab.store import lifecycle
    from lab.store.location import find_database
    from lab.store.run_store import RunStore

    store = RunStore.open(find_database(database))
    try:
        training = [run for by in ("worker", "command") for run in lifecycle.training_runs(store, by)]
        waiting = lifecycle.waiting_runs(store)
    finally:
        store.close()
    if as_json:
        print_json([run_document(run) for run in (*training, *waiting)])
        return
    rows = [["", run.id, run.name, run.status, f"{run.step:,} of {run.steps:,}"] for run in training]
    rows += [[str(i), run.id, run.name, "waiting", f"{run.steps:,}"] for i, run in enumerate(waiting, start=1)]
    print_table([("", "right"), ("id", "left"), ("name", "left"), ("status", "left"), ("steps", "right")], rows)


@queue.command("pause")
def pause(runs: Runs, database: options.Database = None) -> None:
    """Take runs out of the queue, or pause them at a checkpoint, until `resume`."""
    _each("pause", runs, database)


@queue.command("resume")
def resume(runs: Runs, database: options.Database = None) -> None:
    """Put paused runs back, at the head of the queue."""
    _each("resume", runs, database)


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
    """Queue again what failed, diverged, or was stopped or cancelled; it goes on from its last checkpoint."""
    _each("retry", runs, database)


@queue.command("move")
def move(
    run: options.RunName,
    place: Annotated[int, typer.Argument(help="Place in the queue; 1 is next.")],
    database: options.Database = None,
) -> None:
    """Put a waiting run at another place."""
    from lab.store import lifecycle
    from lab.store.location import find_database
    from lab.store.run_store import RunStore

    store = RunStore.open(find_database(database))
    try:
        row = store.resolve(run)
        if not lifecycle.move(store, row.id, place):
            raise UsageError(f"run {row.name} is {row.status}, not waiting; there is nothing to move")
    finally:
        store.close()


def worker(
    slots: Annotated[int | None, typer.Option("--slots", metavar="N", min=1, help="Runs at once; a core each.")] = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when the queue is empty.")] = False,
    stop_it: Annotated[bool, typer.Option("--stop", help="Ask the worker at work to end.")] = False,
    idle_seconds: Annotated[float | None, typer.Option("--idle-seconds", hidden=True)] = None,
    database: options.Database = None,
) -> None:
    """Train what waits, in the foreground; Ctrl-C keeps a checkpoint of each run and ends."""
    from lab.cli.output import say
    from lab.queue.requests import stop_worker
    from lab.store.location import find_database
    from lab.store.run_store import RunStore

    path = find_database(database)
    if stop_it:
        say("the worker has ended; what it trained waits in the queue" if stop_worker(path) else "no worker is at work")
        return
    from lab.queue.worker import Worker

    store = RunStore.open(path)
    try:
        Worker(store, slots=slots, say=say).run(until_empty=until_empty, idle_seconds=idle_seconds)
    finally:
        store.close()


def _each(wish: str, names: list[str], database: options.Database) -> None:
    """Applies a wish to each run. Raises `UsageError`, after the others, for those whose status does not allow it."""
    from lab.cli.output import say
    from lab.store import lifecycle
    from lab.store.location import find_database
    from lab.store.run_store import RunStore

    store = RunStore.open(find_database(database))
    try:
        runs = [store.resolve(name) for name in names]
        refused = [run for run in runs if not getattr(lifecycle, wish)(store, run.id)]
        for run in runs:
            if run not in refused:
                now = store.run(run.id)
                say(f"{run.name} ({run.id}): {now.status}" + (f", will {now.wish}" if now.wish else ""))
        if refused:
            raise UsageError("; ".join(f"run {run.name} is {run.status}: it cannot {wish}" for run in refused))
    finally:
        store.close()
