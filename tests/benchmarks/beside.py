"""What the open screen costs a trainer: one run after another, with and without a screen that watches it."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from lab.store.run_store import RunStore
from tests.benchmarks.measure import Comparison
from tests.benchmarks.screen import drain, read_until

STAGE, STEPS = "layernorm", 400
LOOKING_SECONDS = 600.0


def training_beside_the_screen(repetitions: int) -> Comparison:
    """Seconds of training as the run has recorded them; what imports torch and starts is not among them."""
    times: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "runs.db"
        os.environ["XDG_CONFIG_HOME"] = folder
        RunStore.open(database).close()
        trained(database)  # the first compiles, and makes the file that the screen opens on its runs
        for repetition in range(repetitions):
            for watched in (True, False) if repetition % 2 == 0 else (False, True):
                with looked_at(database) if watched else contextlib.nullcontext():
                    times[watched].append(trained(database))
    note = f"{STAGE}, {STEPS} steps, ours with the screen open on the run"
    return Comparison("beside the screen", tuple(times[True]), tuple(times[False]), "≥ 0.97×", note)


def trained(database: Path) -> float:
    """Trains one run in a process of its own; its seconds."""
    command = [sys.executable, "-m", "lab", "train", STAGE, "--steps", str(STEPS), "--db", str(database)]
    subprocess.run(command, check=True, capture_output=True)
    store = RunStore.open(database)
    run = store.runs()[-1]
    store.close()
    return run.seconds


@contextlib.contextmanager
def looked_at(database: Path) -> Iterator[None]:
    """Meanwhile the screen is open in a terminal, on the run that trains."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(sys.executable, [sys.executable, "-m", "lab", "--db", str(database)], os.environ)
    try:
        read_until(terminal, b"finished")
        reader = threading.Thread(target=quietly, args=(terminal,), daemon=True)
        reader.start()
        yield
    finally:
        psutil.Process(pid).kill()
        os.waitpid(pid, 0)
        reader.join()
        os.close(terminal)


def quietly(terminal: int) -> None:
    """Reads what the screen writes until it is gone."""
    with contextlib.suppress(OSError):
        drain(terminal, LOOKING_SECONDS)
