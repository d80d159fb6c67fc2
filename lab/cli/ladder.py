"""`lab ladder`: trains every stage through the queue and prints what each one bought."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import options
from lab.errors import UsageError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.config.ladder import Stage
    from lab.store.run_store import NewRun, RunRow, RunStore

QUICK_SHARE = 10
QUICK_TAG = "quick"
_LOOK_SECONDS = 0.25
_WORKER_STARTS = 5
_ROOM_FOR_BOTH = 140
"""Columns from which on what a rung adds and what else it changed stand side by side."""


@dataclass(frozen=True)
class Rung:
    """A stage of the ladder and the runs that stand for it."""

    stage: Stage
    runs: tuple[RunRow, ...]

    @property
    def val_loss(self) -> float | None:
        """Mean val loss of the runs that ended well; None where none did."""
        losses = [run.val_loss for run in self.runs if run.status == "finished" and run.val_loss is not None]
        return sum(losses) / len(losses) if losses else None


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("ladder")(ladder)


def ladder(
    stages: Annotated[str, typer.Option("--stages", metavar="A,B", help="Only these rungs.")] = "",
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of each rung, by seed.")] = 1,
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
    from lab.store.location import find_database
    from lab.text import plural

    began = time.perf_counter()
    path = find_database(database)
    names = [name.strip() for name in stages.split(",") if name.strip()] or default_stages()
    if len(set(names)) < len(names):
        raise UsageError(f"--stages {stages} names a rung twice")
    wanted = {name: _compose(name, seeds, quick, dataset, dataset_as, path) for name in names}
    with opened(path) as store:
        ids = _adopt_or_add(store, wanted)
        trained = {run_id for run_ids in ids.values() for run_id in run_ids if store.run(run_id).status == "finished"}
        if trained:
            say(f"{len(trained)} of {plural(sum(map(len, ids.values())), 'run')} trained already")
        _train(store, [run_id for run_ids in ids.values() for run_id in run_ids if run_id not in trained])
        rungs = [_rung(store, name, run_ids) for name, run_ids in ids.items()]
    seconds = time.perf_counter() - began
    if as_json:
        print_json(_document(rungs, seconds))
    else:
        _print(rungs, seconds, quick=quick, database=path)
    if any(run.status != "finished" for rung in rungs for run in rung.runs):
        raise typer.Exit(1)


def default_stages() -> list[str]:
    """The rungs that suit this machine: `scaled` with a GPU, its stand-in without."""
    from lab.config.ladder import ladder_stages
    from lab.queue.slots import has_gpu

    return list(ladder_stages(gpu=has_gpu()))


def deltas(rungs: Sequence[Rung]) -> list[float | None]:
    """What each rung gained or lost against the one before it on the same dataset; None where there is none."""
    last: dict[str, float] = {}
    changes: list[float | None] = []
    for rung in rungs:
        val, on = rung.val_loss, rung.runs[0].dataset_sha256
        changes.append(val - last[on] if val is not None and on in last else None)
        if val is not None:
            last[on] = val
    return changes


def _compose(name: str, seeds: int, quick: bool, dataset: str, dataset_as: str | None, path: Path) -> list[NewRun]:
    from lab.cli.train import run_request
    from lab.queue.requests import compose

    request = run_request(name, dataset, dataset_as, None, None, None)
    config = compose(request, path)[0].config
    settings = {"steps": max(1, config.steps // QUICK_SHARE)} if quick else {}
    tags = (QUICK_TAG,) if quick else ()
    return compose(replace(request, settings=settings, seeds=range(config.seed, config.seed + seeds), tags=tags), path)


def _adopt_or_add(store: RunStore, wanted: dict[str, list[NewRun]]) -> dict[str, list[str]]:
    """The ids of runs with these configs: those that are stored or under way, and new ones for the rest.

    The longest rung is queued first, so that it is not left to train alone at the end.
    """
    from lab.queue.requests import pause_orphans
    from lab.store import lifecycle

    pause_orphans(store)
    ids: dict[str, dict[int, str]] = {name: {} for name in wanted}
    missing: list[tuple[str, int, NewRun]] = []
    for name, runs in wanted.items():
        for place, new in enumerate(runs):
            same = store.find_by_config(new.config.hash(new.dataset.sha256))
            known = next((run for run in same if run.status in ("finished", "queued", "training")), None)
            paused = next((run for run in same if run.status == "paused"), None)
            if known is None and paused is not None and lifecycle.resume(store, paused.id):
                known = paused
            if known is None:
                missing.append((name, place, new))
            else:
                ids[name][place] = known.id
    if missing:
        longest = max(missing, key=lambda entry: _arithmetic(entry[2]))
        missing.remove(longest)
        missing.insert(0, longest)
    for (name, place, _), row in zip(missing, store.add_runs([new for _, _, new in missing]), strict=True):
        ids[name][place] = row.id
    return {name: [places[place] for place in sorted(places)] for name, places in ids.items()}


def _arithmetic(new: NewRun) -> float:
    """Floating-point operations of a whole run, roughly."""
    from lab.queue.slots import approximate_step_arithmetic

    return new.config.steps * approximate_step_arithmetic(new.config, len(new.dataset.vocabulary))


def _train(store: RunStore, run_ids: Sequence[str]) -> None:
    """Waits until the worker has trained the runs; starts one where there is none. Raises `WorkerError`."""
    from lab.cli.output import say
    from lab.queue.requests import start_worker, worker_pid
    from lab.store.lifecycle import ACTIVE

    if not run_ids:
        return
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


def _rung(store: RunStore, name: str, run_ids: Sequence[str]) -> Rung:
    from lab.config.ladder import find_stage

    return Rung(find_stage(name), tuple(store.run(run_id) for run_id in run_ids))


def _document(rungs: Sequence[Rung], seconds: float) -> dict[str, Any]:
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
                "choices": math.exp(rung.val_loss) if rung.val_loss is not None else None,
                "parameters": rung.runs[0].parameters,
                "seconds": sum(run.seconds for run in rung.runs),
                "delta": delta,
            }
            for rung, delta in zip(rungs, deltas(rungs), strict=True)
        ],
    }


def _print(rungs: Sequence[Rung], seconds: float, *, quick: bool, database: Path) -> None:
    from lab.cli.output import WRAPPED, console, print_table
    from lab.text import duration, literal

    columns = [("rung", "left"), ("val", "right"), ("Δ", "right"), ("choices", "right"), ("published", "right")]
    columns += [("parameters", "right"), ("time", "right"), ("adds", WRAPPED), ("also changed", WRAPPED)]
    rows = [_cells(rung, delta, quick=quick) for rung, delta in zip(rungs, deltas(rungs), strict=True)]
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


def _cells(rung: Rung, delta: float | None, *, quick: bool) -> list[str]:
    from lab.text import NOTHING, choices, duration, loss, si

    first = rung.runs[0]
    comparable = not quick and first.dataset == rung.stage.home_dataset
    ended = {run.status for run in rung.runs} - {"finished"}
    return [
        rung.stage.name,
        loss(rung.val_loss) if not ended else ", ".join(sorted(ended)),
        f"{delta:+.3f}" if delta is not None else "",
        choices(rung.val_loss),
        loss(rung.stage.published_val_loss) if comparable else NOTHING,
        si(first.parameters),
        duration(sum(run.seconds for run in rung.runs)),
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
