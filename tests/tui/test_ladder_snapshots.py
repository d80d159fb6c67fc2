"""Pictures of the Ladder mode: `pytest --snapshot-update` takes them anew, after a look at each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from test_ladder_mode import ladder_template, laptop, on_ladder
from tui_helpers import lab_app, until

from lab.tui.widgets.ladder_table import LadderTable

__all__ = ["ladder_template", "laptop"]


@pytest.fixture
def app(ladder_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on a part of the ladder, by a path that is the same everywhere."""
    (tmp_path / "runs.db").write_bytes(ladder_template.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return lab_app(Path("runs.db"))


async def on_residual(pilot: Any) -> None:
    """The cursor on a rung with much to say."""
    screen = await on_ladder(pilot)
    await until(pilot, lambda: pilot.app.worker)
    screen.query_one(LadderTable).move_to("residual")
    await pilot.pause()


def test_ladder_at_160x45(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(160, 45), run_before=on_residual)


def test_ladder_at_80x24(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=on_residual)
