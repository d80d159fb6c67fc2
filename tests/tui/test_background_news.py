"""What happened in the background is said in passing: once, several runs as one, and never what a person did."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_helpers import add_sweep
from tui_helpers import lab_app, on_screen, opened, until

from lab.store.run_store import RunStore
from lab.tui.background_news import BackgroundNews
from lab.tui.messages import WorkerChanged
from lab.tui.snapshot import Snapshot
from lab.tui.theme import PRESENTER


def set_status(database: Path, status: str, *names: str, error: str | None = None) -> None:
    """As a worker would."""
    with sqlite3.connect(database) as connection:
        for name in names:
            query = "UPDATE run SET status = ?, error = ?, val_loss = 2.25, queue_position = NULL WHERE name = ?"
            connection.execute(query, (status, error, name))
    connection.close()


def toasts(app: Any) -> list[str]:
    """What popped up and has not gone."""
    return [note.message for note in app._notifications]


async def test_how_runs_end_is_said_and_several_as_one(database: Path) -> None:
    set_status(database, "training", "blocks-1", "residual-1", "layernorm-1", "linear-1")
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        set_status(database, "finished", "blocks-1", "residual-1")
        set_status(database, "failed", "layernorm-1", error="out of memory\nmore")
        set_status(database, "stopped", "linear-1")
        await until(pilot, lambda: len(toasts(app)) == 2)
        assert "2 runs finished: blocks-1 2.250, residual-1 2.250" in toasts(app)
        assert "layernorm-1 failed: out of memory" in toasts(app)


async def test_of_a_sweep_its_suggestion_is_said(database: Path) -> None:
    store = RunStore.open(database)
    found, flat = add_sweep(store), add_sweep(store, flat=True)
    store.close()
    set_status(database, "training", found.name, flat.name)
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        set_status(database, "finished", found.name)
        await until(pilot, lambda: toasts(app))
        lr = app.snapshot.sweeps[found.id].result
        assert 0.001 < float(lr) < 0.1
        assert toasts(app) == [f"{found.name} finished: lr {lr}"]
        set_status(database, "finished", flat.name)
        await until(pilot, lambda: f"{flat.name} finished: no suggestion" in toasts(app))
        set_status(database, "training", found.name, flat.name)
        await until(pilot, lambda: len(app.snapshot.training) == 2)
        set_status(database, "finished", found.name, flat.name)
        several = {f"{found.name} lr {lr}", f"{flat.name} no suggestion"}
        await until(pilot, lambda: toasts(app)[-1].startswith("2 runs finished: "))
        assert set(toasts(app)[-1].removeprefix("2 runs finished: ").split(", ")) == several


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_to_a_room_it_is_said_at_the_top(size: tuple[int, int], database: Path) -> None:
    set_status(database, "training", "blocks-1")
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        app.theme = PRESENTER.name
        set_status(database, "diverged", "blocks-1", error="the loss is not finite")
        await until(pilot, lambda: "blocks-1 diverged" in on_screen(app).splitlines()[0])
        assert not toasts(app)


async def test_a_worker_that_dies_is_said_and_one_that_was_sent_away_is_not(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: app.worker)
        app.post_message(WorkerChanged(None))
        await until(pilot, lambda: any("another one takes over" in said for said in toasts(app)))
        app.clear_notifications()
        app.post_message(WorkerChanged(77))
        app.minder.rest()
        app.post_message(WorkerChanged(None))
        await until(pilot, lambda: app.worker is None)
        assert not toasts(app)


async def test_what_the_first_snapshot_shows_is_no_news(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test() as pilot:
        await opened(pilot)
        runs = app.snapshot.runs
    news = BackgroundNews()
    assert not news.see(Snapshot(runs=runs))
    assert not news.see(Snapshot(runs=runs[1:]))
    assert not news.see(Snapshot(runs=runs)), "a run that comes back from the trash has not ended anew"
    waiting = tuple(replace(run, status="training") for run in runs)
    assert not news.see(Snapshot(runs=waiting))
    assert news.see(Snapshot(runs=tuple(replace(run, status="finished") for run in runs)))
    (one,) = news.take()
    assert one.said.startswith("9 runs finished: ")
    assert one.said.endswith(" and 6 more")
    assert not news.take()
