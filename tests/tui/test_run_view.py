"""The run view: what it tells of live and stored runs, and that one cursor moves all of it."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tui_helpers import HOSTILE, lab_app, named, on_screen, opened, statuses, until

from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import RunStore
from lab.tui.run_story import cursor_unit, headline, last_value, rate_at, schedule_text, values_at
from lab.tui.screens import run_view
from lab.tui.screens.run_view import RunView
from lab.tui.screens.runs import RunsScreen
from lab.tui.snapshot import Curve
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.run_table import RunTable

LARGE, SMALL = (160, 45), (80, 24)


async def viewing(pilot: Any, name: str = "residual-1") -> RunView:
    """Opens a run from Runs; waits until it is all there."""
    runs = await opened(pilot)
    runs.query_one(RunTable).move_to(named(pilot.app, name).id)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunView))
    screen = pilot.app.screen
    run_id = named(pilot.app, name).id
    await until(pilot, lambda: run_id in pilot.app.snapshot.curves and pilot.app.snapshot.detail.run_id == run_id)
    await until(pilot, lambda: screen.samples is not None)
    return screen


def add_samples(path: Path, name: str, *steps: int) -> None:
    """Samples that say which step they are of, as a trainer would record them."""
    store = RunStore.open(path)
    run = store.resolve(name)
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM sample WHERE run_id = ?", (run.id,))
        for step in steps:
            connection.exec_driver_sql(
                "INSERT INTO sample (run_id, step, text) VALUES (?, ?, ?)", (run.id, step, f"written at {step}")
            )
    store.close()


# What it tells


async def test_enter_opens_the_run_and_escape_or_q_goes_back(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        for key in ("escape", "q", "2"):
            screen = await viewing(pilot)
            assert screen.run.name == "residual-1"
            said = on_screen(app)
            assert "✓ finished · val 2.083 (8.0 choices) · in 12s (the lecture: 3:17) · 98k chars/s" in said
            assert "bigram by counting 2.49" in said
            assert "Learning rate · constant · 1e-3 at step 400" in said
            assert "Sample at step 400" in said
            assert "[red]brother[/red]\\x1b[2J" in said
            assert "embedding_dim" in said
            await pilot.press(key)
            assert isinstance(app.screen, RunsScreen)


async def test_the_cursor_moves_every_pane(database: Path) -> None:
    add_samples(database, "residual-1", 100, 200, 400)
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        assert "written at 400" in on_screen(app)
        assert "step 400 of 400" in on_screen(app)
        await pilot.press("left")
        assert screen.step == 396
        said = on_screen(app)
        assert "step 396 of 400" in said
        assert "written at 200" in said
        assert "1e-3 at step 396" in said
        assert "you are here" in said
        assert screen.query_one("#view-loss", LossChart).content.cursor == 396
        assert screen.query_one("#view-rate", LossChart).content.cursor == 396
        await pilot.press(*["shift+left"] * 8)
        assert screen.step == 76
        assert "its first sample is of step 100" in on_screen(app)
        await pilot.press(*["shift+left"] * 3)
        assert screen.step == 0
        await pilot.press("right")
        assert screen.step == 4
        await pilot.press(*["shift+right"] * 11)
        assert screen.cursor is None, "at the end it goes along with the run again"


async def test_a_live_run_is_followed(database: Path) -> None:
    store = RunStore.open(database)
    lifecycle.claim(store, store.resolve("linear-1").id)
    run = store.resolve("linear-1")
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot, "linear-1")
        assert "● training 0%, no val yet" in on_screen(app)
        assert "the first steps are on their way" in on_screen(app)
        recorder.log("train/loss", 0, [4.0 - i / 100 for i in range(100)])
        recorder.log("val/loss", 100, [3.1])
        recorder.sample(100, "written live")
        recorder.progress(step=100, val_loss=3.1, best_val_loss=3.1, best_step=100, seconds=10.0, chars_per_second=5e4)
        recorder.flush()
        await until(pilot, lambda: "training 25%, healthy so far · val 3.100 (22.2 choices)" in on_screen(app))
        assert "30s left (the lecture: 17 s) · 50k chars/s" in on_screen(app)
        await until(pilot, lambda: "written live" in on_screen(app))
        await pilot.press("shift+left")
        assert screen.step == 60
        recorder.progress(step=200, val_loss=3.4)
        recorder.flush()
        await until(pilot, lambda: "val rising since step 100" in on_screen(app))
        assert screen.step == 60, "the cursor stays where it was put"
    recorder.close()
    store.close()


async def test_a_diverged_a_failed_and_a_waiting_run(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        await viewing(pilot, "layernorm-1")
        assert "↯ diverged" in on_screen(app)
        assert "the loss is not finite" in on_screen(app)
        await pilot.press("]", "escape")
        await viewing(pilot, HOSTILE)
        assert "[bold]x[/bold]\\x1b[31m" in on_screen(app)
        await pilot.press("escape")
        await viewing(pilot, "linear-1")
        assert "◌ waiting 1" in on_screen(app)
        assert "waiting: its curve starts when its turn comes" in on_screen(app)
        assert "its first sample comes with its first evaluation" in on_screen(app)
        await pilot.press("left", "shift+left", "right")


async def test_a_run_that_is_put_away_meanwhile_is_said_to_be_gone(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        await viewing(pilot)
        store = RunStore.open(database)
        store.trash([store.resolve("residual-1").id])
        store.close()
        await until(pilot, lambda: "the run is gone" in on_screen(app))
        await pilot.press("left", "tab", "z", "p")
        await until(pilot, lambda: any("no run is selected" in note.message for note in app._notifications))


# What can be done


async def test_pause_and_stop_work_on_the_run_itself(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        await viewing(pilot, "linear-1")
        await pilot.press("p")
        await until(pilot, lambda: statuses(database)["linear-1"] == "paused")
        await until(pilot, lambda: "‖ paused" in on_screen(app))
        await pilot.press("K")
        await until(pilot, lambda: statuses(database)["linear-1"] == "cancelled")
        await until(pilot, lambda: "– cancelled" in on_screen(app))
        await pilot.press("R")
        await until(pilot, lambda: statuses(database)["linear-1"] == "queued")
        await until(pilot, lambda: app.edits.next_undo.startswith("retry"))
        await pilot.press("u")
        await until(pilot, lambda: statuses(database)["linear-1"] == "cancelled")


async def test_the_chart_is_drawn_as_one_likes(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        await pilot.press("l", "L", "=", "<")
        assert screen.options.smoothing == 2
        assert "log y · log x · whole range" in on_screen(app)
        await pilot.press(">")
        assert screen.options.smoothing == 3


async def test_zoom_tabs_and_panes(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        pages = []
        for _ in range(4):
            await pilot.press("tab")
            pages.append((screen.page, app.focused.id))
        assert pages == [
            ("learning rate", "view-rate"), ("sample", "view-sample"), ("config", "view-facts"), ("loss", "view-loss"),
        ]  # fmt: skip
        await pilot.press("]")
        assert "cpu fp32, 1 thread" in on_screen(app)
        assert screen.page == "loss"
        await pilot.press("[", "shift+tab", "]")
        assert screen.page == "log"
        await pilot.press("j", "k", "G", "g", "tab", "z")
        assert screen.zoomed
        assert screen.query_one("#view-loss").size.width > 150
        assert not screen.query_one("#view-sample").display
        await pilot.press("escape")
        assert not screen.zoomed
        assert app.screen is screen


async def test_at_80x24_one_pane_at_a_time(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=SMALL) as pilot:
        screen = await viewing(pilot)
        seen = {}
        for page in ("learning rate", "sample", "config", "log", "loss"):
            await pilot.press("tab")
            assert screen.page == page
            seen[page] = on_screen(app)
        assert "you are here" in seen["learning rate"]
        assert "WARWICK" in seen["sample"]
        assert "embedding_dim" in seen["config"]
        assert "cpu fp32, 1 thread" in seen["log"]
        assert "bigram by counting" in seen["loss"]
        assert all("step 400 of 400" in each and "val 2.083" in each for each in seen.values())
        await pilot.resize_terminal(*LARGE)
        await until(pilot, lambda: "you are here" in on_screen(app) and "WARWICK" in on_screen(app))
        await pilot.resize_terminal(50, 10)
        await until(pilot, lambda: "make the window larger" in on_screen(app))


async def test_runs_and_the_run_view_do_not_fight_over_what_is_read(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        runs = await opened(pilot)
        runs.marks = (named(app, "bigram-1").id, named(app, "blocks-1").id)
        await viewing(pilot)
        await pilot.press("right", "left", "left")
        assert set(app.reader._wanted.curves) == {named(app, "residual-1").id}
        snapshot = app.snapshot
        await pilot.pause()
        await pilot.pause()
        assert app.snapshot is snapshot, "nothing is read while nothing changes"
        await pilot.press("escape")
        await until(pilot, lambda: set(app.reader._wanted.curves) == set(runs.marks))


# The parts


@pytest.fixture
def run(database: Path) -> Any:
    store = RunStore.open(database)
    row = store.resolve("residual-1")
    store.close()
    return row


def test_values_are_the_last_known_ones_and_never_nan(run: Any) -> None:
    curve = Curve(np.array([0, 10, 20]), np.array([3.0, np.nan, 2.0]), (1, 3))
    assert last_value(curve, 9) == 3.0
    assert last_value(curve, 15) is None
    assert last_value(curve, 400) == 2.0
    assert last_value(Curve(np.array([5]), np.array([1.0]), (1, 1)), 4) is None
    assert last_value(None, 4) is None
    names = [name for name, _ in values_at(run, {"train/loss": curve}, 15)]
    assert names == ["step", "lr"]


def test_the_learning_rate_comes_from_the_config_alone(run: Any) -> None:
    config = run.config.replace(schedule="cosine", warmup_steps=100, decay_to=0.0)
    cosine = dataclasses.replace(run, config_json=config.to_json())
    assert rate_at(cosine, 50) == pytest.approx(1e-3 * 50 / 101)
    assert rate_at(cosine, 400) == pytest.approx(0)
    assert schedule_text(cosine, 101).startswith("Learning rate · cosine · 100 steps of warm-up · ")
    nonsense = dataclasses.replace(run, config_json="{}")
    assert rate_at(nonsense, 5) is None
    assert schedule_text(nonsense, 5) == "Learning rate"


def test_the_headline_escapes_what_it_is_given(run: Any) -> None:
    hostile = dataclasses.replace(run, name=HOSTILE, error=HOSTILE)
    said = headline(hostile, Look()).plain
    assert "\x1b" not in said
    assert "\n" not in said
    assert re.search(r"\[bold\]x\[/bold\]", said)


def test_a_short_run_moves_a_step_at_a_time(run: Any) -> None:
    assert cursor_unit(dataclasses.replace(run, steps=20)) == 1
    assert cursor_unit(dataclasses.replace(run, steps=200_000)) == 2000


# Pictures


@pytest.fixture
def pictured(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on the stored runs, by a path that is the same everywhere."""
    shutil.copyfile(template, tmp_path / "runs.db")
    add_samples(tmp_path / "runs.db", "blocks-1", 100, 200, 400)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    shown = run_view.config_text
    monkeypatch.setattr(
        run_view, "config_text", lambda run, *how: shown(dataclasses.replace(run, id="000000"), *how)
    )  # ids tell when a run was made
    return lab_app(Path("runs.db"))


async def at_a_step(pilot: Any) -> None:
    """A run with a change of its own, the cursor in its middle."""
    await viewing(pilot, "blocks-1")
    await until(pilot, lambda: pilot.app.worker)
    await pilot.press(*["shift+left"] * 4)


def test_run_view_at_160x45(snap_compare: Any, pictured: Any) -> None:
    assert snap_compare(pictured, terminal_size=LARGE, run_before=at_a_step)


def test_run_view_at_80x24(snap_compare: Any, pictured: Any) -> None:
    assert snap_compare(pictured, terminal_size=SMALL, run_before=at_a_step)
