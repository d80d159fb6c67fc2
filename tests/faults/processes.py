"""Real processes of lab's for the tests that kill them, and what a run left behind, to compare."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from safetensors.numpy import load_file

from lab.queue.requests import RunRequest, compose
from lab.store.lifecycle import ENDED
from lab.store.run_store import RunRow, RunStore

PATIENCE_SECONDS = 90.0
STALL_SECONDS = 3.0
# The same at whatever time the run was trained, and however often it was interrupted.
REPEATABLE_METRICS = ("train/loss", "train/eval_loss", "val/loss", "lr", "grad_norm")
# Checkpoints as often as evaluations, so that short runs have some.
ENVIRONMENT = {**os.environ, "LAB_CHECKPOINT_SECONDS": "0.01", "LAB_DEVICE": "cpu"}
_WORKER = (
    "import sys; from pathlib import Path\n"
    "from lab.queue.worker import Worker; from lab.store.run_store import RunStore\n"
    "store = RunStore.open(Path(sys.argv[1]))\n"
    "Worker(store, slots=2, stall_seconds=float(sys.argv[2])).run()"
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


def start_lab(*arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """A command of lab's as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lab", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=cwd,
        text=True,
    )


def lab(*arguments: str) -> tuple[int, str, str]:
    """Runs a command to its end: its exit status, what it wrote, and what it complained of."""
    process = start_lab(*arguments)
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
    def worker(self) -> Iterator[psutil.Process]:
        """A worker that takes a trainer for hung after three seconds; killed in the end if it is still there."""
        command = [sys.executable, "-c", _WORKER, str(self.path), str(STALL_SECONDS)]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait()


def trainers(worker: psutil.Process) -> list[psutil.Process]:
    """The trainers of a worker: what its fork server has forked."""
    with_server = [child for child in worker.children() if "forkserver" in " ".join(child.cmdline())]
    return [trainer for server in with_server for trainer in server.children()]


def the_trainer(worker: psutil.Process) -> psutil.Process:
    """The only trainer of a worker, once there is one."""

    def only() -> psutil.Process | None:
        found = trainers(worker)
        return found[0] if len(found) == 1 else None

    return eventually(only, "a trainer")


def left_behind(store: RunStore, run_id: str) -> dict[str, Any]:
    """All that a run's training determines: final weights, optimiser and random state, losses and samples."""
    run = store.run(run_id)
    [*_, last] = [row for row in store.checkpoints(run_id) if row.kind == "complete"]
    assert last.step == run.step == run.steps
    left: dict[str, Any] = {
        f"checkpoint {name}": (tensor.dtype, tensor.tobytes())
        for name, tensor in load_file(store.database.files / last.path).items()
    }
    for metric in REPEATABLE_METRICS:
        points = store.points(run_id, metric)
        assert len(np.unique(points.steps)) == len(points) > 0, f"{metric} has points twice, or none"
        left[metric] = [column.tobytes() for column in (points.steps, points.values, points.lows, points.highs)]
    left["samples"] = store.samples(run_id)
    left["losses"] = (run.train_loss, run.val_loss, run.best_val_loss, run.best_step)
    left["kinds"] = [(row.kind, row.step) for row in store.checkpoints(run_id) if row.kind != "complete"]
    return left


def assert_same(store: RunStore, run_id: str, undisturbed: dict[str, Any]) -> None:
    """Fails, naming what differs, unless a finished run has left exactly what the undisturbed one has."""
    left = left_behind(store, run_id)
    assert left.keys() == undisturbed.keys()
    assert [name for name in left if left[name] != undisturbed[name]] == []
