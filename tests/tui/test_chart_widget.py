"""The chart on the screen: when it draws, and what keys and mouse do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual import events
from tui_helpers import lab_app, named, on_screen, opened, until

from lab.tui.screens.chart_actions import restored_options
from lab.tui.theme import PRESENTER
from lab.tui.widgets.loss_chart import LossChart

SIZES = [(160, 45), (80, 24)]
MARKED = ("residual-1", "multi-head-1", "bigram-1")


async def with_marks(pilot: Any) -> tuple[Any, LossChart]:
    """Three runs drawn over each other, the chart focused; the screen and its chart."""
    screen = await opened(pilot)
    screen.marks = tuple(named(pilot.app, name).id for name in MARKED)
    screen.go_to("chart")
    chart = screen.query_one(LossChart)
    await until(pilot, lambda: len(chart.content.labelled) == len(MARKED) and chart.drawings)
    return screen, chart


def chart_text(app: Any) -> str:
    """What stands in the chart's pane, inside its border."""
    region = app.screen.query_one(LossChart).content_region
    rows = on_screen(app).splitlines()[region.y : region.bottom]
    return "\n".join(row[region.x : region.right] for row in rows)


@pytest.mark.parametrize("size", SIZES)
async def test_draws_only_when_its_data_or_its_size_has_changed(database: Path, size: tuple[int, int]) -> None:
    async with lab_app(database).run_test(size=size) as pilot:
        screen, chart = await with_marks(pilot)
        drawn = chart.drawings
        screen.show_app()
        chart.refresh()
        await pilot.pause()
        await pilot.press("?")
        await pilot.press("escape")
        assert chart.drawings == drawn
        await pilot.press("l")
        await until(pilot, lambda: chart.drawings == drawn + 1)
        await pilot.resize_terminal(size[0] + 6, size[1])
        await until(pilot, lambda: chart.drawings > drawn + 1)
        screen.marks = screen.marks[:2]
        redrawn = chart.drawings
        await until(pilot, lambda: chart.drawings > redrawn)


@pytest.mark.parametrize("size", SIZES)
async def test_the_cursor_reads_every_run_best_first(database: Path, size: tuple[int, int]) -> None:
    async with lab_app(database).run_test(size=size) as pilot:
        screen, _ = await with_marks(pilot)
        await pilot.press("left")
        at_end = screen.options.cursor
        assert at_end is not None
        await pilot.press("shift+left")
        assert 36 < at_end - screen.options.cursor < 42
        await until(pilot, lambda: f"step {screen.options.cursor:.0f}" in chart_text(pilot.app))
        text = chart_text(pilot.app)
        places = [text.index(f"{name} ") for name in MARKED]
        assert places == sorted(places)
        await pilot.press("shift+right", "right", "right")
        assert screen.options.cursor is None
        await until(pilot, lambda: "step " not in chart_text(pilot.app).splitlines()[0])


async def test_the_arrows_move_the_cursor_from_the_table_too(database: Path) -> None:
    async with lab_app(database).run_test(size=(160, 45)) as pilot:
        screen, _ = await with_marks(pilot)
        screen.go_to("runs")
        await pilot.press("left", "left")
        assert screen.options.cursor is not None


@pytest.mark.parametrize("size", SIZES)
async def test_the_mouse_points_zooms_and_pans(database: Path, size: tuple[int, int]) -> None:
    async with lab_app(database).run_test(size=size) as pilot:
        screen, chart = await with_marks(pilot)
        await pilot.click(chart, offset=(chart.size.width // 2, 5))
        cursor = screen.options.cursor
        assert 100 < cursor < 300

        def wheel(kind: type[events.MouseEvent], column: int, *, shift: bool = False) -> None:
            x, y = chart.region.x + column, chart.region.y + 5
            chart.post_message(kind(chart, column, 5, 0, 0, 0, shift, False, False, screen_x=x, screen_y=y))

        wheel(events.MouseScrollUp, chart.size.width // 3)
        await until(pilot, lambda: screen.options.zoom)
        low, high = screen.options.zoom
        assert 0 < low < high < 400
        wheel(events.MouseScrollDown, chart.size.width // 3, shift=True)
        await until(pilot, lambda: screen.options.zoom[0] > low)
        assert screen.options.zoom[1] - screen.options.zoom[0] == pytest.approx(high - low)
        for _ in range(3):
            wheel(events.MouseScrollDown, chart.size.width // 3)
        await until(pilot, lambda: screen.options.zoom is None)


@pytest.mark.parametrize("size", SIZES)
async def test_ascii_and_blocks(database: Path, size: tuple[int, int]) -> None:
    app = lab_app(database)
    app.ascii_charts = True
    async with app.run_test(size=size) as pilot:
        await with_marks(pilot)
        text = chart_text(app)
        assert "* residual-1" in text
        assert "o multi-head-1" in text
        assert text.isascii()
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        await with_marks(pilot)
        assert any("⠀" < character <= "⣿" for character in chart_text(app))
        app.theme = PRESENTER.name
        await until(pilot, lambda: set(chart_text(app)) & set("▀▄█▌▐▖▗▘▝"))
        assert not any("⠀" < character <= "⣿" for character in chart_text(app))


async def test_without_colours_lines_carry_letters(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await with_marks(pilot)
        text = chart_text(app)
        for letter, name in zip("abc", MARKED, strict=True):
            assert f"{letter} {name}" in text


async def test_another_x_axis_shows_all_of_it(database: Path) -> None:
    async with lab_app(database).run_test(size=(160, 45)) as pilot:
        screen, _ = await with_marks(pilot)
        await pilot.press("+", "left", "x")
        assert screen.options.x == "chars"
        assert screen.options.zoom is None
        assert screen.options.cursor is None


@pytest.mark.parametrize(
    ("remembered", "zoom"),
    [
        (None, None),
        ([100.0, 300], (100.0, 300.0)),
        ([300.0, 100.0], None),
        ([1.0], None),
        ("12", None),
        ([True, 4.0], None),
        ([float("nan"), 4.0], None),
    ],
)
def test_a_remembered_zoom_is_taken_up_where_it_makes_sense(remembered: Any, zoom: Any) -> None:
    options = restored_options({"zoom": remembered, "cursor": 12.0, "log_y": True})
    assert (options.zoom, options.cursor, options.log_y) == (zoom, None, True)
