"""How quick the screen is: 1,000 stored runs with 5 million points, ten of them training and drawn over each other."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pty
import select
import sqlite3
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psutil
from textual import events
from textual.keys import _character_to_key
from textual.widgets import Input

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.file_lock import FileLock
from lab.queue.requests import dataset_facts
from lab.store.location import worker_lock
from lab.store.run_store import NewRun, RunStore
from lab.tui import app as lab_app
from lab.tui.app import LabApp
from tests.benchmarks.measure import Figure

RUNS, POINTS, LIVE = 1000, 5000, 10
SIZE = (160, 45)
STAGES = ("bigram", "linear", "single-head", "multi-head", "feed-forward", "blocks", "residual", "layernorm")
KEYS = (
    "j", "j", "j", "space", "k", "k", "s", "s", "S", "S", "x", "x", "l", "l", "L", "L", "j", "escape",
    "/", "r", "e", "s", "escape", "G", "g", ">", "<", "=", "=", "tab", "tab", "tab", "]", "[", "z", "z",
)  # fmt: skip
MODES = "1252152"
PATIENCE_SECONDS = 60.0
LONGEST_WAIT = 0.5
SETTLE_SECONDS = 0.08
"""Between two keys: faster than a person presses a key that he thinks about, slower than a held one repeats."""


def figures() -> list[Figure]:
    """Measures everything once the database is there."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        database = Path(folder) / "runs.db"
        make_database(database)
        with FileLock(worker_lock(database)):  # as if a worker were there: none is to be started
            started = [in_terminal(database, seconds=0.0) for _ in range(5)]
            idle = in_terminal(database, seconds=8.0)
            with trained(database):
                keys, modes = asyncio.run(keys_pressed(database))
    frames, rows = [run["frame"] for run in started], [run["rows"] for run in started]
    slow = sorted(keys, key=lambda pair: -pair[1])[:3]
    return [
        Figure("first frame", statistics.median(frames), "s", 0.5, spread(frames)),
        Figure("rows", statistics.median(rows), "s", 0.8, f"{RUNS:,} runs, {RUNS * POINTS:,} points {spread(rows)}"),
        Figure("key to screen", share(keys, 0.95) * 1000, "ms", 50, f"p95 of {len(keys)} keys, {LIVE} live curves; "
               f"median {share(keys, 0.5) * 1000:.0f}; slowest " + ", ".join(f"{k} {s * 1000:.0f}" for k, s in slow)),
        Figure("mode switch", max(seconds for _, seconds in modes) * 1000, "ms", 100,
               "the slowest, the first visits with it: " + ", ".join(f"{k} {s * 1000:.0f}" for k, s in modes)),
        Figure("idle", 100 * idle["cpu"], "%", 2, "of a core, over 8 s"),
        Figure("memory", idle["memory"] / 2**20, "MB", 120, "resident"),
    ]  # fmt: skip


def spread(seconds: list[float]) -> str:
    """The least and the most of several measurements."""
    return f"({min(seconds):.2f}–{max(seconds):.2f})"


def share(keys: list[tuple[str, float]], part: float) -> float:
    """What so large a part of the keys needs at most."""
    times = sorted(seconds for _, seconds in keys)
    return times[min(len(times) - 1, int(part * len(times)))]


def make_database(path: Path) -> None:
    """A thousand finished runs with a train and a val loss each, in bulk; the first ten of them as if training."""
    dataset = load_dataset("shakespeare")
    facts = dataset_facts(dataset)
    configs = [
        stage_config(STAGES[i % len(STAGES)], settings={"steps": POINTS, "seed": 1 + i // len(STAGES)})
        for i in range(RUNS)
    ]
    store = RunStore.open(path)
    store.add_runs([NewRun(config, facts) for config in configs])
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(
            "UPDATE run SET status = 'finished', queue_position = NULL, step = steps, attempt = 1, val_loss = 2.0 + "
            "(rowid * 7919 % 1000) / 2000.0, train_loss = 2.0, parameters = 4225, seconds = 40.0, device = 'cpu', "
            "chars_per_second = 98000.0, started_at = created_at, ended_at = created_at + rowid",
        )
        db.execute("INSERT INTO metric (run_id, name, bucket_width) SELECT id, 'train/loss', 1 FROM run")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO point SELECT metric.id, i, i, 2.0 + 2.0 / (1 + i / 50.0) + (i * 37 % 101) / 1000.0, 2.0, 2.1, "
            "0 FROM metric, n",
            (POINTS - 1,),
        )
        db.execute(
            "INSERT INTO sample (run_id, step, text) SELECT id, steps, 'WARWICK:' || char(10) || 'Is is the' FROM run"
        )
        db.execute("UPDATE run SET status = 'training', ended_at = NULL WHERE rowid <= ?", (LIVE,))
        db.execute(f"DELETE FROM point WHERE bucket >= {POINTS - 400} AND metric_id IN (SELECT metric.id FROM metric "
                   f"JOIN run ON run.id = metric.run_id WHERE run.rowid <= {LIVE})")  # fmt: skip


def in_terminal(database: Path, seconds: float) -> dict[str, float]:
    """Starts `lab` in a terminal: seconds until its first frame and its rows; then what it needs while nothing goes on.

    With `seconds`, the ten runs are first told to be over: a screen with runs that train is not idle.
    """
    if seconds:
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            db.execute("UPDATE run SET status = 'finished', ended_at = created_at WHERE status = 'training'")
    begun = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execvpe(sys.executable, [sys.executable, "-m", "lab", "--db", str(database)], environment)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    process = psutil.Process(pid)
    try:
        frame = read_until(terminal, b"opening") - begun
        rows = read_until(terminal, b"finished") - begun
        if not seconds:
            return {"frame": frame, "rows": rows}
        drain(terminal, 4.0)
        used = process.cpu_times()
        drain(terminal, seconds)
        now = process.cpu_times()
        cpu = (now.user + now.system - used.user - used.system) / seconds
        return {"frame": frame, "rows": rows, "cpu": cpu, "memory": process.memory_info().rss}
    finally:
        process.kill()
        os.close(terminal)
        os.waitpid(pid, 0)
        if seconds:
            with contextlib.closing(sqlite3.connect(database)) as db, db:
                db.execute("UPDATE run SET status = 'training', ended_at = NULL WHERE rowid <= ?", (LIVE,))


def read_until(terminal: int, wanted: bytes) -> float:
    """When the terminal was told to show that. Raises `TimeoutError`."""
    seen = b""
    give_up_at = time.perf_counter() + PATIENCE_SECONDS
    while time.perf_counter() < give_up_at:
        if select.select([terminal], [], [], 0.1)[0]:
            seen = seen[-len(wanted) :] + os.read(terminal, 65536)
            if wanted in seen:
                return time.perf_counter()
    raise TimeoutError(f"{wanted!r} never came")


def drain(terminal: int, seconds: float) -> None:
    """Reads what comes, as a terminal does."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        if select.select([terminal], [], [], left)[0]:
            os.read(terminal, 65536)


@contextlib.contextmanager
def trained(database: Path) -> Iterator[None]:
    """Meanwhile another process writes as ten trainers do."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=train, args=(database, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def train(database: Path, stop: Event) -> None:
    """Ten runs get on by a few steps, four times a second."""
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as db:
        step = POINTS - 400
        while not stop.wait(0.25):
            for _ in range(4):
                db.execute("INSERT OR REPLACE INTO point SELECT metric.id, ?, ?, 2.1, 2.0, 2.2, 0 FROM metric JOIN run "
                           "ON run.id = metric.run_id WHERE run.status = 'training'", (step, step))  # fmt: skip
                step = min(step + 1, POINTS - 1)
            db.execute("UPDATE run SET step = ? WHERE status = 'training'", (step,))
            db.commit()


class WatchedApp(LabApp):
    """Notes when an action is over and when something is shown."""

    CSS_PATH = Path(lab_app.__file__).with_name("lab.tcss")
    handled_at = shown_at = 0.0

    async def run_action(self, *arguments: Any, **more: Any) -> bool:
        done = await super().run_action(*arguments, **more)
        self.handled_at = time.perf_counter()
        return done

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        self.shown_at = time.perf_counter()


async def keys_pressed(database: Path) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Seconds from each key until the screen shows what it does: keys of the Runs, and switches of mode."""
    app = WatchedApp(database)
    async with app.run_test(size=SIZE) as pilot:
        while not app.snapshot.runs or app.snapshot.detail is None:
            await pilot.pause(0.05)
        screen: Any = app.screen
        screen.marks = tuple(run.id for run in app.snapshot.training)
        while len(app.snapshot.curves) < LIVE:
            await pilot.pause(0.05)
        await asyncio.sleep(2.0)
        modes = [(key, await seconds_of(app, key)) for key in MODES]
        await asyncio.sleep(1.0)
        keys = [(key, await seconds_of(app, key)) for key in KEYS * 4]
    return keys, modes


async def seconds_of(app: WatchedApp, key: str) -> float:
    """One key, until what it does is shown; where nothing is to be shown, until it was seen to."""
    await asyncio.sleep(SETTLE_SECONDS)
    character = {"space": " "}.get(key, key if len(key) == 1 else None)
    name = _character_to_key(key) if len(key) == 1 else key
    typing = isinstance(app.focused, Input) and len(key) == 1
    pressed = time.perf_counter()
    app.post_message(events.Key(name, character))
    while (now := time.perf_counter()) < pressed + LONGEST_WAIT:
        await asyncio.sleep(0)
        handled = app.handled_at > pressed or typing
        if handled and app.shown_at > (pressed if typing else app.handled_at):
            return app.shown_at - pressed
    return (app.handled_at if app.handled_at > pressed else now) - pressed
