"""Windows over a mode: what follows on their closing, and keys that come in haste."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_helpers import lab_app, opened, until


@pytest.mark.parametrize("key", ["n", "c", "question_mark", "ctrl+p", "q", "N", "enter", "y"])
async def test_a_second_escape_in_haste_closes_nothing_else(database: Path, key: str) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not screen and app.screen.is_mounted)
        window = app.screen
        window.dismiss()
        window.dismiss()
        await until(pilot, lambda: app.screen is screen)
        app.simulate_key("escape")
        app.simulate_key("escape")
        await pilot.pause()
        assert app.screen is screen


async def test_a_window_below_another_does_not_close_it(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        await pilot.press("enter", "question_mark")
        view, help_ = app.screen_stack[-2:]
        assert [screen, view, help_] == app.screen_stack
        view.dismiss()  # type: ignore[attr-defined]
        await pilot.pause()
        assert app.screen is help_
