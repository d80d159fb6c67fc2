"""The composer: what is typed is checked with its rule beside it, and queued."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, OptionList
from tui_helpers import lab_app, named, on_screen, opened, statuses, until

from lab.errors import UsageError
from lab.store.run_store import RunStore
from lab.tui.drafts import FIELDS, complete_setting, parse_seeds
from lab.tui.screens.composer import ComposerScreen
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
    ({"change": "learning_rate=1"}, "change", "unknown key 'learning_rate': did you mean 'lr'?"),
    ({"change": "heads=5"}, "change", "heads=5 must divide embedding_dim=32"),
    ({"change": "heads"}, "change", "'heads' is not KEY=VALUE"),
    ({"change": "seed=3"}, "change", "seed has its own place"),
    ({"steps": "0"}, "steps", "steps=0 must be greater than or equal to 1"),
    ({"steps": "many"}, "steps", "steps=many must be a valid integer"),
    ({"seeds": "one"}, "seeds", "'one' is not a seed"),
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


async def test_says_that_such_a_run_is_stored_already(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "blocks-1").id)
        composer = await composer_of(pilot, "e")
        assert composer.checked.twins == ("blocks-1",)
        await until(pilot, lambda: "the same config is stored already: blocks-1" in on_screen(app))


def test_seeds_are_read_as_people_write_them() -> None:
    assert parse_seeds("") == []
    assert parse_seeds("1337") == [1337]
    assert parse_seeds("1, 2 3,4") == [1, 2, 3, 4]
    assert parse_seeds("1..3 7") == [1, 2, 3, 7]
    for wrong in ("a", "3..1", "1..1000", "1 1", "-1", "1.5"):
        with pytest.raises(UsageError):
            parse_seeds(wrong)


def test_settings_are_completed() -> None:
    assert complete_setting("residual", "lr=3e-4 drop") == "lr=3e-4 dropout="
    assert complete_setting("residual", "attention_scale=sq") == "attention_scale=sqrt(d)"
    assert complete_setting("residual", "residual=o") == "residual=on"
    assert complete_setting("bigram", "hea") is None, "a bigram has no heads"
    assert complete_setting("residual", "") is None
