"""A stranger's database on the screen: every mode shows its texts as text, and none falls over what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_helpers import lab_app, on_screen, opened

from lab.tui import reader
from lab.tui.bearable import MOST_CHECKED
from tests.hostile import add_checkpoints, add_strangers, controls, poison

MODES = ("1", "2", "3", "4", "5", "6")
KEYS = (
    "j",
    "enter",
    "]",
    "]",
    "z",
    "escape",
    "g",
    "space",
    "j",
    "space",
    "?",
    "escape",
    "tab",
    "G",
    "v",
    "x",
    "T",
    "escape",
)
"""What opens, marks, turns pages and asks for help in every mode."""


async def look_everywhere(database: Path, size: tuple[int, int]) -> list[str]:
    """What stood on the screen after each key."""
    app = lab_app(database)
    seen: list[str] = []
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        for mode in MODES:
            for key in ("escape", "escape", mode, *KEYS):
                await pilot.press(key)
                await pilot.pause()
                seen.append(on_screen(app))
                assert controls(seen[-1]) == set(), (mode, key)
                for toast in app._notifications:
                    assert controls(toast.message + toast.title) == set(), (mode, key)
    return seen


@pytest.mark.full
@pytest.mark.parametrize("size", [(160, 45), pytest.param((80, 24), marks=pytest.mark.full)])
async def test_no_mode_lets_a_control_character_through(size: tuple[int, int], database: Path) -> None:
    poison(database)
    seen = await look_everywhere(database, size)
    assert any("]52;c" in screen for screen in seen)  # it was there to be seen


@pytest.mark.full
@pytest.mark.parametrize("most_checked", [MOST_CHECKED, -1], ids=["checked", "unchecked"])
async def test_no_mode_falls_over_what_lab_would_never_store(
    database: Path, most_checked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MOST_CHECKED", most_checked)  # of very many runs no config is checked
    poison(database)
    strangers = add_strangers(database)
    add_checkpoints(database, strangers[0])
    await look_everywhere(database, (160, 45))
