"""Pictures of the Ladder mode: `pytest --snapshot-update` takes them anew, after a look at each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_ladder_mode import ladder_template, laptop, on_ladder
from tui_helpers import lab_app, on_screen, until

from lab.inference.client import Listener
from lab.inference.protocol import Speed, SpeedRequest
from lab.tui.screens.ladder import LadderScreen
from lab.tui.theme import DARK, LIGHT
from lab.tui.widgets.ladder_table import LadderTable

__all__ = ["ladder_template", "laptop"]


@pytest.fixture
def app(ladder_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on a part of the ladder, by a path that is the same everywhere."""
    (tmp_path / "runs.db").write_bytes(ladder_template.read_bytes())
    monkeypatch.chdir(tmp_path)
    return lab_app(Path("runs.db"))


async def on_residual(pilot: Any) -> None:
    """The cursor on a rung with much to say."""
    screen = await on_ladder(pilot)
    await until(pilot, lambda: pilot.app.worker)
    screen.query_one(LadderTable).move_to("residual")
    await pilot.pause()


SIZES = {"80x24": (80, 24), "160x45": (160, 45)}


@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
@pytest.mark.parametrize("size", SIZES)
def test_ladder(snap_compare: Any, app: Any, size: str, theme: str) -> None:
    async def in_theme(pilot: Any) -> None:
        await on_residual(pilot)
        await until(pilot, lambda: pilot.app.ladder.code)
        pilot.app.theme = theme
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=in_theme)


@pytest.mark.parametrize("size", SIZES)
def test_empty_ladder(
    snap_compare: Any,
    size: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked_speeds: list[tuple[SpeedRequest, Listener]],
) -> None:
    """As a new database opens, once this machine is measured."""
    monkeypatch.chdir(tmp_path)

    async def measured(pilot: Any) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, LadderScreen) and pilot.app.ladder.code)
        for place in range(10):
            await until(pilot, lambda place=place: len(asked_speeds) == place + 1)
            asked_speeds[place][1].speed(Speed(20.0, 0.01, 1e5, 1000, "cpu", "fp32", 1))
        await until(pilot, lambda: "about 1m 40s" in on_screen(pilot.app))

    assert snap_compare(lab_app(Path("new.db")), terminal_size=SIZES[size], run_before=measured)
