"""Real processes of lab's for the tests that kill them, and what a run left behind, to compare."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import sqlalchemy as sa
from safetensors.numpy import load_file

from lab.queue.requests import RunRequest, compose, stop_worker
from lab.store.lifecycle import ENDED
from lab.store.location import run_folder
from lab.store.lr_sweeps import stored_sweep, sweep_losses
from lab.store.recorder import CHECKPOINT_SUFFIXES
from lab.store.run_store import RunRow, RunStore
from lab.store.schema import Histogram, Tensor
from tests.conftest import PROSE

PATIENCE_SECONDS = 300.0
STALL_SECONDS = 3.0
# The same at whatever time the run was trained, and however often it was interrupted.
REPEATABLE_METRICS = ("train/loss", "train/eval_loss", "val/loss", "lr", "grad_norm")
# Checkpoints as often as evaluations, so that short runs have some.
ENVIRONMENT = {**os.environ, "LAB_CHECKPOINT_SECONDS": "0.01", "LAB_DEVICE": "cpu"}
INJECTED = Path(__file__).parent / "injected"
"""What a process whose PYTHONPATH names it loads first: see `sitecustomize.py` there."""
_WORKER = (
    "import sys; from pathlib import Path\n"
    "from lab.queue import worker; from lab.store.run_store import RunStore\n"
    "store = RunStore.open(Path(sys.argv[1]))\n"
    "worker._PRELOADED += sys.argv[3:]\n"
    "worker.Worker(store, slots=2, stall_seconds=float(sys.argv[2])).run()"
)


def eventually(condition: Callable[[], Any], saying: str = "what was waited for") -> Any:
    """What a condition answers as soon as it is true; fails where that takes too long."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{saying} did not come about in {PATIENCE_SECONDS:.0f} s")


def with_injected(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which processes load the injected faults, and what else is to be set for them."""
    path = os.pathsep.join([str(INJECTED), *filter(None, [ENVIRONMENT.get("PYTHONPATH")])])
    return {**ENVIRONMENT, "PYTHONPATH": path, **environment}


def start_lab(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """A command of lab's as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lab", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=with_injected(environment) if environment else ENVIRONMENT,
        cwd=cwd,
        text=True,
    )


def lab(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Runs a command to its end: its exit status, what it wrote, and what it complained of."""
    process = start_lab(*arguments, **environment)
    said, complained = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, said, complained


@dataclass(frozen=True)
class Laboratory:
    """A database of its own with the means to queue runs in it and to look at them."""

    store: RunStore
    text: Path

    @property
    def path(self) -> Path:
        return self.store.database.path

    def add(self, stage: str = "single-head", **settings: Any) -> str:
        """Queues a run on the small text; returns its id."""
        request = RunRequest(stage, dataset=str(self.text), settings=settings)
        return self.store.add_runs(compose(request, self.path))[0].id

    def status(self, run_id: str) -> str:
        return self.store.run(run_id).status

    def wait_for(self, run_id: str, status: str) -> RunRow:
        """Waits until a run has a status."""
        eventually(lambda: self.status(run_id) == status, f"run {run_id} being {status}")
        return self.store.run(run_id)

    def wait_for_checkpoint(self, run_id: str, at_step: int = 1) -> None:
        """Waits until a training run could go on from some step."""

        def there() -> bool:
            run = self.store.run(run_id)
            assert run.status not in ENDED, f"the run is {run.status}: it was over too soon"
            rows = self.store.checkpoints(run_id)
            return run.status == "training" and any(row.kind == "complete" and row.step >= at_step for row in rows)

        eventually(there, "a checkpoint")

    def log(self, run_id: str) -> str:
        return "\n".join(event.text for event in self.store.events(run_id))

    @contextmanager
    def worker(
        self, *preloaded: str, stall_seconds: float = STALL_SECONDS, **environment: str
    ) -> Iterator[psutil.Process]:
        """A worker that takes a trainer for hung after three seconds; killed in the end if it is still there.

        Its trainers have loaded the modules that are named, from the folder of injected faults.
        """
        command = [sys.executable, "-c", _WORKER, str(self.path), str(stall_seconds), *preloaded]
        with_faults = with_injected(environment) if preloaded or environment else ENVIRONMENT
        process = subprocess.Popen(command, env=with_faults, stdin=subprocess.DEVNULL)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait()


@contextmanager
def laboratory(folder: Path) -> Iterator[Laboratory]:
    """A database in a folder, and a text; what works on it is stopped in the end."""
    text = folder / "prose.txt"
    text.write_text(PROSE)
    store = RunStore.open(folder / "runs.db")
    yield Laboratory(store, text)
    stop_worker(folder / "runs.db")
    store.close()


def trainers(worker: psutil.Process) -> list[psutil.Process]:
    """The trainers of a worker: what its fork server has forked."""
    found: list[psutil.Process] = []
    for child in worker.children():
        with suppress(psutil.NoSuchProcess):  # one that has just been killed
            if "forkserver" in " ".join(child.cmdline()):
                found += child.children()
    return found


def the_trainer(worker: psutil.Process) -> psutil.Process:
    """The only trainer of a worker, once there is one."""

    def only() -> psutil.Process | None:
        found = trainers(worker)
        return found[0] if len(found) == 1 else None

    return eventually(only, "a trainer")


def left_behind(store: RunStore, run_id: str) -> dict[str, Any]:
    """All that a run's training determines: final weights, optimiser and random state, losses, samples, histograms."""
    run = store.run(run_id)
    [*_, last] = [row for row in store.checkpoints(run_id) if row.kind == "complete"]
    assert last.step == run.step == run.steps
    left: dict[str, Any] = {}
    for row in store.checkpoints(run_id):
        if row.kind != "complete" or row == last:
            tensors = load_file(store.database.files / row.path)
            left |= {f"{row.kind} {row.step} {name}": (each.dtype, each.tobytes()) for name, each in tensors.items()}
    for metric in store.metric_names(run_id):
        points = store.points(run_id, metric)
        assert len(np.unique(points.steps)) == len(points) > 0, f"{metric} has points twice, or none"
        assert points.steps.max() <= run.steps
        if metric in REPEATABLE_METRICS:
            left[metric] = [column.tobytes() for column in (points.steps, points.values, points.lows, points.highs)]
    assert set(REPEATABLE_METRICS) <= left.keys()
    left["samples"] = store.samples(run_id)
    left["histograms"] = _histograms(store, run_id)
    left["losses"] = (run.train_loss, run.val_loss, run.best_val_loss, run.best_step)
    left["kinds"] = [(row.kind, row.step) for row in store.checkpoints(run_id) if row.kind != "complete"]
    return left


def left_by_sweep(store: RunStore, run_id: str) -> dict[str, Any]:
    """All that an LR sweep determines: the losses of every seed, and what was read off them."""
    run = store.run(run_id)
    sweep = stored_sweep(store, run)
    losses = sweep_losses(store, sweep)
    assert len(store.metric_names(run_id)) == len(losses)
    return {"losses": losses.tobytes(), "result": sweep.result, "step": run.step}


def stored_files(store: RunStore, run_id: str) -> tuple[set[str], set[str]]:
    """The checkpoint files of a run that its database names, and those that are there."""
    named = {Path(row.path).name for row in store.checkpoints(run_id)}
    folder = run_folder(store.database.path, run_id)
    return named, {file.name for file in folder.glob("*") if file.suffix in CHECKPOINT_SUFFIXES}


def _histograms(store: RunStore, run_id: str) -> list[tuple[Any, ...]]:
    query = sa.select(Tensor.name, Tensor.kind, Tensor.edges, *(column for column in Histogram.__table__.c[1:]))
    query = query.join(Histogram, Histogram.tensor_id == Tensor.id).where(Tensor.run_id == run_id)
    with store.database.reader.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(query))


def assert_same(store: RunStore, run_id: str, undisturbed: dict[str, Any]) -> None:
    """Fails, naming what differs, unless a finished run has left exactly what the undisturbed one has."""
    left = left_behind(store, run_id)
    assert left.keys() == undisturbed.keys()
    assert [name for name in left if left[name] != undisturbed[name]] == []
