"""Pictures of Compare: `pytest --snapshot-update` takes them anew, after a look at each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from compare_helpers import in_compare
from tui_helpers import lab_app, until

from lab.tui.theme import LIGHT


@pytest.fixture
def app(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on the stored runs, by a path that is the same everywhere."""
    shutil.copyfile(template, tmp_path / "runs.db")
    monkeypatch.chdir(tmp_path)
    return lab_app(Path("runs.db"))


async def compared(pilot: Any) -> None:
    """Three groups, all of it read."""
    await in_compare(pilot, Path("runs.db"))
    await until(pilot, lambda: pilot.app.worker)


async def compared_in_light(pilot: Any) -> None:
    """The same in light, as bars, with what differs."""
    pilot.app.theme = LIGHT.name
    await compared(pilot)
    await pilot.press("c", "c", "]")
    await pilot.pause()


def test_compare_at_160x45(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(160, 45), run_before=compared)


def test_compare_in_light_at_160x45(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(160, 45), run_before=compared_in_light)


def test_compare_at_80x24(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=compared)
