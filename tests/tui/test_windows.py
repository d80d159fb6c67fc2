"""Windows over a mode: what follows on their closing, and keys that come in haste."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from textual import events
from textual.binding import Binding
from textual.command import CommandList
from textual.widgets import Input, OptionList
from tui_helpers import lab_app, opened, until

from lab.tui import screens
from lab.tui.actions import WINDOW_KEYS
from lab.tui.palette import Palette
from lab.tui.screens.window import Window


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


async def test_what_is_typed_behind_a_tab_in_haste_goes_where_it_leads(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press("n", "tab")
        change = app.focused
        assert isinstance(change, Input)
        for key in ("1", "tab", "2", "tab", "3", "shift+tab", "4"):
            app.simulate_key(key)
        await pilot.pause()
        fields = list(app.screen.query(Input))
        at = fields.index(change)
        assert [field.value for field in fields[at : at + 3]] == ["1", "24", "3"]


async def test_a_click_on_an_entry_that_has_gone_meanwhile_does_nothing(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        await pilot.press("ctrl+p")
        palette = app.screen
        found = palette.query_one(CommandList)
        await until(pilot, lambda: found.option_count > 3 and found.region.height > 8)
        x, y = found.region.x + 5, found.region.y + 7
        click = events.Click(found, 5, 7, 0, 0, 1, False, False, False, x, y, palette.get_style_at(x, y))
        assert click.style.meta["option"] > 1
        found.clear_options()
        found.post_message(click)
        await pilot.pause()
        assert app.screen is palette
        await pilot.press("escape")
        assert app.screen is screen


async def test_a_list_without_room_is_paged_through_without_harm(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press("ctrl+p")
        found = app.screen.query_one(CommandList)
        await until(pilot, lambda: found.option_count > 3)
        found.styles.height = found.styles.width = 0
        await until(pilot, lambda: not found.size)
        found._clear_caches()
        with pytest.raises(KeyError):
            OptionList._move_page(found, -1)
        await pilot.press("pageup", "pagedown")
        assert found.highlighted is not None


async def test_the_palette_ends_its_search_when_it_is_closed(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        await pilot.press("ctrl+p")
        palette = app.screen
        assert isinstance(palette, Palette)
        palette._gather_commands("lr")
        searches = [worker for worker in app.workers if worker.node is palette and not worker.is_finished]
        assert searches
        palette.dismiss()
        assert all(worker.is_cancelled for worker in searches)
        palette.post_message(Input.Changed(palette.query_one(Input), "lr"))
        await pilot.pause()
        assert app.screen is screen
        assert not [worker for worker in app.workers if worker.node is palette and not worker.is_cancelled]


def test_what_the_help_lists_for_windows_is_bound_in_one() -> None:
    for module in iter_modules(screens.__path__):
        import_module(f"{screens.__name__}.{module.name}")
    windows = [Window]
    for window in windows:
        windows += window.__subclasses__()
    bindings = [each for window in windows for each in vars(window).get("BINDINGS", ()) if isinstance(each, Binding)]
    bound = {key for binding in bindings for key in binding.key.split(",")}
    names = {"esc": "escape", "↓": "down", "pgdn": "pagedown", "pgup": "pageup"}
    listed = {names.get(key, key) for keys, _ in WINDOW_KEYS for key in keys.split()}
    assert listed <= bound
