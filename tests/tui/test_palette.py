"""The palette finds actions by their synonyms, and runs, stages and experiments by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandList, CommandPalette
from tui_helpers import lab_app, named, on_screen, opened, statuses, until

from lab.config.experiment_files import list_experiments
from lab.inference.views import VIEWS_BY_NAME
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.confirm import ConfirmScreen
from lab.tui.screens.experiment import ExperimentScreen
from lab.tui.screens.inspect import InspectScreen
from lab.tui.screens.run_view import RunView


async def search(pilot: Any, words: str, shown: str) -> None:
    """Opens the palette and types."""
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
    await pilot.press(*("space" if character == " " else character for character in words))
    app, group = pilot.app, CommandPalette._GATHER_COMMANDS_GROUP
    # What the first letters find may be shown for a moment: it must be there when the search is over.
    searching = lambda: any(worker.group == group and not worker.is_finished for worker in app.workers)  # noqa: E731
    await until(pilot, lambda: not searching() and shown in on_screen(app))


@pytest.mark.parametrize(
    ("synonym", "action"),
    [
        ("logarithm", "log y"),
        ("sweep", "learning rate"),
        ("sweep", "experiment "),
        ("grid", "experiment "),
        ("dev", "baseline"),
        ("block size", "new run"),
    ],
)
async def test_synonyms(synonym: str, action: str, database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await search(pilot, synonym, action)


async def test_a_run_is_opened(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await search(pilot, "run blocks", "run blocks-1")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunView))
        assert app.screen.run_id == named(app, "blocks-1").id


@pytest.mark.parametrize(
    ("words", "view"),
    [("ablation", "knock-out"), ("pca", "embeddings"), ("heatmap", "bigram"), ("attention map", "attention")],
)
async def test_a_view_is_gone_to_by_what_people_call_it(words: str, view: str, database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await search(pilot, words, f"inspect: {VIEWS_BY_NAME[view].label}")
        found = app.screen.query_one(CommandList)
        places = [i for i, option in enumerate(found.options) if VIEWS_BY_NAME[view].label in str(option.prompt)]
        found.highlighted = places[0]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, InspectScreen) and app.screen.view.name == view)


async def test_a_stage_is_composed(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await search(pilot, "stage feed-forward", "new run of stage feed-forward")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ComposerScreen))
        assert app.screen.draft.stage == "feed-forward"


@pytest.mark.full
async def test_an_experiment_is_queued_once_it_is_said_how_large_it_is(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    file = (
        'title = "Rates"\nquestion = "Which rate?"\n[base]\nstage = "bigram"\nsteps = 400\n[grid]\nlr = [1e-2, 3e-2]\n'
    )
    (folder / "rates.toml").write_text(file)
    (folder / "broken.toml").write_text("title = 3")
    monkeypatch.chdir(tmp_path)
    assert {"rates", "broken"} <= {each.name for each in list_experiments()}
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await search(pilot, "experiment rates", "Which rate?")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen))
        await until(pilot, lambda: "1 run to queue" in on_screen(app))
        assert "1 stored already with the same config" in on_screen(app)
        assert "lr = 0.01, 0.03" in on_screen(app)
        before = len(statuses(database))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "2 runs to queue" in on_screen(app))
        await pilot.press("ctrl+r", "enter")
        await until(pilot, lambda: len(statuses(database)) == before + 1)
        await until(pilot, lambda: app.edits.next_undo.startswith("queue rates"))
        await pilot.press("u")
        await until(pilot, lambda: len(statuses(database)) == before)
        await search(pilot, "experiment broken", "experiment broken")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen) and app.screen.planned)
        assert "broken.toml:1:1: title must be a text" in app.screen.planned.problem
        await until(pilot, lambda: "mend the file" in on_screen(app))
        await pilot.press("enter", "escape")
        await until(pilot, lambda: not isinstance(app.screen, ExperimentScreen))
        (folder / "rates.toml").write_text(file.replace("[base]", 'seeds = "1..2000"\n[base]'))
        await search(pilot, "experiment rates", "Which rate?")
        await pilot.press("enter")
        await until(pilot, lambda: "the grid comes to 4,000 runs" in on_screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen))
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(app.screen, ExperimentScreen))
        assert len(statuses(database)) == before
