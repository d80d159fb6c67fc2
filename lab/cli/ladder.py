"""`lab ladder`: trains every stage through the queue and prints what each one bought."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import options
from lab.errors import UsageError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.queue.rungs import RungState
    from lab.store.run_store import NewRun, RunRow, RunStore

_LOOK_SECONDS = 0.25
_WORKER_STARTS = 5
_ROOM_FOR_BOTH = 140
"""Columns from which on what a rung adds and what else it changed stand side by side."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("ladder")(ladder)


def ladder(
    stages: Annotated[str, typer.Option("--stages", metavar="A,B", help="Only these rungs.")] = "",
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of each rung, by seed.")] = 1,
    everything: Annotated[bool, typer.Option("--all", help="The modern rung too.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the steps; not comparable.")] = False,
    dataset: options.DatasetName = "",
    dataset_as: options.DatasetAs = None,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Train the ladder from the foot up, and print its table.

    What is already trained is not trained again.
    """
    from lab.cli.output import print_json, say
    from lab.cli.stored import opened
    from lab.queue.ladder_requests import adopt_or_add, default_stages
    from lab.queue.rungs import compared
    from lab.store.location import find_database
    from lab.text import plural

    began = time.perf_counter()
    path = find_database(database)
    if stages and everything:
        raise UsageError("--stages names the rungs already; leave out --all")
    names = [name.strip() for name in stages.split(",") if name.strip()] or default_stages(modern=everything)
    if len(set(names)) < len(names):
        raise UsageError(f"--stages {stages} names a rung twice")
    wanted = {name: _compose(name, seeds, quick, dataset, dataset_as, path) for name in names}
    with opened(path) as store:
        ids = adopt_or_add(store, wanted).ids
        trained = {run_id for run_ids in ids.values() for run_id in run_ids if store.run(run_id).status == "finished"}
        if trained:
            say(f"{len(trained)} of {plural(sum(map(len, ids.values())), 'run')} trained already")
        _train(store, [run_id for run_ids in ids.values() for run_id in run_ids if run_id not in trained])
        rungs = compared([_rung(store, name, run_ids) for name, run_ids in ids.items()])
    seconds = time.perf_counter() - began
    if as_json:
        print_json(_document(rungs, seconds))
    else:
        _print(rungs, seconds, quick=quick, database=path)
    if any(run.status != "finished" for rung in rungs for run in rung.runs):
        raise typer.Exit(1)


def _compose(name: str, seeds: int, quick: bool, dataset: str, dataset_as: str | None, path: Path) -> list[NewRun]:
    from lab.cli.train import run_request
    from lab.queue.ladder_requests import compose_rung

    request = run_request(name, dataset, dataset_as, None, None, None)
    return compose_rung(request, path, seeds=seeds, quick=quick)


def _train(store: RunStore, run_ids: Sequence[str]) -> None:
    """Waits until the worker has trained the runs; starts one where there is none. Raises `WorkerError`."""
    from lab.cli.output import say
    from lab.cli.queue import say_where_paused
    from lab.queue.requests import start_worker, worker_pid
    from lab.store.lifecycle import ACTIVE

    if not run_ids:
        return
    say_where_paused(store)
    starts = 0
    try:
        with _progress(len(run_ids)) as show:
            while True:
                runs = [store.run(run_id) for run_id in run_ids]
                show(runs)
                if not any(run.status in ACTIVE for run in runs):
                    return
                if worker_pid(store.database.path) is None:
                    starts += 1
                    if starts > _WORKER_STARTS:
                        raise WorkerError("the worker ended again and again; see what it says with: lab worker")
                    start_worker(store.database.path)
                time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        say("the worker trains on; see how far with: lab queue list; end it with: lab worker --stop")
        raise


def _rung(store: RunStore, name: str, run_ids: Sequence[str]) -> RungState:
    from lab.config.ladder import find_stage
    from lab.queue.rungs import RungState

    return RungState(find_stage(name), tuple(store.run(run_id) for run_id in run_ids))


def _document(rungs: Sequence[RungState], seconds: float) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "stages": [
            {
                "stage": rung.stage.name,
                "adds": rung.stage.adds,
                "also_changed": rung.stage.also_changed,
                "stands_in_for": rung.stage.stands_in_for,
                "published_val_loss": rung.stage.published_val_loss,
                "dataset": rung.runs[0].dataset,
                "runs": [run.id for run in rung.runs],
                "val_loss": rung.val_loss,
                "val_loss_half_width": rung.interval.half_width if rung.interval else None,
                "choices": math.exp(rung.val_loss) if rung.val_loss is not None else None,
                "parameters": rung.runs[0].parameters,
                "seconds": rung.seconds or 0.0,
                "delta": rung.delta.mean if rung.delta else None,
                "delta_half_width": rung.delta.half_width if rung.delta else None,
            }
            for rung in rungs
        ],
    }


def _print(rungs: Sequence[RungState], seconds: float, *, quick: bool, database: Path) -> None:
    from lab.cli.output import WRAPPED, console, print_table
    from lab.text import duration, literal

    columns = [("rung", "left"), ("val", "right"), ("Δ", "right"), ("choices", "right"), ("published", "right")]
    columns += [("parameters", "right"), ("time", "right"), ("adds", WRAPPED), ("also changed", WRAPPED)]
    rows = [_cells(rung, quick=quick) for rung in rungs]
    if console().width < _ROOM_FOR_BOTH:
        columns.pop()
        rows = [[*row[:-2], f"{row[-2]} (also: {row[-1]})" if row[-1] else row[-2]] for row in rows]
    print_table(columns, rows, droppable=("choices", "parameters", "time", "adds"))
    print()
    if quick:
        print("A tenth of the steps: these figures compare with each other, not with the published ones.")
    else:
        print("Published figures are the lectures', on other copies of the texts and from sampled batches.")
    print(f"{duration(seconds)} in all; see the curves with: lab --db {literal(shlex.quote(str(database)))}")


def _cells(rung: RungState, *, quick: bool) -> list[str]:
    from lab.text import NOTHING, choices, duration, interval, loss, si

    first = rung.runs[0]
    comparable = not quick and first.dataset == rung.stage.home_dataset
    ended = {run.status for run in rung.runs} - {"finished"}
    return [
        rung.stage.name,
        interval(rung.interval) if not ended else ", ".join(sorted(ended)),
        interval(rung.delta, signed=True) if rung.delta else "",
        choices(rung.val_loss),
        loss(rung.stage.published_val_loss) if comparable else NOTHING,
        si(first.parameters),
        duration(rung.seconds or 0.0),
        rung.stage.adds,
        rung.stage.also_changed,
    ]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Sequence[RunRow]], None]]:
    """Bars for what trains on a terminal; elsewhere a line for each run that ends."""
    if sys.stderr.isatty():
        with _progress_bars(total) as show:
            yield show
        return
    from lab.cli.output import say
    from lab.store.lifecycle import ACTIVE
    from lab.text import duration, loss

    told: set[str] = set()

    def say_ended(runs: Sequence[RunRow]) -> None:
        for run in runs:
            if run.status not in ACTIVE and run.id not in told:
                told.add(run.id)
                said = f": {run.error}" if run.error else f", val {loss(run.val_loss)} in {duration(run.seconds)}"
                say(f"{len(told)} of {total}: {run.name} {run.status}{said}")

    yield say_ended


@contextmanager
def _progress_bars(total: int) -> Iterator[Callable[[Sequence[RunRow]], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from lab.store.lifecycle import ACTIVE
    from lab.text import duration, literal, loss

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[said]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        whole = progress.add_task("ladder", total=total, said="loading torch")
        bars: dict[str, Any] = {}

        def show(runs: Sequence[RunRow]) -> None:
            ended = sum(run.status not in ACTIVE for run in runs)
            begun = any(run.step for run in runs)
            progress.update(whole, completed=ended, said=f"{ended} of {total} runs" if begun else "loading torch")
            for run in runs:
                if run.status == "training" and run.id not in bars:
                    bars[run.id] = progress.add_task(literal(run.name), total=run.steps, said="")
                if run.id in bars:
                    rate = run.step / run.seconds if run.seconds and run.step else 0.0
                    left = f", {duration((run.steps - run.step) / rate)} left" if rate and run.step < run.steps else ""
                    progress.update(bars[run.id], completed=run.step, said=f"val {loss(run.val_loss)}{left}")
                if run.id in bars and run.status not in ACTIVE:
                    progress.update(bars[run.id], visible=False)

        yield show
