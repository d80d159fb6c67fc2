"""Databases for the screen's tests, made by the real recorder, and waiting on conditions."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunRow, RunStore
from lab.tui.app import LabApp

NOW = 1_800_000_000.0
HOSTILE = "[bold]x[/bold]\x1b[31m\nend"
SAMPLE = "\nWARWICK:\nIs is the [red]brother[/red]\x1b[2J, he whan do me\n"


def add_run(
    store: RunStore, stage: str, end: float, *, status: str = "finished", name: str = "", **settings: Any
) -> RunRow:
    """A run of 400 steps (unless set otherwise) as a trainer would have recorded it."""
    dataset = load_dataset("names" if stage == "mlp" else "shakespeare")
    config = stage_config(stage, dataset_as=dataset.kind, settings={"steps": 400, **settings})
    first = "queued" if status == "queued" else "paused"
    (run,) = store.add_runs([NewRun(config, dataset_facts(dataset), name=name, status=first)])
    if status == "queued":
        return run
    lifecycle.resume(store, run.id)
    run = lifecycle.claim(store, run.id)
    assert run is not None
    steps = run.steps if status == "finished" else run.steps // 2
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)

    def loss(step: int) -> float:
        return end + 1.6 * math.exp(-step / 60) + 0.03 * math.sin(step * 1.7)

    recorder.log("train/loss", 0, [math.nan if status == "diverged" and i > 150 else loss(i) for i in range(steps)])
    for step in range(0, steps, 16):
        recorder.log("val/loss", step, [loss(step) + 0.02])
    recorder.sample(steps, SAMPLE)
    recorder.event(steps, f"val {end:.4f} {HOSTILE}")
    recorder.progress(
        step=steps, val_loss=None if status == "diverged" else end, train_loss=end - 0.02, best_val_loss=end,
        best_step=steps, parameters=4225, seconds=12.0, chars_per_second=98_000.0, device="cpu", precision="fp32",
        threads=1,
    )  # fmt: skip
    recorder.close()
    if status != "training":
        error = {"failed": HOSTILE, "diverged": "the loss is not finite"}.get(status)
        lifecycle.end(store, run.id, run.attempt, status, error)
    return store.run(run.id)


def make_database(path: Path) -> None:
    """Nine runs in every state that matters, with frozen times."""
    store = RunStore.open(path)
    add_run(store, "bigram", 2.489)
    add_run(store, "mlp", 2.164)
    add_run(store, "multi-head", 2.271)
    add_run(store, "blocks", 2.325, lr=3e-4)
    add_run(store, "residual", 2.083)
    add_run(store, "layernorm", 2.9, status="diverged", lr=0.3)
    add_run(store, "residual", 2.4, status="failed", name=HOSTILE)
    add_run(store, "layernorm", 2.11, status="paused", dropout=0.2)
    add_run(store, "linear", 2.513, status="queued")
    store.close()
    with sqlite3.connect(path) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM run ORDER BY id")]
        for place, run_id in enumerate(ids):
            at = NOW - 3600 * (len(ids) - place)
            connection.execute(
                "UPDATE run SET created_at = ?, started_at = ?, ended_at = iif(ended_at IS NULL, NULL, ?) WHERE id = ?",
                (at, at, at + 60, run_id),
            )
        connection.execute("UPDATE event SET at = ?", (NOW - 3600,))
    connection.close()


def lab_app(path: Path) -> LabApp:
    """lab on a database, its clock standing still."""
    return LabApp(path, clock=lambda: NOW)


async def until(pilot: Any, condition: Callable[[], object], seconds: float = 40.0) -> None:
    """Waits for a condition. Raises `AssertionError` where it does not come about."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"waited {seconds:.0f} s in vain"
        await pilot.pause(0.01)
    await pilot.pause()


def at_rest(app: LabApp) -> bool:
    """Whether nothing waits to be heard, laid out or painted by what is on the screen."""
    screen = app.screen
    if screen._layout_required or screen._scroll_required or screen._dirty_widgets or screen._callbacks:
        return False
    widgets = screen.walk_children(with_self=True)
    return not app.message_queue_size and not any(
        widget.message_queue_size or widget._layout_required or widget._repaint_required for widget in widgets
    )


async def opened(pilot: Any) -> Any:
    """Waits until the runs are on the screen, with what is wanted of the one under the cursor; returns the screen."""
    app = pilot.app
    await until(pilot, lambda: app.loaded)
    await until(pilot, lambda: not app.snapshot.runs or app.snapshot.detail is not None)
    return app.screen


def on_screen(app: LabApp) -> str:
    """The text that the screen shows."""
    width = app.size.width
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.ljust(width) for strip in strips)


def named(app: LabApp, name: str) -> RunRow:
    """The run of that name in the last snapshot."""
    return next(run for run in app.snapshot.runs if run.name == name)


def statuses(path: Path) -> dict[str, str]:
    """Each run's status by its name, as the database has it."""
    connection = sqlite3.connect(path)
    try:
        return dict(connection.execute("SELECT name, status FROM run WHERE trashed_at IS NULL"))
    finally:
        connection.close()
