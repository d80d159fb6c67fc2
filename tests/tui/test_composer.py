"""The composer: what is typed is checked with its rule beside it, and queued."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, OptionList
from tui_helpers import lab_app, named, on_screen, opened, statuses, until

from lab.config.experiment_files import read_experiment
from lab.config.named_model import named_model
from lab.config.run_config import RunConfig, models_that_read
from lab.inference.protocol import Speed
from lab.store.run_store import RunStore
from lab.tui.drafts import FIELDS, OWN_PLACES, Draft, complete_setting, group_keys, split_settings
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.confirm import ConfirmScreen
from lab.tui.screens.save_experiment import SaveExperimentScreen
from lab.tui.widgets.run_table import RunTable


async def composer_of(pilot: Any, *keys: str) -> ComposerScreen:
    """Opens the composer and waits until it has checked its first draft."""
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, ComposerScreen) and pilot.app.screen.checked)
    return pilot.app.screen


async def fill(pilot: Any, **fields: str) -> None:
    """Types into fields, and waits for the check."""
    composer = pilot.app.screen
    for name, value in fields.items():
        composer.query_one(f"#field-{name}", Input).value = value
    wanted = dataclasses.replace(composer.draft, **fields)
    await until(pilot, lambda: composer.draft == wanted and composer.checked.draft == wanted)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_composes_and_queues_a_run_for_each_seed(
    size: tuple[int, int], empty_database: Path, worker_starts: list[Path]
) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("2")
        await until(pilot, lambda: app.current_mode == "runs")
        screen = app.screen
        composer = await composer_of(pilot, "n")
        composer.query_one("#stages", OptionList).highlighted = 6
        await pilot.press("j", "enter")
        assert composer.draft.stage == "residual"
        await fill(pilot, change="lr=3e-4 heads=8", steps="1200", seeds="1..3")
        await until(pilot, lambda: "3 runs to queue" in on_screen(app))
        shown = on_screen(app)
        assert "heads=8" in shown
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen)
        assert statuses(empty_database) == {f"residual-{i}": "queued" for i in (1, 2, 3)}
        await until(pilot, lambda: worker_starts == [empty_database])
        await until(pilot, lambda: "residual-3" in on_screen(app))
        store = RunStore.open(empty_database)
        configs = [run.config for run in store.runs()]
        store.close()
        assert {(config.lr, config.heads, config.steps) for config in configs} == {(3e-4, 8, 1200)}
        assert [config.seed for config in configs] == [1, 2, 3]


WRONG = [
    ({"change": "learnin_rate=1"}, "change", "unknown key 'learnin_rate'"),
    ({"change": "lr=0"}, "change", "lr=0 must be greater than 0"),
    ({"change": "lr=1e-3, 0.001"}, "change", "1e-3 stands there twice"),
    ({"change": "lr=1 learning_rate=2"}, "change", "lr stands there twice"),
    ({"change": "model=mlp"}, "change", "model is decided by the stage"),
    ({"change": "lr=3e-4 heads"}, "change", "'heads' is not KEY=VALUE"),
    ({"change": "heads=5"}, "change", "heads=5 must divide embedding_dim=32"),
    ({"change": "heads"}, "change", "'heads' is not KEY=VALUE"),
    ({"change": "seed=3"}, "change", "seed has its own place"),
    ({"steps": "0"}, "steps", "steps=0 must be greater than or equal to 1"),
    ({"steps": "many"}, "steps", "steps=many must be a valid integer"),
    ({"seeds": "one"}, "seeds", "seed=one must be a valid integer"),
    ({"seeds": "5..1"}, "seeds", "from the smaller number to the larger"),
    ({"dataset": "shakespear"}, "dataset", "did you mean 'shakespeare'?"),
    ({"name": "x" * 300}, "name", "at most 200 characters"),
]


async def test_says_what_is_wrong_beside_the_field(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        composer = await composer_of(pilot, "n")
        composer.query_one("#stages", OptionList).highlighted = 7
        await until(pilot, lambda: composer.draft.stage == "residual")
        before = statuses(database)
        for fields, where, said in WRONG:
            await fill(pilot, **(dict.fromkeys(FIELDS, "") | fields))
            assert said in composer.checked.errors[where]
            assert composer.query_one(f"#error-{where}").display
        composer.query_one("#field-change").focus()
        await pilot.press("enter")
        await until(pilot, lambda: not composer._queueing)
        assert app.screen is composer
        assert statuses(database) == before


async def test_a_database_that_cannot_be_read_is_said_while_one_types_and_nothing_typed_is_lost(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        composer = await composer_of(pilot, "n")
        connection = sqlite3.connect(database)
        connection.execute("ALTER TABLE run RENAME TO elsewhere")
        connection.commit()
        await fill(pilot, steps="77")
        assert "no such table" in composer.checked.errors["change"]
        composer.query_one("#field-steps").focus()
        await pilot.press("enter")
        await until(pilot, lambda: any(note.message.startswith("not queued: data") for note in app._notifications))
        assert app.screen is composer
        connection.execute("ALTER TABLE elsewhere RENAME TO run")
        connection.commit()
        connection.close()
        await fill(pilot, seeds="5")
        assert composer.draft.steps == "77"
        assert not composer.checked.errors
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not composer)


async def test_says_that_such_a_run_is_stored_already(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "blocks-1").id)
        composer = await composer_of(pilot, "e")
        assert composer.checked.twins == ("blocks-1",)
        await until(pilot, lambda: "stored already with the same config" in on_screen(app))
        assert "✓ blocks-1" in on_screen(app)
        before = statuses(database)
        await pilot.press("enter")
        await until(pilot, lambda: any("all of it is stored already" in note.message for note in app._notifications))
        assert app.screen is composer
        assert statuses(database) == before
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "1 run to queue" in on_screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: statuses(database).get("blocks-2") == "queued")


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_several_values_make_a_grid_whose_size_time_and_list_are_shown(
    size: tuple[int, int], database: Path, asked_speeds: list[Any]
) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        composer = await composer_of(pilot, "n")
        composer.query_one("#stages", OptionList).highlighted = 0
        await until(pilot, lambda: composer.draft.stage == "bigram")
        await fill(pilot, change="learning rate = 1e-3, 3e-4 batch_size=16,32", seeds="1..3", steps="50")
        await until(pilot, lambda: "12 runs to queue" in on_screen(app))
        await until(pilot, lambda: len(asked_speeds) == 1)
        for _ in range(2):  # batches of 16, then of 32
            request, listener = asked_speeds[-1]
            listener.speed(Speed(60.0, 0.01, 1e5, 100, "cpu", "fp32", request.threads))
            await until(pilot, lambda: app.measured > 0)
        await until(pilot, lambda: "12 runs to queue · about" in on_screen(app))
        assert len(asked_speeds) == 2, "what costs no time is not measured twice"
        composer.query_one("#preview-scroll").scroll_end(animate=False)
        await until(pilot, lambda: "bigram/lr=3e-4/batch_size=32" in on_screen(app))
        composer.query_one("#field-seeds").focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not composer)
        queued = {name for name, status in statuses(database).items() if status == "queued"}
        assert "bigram/lr=1e-3/batch_size=16/seed=1" in queued
        assert len(queued) == 12 + 1


async def test_a_folded_field_and_the_changes_say_the_same(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        composer = await composer_of(pilot, "n")
        composer.query_one("#stages", OptionList).highlighted = 7
        await until(pilot, lambda: composer.draft.stage == "residual")
        await fill(pilot, change="n_embd=64 lr=3e-4")
        header = composer.query_one("#group-model GroupHeader")
        await until(pilot, lambda: "embedding_dim=64" in on_screen(app))
        header.focus()
        await pilot.press("enter")
        await until(pilot, lambda: composer.query("#set-heads"))
        assert composer.query_one("#set-embedding_dim", Input).value == "64"
        assert composer.query_one("#set-heads", Input).placeholder == "4"
        await until(pilot, lambda: "whole, 1 to 1,024" in on_screen(app))
        composer.query_one("#set-heads", Input).focus()
        await pilot.press(*"5")
        await until(pilot, lambda: "heads=5 must divide embedding_dim=64" in composer.checked.errors.get("change", ""))
        assert composer.query_one("#field-change", Input).value == "embedding_dim=64 lr=3e-4 heads=5"
        await pilot.press("backspace", *"x")
        await until(pilot, lambda: "heads" in composer.checked.key_errors)
        assert "heads=x must be a valid integer" in on_screen(app)
        await pilot.press("backspace")
        await until(pilot, lambda: composer.draft.change == "embedding_dim=64 lr=3e-4")
        await until(pilot, lambda: "heads=x" not in on_screen(app))  # with it go lines above the header
        await pilot.click(header)
        await until(pilot, lambda: not composer.query("#set-heads"))
        composer.query_one("#stages", OptionList).highlighted = 0
        await until(pilot, lambda: not composer.query_one("#group-model").query("#set-heads"))


@pytest.mark.full
async def test_a_grid_of_thousands_is_asked_about_and_one_of_billions_refused(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        composer = await composer_of(pilot, "n")
        await fill(pilot, seeds="1..1000000000")
        await until(pilot, lambda: "the grid comes to 1,000,000,000 runs" in on_screen(app))
        composer.query_one("#field-seeds").focus()
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen is composer
        await fill(pilot, seeds="1..1001", steps="10")
        before = statuses(database)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is composer)
        assert statuses(database) == before
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: len(statuses(database)) == len(before) + 1001, seconds=30)


async def test_saves_the_fields_as_an_experiment_and_overwrites_nothing_unasked(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "experiments" / "two-rates.toml"
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        composer = await composer_of(pilot, "n")
        await fill(pilot, change="lr=1e-3, 3e-4", seeds="1..2")
        for expected in ("saved", "asked"):
            await pilot.press("ctrl+s")
            await until(pilot, lambda: isinstance(app.screen, SaveExperimentScreen))
            app.screen.query_one(Input).value = "../up"
            await until(pilot, lambda: "is no name for a file" in on_screen(app))
            app.screen.query_one(Input).value = "two-rates"
            await until(pilot, lambda: "enter writes" in on_screen(app))
            await pilot.press("enter")
            if expected == "asked":
                await until(pilot, lambda: "there is already a file" in on_screen(app))
                assert path.read_text() == "mine"
                await pilot.press("enter")
            await until(pilot, lambda: app.screen is composer)
            experiment = read_experiment(path)
            assert (experiment.base["stage"], str(experiment.grid["lr"])) == (composer.draft.stage, "1e-3, 3e-4")
            assert str(experiment.seeds) == "1..2"
            path.write_text("mine")
        await until(pilot, lambda: composer.checked.runs[0].experiment == "two-rates")
        await fill(pilot, change="lr=")
        await pilot.press("ctrl+s")
        assert app.screen is composer, "nothing is saved that is wrong"


def test_settings_are_split_as_people_write_them() -> None:
    assert split_settings("") == ({}, "")
    assert split_settings("lr=1e-3") == ({"lr": "1e-3"}, "")
    assert split_settings("lr = 1e-3, 3e-4 heads=4,8") == ({"lr": "1e-3, 3e-4", "heads": "4,8"}, "")
    assert split_settings("lr=1e-4..1e-2 log 5 norm=pre") == ({"lr": "1e-4..1e-2 log 5", "norm": "pre"}, "")
    assert split_settings("block size=16 dropout=0 Learning rate=1") == (
        {"block size": "16", "dropout": "0", "Learning rate": "1"},
        "",
    )
    assert split_settings("heads") == ({}, "heads")
    assert split_settings("lr=3e-4 drop") == ({"lr": "3e-4"}, "drop")
    wide = Draft("residual", change="n_embd=64 lr=1")
    assert wide.with_setting("embedding_dim", "32").change == "lr=1 embedding_dim=32"
    assert wide.with_setting("lr", "").change == "embedding_dim=64"


def test_every_field_of_a_config_has_its_place() -> None:
    shown = [key for keys in group_keys(named_model("residual")).values() for key in keys]
    assert len(shown) == len(set(shown))
    fields = RunConfig.model_fields
    read = {key for key in fields if "transformer" in models_that_read(fields[key])}
    assert {*shown, *OWN_PLACES, "model"} == read
    assert "heads" not in group_keys(named_model("bigram"))["model"]


def test_settings_are_completed() -> None:
    assert complete_setting(named_model("residual"), "lr=3e-4 drop") == "lr=3e-4 dropout="
    assert complete_setting(named_model("residual"), "attention_scale=sq") == "attention_scale=sqrt(d)"
    assert complete_setting(named_model("residual"), "residual=o") == "residual=on"
    assert complete_setting(named_model("residual"), "norm=pre,po") == "norm=pre,post"
    assert complete_setting(named_model("bigram"), "hea") is None, "a bigram has no heads"
    assert complete_setting(named_model("residual"), "") is None
