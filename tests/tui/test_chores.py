"""What is done while nobody presses a key: chores one at a time, and the garbage collector's look at everything."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_helpers import sample_app
from tui_helpers import on_screen, opened, until

from lab.tui.chores import LONGEST_SECONDS, PAUSE_SECONDS, Chores
from lab.tui.modes import MODES


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each look at all there is."""
    looks: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(len(looks)))
    return looks


@pytest.fixture
def collector() -> Iterator[None]:
    """Leaves Python's collector as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


def test_one_chore_a_tick_and_none_after_a_key(clock: Clock, looks: list[int]) -> None:
    chores, done = Chores(clock), []
    for name in ("sheet", "mode"):
        chores.add(lambda name=name: done.append(name))
    chores.tick()
    assert done == ["sheet"]
    chores.touched()
    clock.now += 0.9 * PAUSE_SECONDS
    chores.tick()
    assert done == ["sheet"]
    clock.now += 0.2 * PAUSE_SECONDS
    chores.tick()
    assert done == ["sheet", "mode"]
    assert not looks, "a pause that has chores is used for these"


def test_garbage_is_looked_for_once_in_the_pause_after_a_key(clock: Clock, looks: list[int]) -> None:
    chores = Chores(clock)
    chores.tick()
    assert not looks, "nothing was pressed"
    chores.touched()
    chores.tick()
    assert not looks, "this is no pause"
    clock.now += PAUSE_SECONDS
    chores.tick()
    chores.tick()
    assert len(looks) == 1


def test_who_never_pauses_is_not_spared_for_ever(clock: Clock, looks: list[int]) -> None:
    chores = Chores(clock)
    for _ in range(int(LONGEST_SECONDS / 0.5) + 1):
        chores.touched()
        chores.tick()
        clock.now += 0.5
    assert len(looks) == 1


def test_new_objects_are_looked_at_as_always_and_old_ones_only_when_asked(collector: None) -> None:
    Chores().take_over_garbage()
    young, _, old = gc.get_threshold()
    assert gc.isenabled()
    assert 0 < young < 100_000 < old
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize("size", [(160, 45), (80, 24)])
async def test_a_mode_made_ahead_is_as_one_made_at_the_first_visit(database: Path, size: tuple[int, int]) -> None:
    seen: dict[bool, dict[str, str]] = {}
    for ahead in (False, True):
        app, helper = sample_app(database)  # which answers nothing: what it is asked depends on the mode alone
        async with app.run_test(size=size) as pilot:
            runs = await opened(pilot)
            if ahead:
                app.make_modes()
                await until(pilot, lambda app=app: {mode.name for mode in MODES} <= app._screen_stacks.keys())
                assert app.screen is runs
                assert app.reader._wanted == runs._wanted()
            shown = seen[ahead] = {}
            for mode in MODES:
                await pilot.press(mode.key)
                await until(pilot, lambda app=app, mode=mode: mode.name == app.screen.MODE and app.screen.is_whole)
                await until(pilot, lambda app=app: app.ladder.code or app.screen.MODE != "ladder")
                await until(pilot, lambda helper=helper, mode=mode: helper.inspected or mode.name != "inspect")
                await until(pilot, lambda app=app: "reading" not in on_screen(app))
                shown[mode.name] = on_screen(app)
    for mode in MODES:
        assert seen[True][mode.name] == seen[False][mode.name]
