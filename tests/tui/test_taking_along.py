"""What is shown can be copied and written: what, where to, and what is said of it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tui_helpers import HOSTILE, lab_app, named, on_screen, opened, until

from lab.tui.screens.choice import ChoiceScreen
from lab.tui.screens.taking_along import TMUX_HINT
from lab.tui.shown import command_of, file_stem, of_text, write_beside
from lab.tui.widgets.run_table import RunTable


def toasts(app: Any) -> str:
    """Everything that popped up and has not gone."""
    return " | ".join(note.message for note in app._notifications)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_each_pane_has_its_own_to_copy(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "blocks-1").id)
        await until(pilot, lambda: app.snapshot.detail.run_id == screen.run.id)
        labels = [shown.label for shown in screen.shown()]
        assert labels == ["row", "config", "command that repeats it", "table (CSV)"]
        row, config, command, table = (shown.text() for shown in screen.shown())
        assert dict(zip(*csv.reader(io.StringIO(row), "excel-tab"), strict=True))["val_loss"] == "2.325"
        assert json.loads(config)["lr"] == 3e-4
        assert command == "lab train blocks --steps 400 --set lr=3e-4"
        names = [line["name"] for line in csv.DictReader(io.StringIO(table))]
        assert len(names) == 9
        assert HOSTILE in names
        await pilot.press("tab")
        (curves,) = screen.shown()
        points = list(csv.DictReader(io.StringIO(curves.text())))
        assert len([point for point in points if point["metric"] == "train/loss"]) == 400
        await pilot.press("tab")
        (sample,) = screen.shown()
        assert "WARWICK:" in sample.text()
        await pilot.press("y")
        assert "WARWICK:" in app.clipboard
        await until(pilot, lambda: "copied: sample" in toasts(app))


async def test_the_hint_for_tmux_is_given_in_tmux(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press("tab", "tab", "y")
        await until(pilot, lambda: TMUX_HINT in toasts(app))


async def test_a_choice_can_be_written_instead_and_left(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("y", "escape")
        assert app.screen is screen
        await pilot.press("y", "down", "down", "down", "w")
        await until(pilot, lambda: (database.parent / "table.csv").exists())
        await until(pilot, lambda: f"written to {database.parent / 'table.csv'}" in toasts(app))
        assert not isinstance(app.screen, ChoiceScreen)


async def test_what_is_too_long_for_the_terminal_goes_to_a_file(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        screen._copy(of_text("log", "x" * 100_000, "log.txt"))
        await until(pilot, lambda: (database.parent / "log.txt").exists())
        assert app.clipboard == ""
        await until(pilot, lambda: "too long to copy" in toasts(app))


@pytest.mark.parametrize("mode", ["1", "5"])
async def test_every_mode_has_something_to_write(mode: str, database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press(mode)
        await until(pilot, lambda: app.screen.MODE != "runs" and app.screen.is_whole)
        await pilot.press("w")
        if mode == "1":
            await until(pilot, lambda: "ladder (CSV)" in on_screen(app) and "picture of the screen" in on_screen(app))
        else:  # no run can write: there is but the picture
            await until(pilot, lambda: (database.parent / "lab.svg").exists())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    shown = of_text("table", "a,b\n", "table.csv")
    for _ in range(3):
        write_beside(tmp_path / "runs.db", shown)
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "table-2.csv", "table-3.csv"}


def test_where_the_database_lies_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    said = write_beside(tmp_path / "gone" / "runs.db", of_text("table", "x", "table.csv"))
    assert str(tmp_path / "here" / "table.csv") in said


def test_names_of_files_hold_no_tricks() -> None:
    assert file_stem("../../etc/passwd") == "etc-passwd"
    assert file_stem(HOSTILE) == "bold-x--bold---31m-end"
    assert file_stem("///") == "run"


async def test_the_command_that_repeats_a_run_is_one_of_labs(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test() as pilot:
        await opened(pilot)
        said = [command_of(run) for run in app.snapshot.runs]
    assert all(command.startswith("lab train ") for command in said)
    assert "lab train layernorm --steps 400 --set dropout=0.2" in said
