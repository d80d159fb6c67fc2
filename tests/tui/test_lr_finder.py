"""The LR finder on the screen: past sweeps, their curves and suggestions, and the way from a rate to a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sweep_helpers import add_sweep, in_finder
from textual.widgets import Input
from tui_helpers import add_run, lab_app, named, on_screen, statuses, until

from lab.config.lr_sweep import sweep_metric
from lab.store.recorder import RunRecorder
from lab.store.run_store import RunStore
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.lr_finder import LRFinderScreen
from lab.tui.screens.sweep_composer import SweepComposerScreen
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.sweep_lists import RateList, SweepList

SIZES = [(80, 24), (160, 45)]


@pytest.mark.parametrize("size", SIZES)
async def test_without_sweeps_it_says_what_to_press(size: tuple[int, int], empty_database: Path) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=size) as pilot:
        await in_finder(pilot)
        await until(pilot, lambda: "No LR sweep yet. n starts one" in on_screen(app))
        assert on_screen(app).count("╭") == 1, "one frame, and the words are in it"


@pytest.mark.parametrize("size", SIZES)
async def test_a_sweep_is_shown_with_its_suggestions(size: tuple[int, int], database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store, "layernorm")
    add_sweep(store, "bigram")
    store.close()
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.query_one(SweepList).option_count == 2)
        assert screen.sweep.run.stage == "bigram", "from the foot of the ladder up"
        if size[0] < 100:
            assert "layernorm" in on_screen(app)
            await pilot.press("tab")
        await until(pilot, lambda: "guessing evenly" in on_screen(app))
        assert "minimum/3" in on_screen(app)
        assert "useful" in on_screen(app)
        if size[0] < 100:
            await pilot.press("tab")
        await until(pilot, lambda: "the edge of stability" in on_screen(app))
        assert "one seed alone" in on_screen(app)
        assert f"Rates · {screen.run.name}" in on_screen(app)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_on_a_suggestion_composes_a_run_with_it(size: tuple[int, int], database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store)
    store.close()
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.query_one(RateList).rate)
        await pilot.press("enter")
        await until(pilot, lambda: screen.pane == "rates")
        rate = screen.rate
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ComposerScreen) and app.screen.checked)
        assert app.screen.draft.stage == "layernorm"
        assert f"lr={rate:.2g}" in app.screen.draft.change
        assert not app.screen.checked.errors


async def test_the_cursor_reads_the_curve_and_its_rate_can_be_used(database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store)
    store.close()
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.query_one(RateList).rate)
        await pilot.press("right")
        assert screen.pane == "sweep-chart"
        first = screen.rate
        assert first == pytest.approx(screen.sweep.reading.suggestion, rel=0.15), "it starts at the suggestion"
        await pilot.press("shift+right")
        assert screen.rate > 2 * first
        await until(pilot, lambda: f"{screen.rate:.2g}: " in on_screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ComposerScreen))


@pytest.mark.parametrize("size", SIZES)
async def test_a_flat_sweep_says_why_there_is_no_suggestion(size: tuple[int, int], database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store, flat=True)
    store.close()
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.sweep is not None)
        assert "none" in on_screen(app)
        if size[0] < 100:
            screen.go_to("rates")
        await until(pilot, lambda: "no suggestion: the loss falls by no more than" in on_screen(app))
        assert screen.query_one(RateList).rate is None


@pytest.mark.parametrize(
    ("status", "said"),
    [("queued", "waiting for its turn"), ("failed", "the trainer died"), ("training", "50%"), ("paused", "paused")],
)
async def test_every_state_of_a_sweep_is_said(status: str, said: str, database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store, status=status)
    store.close()
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.sweep is not None)
        await until(pilot, lambda: said in on_screen(app))


async def test_both_methods_lie_over_each_other(database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store, method="runs", steps=20, rates=11)
    add_sweep(store)
    store.close()
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.query_one(SweepList).option_count == 2)
        await until(pilot, lambda: "ramp, 2 seeds" in on_screen(app) and "runs of 20, 2 seeds" in on_screen(app))


async def test_a_sweep_that_trains_grows_on_the_screen(database: Path) -> None:
    store = RunStore.open(database)
    run = add_sweep(store, status="training")
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.sweep is not None and screen.sweep.reading is not None)
        seen = int(np.isfinite(screen.sweep.reading.curve.loss).sum())
        await pilot.press("right", "right")
        rate = screen.rate
        assert rate
        recorder = RunRecorder(store, run.id, run.attempt, run.steps)
        for seed in (run.seed, run.seed + 1):
            recorder.log(sweep_metric(seed), 101, [3.0] * 20)
        recorder.progress(step=120)
        recorder.close()
        await until(pilot, lambda: int(np.isfinite(screen.sweep.reading.curve.loss).sum()) == seen + 20)
        assert screen.rate == rate, "the cursor is where it was put"
    store.close()


@pytest.mark.parametrize("size", SIZES)
async def test_n_composes_a_sweep_and_queues_it(
    size: tuple[int, int], database: Path, worker_starts: list[Path]
) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await in_finder(pilot)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, SweepComposerScreen) and app.screen.checked)
        composer = app.screen
        composer.query_one("#field-from", Input).value = "1"
        composer.query_one("#field-to", Input).value = "1e-3"
        await until(pilot, lambda: composer.checked.errors)
        await until(pilot, lambda: "does not rise" in on_screen(app))
        await pilot.press("enter")
        assert isinstance(app.screen, SweepComposerScreen), "what is wrong is not queued"
        composer.query_one("#field-from", Input).value = "1e-4"
        composer.query_one("#field-to", Input).value = "1"
        await until(pilot, lambda: composer.checked.new is not None)
        assert "one LR sweep to queue" in on_screen(app)
        await pilot.press("enter")
        await until(pilot, lambda: statuses(database).get("bigram-lr-1") == "queued")
        await until(pilot, lambda: screen.sweep is not None and screen.sweep.run.name == "bigram-lr-1")
        assert named(app, "bigram-lr-1").kind == "lr-sweep"
        await until(pilot, lambda: worker_starts)


async def test_the_palette_action_starts_one_from_anywhere(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.loaded)
        await app.screen.run_action("find_lr")
        await until(pilot, lambda: isinstance(app.screen, SweepComposerScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LRFinderScreen))


async def test_a_sweep_is_no_rung_of_the_ladder_and_takes_no_part_in_its_runs(database: Path) -> None:
    store = RunStore.open(database)
    add_run(store, "layernorm", 2.06, name="a run")
    add_sweep(store)
    store.close()
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("1")
        await until(pilot, lambda: getattr(app.screen, "states", ()))
        sweeps = {run.id for run in app.snapshot.runs if run.kind == "lr-sweep"}
        assert sweeps
        assert not sweeps & {run.id for state in app.screen.states for run in state.runs}


async def test_panes_zoom_and_the_chart_is_drawn_no_more_than_needed(database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store)
    store.close()
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_finder(pilot)
        await until(pilot, lambda: screen.query_one(RateList).rate)
        await pilot.press("tab")
        assert screen.pane == "sweep-chart"
        await pilot.press("z")
        await until(pilot, lambda: not screen.query_one("#left").display)
        await pilot.press("z")
        assert screen.query_one("#left").display
        chart = screen.query_one(LossChart)
        await pilot.pause()
        drawings = chart.drawings
        screen.show_sweeps()
        await pilot.pause()
        assert chart.drawings == drawings


async def test_with_room_for_one_pane_the_one_that_was_left_is_shown_again(database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store)
    store.close()
    for pane in ("sweep-chart", "rates"):
        app = lab_app(database)
        async with app.run_test(size=(160, 45)) as pilot:
            screen = await in_finder(pilot)
            await until(pilot, lambda screen=screen: screen.query_one(RateList).rate)
            screen.go_to(pane)
            await pilot.pause()
        app = lab_app(database)
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await in_finder(pilot)
            await until(pilot, lambda screen=screen, pane=pane: screen.pane == pane)
            await until(pilot, lambda screen=screen, pane=pane: screen.query_one(f"#{pane}").is_on_screen)
            assert not screen.query_one("#left").display
