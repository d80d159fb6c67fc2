"""Pictures of the Inspect mode by view, dark and light; the helper's answers are made up.

`pytest --snapshot-update` takes them anew, after a look at each.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from inspect_helpers import answer, in_inspect, on_view
from sample_helpers import add_checkpoints, sample_app
from tui_helpers import until

from lab.tui.theme import DARK, LIGHT

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
KEYS = {
    "anatomy": ("down", "down"),
    "bigram": ("down", "down", "right"),
    "embeddings": ("right", "right"),
    "attention": ("up", "right", "right"),
    "knock-out": ("down", "down"),
    "loss-map": ("]",),
}
"""What is pressed on the page of each view."""
PICTURED = [
    *((view, size, DARK.name) for view in KEYS for size in SIZES),
    *((view, "160x45", LIGHT.name) for view in ("bigram", "embeddings", "attention", "loss-map")),
    ("attention", "80x24", LIGHT.name),
]


@pytest.fixture
def app(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on the stored runs, by a path that is the same everywhere; its torch helper is a fake."""
    path = tmp_path / "runs.db"
    shutil.copyfile(template, path)
    add_checkpoints(path, residual_1=(1, 20, 400), bigram_1=(300,), mlp_1=(400,))
    monkeypatch.chdir(tmp_path)
    made, _ = sample_app(Path("runs.db"))
    return made


@pytest.mark.parametrize(("view", "size", "theme"), PICTURED)
def test_view(snap_compare: Any, app: Any, view: str, size: str, theme: str) -> None:
    async def on_page(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.loaded)
        pilot.app.theme = theme
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, view)
        await pilot.press(*KEYS[view])
        await until(pilot, lambda: pilot.app.worker)
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=on_page)


def test_a_figure_alone(snap_compare: Any, app: Any) -> None:
    async def alone(pilot: Any) -> None:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, "attention")
        await pilot.press("]", "z", "up", "right")
        await until(pilot, lambda: page.alone and pilot.app.worker)
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES["80x24"], run_before=alone)


def test_two_checkpoints_side_by_side(snap_compare: Any, app: Any) -> None:
    async def beside(pilot: Any) -> None:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "embeddings")
        await pilot.press("space", "comma")
        client = pilot.app.inference
        await until(pilot, lambda: {request.checkpoint for request, _ in client.inspected[-2:]} == {"best", "20"})
        for which in (-1, -2):
            answer(client, which)
        await until(pilot, lambda: not screen.active and pilot.app.worker)
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES["160x45"], run_before=beside)
