"""The run view: what it tells of live and stored runs, and that one cursor moves all of it."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_helpers import add_checkpoints
from sweep_helpers import add_sweep
from tui_helpers import HOSTILE, lab_app, named, on_screen, opened, statuses, until

from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunStore
from lab.tui.arrangement import FOUR, PAGES, SIX, Arrangement
from lab.tui.lineage import lineage
from lab.tui.messages import ReadFailed
from lab.tui.run_charts import last_value, rate_at, schedule_text
from lab.tui.run_story import cursor_unit, headline, in_word_columns, starts_in, values_at, verdict
from lab.tui.screens import step_actions
from lab.tui.screens.continue_run import ContinueScreen
from lab.tui.screens.help import HelpScreen
from lab.tui.screens.run_view import RunView
from lab.tui.screens.runs import RunsScreen
from lab.tui.snapshot import Curve, References, Snapshot
from lab.tui.theme import LIGHT
from lab.tui.widgets import run_pages
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.rate_pane import RatePane
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
            assert "✓ finished" in said
            assert "finished · val 2.083 (8.0 choices) · 98k chars/s · in 12s (the lecture: 3:17)" in said
            assert "no LR sweep of this stage yet: lab lr-find residual" in said
            assert "nothing was recorded of its layers" in said
            assert "bigram by counting 2.49" in said
            assert "Learning rate · constant · 1e-3 at step 400" in said
            assert "Sample at step 400" in said
            assert "[red]brother[/red]\\x1b[2J" in said
            await pilot.press(key)
            assert isinstance(app.screen, RunsScreen)


@pytest.mark.parametrize("mode", ["ladder", "runs", "compare"])
async def test_what_it_shows_is_read_whatever_it_was_opened_from(
    database: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = lab_app(database)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot)
        run_id = named(app, "residual-1").id
        app.marks = (run_id,)
        await app.switch_mode(mode)
        await until(pilot, lambda: app.screen.is_whole)
        beneath = app.screen
        beneath.open_run(run_id)
        await until(
            pilot, lambda: isinstance(app.screen, RunView) and "grad_norm" in app.snapshot.curves.get(run_id, {})
        )
        await pilot.press("question_mark")  # a window changes nothing of it
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        monkeypatch.setattr(type(beneath), "show_app", lambda screen: pytest.fail("what nobody sees is drawn"))
        seen: list[Snapshot] = []
        app.watch(app, "snapshot", lambda snapshot: seen.append(snapshot), init=False)
        store = RunStore.open(database)
        for notes in ("first", "second", "third"):
            store.set_notes(run_id, notes)
            await until(pilot, lambda notes=notes: app.snapshot.by_id[run_id].notes == notes)
        store.close()
        assert all("grad_norm" in snapshot.curves[run_id] for snapshot in seen)
        monkeypatch.undo()
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is beneath and not beneath._stale)


async def test_help_is_about_the_page_that_one_looks_at(database: Path) -> None:
    inside = ["saturated", "dead", "entropy", "update:data"]
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        for key, page, terms in (("]", "gradient", ["grad_norm"]), ("tab", "inside", inside)):
            await pilot.press(key)
            assert screen.page == page
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "Under the cursor" in on_screen(app))
            under = on_screen(app).split("Under the cursor")[1].split("Queue")[0]
            assert all(f" {term} " in under for term in [*terms, "residual"])
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen)


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
        assert screen.query_one("#page-loss", LossChart).content.cursor == 396
        assert screen.query_one("#page-lr", RatePane).schedule.content.cursor == 396
        await pilot.press(*["shift+left"] * 8)
        assert screen.step == 76
        assert "its first sample is of step 100" in on_screen(app)
        await pilot.press(*["shift+left"] * 3)
        assert screen.step == 0
        await pilot.press("right")
        assert screen.step == 4
        await pilot.press(*["shift+right"] * 11)
        assert screen.cursor is None, "at the end it goes along with the run again"


async def test_checkpoints_are_marked_on_the_val_curve_unless_they_are_crowded(database: Path) -> None:
    add_checkpoints(database, residual_1=(1, 100, 104, 108, 384))
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        chart = screen.query_one("#page-loss", LossChart)
        await until(pilot, lambda: chart.content.marks)
        assert [mark.x for mark in chart.content.marks if mark.kind == "checkpoint"] == [384, 108, 1]
        assert "checkpoints marked" in on_screen(app)
        assert "▲" in on_screen(app)


async def test_a_live_run_is_followed(database: Path) -> None:
    store = RunStore.open(database)
    lifecycle.claim(store, store.resolve("linear-1").id)
    run = store.resolve("linear-1")
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot, "linear-1")
        assert "● training 0%" in on_screen(app)
        assert "starting" in on_screen(app)
        assert "the first steps are on their way" in on_screen(app)
        recorder.log("train/loss", 0, [4.0 - i / 100 for i in range(100)])
        recorder.log("val/loss", 100, [3.1])
        recorder.sample(100, "written live")
        recorder.progress(step=100, val_loss=3.1, best_val_loss=3.1, best_step=100, seconds=10.0, chars_per_second=5e4)
        recorder.flush()
        await until(pilot, lambda: "healthy so far · val 3.100 (22.2 choices)" in on_screen(app))
        assert "● training 25%" in on_screen(app)
        assert "50k chars/s · 30s left (the lecture: 17 s)" in on_screen(app)
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
        assert "c goes on from its best with a smaller lr" in on_screen(app)
        await pilot.press("escape")
        await viewing(pilot, HOSTILE)
        assert "failed at step 200 of 400: [bold]x[/bold]\\x1b[31m" in on_screen(app)
        assert "R tries again from its last checkpoint" in on_screen(app)
        await pilot.press("escape")
        await viewing(pilot, "linear-1")
        assert "◌ waiting 1" in on_screen(app)
        assert "waits: its turn is next" in on_screen(app)
        await until(pilot, lambda: "waiting: its curve starts when its turn comes" in on_screen(app))
        await until(pilot, lambda: "its first sample comes with its first evaluation" in on_screen(app))
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


async def test_space_plays_through_the_steps_and_stops(database: Path) -> None:
    add_samples(database, "residual-1", 0, 100, 400)
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        await pilot.press("home")
        await until(pilot, lambda: "written at 0" in on_screen(app))
        await pilot.press("space")
        await until(pilot, lambda: "▶ step" in on_screen(app) and screen.step >= 12)
        await pilot.press("space")
        stopped_at = screen.step
        assert "◆ step" in on_screen(app)
        await pilot.pause(3 * step_actions.PLAY_SECONDS)
        assert screen.step == stopped_at
        screen.cursor = 392
        await pilot.press("space")
        await until(pilot, lambda: screen.cursor is None and not screen.playing)
        assert "● step 400 of 400" in on_screen(app)
        await pilot.press("space", "left")
        assert not screen.playing, "a key that moves the cursor takes it over"


async def test_the_trainers_memory_and_processor_time_are_shown(database: Path) -> None:
    store = RunStore.open(database)
    lifecycle.claim(store, store.resolve("linear-1").id)
    run = store.resolve("linear-1")
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    for step, (memory, cpu) in {100: (412.0, 99.0), 200: (455.0, 101.0)}.items():
        recorder.log("memory_mb", step, [memory])
        recorder.log("cpu_percent", step, [cpu])
    recorder.progress(step=200)
    recorder.close()
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot, "linear-1")
        await until(pilot, lambda: "memory 455 MB  CPU 101%" in on_screen(app))
        screen.go_to("memory")
        await until(pilot, lambda: "Memory of the trainer · process 455 MB" in on_screen(app))
        screen.go_to("CPU")
        await until(pilot, lambda: "Processor time of the trainer · 101 % of a core" in on_screen(app))
        await pilot.press(*["shift+left"] * 2)
        assert "Processor time of the trainer · 99 % of a core" in on_screen(app)
    store.close()


async def test_a_database_that_cannot_be_read_any_more_keeps_what_was_shown(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        await viewing(pilot)
        app.reader.stop()  # what it reads well says that all is well
        app.post_message(ReadFailed("the database cannot be read: disk I/O error"))
        await until(pilot, lambda: "disk I/O error" in on_screen(app))
        assert "finished · val 2.083" in on_screen(app)


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_the_stages_lr_sweep_stands_by_the_schedule(size: tuple[int, int], database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store, "layernorm")
    store.close()
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await viewing(pilot, "layernorm-2")
        screen.go_to("lr")
        pane = screen.query_one("#page-lr", RatePane)
        await until(pilot, lambda: pane.sweep.display and "useful" in on_screen(app))
        assert pane.sweep.content.cursor == pytest.approx(1e-3), "where this run's rate is on it"
        assert pane.schedule.size.width > 0
        assert "no LR sweep" not in on_screen(app)
        await pilot.press("escape")
        sweep = next(run for run in app.snapshot.runs if run.kind == "lr-sweep")
        await app.push_screen(RunView(sweep.id))
        await until(pilot, lambda: "an LR sweep" in on_screen(app))
        app.screen.go_to("loss")
        chart = app.screen.query_one("#page-loss", LossChart)
        await until(pilot, lambda: any("minimum/3" in mark.label for mark in chart.content.marks))
        app.screen.go_to("lr")
        await until(pilot, lambda: "Learning rate · 10 at step 200" in on_screen(app))
        app.screen.go_to("inside")
        await until(pilot, lambda: "only runs that lab trains are looked into" in on_screen(app))
        await pilot.press("tab", "tab", "]", "left", "c")


async def test_a_run_that_never_was_is_said_so(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot)
        await app.push_screen(RunView("000000"))
        await until(pilot, lambda: "there is no such run" in on_screen(app))
        await pilot.press("space", "c", "home", "end", "right", "z", "]", "escape")


# What can be done


def add_child(path: Path, parent: str, step: int, *, steps: int = 600) -> None:
    """A child run that has trained from a step of its parent's to step 500, and its parent's checkpoints."""
    store = RunStore.open(path)
    row = store.resolve(parent)
    facts = store.dataset(row.dataset_sha256, row.dataset_kind)
    assert facts is not None
    child = NewRun(row.config.replace(steps=steps, lr=1e-4), facts, "child", parent_id=row.id, parent_step=step)
    (run,) = store.add_runs([child])
    claimed = lifecycle.claim(store, run.id)
    assert claimed is not None
    recorder = RunRecorder(store, run.id, claimed.attempt, steps)
    recorder.log("train/loss", step + 1, [2.0] * (500 - step))
    for at in range(step, 501, 50):
        recorder.log("val/loss", at, [2.05])
    recorder.progress(step=500, val_loss=2.05, best_val_loss=2.05, best_step=500, seconds=10.0)
    recorder.close()
    store.close()


async def test_a_child_is_drawn_on_from_its_parents_curve(database: Path) -> None:
    add_child(database, "residual-1", 300)
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot, "child")
        assert "goes on from residual-1 at step 300 · lr=1e-4 steps=600" in on_screen(app)
        parent = named(app, "residual-1").id
        await until(pilot, lambda: parent in app.snapshot.curves)
        await pilot.pause()
        [branch, *_, val] = screen.query_one("#page-loss", LossChart).content.lines
        assert branch.x.tolist() == [300, 300]
        assert val.x.min() == 0
        assert val.x.max() == 500
        at = val.x.tolist()
        assert at == sorted(set(at)), "the parent's points after the branch are left out"
        rates = screen.query_one("#page-lr", RatePane).schedule.content.lines[0]
        assert rates.y[rates.x <= 300].tolist() == pytest.approx([1e-3] * int((rates.x <= 300).sum()))
        assert rates.y[rates.x > 300].max() == pytest.approx(1e-4)
        assert "5s left" in on_screen(app), "what its parent had trained takes no time again"
        await pilot.press("home")
        assert "train 3.683" in on_screen(app)
        assert "lr 1e-3" in on_screen(app), "the parent's, before the branch"


async def test_in_runs_a_child_is_one_curve_with_its_parent_and_the_branch_is_marked(database: Path) -> None:
    add_child(database, "residual-1", 300)
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "child").id)

        def branches() -> list[Any]:
            return [mark for mark in screen.chart.content.marks if mark.kind == "branch"]

        await until(pilot, lambda: screen.chart.content.lines and screen.chart.content.lines[-1].x.min() == 0)
        [mark] = branches()
        assert (mark.x, mark.label) == (300.0, "from residual-1")
        val = screen.chart.content.lines[-1]
        assert val.name == "child"
        assert val.x.tolist() == sorted(set(val.x.tolist())), "the parent's points after the branch are left out"
        assert val.x.max() == 500
        await pilot.press("x")
        assert branches()[0].x == 300 * 32 * 8, "over characters"
        await pilot.press("x", "x", "x", "space")
        screen.query_one(RunTable).move_to(named(app, "residual-1").id)
        await pilot.press("space")
        await until(pilot, lambda: len(screen.drawn) == 2)
        assert len(branches()) == 1, "a parent that is marked too is its own curve"


async def test_c_queues_a_child_and_opens_it(database: Path) -> None:
    add_checkpoints(database, residual_1=(100, 400))
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        await viewing(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, ContinueScreen) and app.screen.checked)
        await until(pilot, lambda: "goes on at step 400 for 400 steps, to 800" in on_screen(app))
        assert "1e-3; a tenth of it is 1e-4" in on_screen(app)
        form = app.screen
        await pilot.press(*"0", "enter")
        await until(pilot, lambda: "steps=0 must be at least 1" in on_screen(app))
        await pilot.press("backspace", *"100", "tab", *"1e-4", "tab", *"2")
        await until(pilot, lambda: "dropout=2" in on_screen(app))
        await pilot.press("backspace", "tab", *"layers=1")
        await until(pilot, lambda: "do not keep the shapes" in on_screen(app))
        await pilot.press("ctrl+u", *["shift+tab"] * 4, *"77")
        await until(pilot, lambda: "has no checkpoint '77'" in on_screen(app))
        await pilot.press("ctrl+u", *"100")
        await until(pilot, lambda: "goes on at step 100 for 100 steps, to 200" in on_screen(app))
        assert "lr=1e-4" in on_screen(app)
        assert app.screen is form
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunView) and app.screen.run is not None)
        child = app.screen.run
        assert (child.parent_step, child.steps, child.config.lr, child.status) == (100, 200, 1e-4, "queued")
        await pilot.press("u")
        await until(pilot, lambda: child.name not in statuses(database))


async def test_what_waits_or_has_no_checkpoint_is_not_continued(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=SMALL) as pilot:
        await viewing(pilot, "linear-1")
        await pilot.press("c")
        await until(pilot, lambda: any("nothing to go on from" in note.message for note in app._notifications))
        assert isinstance(app.screen, RunView)
        await pilot.press("escape")
        await viewing(pilot, "bigram-1")
        await pilot.press("c")
        await until(pilot, lambda: "has no checkpoint yet" in on_screen(app))
        await pilot.press("enter", "escape")
        assert isinstance(app.screen, RunView)


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
        await pilot.press("l", "L", "o", "<")
        assert screen.options.smoothing == 2
        assert "log y · log x · whole range" in on_screen(app)
        await pilot.press(">")
        assert screen.options.smoothing == 3


async def test_tab_goes_through_the_panes_and_brackets_through_what_one_holds(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        assert screen.page == "loss"
        assert app.focused is screen.query_one("#page-loss")
        pages = []
        for _ in range(4):
            await pilot.press("tab")
            pages.append((screen.page, app.focused.id))
        names = ("inside", "lr", "sample", "loss")
        assert pages == [(name, f"page-{name}") for name in names]
        held = []
        for _ in range(7):
            await pilot.press("]")
            held.append(screen.page)
        assert held == ["gradient", "speed", "memory", "CPU", "config", "log", "loss"]
        await pilot.press("[")
        assert screen.shown_pages == ("log", "inside", "lr", "sample")
        assert app.focused.id == "page-log"
        await until(pilot, lambda: "12s of training" in on_screen(app))
        await pilot.press("[")
        await until(pilot, lambda: "embedding_dim" in on_screen(app))
        await pilot.click("#page-sample")
        assert screen.page == "sample"


async def test_zoom_gives_a_pane_the_screen_and_escape_takes_it_back(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        await pilot.press("z")
        assert screen.arrangement.zoomed
        assert screen.query_one("#page-loss").size.width > 150
        assert not screen.query_one("#page-sample").display
        await pilot.press("tab", "tab")
        assert screen.shown_pages == ("lr",)
        await pilot.press("]", "j", "k", "G", "g", "escape")
        assert not screen.arrangement.zoomed
        assert screen.shown_pages == ("loss", "inside", "gradient", "sample")
        assert app.screen is screen


async def test_how_the_panes_are_arranged_is_remembered(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await viewing(pilot)
        await pilot.press("tab", "]", "l")
        assert screen.shown_pages == ("loss", "config", "lr", "sample")
        await pilot.press("escape")
        again = await viewing(pilot, "blocks-1")
        assert again is not screen
        assert again.shown_pages == ("loss", "config", "lr", "sample")
        assert again.options.log_y
        assert app.focused is again.query_one("#page-config")
        await pilot.press("z")
    app = lab_app(database)
    async with app.run_test(size=SMALL) as pilot:
        screen = await viewing(pilot)
        assert screen.arrangement.zoomed
        assert screen.page == "config"


async def test_at_80x24_one_page_at_a_time(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=SMALL) as pilot:
        screen = await viewing(pilot)
        words = {
            "lr": ("you are here", "no LR sweep of this stage yet"),
            "gradient": ("no gradient norm was recorded",),
            "memory": ("memory was not recorded",),
            "sample": ("WARWICK",),
            "config": ("embedding_dim",),
            "log": ("cpu fp32, 1 thread",),
            "loss": ("bigram by counting",),
        }
        assert words.keys() <= set(PAGES)
        for page in (*PAGES[1:], PAGES[0]):
            await pilot.press("tab")
            assert screen.page == page
            wanted = ("step 400 of 400", "val 2.083", *words.get(page, ()))
            await until(pilot, lambda wanted=wanted: all(word in on_screen(app) for word in wanted))
        await pilot.press("[", "[")
        assert screen.page == "config"
        assert "log" in screen.arrangement.panes, "the panes of a large screen stay what they were"
        await pilot.click("#strip", offset=(10, 0))
        assert screen.page == "lr"
        await pilot.resize_terminal(*LARGE)
        await until(pilot, lambda: "you are here" in on_screen(app) and "WARWICK" in on_screen(app))
        assert screen.page == "lr"
        await pilot.resize_terminal(50, 10)
        await until(pilot, lambda: "make the window larger" in on_screen(app))


async def test_at_240x70_six_panes(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(240, 70)) as pilot:
        screen = await viewing(pilot)
        assert screen.shown_pages == ("loss", "inside", "gradient", "lr", "sample", "log")
        places = [screen.query_one(f"#page-{page}").region for page in screen.shown_pages]
        assert places[0].x < places[1].x < places[2].x
        assert places[0].y == places[1].y == places[2].y < places[3].y == places[4].y == places[5].y
        await pilot.press("tab", "tab", "]")
        assert screen.page == "speed"
        await pilot.resize_terminal(*LARGE)
        await until(pilot, lambda: len(screen.shown_pages) == 4)
        await pilot.press("tab")
        assert screen.page in screen.shown_pages


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
    assert names == ["lr"]


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
    said = headline(hostile, Snapshot(), Look()).plain + verdict(hostile, Snapshot(), Look()).plain
    assert "\x1b" not in said
    assert "\n" not in said
    assert re.search(r"\[bold\]x\[/bold\]", said)


def test_a_short_run_moves_a_step_at_a_time(run: Any) -> None:
    assert cursor_unit(dataclasses.replace(run, steps=20)) == 1
    assert cursor_unit(dataclasses.replace(run, steps=200_000)) == 2000


def test_how_it_stands_is_said_for_every_status(run: Any) -> None:
    guessing = {(run.dataset_sha256, run.dataset_kind): References("x", 4.14, 2.49)}
    snapshot = Snapshot(runs=(run,), references=guessing)

    def said(**changed: Any) -> str:
        return verdict(dataclasses.replace(run, **changed), snapshot, Look()).plain

    assert said(status="training", step=200).startswith(" healthy so far · val 2.083 (8.0 choices) · 98k chars/s · 12s")
    assert said(status="training", step=200, val_loss=4.2, best_val_loss=4.2).startswith(" no better than guessing")
    assert said(status="training", val_loss=2.2, best_step=320).startswith(" val rising since step 320")
    assert said(status="paused", step=200).startswith(" paused at step 200 of 400 · p lets it go on")
    assert said(status="stopped", step=200).startswith(" stopped at step 200 of 400 and scored there · R trains it to")
    assert said(status="cancelled", step=0, val_loss=None).startswith(" given up at step 0 of 400 · R queues it again")
    assert "c goes on from its best with a smaller lr" in said(status="diverged", error="diverged at step 7")
    assert len(said(status="failed", error="x" * 500)) < 250
    sweep = said(kind="lr-sweep", status="training", step=9, val_loss=None, best_val_loss=None, train_loss=3.1)
    assert sweep.startswith(" training · train 3.100")
    assert "lecture" not in sweep


def test_a_waiting_run_says_when_its_turn_comes(run: Any) -> None:
    training = dataclasses.replace(run, id="1", status="training", step=100, seconds=10.0, threads=64)
    first = dataclasses.replace(run, id="2", status="queued", queue_position=1.0, threads=64)
    second = dataclasses.replace(run, id="3", status="queued", queue_position=2.0, threads=64)
    snapshot = Snapshot(runs=(run, training, first, second))
    assert starts_in(first, snapshot) == pytest.approx(30)
    assert starts_in(second, snapshot) == pytest.approx(42), "a finished run of its kind took twelve seconds"
    assert "waits, 2 runs before it · starts in about 42s" in verdict(second, snapshot, Look()).plain
    unknown = Snapshot(runs=(training, first, second))
    assert starts_in(second, unknown) is None
    assert verdict(second, unknown, Look()).plain == " waits, 2 runs before it"


def test_a_lineage_ends_where_a_parent_is_gone_and_never_goes_round(run: Any) -> None:
    orphan = dataclasses.replace(run, id="2", parent_id="gone", parent_step=5)
    assert lineage(Snapshot(runs=(orphan,)), orphan) == [(orphan, 400)]
    one = dataclasses.replace(run, id="1", parent_id="2", parent_step=5)
    two = dataclasses.replace(run, id="2", parent_id="1", parent_step=7)
    assert [each.id for each, _ in lineage(Snapshot(runs=(one, two)), one)] == ["2", "1"]


def test_words_stand_in_columns() -> None:
    assert in_word_columns(["emma", "olivia", "ava", "x\x1b", ""], 20) == "emma     x\\x1b\nolivia   ·\nava"
    assert in_word_columns(["a" * 40], 10) == "aaaaaaaaa…"


@given(moves=st.lists(st.tuples(st.sampled_from(["turn", "move", "page"]), st.integers(-3, 3)), max_size=30))
def test_panes_never_hold_a_page_twice(moves: list[tuple[str, int]]) -> None:
    arrangement = Arrangement()
    for what, by in moves:
        shown = SIX if by % 2 else FOUR
        if what == "turn":
            arrangement = arrangement.turned(by, shown)
        elif what == "move":
            arrangement = arrangement.moved(by, shown)
        else:
            arrangement = arrangement.with_page(PAGES[by])
        assert len(set(arrangement.panes)) == 6
        assert arrangement.page in PAGES
        again = Arrangement.from_plain(json.loads(json.dumps(arrangement.to_plain())))
        assert again.panes == arrangement.panes
        assert again.current == (arrangement.current if arrangement.current in FOUR else 0)


@pytest.mark.parametrize("nonsense", [None, 3, [], {}, {"panes": ["loss"] * 6}, {"panes": "loss"}, {"panes": [[]] * 6}])
def test_a_remembered_arrangement_that_makes_no_sense_is_left(nonsense: object) -> None:
    assert Arrangement.from_plain(nonsense) == Arrangement()


# Pictures


@pytest.fixture
def pictured(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on the stored runs, by a path that is the same everywhere."""
    shutil.copyfile(template, tmp_path / "runs.db")
    add_samples(tmp_path / "runs.db", "blocks-1", 100, 200, 400)
    monkeypatch.chdir(tmp_path)
    shown = run_pages.config_text
    monkeypatch.setattr(
        run_pages, "config_text", lambda run, *how: shown(dataclasses.replace(run, id="000000"), *how)
    )  # ids tell when a run was made
    return lab_app(Path("runs.db"))


async def at_a_step(pilot: Any) -> None:
    """A run with a change of its own, the cursor in its middle."""
    await viewing(pilot, "blocks-1")
    await until(pilot, lambda: pilot.app.worker)
    await pilot.press(*["shift+left"] * 4)


async def at_a_step_in_light(pilot: Any) -> None:
    """The same on a light ground."""
    pilot.app.theme = LIGHT.name
    await at_a_step(pilot)


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["160x45", "80x24"])
def test_run_view_in_dark(snap_compare: Any, pictured: Any, size: tuple[int, int]) -> None:
    assert snap_compare(pictured, terminal_size=size, run_before=at_a_step)


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["160x45", "80x24"])
def test_run_view_in_light(snap_compare: Any, pictured: Any, size: tuple[int, int]) -> None:
    assert snap_compare(pictured, terminal_size=size, run_before=at_a_step_in_light)
