"""The trainer: one process that trains one run, and ends when its worker does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from sqlalchemy.orm import configure_mappers

from lab.analysis.lr_suggestion import read_sweep
from lab.config.lr_sweep import LR_SWEEP
from lab.config.own_model import OWN
from lab.datasets.counting import guessing_evenly
from lab.datasets.dataset import Dataset
from lab.errors import AttemptLostError, CheckpointError, OwnModelError, StorageError, UsageError
from lab.inference.stored import let_in_model_of, newest_complete_checkpoint, read_stored_checkpoint
from lab.models.build import build_model, parameter_count
from lab.models.contract import check_contract, looks_ahead
from lab.models.own import explained, prints_told
from lab.queue.attempt import Beats, Failure
from lab.queue.requests import dataset_of
from lab.store import lifecycle
from lab.store.engine import once_unlocked
from lab.store.lr_sweeps import keep_result, stored_sweep
from lab.store.recorder import RunRecorder, begin_attempt
from lab.store.run_store import RunRow, RunStore
from lab.training.batches import Batches
from lab.training.checkpoint import Checkpoint
from lab.training.device import Resources, resolve
from lab.training.loop import Outcome, TrainingLoop
from lab.training.lr_sweep import LRSweepTraining

configure_mappers()  # what the first query would do; a fork server does it once for all of its trainers


def train_claimed_run(
    store: RunStore,
    run: RunRow,
    threads: int,
    *,
    beat: Callable[[], None] = lambda: None,
    on_recorder: Callable[[RunRecorder], None] = lambda recorder: None,
    on_progress: Callable[[Mapping[str, object]], None] = lambda facts: None,
) -> Outcome:
    """Trains a claimed run to its end, a wish, or an interruption, and records all of it but the final status.

    Raises `DatasetError`, `CheckpointError`, `AttemptLostError`, `StoreError` or `OwnModelError`, and whatever the
    model raises.
    """
    config = run.config
    dataset = dataset_of(run, store.database.path)
    sweep = stored_sweep(store, run).spec if run.kind == LR_SWEEP else None
    own = newest_complete_checkpoint(store, run)
    parent = _parent_checkpoint(store, run) if own is None and run.parent_id else None
    from_step = own.state.step if own else parent.state.step if parent else 0
    own_step, seconds = (own.state.step, own.state.seconds) if own else (0, 0.0)
    once_unlocked(lambda: begin_attempt(store, run.id, run.attempt, own_step, seconds), beat)
    if sweep is not None:
        once_unlocked(lambda: keep_result(store, run.id, run.attempt, None), beat)
    recorder = RunRecorder(store, run.id, run.attempt, run.steps, beat=beat, on_progress=on_progress)
    try:
        on_recorder(recorder)
        with _own_code(store, run, dataset, recorder):
            resources = _resources(run, dataset, threads)
            training: TrainingLoop | LRSweepTraining
            if sweep is not None:
                training = LRSweepTraining(config, sweep, dataset, recorder, resources)
            else:
                training = TrainingLoop(config, dataset, recorder, resources, resume=own, parent=parent)
            recorder.progress(
                device=resources.device,
                precision=resources.precision,
                threads=resources.threads,
                parameters=training.parameters,
                torch_version=torch.__version__,
            )
            recorder.event(from_step, _said_at_start(run, resources, from_step))
            recorder.flush()
            recorder.beat()  # all is loaded: from here on it gets on, or hangs
            outcome = training.run()
    except OwnModelError as error:
        for line in error.trace:
            recorder.event(run.step, line, "error")
        recorder.close()
        raise
    except BaseException:
        recorder.abandon()
        raise
    recorder.close()
    if isinstance(training, LRSweepTraining) and outcome.status in ("finished", "stopped"):
        evenly = guessing_evenly(dataset.vocabulary_size)
        spec = training.sweep
        reading = read_sweep(spec.learning_rates, training.losses, evenly, method=spec.method)
        once_unlocked(lambda: keep_result(store, run.id, run.attempt, reading.document()), beat)
    return outcome


def trainer_main(database: Path, run_id: str, attempt: int, threads: int, beats: Beats, worker: Connection) -> None:
    """What a trainer process does: makes its attempt at a run, says how that ended, and dies with its worker."""
    for number in (signal.SIGINT, signal.SIGHUP):  # these reach the whole terminal; the worker decides
        signal.signal(number, signal.SIG_IGN)
    recorders: list[RunRecorder] = []
    interrupted = threading.Event()

    def interrupt(_signal: int, _frame: object) -> None:
        interrupted.set()
        for recorder in recorders:
            recorder.ask("pause")

    signal.signal(signal.SIGTERM, interrupt)
    threading.Thread(target=_die_with_worker, args=(worker,), daemon=True).start()

    def count_beat() -> None:
        beats.value += 1

    def watch(recorder: RunRecorder) -> None:
        recorders.append(recorder)
        if interrupted.is_set():
            recorder.ask("pause")

    try:
        store = once_unlocked(lambda: RunStore.open(database), count_beat)
        run = store.run(run_id)
        if run.attempt != attempt:  # it has been so slow to start that its worker is dead, and the next has come by
            raise AttemptLostError(f"attempt {attempt} at run {run_id} has been taken over")
        outcome = train_claimed_run(store, run, threads, beat=count_beat, on_recorder=watch)
        if interrupted.is_set() and outcome.status == "paused":
            then = "begins again" if run.kind == LR_SWEEP else "goes on from there"
            said = f"interrupted at step {outcome.step:,}; it {then}"
            once_unlocked(lambda: lifecycle.requeue(store, run.id, run.attempt, said), count_beat)
        elif outcome.status in lifecycle.WISHES:
            once_unlocked(lambda: lifecycle.end_as_wished(store, run.id, run.attempt, outcome.status), count_beat)
        else:
            once_unlocked(lambda: lifecycle.end(store, run.id, run.attempt, outcome.status, outcome.error), count_beat)
    except AttemptLostError:
        return
    except StorageError as error:
        worker.send(Failure(str(error), storage=True))
    except (UsageError, CheckpointError, OwnModelError) as error:  # it would fail the same way again
        worker.send(Failure(str(error), for_good=True))
    except Exception as error:  # noqa: BLE001 (whatever a model raises is the run's failure, not the worker's)
        with contextlib.suppress(OSError):  # the log may lie on a full disk
            traceback.print_exc()
        worker.send(Failure(_reason(error)))


@contextmanager
def _own_code(store: RunStore, run: RunRow, dataset: Dataset, recorder: RunRecorder) -> Iterator[None]:
    """Around all that runs the code of a person's own model: what it prints goes to the run's log, and what it raises
    is said with its line. Does nothing for the rungs of the ladder.

    Raises `OwnModelError`, also where the model breaks the contract or may not be run here.
    """
    config = run.config
    if config.model != OWN:
        yield
        return
    source = let_in_model_of(store, run)
    with prints_told(lambda line: recorder.event(run.step, f"printed: {line}")), explained(source):
        v = dataset.vocabulary_size
        batch = Batches(config, dataset, torch.device("cpu")).batch(1)
        check_contract(build_model(config, v), config, v, *batch)
        if looks_ahead(build_model(config, v), v, *batch):
            said = f"{config.stage} sees the answer: what it says at a position changes with the characters after it"
            recorder.event(0, said, "warning")
        yield


def _parent_checkpoint(store: RunStore, run: RunRow) -> Checkpoint:
    """The checkpoint that a child run starts from. Raises `CheckpointError` where it is gone, or damaged."""
    rows = [row for row in store.checkpoints(run.parent_id or "") if row.step == run.parent_step]
    rows.sort(key=lambda row: row.kind != "complete")
    problem = CheckpointError(f"the checkpoint at step {run.parent_step} of run {run.parent_id} is gone")
    for row in rows:
        try:
            return read_stored_checkpoint(store, row)
        except CheckpointError as error:
            problem = error
    raise problem


def _resources(run: RunRow, dataset: Dataset, threads: int) -> Resources:
    """What the run was begun with; for a new one, what suits it here."""
    if run.device and run.precision and run.threads:
        return Resources(run.device, run.precision, run.threads)
    config = run.config
    parameters = parameter_count(build_model(config, dataset.vocabulary_size))
    return resolve(config, lambda: build_model(config, dataset.vocabulary_size), parameters, threads)


def _said_at_start(run: RunRow, resources: Resources, from_step: int) -> str:
    where = f"{resources.device}, {resources.precision}, {resources.threads} thread{'s' * (resources.threads != 1)}"
    begun = f"goes on from step {from_step:,}" if from_step else "starts"
    changed = f"; begun with torch {run.torch_version}" if run.torch_version not in (None, torch.__version__) else ""
    return f"attempt {run.attempt} {begun} on {where}, torch {torch.__version__}{changed}"


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _die_with_worker(worker: Connection) -> None:
    """Ends this process at once when the pipe to the worker closes: whoever takes the run next is alone with it."""
    try:
        worker.recv()
    except (EOFError, OSError):
        os._exit(1)
