"""Breaking one thing on the screen: what is offered, and the race of a run against its twin in every state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import OptionList
from tui_helpers import add_run, lab_app, named, on_screen, opened, until

from lab.store.run_store import RunRow, RunStore
from lab.tui.screens.break_run import BreakScreen
from lab.tui.screens.race import RaceScreen
from lab.tui.screens.run_view import RunView
from lab.tui.screens.runs import RunsScreen
from lab.tui.theme import LIGHT
from lab.tui.widgets.ladder_table import LadderTable
from lab.tui.widgets.run_table import RunTable

SIZES = [(80, 24), (160, 45)]


def add_twin(database: Path, end: float, status: str = "finished", **settings: Any) -> RunRow:
    """The residual run's twin without skips, as `b` would have queued it."""
    store = RunStore.open(database)
    run = add_run(store, "residual", end, status=status, name="residual-1-no-residual", residual=False, **settings)
    store.set_tags(run.id, ["broken"])
    store.close()
    return run


async def raced(pilot: Any, database: Path, run: str = "residual-1") -> RaceScreen:
    """Opens the race of a run against the twin that is stored."""
    app = pilot.app
    screen = await opened(pilot)
    await until(pilot, lambda: any(each.tags for each in app.snapshot.runs if "no-residual" in each.name))
    screen.query_one(RunTable).move_to(named(app, run).id)
    await pilot.press("b")
    await until(pilot, lambda: isinstance(app.screen, BreakScreen))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, RaceScreen) and len(app.screen.comparison.groups) == 2)
    await until(pilot, lambda: not app.screen.comparison.unread and app.screen.chart.content.lines)
    return app.screen  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", SIZES)
async def test_a_finished_race_says_in_plain_words_what_came_of_it(size: tuple[int, int], database: Path) -> None:
    add_twin(database, 2.29)
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await raced(pilot, database)
        assert len(app.snapshot.runs) == 10, "what is stored is not queued again"
        assert "worse by 0.21 (one seed; the same batches)" in on_screen(app)
        assert "expected: gradients reach the first layers weak" in on_screen(app)
        assert "no residual" in on_screen(app)
        assert len(screen.chart.content.lines) == 2
        assert on_screen(app).count("WARWICK:") == 2, "what both wrote stands side by side"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_the_race_is_reached_from_the_twin_too(database: Path) -> None:
    add_twin(database, 2.29)
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await raced(pilot, database, "residual-1-no-residual")
        assert screen.original == named(app, "residual-1")
        assert screen.run == named(app, "residual-1-no-residual")


async def test_a_race_under_way_goes_on_by_itself(database: Path) -> None:
    add_twin(database, 2.5, status="training")
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await raced(pilot, database)
        assert "at step 192: residual-1-no-residual is behind by 0.42" in on_screen(app)
        assert "step 200" in on_screen(app)
        await pilot.press("m")
        await until(pilot, lambda: "train loss" in on_screen(app) and len(screen.chart.content.lines) == 2)
        await pilot.press("left")
        await until(pilot, lambda: screen.chart.content.cursor is not None)
        await pilot.press("j", "k", "l", "o", "+", "-", "=")
        store = RunStore.open(database)
        from lab.store import lifecycle

        twin = named(app, "residual-1-no-residual")
        lifecycle.end(store, twin.id, twin.attempt, "diverged", "the loss is not finite")
        store.close()
        await until(pilot, lambda: "diverged at step 200; residual-1 ended at 2.083" in on_screen(app))


async def test_a_twin_that_is_put_away_leaves_no_hole(database: Path) -> None:
    twin = add_twin(database, 2.29)
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        await raced(pilot, database)
        store = RunStore.open(database)
        store.trash([twin.id])
        store.close()
        await until(pilot, lambda: named_or_none(app, twin.id) is None)
        await until(pilot, lambda: "it was put away" in on_screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


def named_or_none(app: Any, run_id: str) -> RunRow | None:
    return app.snapshot.by_id.get(run_id)  # type: ignore[no-any-return]


@pytest.mark.parametrize("mode", ["1", "3"])
async def test_the_key_works_wherever_a_run_is_selected(mode: str, database: Path) -> None:
    store = RunStore.open(database)
    add_run(store, "bigram", 2.49, steps=3000)  # as the ladder has it
    store.close()
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        app.marks = tuple(named(app, name).id for name in ("residual-1", "blocks-1"))
        await pilot.press(mode)
        await until(pilot, lambda: getattr(app.screen, "MODE", "") == {"1": "ladder", "3": "compare"}[mode])
        screen = app.screen
        await until(pilot, lambda: screen.is_whole)
        if mode == "1":
            await until(pilot, lambda: any(state.best for state in screen.states))
            screen.query_one(LadderTable).move_to("bigram")
        await until(pilot, lambda: screen.run is not None)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BreakScreen))
        assert screen.run.name in str(app.screen.query_one("#break").border_title)
        await pilot.press("j", "k", "b")
        await until(pilot, lambda: app.screen is screen)


async def test_from_the_run_view_and_back(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "blocks-1").id)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunView) and app.screen.is_whole)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BreakScreen))
        options = app.screen.query_one(OptionList)
        assert options.option_count == len(app.screen._options) > 8
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunView))


# Pictures


@pytest.fixture
def pictured(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on the stored runs and a twin, by a path that is the same everywhere."""
    shutil.copyfile(template, tmp_path / "runs.db")
    add_twin(tmp_path / "runs.db", 2.29)
    monkeypatch.chdir(tmp_path)
    return lab_app(Path("runs.db"))


async def _pictured(pilot: Any) -> None:
    await raced(pilot, Path("runs.db"))
    await until(pilot, lambda: pilot.app.worker)


async def _in_light(pilot: Any) -> None:
    pilot.app.theme = LIGHT.name
    await _pictured(pilot)


async def _offered(pilot: Any) -> None:
    screen = await opened(pilot)
    screen.query_one(RunTable).move_to(named(pilot.app, "residual-1").id)
    await pilot.press("b")
    await until(pilot, lambda: isinstance(pilot.app.screen, BreakScreen) and pilot.app.worker)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x45"])
def test_race(snap_compare: Any, pictured: Any, size: tuple[int, int]) -> None:
    assert snap_compare(pictured, terminal_size=size, run_before=_pictured)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x45"])
def test_race_in_light(snap_compare: Any, pictured: Any, size: tuple[int, int]) -> None:
    assert snap_compare(pictured, terminal_size=size, run_before=_in_light)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x45"])
def test_what_can_be_broken(snap_compare: Any, pictured: Any, size: tuple[int, int]) -> None:
    assert snap_compare(pictured, terminal_size=size, run_before=_offered)
