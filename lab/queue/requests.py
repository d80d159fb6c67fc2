"""What a person may ask of the queue, without torch: compose runs, add them, and see that a worker takes them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lab.config.named_model import named_model
from lab.config.run_config import DatasetKind, RunConfig, check_keys
from lab.errors import ConfigError, DatasetError, WorkerError
from lab.queue.file_lock import FileLock
from lab.store.location import dataset_library, worker_lock, worker_log
from lab.store.model_sources import trust
from lab.store.run_store import DatasetFacts, NewRun, RunRow, check_name

if TYPE_CHECKING:
    from lab.datasets.dataset import Dataset

WORKER_IDLE_SECONDS = 300
"""How long a worker that was started in the background stays, warm, after its last run."""
_START_SECONDS = 30.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True)
class RunRequest:
    """What a person fills in to queue runs: a stage, what to change, and seeds."""

    stage: str
    """A rung of the ladder, or a model of one's own as FILE.py:CLASS."""
    dataset: str = ""
    dataset_as: DatasetKind | None = None
    settings: Mapping[str, Any] | None = None
    seeds: Sequence[int] = ()
    name: str = ""
    tags: tuple[str, ...] = ()


def compose(request: RunRequest, database: Path) -> list[NewRun]:
    """The runs that a request asks for, one a seed, checked against the dataset.

    Raises `ConfigError`, `DatasetError` or `UsageError`; nothing is written, and no model's file is run.
    """
    check_name(request.name)
    model = named_model(request.stage)
    settings = dict(request.settings or {})
    check_keys(settings)
    name = str(settings.pop("dataset", "") or request.dataset or model.home_dataset)
    kind = settings.pop("dataset_as", None) or request.dataset_as
    if kind is not None and kind not in get_args(DatasetKind):
        raise ConfigError(f"dataset_as={kind} must be 'stream' or 'words'")
    dataset = read_dataset(name, kind, database)
    config = model.config(dataset=dataset.name, dataset_as=dataset.kind, settings=settings)
    dataset.check_fits(config.context_length, every_position=config.predicts_every_position)
    facts = dataset_facts(dataset)
    configs = [config.replace(seed=seed) for seed in request.seeds] or [config]
    given = {"dataset": facts, "name": request.name.strip(), "tags": request.tags, "source": model.source}
    return [NewRun(config=each, **given) for each in configs]  # type: ignore[arg-type]


def let_own_models_run(runs: Iterable[NewRun]) -> None:
    """Whoever names the file of a model in a command wants it run on this machine. Raises `UsageError`."""
    for source in {run.source for run in runs if run.source is not None}:
        trust(source)


def read_dataset(name_or_path: str, kind: DatasetKind | None, database: Path) -> Dataset:
    """A dataset by name or path, as commands and screens name it. Raises `DatasetError`."""
    from lab.datasets.dataset import load_dataset  # late: it imports numpy

    return load_dataset(name_or_path, kind, library=dataset_library(database))


def dataset_of(run: RunRow, database: Path) -> Dataset:
    """The dataset that a run was made with. Raises `DatasetError` where its text has changed since."""
    config: RunConfig = run.config
    dataset = read_dataset(config.dataset, config.dataset_as, database)
    if dataset.sha256 != run.dataset_sha256:
        raise DatasetError(
            f"dataset '{run.dataset}' has changed since run {run.name} was made: put the old text back, "
            "or queue a new run on the new one"
        )
    return dataset


def dataset_facts(dataset: Dataset) -> DatasetFacts:
    """What the database keeps of a dataset."""
    from lab.datasets.counting import counting_loss  # late: it imports numpy

    return DatasetFacts(
        sha256=dataset.sha256,
        kind=dataset.kind,
        name=dataset.name,
        path=str(dataset.path),
        characters=dataset.characters,
        vocabulary=dataset.tokenizer.vocabulary,
        counting_loss=counting_loss(dataset),
    )


def worker_pid(database: Path) -> int | None:
    """The process id of the database's worker; None where none is at work."""
    return FileLock(worker_lock(database)).holder()


def start_worker(database: Path, *, slots: int | None = None) -> int:
    """Starts a worker in the background unless there is one, and waits until it holds its lock; returns its process id.

    It outlives this process and its terminal, and ends by itself some minutes after its last run. Raises `WorkerError`.
    """
    pid = worker_pid(database)
    if pid is not None:
        return pid
    # -P: a folder or file named lab beside the database is not lab.
    command = [sys.executable, "-P", "-m", "lab", "worker", "--db", str(database)]
    command += ["--idle-seconds", str(WORKER_IDLE_SECONDS)]
    if slots:
        command += ["--slots", str(slots)]
    log = worker_log(database)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=database.parent,
            start_new_session=True,
        )
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at:
        pid = worker_pid(database)
        if pid is not None:
            return pid
        if process.poll() is not None:
            break
        time.sleep(0.05)
    said = log.read_text(errors="replace").strip().splitlines()
    raise WorkerError(f"the worker did not start: {said[-1] if said else 'it said nothing'} (see {log})")


def stop_worker(database: Path) -> bool:
    """Asks the worker to end: its runs keep a checkpoint and wait in the queue. False where there was none.

    Raises `WorkerError` where it is still there after a minute.
    """
    pid = worker_pid(database)
    if not pid:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    give_up_at = time.monotonic() + _STOP_SECONDS
    while worker_pid(database) is not None:
        if time.monotonic() > give_up_at:
            raise WorkerError(f"the worker (process {pid}) is still ending; look again with: lab doctor")
        time.sleep(0.05)
    return True
