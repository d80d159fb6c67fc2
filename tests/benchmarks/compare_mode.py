"""How quick Compare is: 300 marked runs in 60 groups of five seeds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.file_lock import FileLock
from lab.queue.requests import dataset_facts
from lab.store.location import worker_lock
from lab.store.run_store import NewRun, RunStore
from lab.tui.screens.compare import CompareScreen
from tests.benchmarks.measure import Figure
from tests.benchmarks.screen import READ_AHEAD_SECONDS, SIZE, Pressed, WatchedApp, now, pressed, share

GROUPS, SEEDS, STEPS, EVALUATIONS = 60, 5, 5000, 25
KEYS = ("j", "j", "k", "G", "g", "]", "[", "v", "v", "c", "c", "c", "B", "l", "l", "tab", "tab", "tab", "z", "z")
ROUNDS = 3


def figures() -> list[Figure]:
    """From the key until the table of all groups stands, and the keys there."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        database = Path(folder) / "runs.db"
        run_ids = make_database(database)
        with FileLock(worker_lock(database)):  # as if a worker were there: none is to be started
            opened, keys = asyncio.run(keys_pressed(database, run_ids))
    works = [each.cpu for each in keys]
    slowest = ", ".join(map(str, sorted(keys, key=lambda each: -each.wall)[:3]))
    return [
        Figure("compare opens", opened.wall, "s", 0.5,
               f"CPU of the screen's thread {opened.cpu:.2f} s; {len(run_ids)} marked runs in {GROUPS} groups"),
        Figure("compare's keys", 1000 * share([each.wall for each in keys], 0.95), "ms", 50,
               f"p95 of {len(keys)} keys; median {1000 * share([each.wall for each in keys], 0.5):.0f}; CPU "
               f"{1000 * share(works, 0.95):.0f}, median {1000 * share(works, 0.5):.0f}; slowest {slowest}"),
    ]  # fmt: skip


def make_database(path: Path) -> list[str]:
    """Groups of finished runs that differ in their learning rate, with both losses; the ids of all runs."""
    facts = dataset_facts(load_dataset("shakespeare"))
    configs = [
        stage_config("layernorm", settings={"steps": STEPS, "lr": 1e-4 * (1 + group), "seed": 1 + seed})
        for group in range(GROUPS)
        for seed in range(SEEDS)
    ]
    store = RunStore.open(path)
    run_ids = [run.id for run in store.add_runs([NewRun(config, facts) for config in configs])]
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "UPDATE run SET status = 'finished', queue_position = NULL, step = steps, attempt = 1, val_loss = 2.0 + "
            "(rowid * 7919 % 1000) / 2000.0, best_val_loss = 2.0 + (rowid * 7919 % 1000) / 2000.0, best_step = steps, "
            "parameters = 42369, seconds = 40.0, device = 'cpu', chars_per_second = 98000.0, "
            "started_at = created_at, ended_at = created_at + rowid",
        )
        every = STEPS // EVALUATIONS
        for name, apart in (("train/loss", 1), ("val/loss", every)):
            db.execute("INSERT INTO metric (run_id, name, bucket_width) SELECT id, ?, 1 FROM run", (name,))
            db.execute(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + ?1 FROM n WHERE i + ?1 < ?2) "
                "INSERT INTO point SELECT metric.id, i, i, 2.0 + 2.0 / (1 + i / 50.0) + "
                "((i + metric.id) * 37 % 101) / 1000.0, 2.0, 2.1, 0 FROM metric CROSS JOIN n WHERE metric.name = ?3",
                (apart, STEPS, name),
            )
    return run_ids


async def keys_pressed(database: Path, run_ids: list[str]) -> tuple[Pressed, list[Pressed]]:
    """The first visit, and keys once all is read."""
    app = WatchedApp(database)
    async with app.run_test(headless=False, size=SIZE):
        while not app.loaded:
            await asyncio.sleep(0.05)
        app.marks = tuple(run_ids)
        await asyncio.sleep(2 * READ_AHEAD_SECONDS)
        begun = now()
        await pressed(app, "3", shows=True)
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        while len(screen.comparison.groups) < GROUPS:
            await asyncio.sleep(0.005)
        known = now()
        while app.shown < known:
            await asyncio.sleep(0.005)
        shown = app.shown
        while screen.comparison.unread:
            await asyncio.sleep(0.05)
        keys = [await pressed(app, key) for _ in range(ROUNDS) for key in KEYS]
    return Pressed("3", shown[0] - begun[0], shown[1] - begun[1]), keys
