"""What is remembered: the theme for the person, and how the screens were left for each database."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tui_helpers import lab_app, named, on_screen, opened, until

from lab.tui.marker_style import marker_style
from lab.tui.remembered import RememberedFile, screen_path, settings_path
from lab.tui.screens.chart_actions import restored_options
from lab.tui.theme import LIGHT, OWN_THEMES, PRESENTER
from lab.tui.widgets.detail_pane import DetailPane
from lab.tui.widgets.ladder_table import LadderTable
from lab.tui.widgets.run_table import RunTable


def test_values_are_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "screen.json"
    file = RememberedFile(path)
    assert file.put("runs", {"marks": ["a"]})
    assert not file.put("runs", {"marks": ["a"]})
    file.write()
    assert not file.unwritten
    other = RememberedFile(path)
    other.read()
    assert other.group("runs") == {"marks": ["a"]}
    assert [item.name for item in path.parent.iterdir()] == ["screen.json"]


ODD = b'{"runs": {"marks": [[1], "gone"], "baseline": {}, "chart": {"smoothing": true}, "filter": 3, "tab": []}}'


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b"\xff\xfe\x00", b"[" * 100_000, b'{"runs": 3, "theme": [1]}', ODD]
)
async def test_a_damaged_file_is_as_good_as_none_and_is_mended(damage: bytes, database: Path) -> None:
    path = screen_path(database)
    for each in (path, settings_path()):
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_bytes(damage)
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        assert app.theme == "lab"
        await pilot.press("space")
        assert len(screen.marks) == 1
    assert json.loads(path.read_text())["runs"]["marks"] == list(app.marks)


async def test_the_theme_is_remembered_for_the_person(database: Path, tmp_path: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        app.theme = LIGHT.name
        await until(pilot, lambda: settings_path().exists())
    again = lab_app(tmp_path / "another.db")
    async with again.run_test(size=(80, 24)):
        assert again.theme == LIGHT.name
    settings_path().write_text('{"theme": "gone"}')
    async with lab_app(database).run_test() as pilot:
        assert pilot.app.theme == "lab"


async def leave_a_layout(pilot: Any) -> None:
    """Marks two runs, pins one, sorts, filters, zooms, and sets the chart."""
    screen = await opened(pilot)
    table = screen.query_one(RunTable)
    for name in ("residual-1", "blocks-1"):
        table.move_to(named(pilot.app, name).id)
        await pilot.press("space")
    table.move_to(named(pilot.app, "bigram-1").id)
    await pilot.press("*", "s", "S", "l", ">", "]", "/", *"-status:failed", "enter", "tab", "z")
    await until(pilot, lambda: screen.zoomed)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_a_database_opens_as_it_was_left(database: Path, size: tuple[int, int]) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await leave_a_layout(pilot)
        left = app.screen.layout_values()
        bigram = named(app, "bigram-1").id
    assert left["filter"] == "-status:failed"
    assert left["zoomed"]
    again = lab_app(database)
    async with again.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: screen.layout_values() == left)
        assert screen.baseline == bigram
        assert screen.query_one(DetailPane).tab == "config"
        assert again.focused.id == "chart"
        assert "residual-1" in on_screen(again)
        if size[0] == 160:
            await pilot.press("escape")
            assert screen.query_one(RunTable).row_count == 8


async def test_marks_of_runs_that_are_gone_are_dropped(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await leave_a_layout(pilot)
        gone, kept, pinned = (named(app, name).id for name in ("residual-1", "blocks-1", "bigram-1"))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE run SET trashed_at = 1 WHERE id IN (?, ?)", (gone, pinned))
    connection.close()
    again = lab_app(database)
    async with again.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        assert screen.marks == (kept,)
        assert screen.baseline is None


async def test_a_place_that_cannot_be_written_is_said_once(database: Path) -> None:
    screen_path(database).parent.write_text("a file where the folder should be")
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        for _ in range(3):
            await pilot.press("space")
            await until(pilot, lambda: not app.remembered.unwritten)
        await until(pilot, lambda: app._notifications)
        said = [note.message for note in app._notifications if "not remembered" in note.message]
        assert len(said) == 1
        assert str(screen_path(database)) in said[0]


def test_remembered_chart_options_that_do_not_fit_are_left_out() -> None:
    options = restored_options({"x": 3, "log_y": True, "smoothing": 99, "more": 1})
    assert (options.x, options.log_y, options.smoothing) == ("step", True, 5)
    assert restored_options([]) == restored_options({})


@pytest.mark.parametrize("size", [(80, 24), (240, 70)])
async def test_the_presenter_theme_says_at_the_top_what_would_pop_up(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert marker_style(app.theme_variables, ascii_only=False) == "braille"
        app.theme = PRESENTER.name
        await until(pilot, lambda: marker_style(app.theme_variables, ascii_only=False) == "block")
        app.notify("bigram-1 is in the trash", markup=False, timeout=0.5)
        assert not app._notifications
        await until(pilot, lambda: "bigram-1 is in the trash" in on_screen(app).splitlines()[0])
        await until(pilot, lambda: "in the trash" not in on_screen(app).splitlines()[0])


@pytest.mark.parametrize("theme", OWN_THEMES, ids=lambda theme: theme.name)
async def test_sixteen_colours_still_show_what_is_selected(theme: Any, database: Path) -> None:
    app = lab_app(database)
    app.console._color_system = type(app.console._color_system).STANDARD  # as on TERM=xterm
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        app.theme = theme.name
        await pilot.pause()
        cursor = screen.query_one(RunTable).get_component_rich_style("datatable--cursor")
        base = screen.query_one(RunTable).rich_style
        shown, plain = (style.bgcolor.downgrade(app.console._color_system) for style in (cursor, base))
        assert shown != plain
        assert cursor.color.downgrade(app.console._color_system) != shown


@pytest.mark.parametrize("mode", ["ladder", "runs"])
async def test_without_colours_the_cursors_row_is_underlined(
    mode: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press({"ladder": "1", "runs": "2"}[mode])
        table = app.screen.query_one({"ladder": LadderTable, "runs": RunTable}[mode])
        table.focus()
        await pilot.pause()
        assert table.get_component_rich_style("datatable--cursor").underline
        strips = app.screen._compositor.render_strips()
        underlined = [strip.text for strip in strips if sum(bool(s.style and s.style.underline) for s in strip) > 2]
        assert len(underlined) == 1, "one row, and no other"
