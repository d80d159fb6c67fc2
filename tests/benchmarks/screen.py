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
from dataclasses import dataclass
from fcntl import ioctl
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psutil
from textual import events
from textual.drivers.headless_driver import HeadlessDriver
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
from lab.tui.screens.lab_screen import LabScreen
from tests.benchmarks.measure import Figure

RUNS, POINTS, LIVE = 1000, 5000, 10
SIZE = (160, 45)
STAGES = ("bigram", "linear", "single-head", "multi-head", "feed-forward", "blocks", "residual", "layernorm")
KEYS = (
    "j", "j", "j", "space", "k", "k", "s", "s", "S", "S", "x", "x", "l", "l", "L", "L", "j", "G", "g", ">", "<", "+",
    "=", "tab", "tab", "tab", "]", "[", "z", "z", "/", "r", "e", "s", "escape", "escape",
)  # fmt: skip
"""Each of them shows something: of one that does not, the next news of the trainers would be taken for its answer."""
ROUNDS = 4
MODES = "1245212452"
STARTS = 5
TIMES = ("frame", "frame_cpu", "rows", "rows_cpu")
IDLE_SECONDS = 8.0
READ_AHEAD_SECONDS = 3.0
"""From the first rows until what other modes need was read: one looks at the rows before one leaves them."""
PATIENCE_SECONDS = 60.0
LONGEST_WAIT = 1.0
SETTLE_SECONDS = 0.08
"""Between two keys: faster than a person presses a key that he thinks about, slower than a held one repeats."""


@dataclass(frozen=True)
class Pressed:
    """A key, and the seconds until the screen showed what it does: on the clock, and of work of the screen's thread."""

    key: str
    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.key} {self.wall * 1000:.0f}"


@dataclass(frozen=True)
class Started:
    """A start of `lab`: seconds until its first frame and its rows, on the clock and of work; then what it needs."""

    frame: float
    frame_cpu: float
    rows: float
    rows_cpu: float
    idle_share: float = 0.0
    memory: int = 0


def figures() -> list[Figure]:
    """Measures everything once the database is there. Time on the clock counts; that of work says how loaded it was."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        database = Path(folder) / "runs.db"
        make_database(database)
        with FileLock(worker_lock(database)):  # as if a worker were there: none is to be started
            started = [in_terminal(database, folder) for _ in range(STARTS + 1)][1:]  # the first compiles lab's modules
            idle = in_terminal(database, folder, idle_seconds=IDLE_SECONDS)
            with trained(database):
                keys, modes = asyncio.run(keys_pressed(database))
    middle = {each: statistics.median(getattr(run, each) for run in started) for each in TIMES}
    slowest = ", ".join(map(str, sorted(keys, key=lambda each: -each.wall)[:3]))
    works = [each.cpu for each in keys]
    return [
        Figure("first frame", middle["frame"], "s", 0.5, f"CPU {middle['frame_cpu']:.2f} s"),
        Figure("rows", middle["rows"], "s", 0.8,
               f"CPU {middle['rows_cpu']:.2f} s; {RUNS:,} runs, {RUNS * POINTS:,} points"),
        Figure("key to screen", 1000 * share([each.wall for each in keys], 0.95), "ms", 50,
               f"p95 of {len(keys)} keys, {LIVE} live curves; CPU {1000 * share(works, 0.95):.0f}, median "
               f"{1000 * share(works, 0.5):.0f}; slowest {slowest}"),
        Figure("mode switch", 1000 * max(each.wall for each in modes), "ms", 100,
               f"the slowest, first visits with it; CPU {1000 * max(each.cpu for each in modes):.0f}: "
               + ", ".join(map(str, modes))),
        Figure("idle", 100 * idle.idle_share, "%", 2, f"of a core, over {IDLE_SECONDS:g} s"),
        Figure("memory", idle.memory / 2**20, "MB", 120, "resident"),
    ]  # fmt: skip


def share(times: list[float], part: float) -> float:
    """What so large a part of the times is at most."""
    return sorted(times)[min(len(times) - 1, int(part * len(times)))]


def make_database(path: Path) -> None:
    """A thousand finished runs with a train loss each, in bulk; the first ten of them as if training."""
    dataset = load_dataset("shakespeare")
    facts = dataset_facts(dataset)
    configs = [
        stage_config(STAGES[i % len(STAGES)], settings={"steps": POINTS, "seed": 1 + i // len(STAGES)})
        for i in range(RUNS)
    ]
    store = RunStore.open(path)
    store.add_runs([NewRun(config, facts) for config in configs])
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        # Nothing here has to outlive a crash; without a journal five million points take seconds.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -64000")
        db.execute(
            "UPDATE run SET status = 'finished', queue_position = NULL, step = steps, attempt = 1, val_loss = 2.0 + "
            "(rowid * 7919 % 1000) / 2000.0, train_loss = 2.0, parameters = 4225, seconds = 40.0, device = 'cpu', "
            "chars_per_second = 98000.0, started_at = created_at, ended_at = created_at + rowid",
        )
        db.execute("INSERT INTO metric (run_id, name, bucket_width) SELECT id, 'train/loss', 1 FROM run")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO point SELECT metric.id, i, i, 2.0 + 2.0 / (1 + i / 50.0) + (i * 37 % 101) / 1000.0, 2.0, 2.1, "
            # CROSS: in the order of the key.
            f"0 FROM metric CROSS JOIN n WHERE i < {POINTS} - 400 * (metric.run_id IN "
            "(SELECT id FROM run ORDER BY rowid LIMIT ?))",
            (POINTS - 1, LIVE),
        )
        db.execute(
            "INSERT INTO sample (run_id, step, text) SELECT id, steps, 'WARWICK:' || char(10) || 'Is is the' FROM run"
        )
        db.commit()
        db.execute("PRAGMA journal_mode = WAL")


def set_training(database: Path, count: int) -> None:
    """As if so many of the runs were being trained, the others finished."""
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as db, db:
        db.execute("UPDATE run SET status = 'finished', ended_at = created_at + rowid WHERE status = 'training'")
        db.execute("UPDATE run SET status = 'training', ended_at = NULL WHERE rowid <= ?", (count,))


def in_terminal(database: Path, folder: str, *, idle_seconds: float = 0.0) -> Started:
    """Starts `lab` in a terminal, with its modules compiled in the folder, and looks at it until its rows are there.

    Then, where that is asked for, at what it needs while nothing goes on.
    """
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPYCACHEPREFIX": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(sys.executable, [sys.executable, "-m", "lab", "--db", str(database)], environment)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    process = psutil.Process(pid)

    def cpu() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    try:
        frame, frame_cpu = read_until(terminal, b"opening") - begun, cpu()
        rows, rows_cpu = read_until(terminal, b"finished") - begun, cpu()
        if not idle_seconds:
            return Started(frame, frame_cpu, rows, rows_cpu)
        drain(terminal, idle_seconds / 2)
        used = cpu()
        drain(terminal, idle_seconds)
        used = cpu() - used
        return Started(frame, frame_cpu, rows, rows_cpu, used / idle_seconds, process.memory_info().rss)
    finally:
        process.kill()
        os.close(terminal)
        os.waitpid(pid, 0)


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
    set_training(database, LIVE)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=train, args=(database, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()
        set_training(database, 0)


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


class NoTerminal(HeadlessDriver):
    """Takes what a terminal would be sent, so that it is made, and shows it nowhere."""

    @property
    def is_headless(self) -> bool:
        return False


class WatchedApp(LabApp):
    """Notes when an action is over and when something is shown: on the clock, and in work of its thread."""

    CSS_PATH = Path(lab_app.__file__).with_name("lab.tcss")

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.driver_class = NoTerminal
        self.handled = self.shown = (0.0, 0.0)
        self.noted = asyncio.Event()

    async def run_action(self, *arguments: Any, **more: Any) -> bool:
        done = await super().run_action(*arguments, **more)
        self.handled = now()
        self.noted.set()
        return done

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        if screen is not self.screen or (isinstance(screen, LabScreen) and not screen.is_whole):
            return  # the mode that is left, or an empty frame before the widgets are there
        self.shown = now()
        self.noted.set()


def now() -> tuple[float, float]:
    """Seconds on the clock, and of this thread's work."""
    return time.perf_counter(), time.thread_time()


async def keys_pressed(database: Path) -> tuple[list[Pressed], list[Pressed]]:
    """Keys of the Runs, and switches of mode, each pressed when the screen has come to rest."""
    app = WatchedApp(database)
    async with app.run_test(headless=False, size=SIZE):
        await drawn(app)
        await asyncio.sleep(READ_AHEAD_SECONDS)
        modes = [await pressed(app, key, shows=True) for key in MODES]
        keys = []
        for _ in range(ROUNDS):
            await drawn(app)
            keys += [await pressed(app, key) for key in KEYS]
    return keys, modes


async def drawn(app: WatchedApp) -> None:
    """Draws the curves of the runs that train over each other."""
    while not app.snapshot.training:
        await asyncio.sleep(0.05)
    screen: Any = app.screen
    screen.marks = tuple(run.id for run in app.snapshot.training)
    while len(app.snapshot.curves) < LIVE:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)


async def pressed(app: WatchedApp, key: str, *, shows: bool = False) -> Pressed:
    """One key, until what it does is shown; where nothing is to be shown, until it was seen to.

    Raises `TimeoutError` where it must show something and does not.
    """
    await asyncio.sleep(SETTLE_SECONDS)
    character = {"space": " "}.get(key, key if len(key) == 1 else None)
    name = _character_to_key(key) if len(key) == 1 else key
    typing = isinstance(app.focused, Input) and len(key) == 1
    begun = now()
    app.post_message(events.Key(name, character))

    def over() -> bool:
        handled = begun if typing else app.handled
        return handled >= begun and app.shown > handled

    with contextlib.nullcontext() if shows else contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS if shows else LONGEST_WAIT):
            while not over():
                app.noted.clear()
                await app.noted.wait()
    ended = app.shown if over() else max(app.handled, begun)
    return Pressed(key, ended[0] - begun[0], ended[1] - begun[1])
