"""The presenter's theme: the numbers that matter in large figures, where there is room for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_ladder_mode import laptop, on_ladder
from test_run_view import viewing
from textual.widgets import Digits
from tui_helpers import add_run, lab_app, until

from lab.config.ladder import find_stage, stage_changes
from lab.store.run_store import RunStore
from lab.tui.theme import DARK, PRESENTER
from lab.tui.widgets.figures import Figures
from lab.tui.widgets.ladder_table import COUNTED, LadderTable

__all__ = ["laptop"]


def figures(screen: Any) -> list[str]:
    """The figures that are shown."""
    shown = screen.query_one(Figures)
    return [digits.value for digits in shown.query(Digits) if shown.display and digits.display]


@pytest.mark.parametrize("size", [(160, 45), (240, 70)])
async def test_a_runs_losses_stand_large_in_the_run_view(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await viewing(pilot)
        assert figures(screen) == []
        app.theme = PRESENTER.name
        await until(pilot, lambda: len(figures(screen)) == 3)
        assert figures(screen)[1:] == ["2.083", "8.0"], "what it came to on the whole split"
        assert screen.query_one(Figures).size.height == 3
        before = figures(screen)
        await pilot.press(*["shift+left"] * 9)
        await until(pilot, lambda: figures(screen)[1] > before[1])
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: figures(screen) == [])
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: len(figures(screen)) == 3)
        app.theme = DARK.name
        await until(pilot, lambda: figures(screen) == [])


async def test_a_rungs_val_and_what_it_bought_stand_large_on_the_ladder(empty_database: Path) -> None:
    store = RunStore.open(empty_database)
    for stage, end in (("bigram", 2.49), ("linear", 2.5)):
        add_run(store, stage, end, steps=stage_changes(find_stage(stage))["steps"])
    store.close()
    app = lab_app(empty_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await on_ladder(pilot)
        table = screen.query_one(LadderTable)
        table.move_to("linear")
        app.theme = PRESENTER.name
        await until(pilot, lambda: figures(screen) == ["2.500", "12.2", "+0.010"])
        table.move_to(COUNTED)
        await until(pilot, lambda: figures(screen) == ["2.486", "12.0"])
        table.move_to("modern")
        await until(pilot, lambda: figures(screen) == [])
