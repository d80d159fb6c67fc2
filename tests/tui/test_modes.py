"""The modes on the digit keys: loaded when gone to, named in the top bar, and asleep while another one is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tui_helpers import add_run, lab_app, named, on_screen, opened, until

from lab.config.ladder import STAGES
from lab.config.run_config import RunConfig
from lab.store.run_store import RunStore
from lab.tui.glossary import meanings
from lab.tui.modes import MODES
from lab.tui.screens.help import HelpScreen
from lab.tui.widgets import ladder_table
from lab.tui.widgets.run_columns import COLUMNS, STATUS_SIGNS
from lab.tui.widgets.run_table import RunTable


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_digits_switch_and_the_top_bar_names_the_modes(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        for mode in (*MODES, *MODES[::-1]):
            await pilot.press(mode.key)
            await until(pilot, lambda mode=mode: app.current_mode == mode.name and mode.name == app.screen.MODE)
            await until(pilot, lambda mode=mode: mode.label in on_screen(app).splitlines()[0])
            shown = on_screen(app).splitlines()[0]
            named = [other.label for other in MODES if f" {other.label} " in shown]
            assert named == ([each.label for each in MODES] if size[0] > 100 else [mode.label])


async def test_a_click_on_a_mode_goes_there(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        place = on_screen(app).splitlines()[0].index("1 Ladder")
        await pilot.click("#status", offset=(place, 0))
        await until(pilot, lambda: app.current_mode == "ladder")


async def test_a_mode_that_was_left_catches_up_when_one_comes_back(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        runs = await opened(pilot)
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "ladder")
        store = RunStore.open(database)
        add_run(store, "bigram", 2.4, name="meanwhile")
        store.close()
        await until(pilot, lambda: any(run.name == "meanwhile" for run in app.snapshot.runs))
        assert runs.query_one("#runs").row_count == 9, "what nobody sees is not drawn"
        await pilot.press("2")
        await until(pilot, lambda: runs.query_one("#runs").row_count == 10)


async def test_help_shows_the_keys_of_the_screen_and_when_searched_those_of_the_others(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "ladder")
        await pilot.press("?")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "foot up" in on_screen(app))
        assert "baseline" not in on_screen(app)
        await pilot.press(*"pin the")
        await until(pilot, lambda: "Pin the run as the baseline that val is compared with.  in Runs" in on_screen(app))


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_help_says_what_is_under_the_cursor(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "residual-1").id)
        await pilot.press("?")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "Under the cursor" in on_screen(app))
        assert "skip connections" in on_screen(app)
        assert meanings()["finished"].said.split(".")[0][:30] in on_screen(app)
        await pilot.press(*"ln V")
        await until(pilot, lambda: "guessing evenly" in on_screen(app) and "Under the cursor" not in on_screen(app))
        await pilot.press("ctrl+u", *"shift+drag")
        await until(pilot, lambda: "as the terminal itself does it" in on_screen(app))
        await pilot.press("ctrl+u", *"no such word")
        await until(pilot, lambda: "nothing is called that" in on_screen(app))
        await pilot.press("escape", "tab", "?")
        await until(pilot, lambda: "smoothed" in on_screen(app))


def test_every_label_of_the_tables_has_a_meaning_of_two_sentences() -> None:
    labels = {column.label for column in (*COLUMNS, *ladder_table.COLUMNS) if column.label}
    words = {word for _, word, _ in STATUS_SIGNS.values()}
    fields = set(RunConfig.model_fields)
    assert not (labels | words | fields | {stage.name for stage in STAGES}) - meanings().keys()
    for term in labels | words:
        assert meanings()[term].said.count(". ") == 1, term
        assert meanings()[term].said.endswith("."), term


def test_modes_are_imported_when_they_are_gone_to() -> None:
    code = (
        "import sys, lab.tui.app; from lab.tui.modes import MODES;"
        "print([m.name for m in MODES if 'lab.tui.screens.' + m.screen.split(':')[0] in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_help_tells_the_keys_of_windows_too(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press(*"composer save")
        await until(pilot, lambda: "save the runs as an experiment" in on_screen(app))
        assert "In windows" in on_screen(app)
        assert "drag" not in on_screen(app)
