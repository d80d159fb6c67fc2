"""`lab train` and `lab continue`: one run in the foreground, with a progress bar."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import options
from lab.cli.own_models import compared_first_step
from lab.errors import StorageError, UsageError

if TYPE_CHECKING:
    from lab.queue.requests import RunRequest
    from lab.store.recorder import RunRecorder
    from lab.store.run_store import NewRun, RunRow, RunStore
    from lab.training.first_step import FirstSteps


_STORAGE_PATIENCE_SECONDS = 10.0
"""How long a full disk is asked again to take that the run is paused."""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("train")(train)
    app.command("continue")(continue_run)


def train(
    stage: options.StageName,
    dataset: options.DatasetName = "",
    dataset_as: options.DatasetAs = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    settings: options.Settings = None,
    name: options.Name = "",
    against: Annotated[
        str, typer.Option("--against", metavar="STAGE", help="First compare the first step with that rung's.")
    ] = "",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Train one run in the foreground: a rung, or a model of your own.

    Ctrl-C keeps a checkpoint and pauses it.
    """
    from lab.queue.requests import compose, let_own_models_run
    from lab.store.location import find_database

    path = find_database(database)
    new = compose(run_request(stage, dataset, dataset_as, steps, seed, settings, name), path)
    let_own_models_run(new)
    first_step = compared_first_step(new[0], against, path, as_json) if against else None
    raise typer.Exit(_train_in_foreground(path, new[0], as_json, first_step))


def continue_run(
    run_name: options.RunName,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="best|last|STEP", help="Where to go on from.")
    ] = "last",
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", help="Steps more; as many again unless given.")
    ] = None,
    settings: options.Settings = None,
    name: options.Name = "",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Go on from a stored run's checkpoint, as a new run.

    More steps, another lr, whatever keeps the shapes.
    """
    from lab.cli.output import say
    from lab.cli.stored import stored_runs
    from lab.config.run_config import parse_settings
    from lab.queue.child_requests import ChildRequest, compose_child
    from lab.store.checkpoints import choose_checkpoint

    with stored_runs(database) as store:
        parent = store.resolve(run_name)
        new = compose_child(ChildRequest(parent, checkpoint, steps, parse_settings(settings or []), name), store)
        meant = choose_checkpoint(store, parent, checkpoint)
        if meant.step != new.parent_step:
            say(f"the checkpoint at step {meant.step:,} is damaged: the one at step {new.parent_step:,} is used")
        path = store.database.path
    raise typer.Exit(_train_in_foreground(path, new, as_json))


def run_request(
    stage: str,
    dataset: str,
    dataset_as: str | None,
    steps: int | None,
    seed: int | None,
    settings: list[str] | None,
    name: str = "",
    tags: tuple[str, ...] = (),
) -> RunRequest:
    """What the options of `train` and `queue add` ask for. Raises `ConfigError`."""
    from lab.config.run_config import parse_settings
    from lab.queue.requests import RunRequest

    values = parse_settings(settings or [])
    if steps is not None:
        values["steps"] = steps
    seeds = [seed] if seed is not None else []
    if dataset_as not in (None, "stream", "words"):
        raise UsageError(f"--as {dataset_as}: must be 'stream' or 'words'")
    return RunRequest(stage, dataset, dataset_as, values, seeds, name, tags)  # type: ignore[arg-type]


def _train_in_foreground(path: Path, new: NewRun, as_json: bool, first_step: FirstSteps | None = None) -> int:
    """Trains a new run in this process; returns the exit status."""
    from dataclasses import replace

    from lab.cli.outcome import INTERRUPTED
    from lab.cli.output import print_json, run_document, say
    from lab.cli.stored import opened
    from lab.queue.file_lock import FileLock
    from lab.store.location import run_lock

    with opened(path) as store:
        run = store.add_runs([replace(new, status="paused", trained_by="command")])[0]
        with FileLock(run_lock(path, run.id)):
            train_claimed(store, run, len(new.dataset.vocabulary))
        ended = store.run(run.id)
        if as_json:
            print_json(run_document(ended) | ({"first_step": first_step.document()} if first_step else {}))
        else:
            _print_end(ended)
        if ended.status == "paused":
            say(f"paused at step {ended.step:,}; go on with: lab queue resume {run.id} && lab worker --until-empty")
            return INTERRUPTED
        return 0 if ended.status in ("finished", "stopped") else 1


def train_claimed(store: RunStore, run: RunRow, vocabulary_size: int) -> None:
    """Trains a paused run to its end, a wish or a signal, and files how it ended."""
    from lab.queue.slots import cores, threads_for
    from lab.queue.trainer_process import train_claimed_run
    from lab.store import lifecycle
    from lab.store.engine import once_unlocked
    from lab.store.storage import hold_reserve, release_reserve

    claimed = lifecycle.claim_for_command(store, run.id)
    if claimed is None:
        raise UsageError(f"run {run.name} was taken by another process")
    threads = threads_for(run.config, vocabulary_size, cores())
    hold_reserve(store.database.path)
    with _interrupted_by_signals() as recorders, _progress(run) as show:
        try:
            outcome = train_claimed_run(store, claimed, threads, on_recorder=recorders.append, on_progress=show)
        except KeyboardInterrupt:  # before there was anything to keep, or a second time
            lifecycle.end(store, run.id, claimed.attempt, "paused")
        except StorageError as error:
            raise _paused_for_storage(store, claimed, str(error)) from None
        except Exception as error:
            lifecycle.attempt_failed(store, run.id, claimed.attempt, str(error), for_good=True)
            raise
        else:
            once_unlocked(lambda: lifecycle.end(store, run.id, claimed.attempt, outcome.status, outcome.error))
        finally:
            release_reserve(store.database.path)


def _paused_for_storage(store: RunStore, run: RunRow, reason: str) -> StorageError:
    """Pauses a run that its disk has failed, as soon as the disk takes so much; returns what is to be said of it."""
    from lab.store import lifecycle
    from lab.store.storage import release_reserve

    release_reserve(store.database.path)
    give_up_at = time.monotonic() + _STORAGE_PATIENCE_SECONDS
    while True:
        try:
            lifecycle.pause_for_storage(store, run.id, run.attempt, reason)
            break
        except StorageError:
            if time.monotonic() > give_up_at:
                break  # whoever opens the database next marks it as paused: its lock is free
            time.sleep(0.1)
    then = f"lab queue resume {run.id} && lab worker --until-empty"
    return StorageError(f"{reason}; run {run.name} is paused: make room, then: {then}")


def _print_end(run: RunRow) -> None:
    from lab.cli.output import say
    from lab.text import choices, duration, literal, loss

    if run.error:
        say(f"{run.name} ({run.id}): {run.status}: {run.error}")
        return
    best = ""
    if run.best_step is not None and run.best_step != run.step:
        best = f", best {loss(run.best_val_loss)} at step {run.best_step:,}"
    print(
        f"{literal(run.name)} ({run.id}): {run.status} at step {run.step:,} in {duration(run.seconds)}: "
        f"val {loss(run.val_loss)} ({choices(run.val_loss)} choices){best}"
    )


@contextmanager
def _interrupted_by_signals() -> Iterator[list[RunRecorder]]:
    """Makes Ctrl-C, SIGTERM and a closed terminal a wish to pause; a second Ctrl-C ends at once."""
    recorders: list[RunRecorder] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for recorder in recorders:
            recorder.ask("pause")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not recorders:
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield recorders
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _progress(run: RunRow) -> Iterator[Any]:
    """A bar with the time left on a terminal; elsewhere a plain line every few seconds."""
    if sys.stderr.isatty():
        with _progress_bar(run) as show:
            yield show
        return
    from lab.cli.output import say

    last_said = 0.0

    def say_plainly(facts: Mapping[str, Any]) -> None:
        nonlocal last_said
        if "step" in facts and time.monotonic() - last_said > 5:
            last_said = time.monotonic()
            val = _said_of_val(facts)
            say(f"{run.name}: step {facts['step']:,} of {run.steps:,}{', ' if val else ''}{val}")

    yield say_plainly


@contextmanager
def _progress_bar(run: RunRow) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from lab.text import literal

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[val]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(literal(run.name), total=run.steps, val="loading torch")

        def show(facts: Mapping[str, Any]) -> None:
            if "step" in facts:
                progress.update(task, completed=facts["step"], val=_said_of_val(facts))

        yield show


def _said_of_val(facts: Mapping[str, Any]) -> str:
    """An LR sweep has no val."""
    from lab.text import loss

    return f"val {loss(facts['val_loss'])}" if facts.get("val_loss") is not None else ""
