"""Pictures of the modes and windows that have no file of their own, dark and light.

`pytest --snapshot-update` takes them anew, after a look at each.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sample_helpers import add_checkpoints, in_sample, sample_app
from sweep_helpers import add_sweep, in_finder
from test_snapshots import with_marks
from textual.command import CommandList
from textual.widgets import Input, TextArea
from tui_helpers import NOW, SAMPLE, on_screen, opened, until

from lab.store.run_store import RunStore
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.help import HelpScreen
from lab.tui.theme import DARK, LIGHT
from lab.tui.widgets.sweep_lists import RateList

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
CHECKPOINTS = {"residual_1": (1, 20, 400), "bigram_1": (300,), "mlp_1": (400,)}


@pytest.fixture
def app(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on the stored runs and a sweep, by a path that is the same everywhere; its torch helper is a fake."""
    path = tmp_path / "runs.db"
    shutil.copyfile(template, path)
    store = RunStore.open(path)
    add_sweep(store)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE run SET created_at = ?, started_at = ?, ended_at = ? WHERE kind = 'lr-sweep'",
                           (NOW - 600, NOW - 600, NOW - 540))  # fmt: skip
    connection.close()
    add_checkpoints(path, **CHECKPOINTS)
    monkeypatch.chdir(tmp_path)
    made, _ = sample_app(Path("runs.db"))
    return made


async def runs(pilot: Any) -> None:
    """Three runs marked, the baseline pinned."""
    await with_marks(pilot)


async def lr_finder(pilot: Any) -> None:
    """A sweep with its suggestions."""
    screen = await in_finder(pilot)
    await until(pilot, lambda: screen.query_one(RateList).option_count)


async def sample(pilot: Any) -> None:
    """A text that has been written."""
    screen = await in_sample(pilot)
    await pilot.press("enter")
    client = pilot.app.inference
    client.start()
    client.say(SAMPLE * 4, surprise=0.4)
    client.say("q", surprise=5.0)
    client.finish()
    await until(pilot, lambda: not screen.active)


async def composer(pilot: Any) -> None:
    """A grid of four runs."""
    await opened(pilot)
    await pilot.press("n")
    await until(pilot, lambda: isinstance(pilot.app.screen, ComposerScreen) and pilot.app.screen.checked)
    pilot.app.screen.query_one("#field-change", Input).value = "lr=1e-3, 3e-4"
    pilot.app.screen.query_one("#field-seeds", Input).value = "1..2"
    await until(pilot, lambda: len(pilot.app.screen.checked.runs) == 4)
    await until(pilot, lambda: pilot.app.inference.measuring)
    pilot.app.inference.answer_speed(20.0)
    await until(pilot, lambda: "measur" not in on_screen(pilot.app))


async def help_(pilot: Any) -> None:
    """What the keys of the Runs do."""
    await opened(pilot)
    await pilot.press("question_mark")
    await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))


async def palette(pilot: Any) -> None:
    """What can be done with the word *lr*."""
    await opened(pilot)
    await pilot.press("ctrl+p")
    await until(pilot, lambda: pilot.app.screen.query(CommandList))
    pilot.app.screen.query_one(Input).value = "lr"
    found = pilot.app.screen.query_one(CommandList)
    await until(pilot, lambda: "learning rate" in " ".join(str(option.prompt) for option in found.options))


SHOWN: dict[str, Callable[[Any], Awaitable[None]]] = {
    "runs": runs, "lr_finder": lr_finder, "sample": sample, "composer": composer, "help": help_, "palette": palette,
}  # fmt: skip


@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shown", SHOWN)
def test_screen(snap_compare: Any, app: Any, shown: str, size: str, theme: str) -> None:
    if (shown, theme) == ("runs", DARK.name):
        pytest.skip("pictured in test_snapshots.py")

    async def in_theme(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.loaded)
        pilot.app.theme = theme
        await SHOWN[shown](pilot)
        for field in pilot.app.screen.query("Input, TextArea"):
            assert isinstance(field, Input | TextArea)
            field.cursor_blink = False
        await until(pilot, lambda: pilot.app.worker)
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=in_theme)
