"""Models of a person's own on the screen: composed from their file, copied from a run, and run only where trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sample_helpers import in_sample
from textual.widgets import Input, OptionList
from tui_helpers import lab_app, named, on_screen, opened, statuses, until

from lab.cli.app import run as run_lab
from lab.config.experiment_files import read_experiment
from lab.store.model_sources import is_trusted, stored_source, trust_path
from lab.store.run_store import RunStore
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.experiment import ExperimentScreen

MODEL = """\
from torch import nn
from torch.nn import functional as F

class Mine(nn.Module):
    def __init__(self, vocabulary_size, embedding_dim=24):
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, embedding_dim)
        self.head = nn.Linear(embedding_dim, vocabulary_size)

    def forward(self, idx, targets=None):
        x = self.head(self.table(idx))
        return x, None if targets is None else F.cross_entropy(x.flatten(0, 1), targets.flatten())
"""
SIZES = [(80, 24), (160, 45)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a model in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    (tmp_path / "mine.py").write_text(MODEL)
    return tmp_path


@pytest.fixture
def trained(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A database with a run of it, embedding_dim set to what a config has unless it is said."""
    database = folder / "runs.db"
    words = ["train", "mine.py:Mine", "--steps", "3", "--set", "embedding_dim=32", "--set", "eval_examples=4"]
    assert run_lab([*words, "--db", str(database), "--json"]) == 0
    capsys.readouterr()
    return database


def trusted_by_nobody() -> None:
    trust_path().unlink()


async def composed(pilot: Any) -> ComposerScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, ComposerScreen) and pilot.app.screen.checked)
    return pilot.app.screen


def said(app: Any) -> str:
    return " ".join(note.message for note in app._notifications)


@pytest.mark.parametrize("size", SIZES)
async def test_it_is_composed_by_file_and_class_and_queueing_it_lets_it_be_run(
    size: tuple[int, int], folder: Path, empty_database: Path
) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("2", "n")
        composer = await composed(pilot)
        assert not composer.query_one("#row-model").display, "a rung needs no file"
        stages = composer.query_one("#stages", OptionList)
        stages.highlighted = len(stages.options) - 1
        await until(pilot, lambda: "name a file and the class in it" in on_screen(app))
        assert "context_length" not in on_screen(app), "nothing is known of it yet"
        await pilot.press("enter", *"mine.py:Mime")
        await until(pilot, lambda: "did you mean 'Mine'?" in composer.checked.errors.get("model", ""))
        assert composer.query_one("#error-model").display
        await pilot.press("backspace", "backspace", "n", "e")
        await until(pilot, lambda: "1 run to queue" in on_screen(app))
        assert "embedding_dim 24" in on_screen(app), "as its constructor has it"
        assert "heads" not in on_screen(app), "which it does not ask for"
        composer.query_one("#field-change", Input).value = "heads=2"
        await until(pilot, lambda: "does not ask for it" in composer.checked.errors.get("change", ""))
        composer.query_one("#field-change", Input).value = "embedding_dim=8"
        await until(pilot, lambda: "1 run to queue" in on_screen(app))
        composer.query_one("#field-change").focus()
        await pilot.press("enter")
        await until(pilot, lambda: statuses(empty_database) == {"Mine-1": "queued"})
    store = RunStore.open(empty_database)
    run = store.resolve("Mine-1")
    assert (run.config.embedding_dim, stored_source(store, run).text) == (8, MODEL)
    assert is_trusted(run.config.source_sha256 or "")
    store.close()


async def test_what_is_composed_of_it_is_saved_as_an_experiment_that_finds_the_file(
    folder: Path, empty_database: Path
) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        await pilot.press("2", "n")
        composer = await composed(pilot)
        stages = composer.query_one("#stages", OptionList)
        stages.highlighted = len(stages.options) - 1
        await until(pilot, lambda: composer.query_one("#row-model").display)
        composer.query_one("#field-model", Input).value = "mine.py:Mine"
        composer.query_one("#field-change", Input).value = "lr=1e-3, 1e-2"
        await until(pilot, lambda: "2 runs to queue" in on_screen(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Save as an experiment" in on_screen(app))
        await pilot.press("enter")
        file = folder / "experiments" / "Mine.toml"
        await until(pilot, file.exists)
    assert read_experiment(file).base["stage"] == f"{folder / 'mine.py'}:Mine"


@pytest.mark.parametrize("size", SIZES)
async def test_a_copy_of_its_run_has_the_code_that_the_run_has_kept(
    size: tuple[int, int], folder: Path, trained: Path
) -> None:
    (folder / "mine.py").write_text("something else by now")
    app = lab_app(trained)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("e")
        composer = await composed(pilot)
        assert composer.draft.change == "embedding_dim=32 eval_examples=4", "the class itself would take 24"
        assert composer.checked is not None
        assert composer.checked.twins == ("Mine-1",)
        composer.query_one("#field-seeds", Input).value = "7"
        await until(pilot, lambda: "1 run to queue" in on_screen(app))
        await pilot.press("ctrl+s")
        assert "an experiment names the model's file" in said(app)
        await pilot.press("enter")
        await until(pilot, lambda: statuses(trained).get("Mine-2") == "queued")
    store = RunStore.open(trained)
    copy = store.resolve("Mine-2")
    assert (copy.seed, stored_source(store, copy).text) == (7, MODEL)
    store.close()


@pytest.mark.parametrize("key", ["e", "n"])
async def test_a_run_whose_code_nobody_has_let_in_is_not_copied(key: str, trained: Path) -> None:
    trusted_by_nobody()
    app = lab_app(trained)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        run = named(app, "Mine-1")
        await pilot.press(key)
        await until(pilot, lambda: f"Read it with: lab trust {run.id}" in said(app))
        assert not isinstance(app.screen, ComposerScreen)


async def test_sample_refuses_one_whose_code_nobody_has_let_in(trained: Path) -> None:
    trusted_by_nobody()
    app = lab_app(trained)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_sample(pilot, "Mine-1")
        await pilot.press("enter")
        await until(pilot, lambda: screen.writing.state == "failed", 60)
        shown = " ".join(on_screen(app).split())
        assert "Mine-1 is a model of somebody's own" in shown
        assert "lab trust" in shown
        assert not screen.writing.tokens


async def test_an_experiment_with_it_is_queued_once_its_code_is_trusted(folder: Path, empty_database: Path) -> None:
    (folder / "experiments").mkdir()
    file = folder / "experiments" / "versions.toml"
    file.write_text('title = "Mine by rate"\n[base]\nstage = "../mine.py:Mine"\n[grid]\nlr = [1e-3, 1e-2]\n')
    app = lab_app(empty_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        screen.ask_experiment(file)
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen) and "2 runs to queue" in on_screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: "has never been run here as it is now" in said(app))
        assert statuses(empty_database) == {}
        assert run_lab(["trust", str(folder / "mine.py") + ":Mine", "--yes"]) == 0
        screen.ask_experiment(file)
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen) and "2 runs to queue" in on_screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: statuses(empty_database) == {"Mine/lr=1e-3": "queued", "Mine/lr=0.01": "queued"})
