"""The Ladder mode: what stands on it untrained and trained, which runs count, and climbing."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tui_helpers import SAMPLE, add_run, lab_app, named, on_screen, statuses, until

from lab.config.ladder import STAGES, stage_changes
from lab.inference.client import Listener
from lab.inference.protocol import Speed, SpeedRequest
from lab.queue import slots
from lab.queue.rungs import RungState, rung_states
from lab.store import lifecycle
from lab.store.demo import demo_copy
from lab.store.run_store import RunStore
from lab.tui.actions import footer_actions
from lab.tui.app import OPEN_DEMO, LabApp
from lab.tui.first_events import FirstEvents
from lab.tui.ladder_facts import LadderFacts, with_rungs
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.ladder import LadderScreen
from lab.tui.snapshot import References, Snapshot
from lab.tui.widgets.ladder_table import LadderTable
from lab.tui.widgets.rung_text import stage_switch
from lab.tui.widgets.text_pane import TextPane

SIZES = [(80, 24), (160, 45)]


@pytest.fixture(autouse=True)
def laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores and no GPU, whatever the tests run on."""
    monkeypatch.setattr(slots, "has_gpu", lambda: False)
    monkeypatch.setattr(slots, "cores", lambda: 2)


def add_rung(store: RunStore, stage: str, end: float, **settings: Any) -> None:
    """A run of exactly a stage's config (but for what is set), with few points."""
    steps = settings.pop("steps", stage_changes(next(each for each in STAGES if each.name == stage))["steps"])
    add_run(store, stage, end, steps=steps, **settings)


@pytest.fixture(scope="session")
def ladder_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rungs of the ladder, one of them with two seeds, and runs that do not count."""
    path = tmp_path_factory.mktemp("ladder") / "runs.db"
    store = RunStore.open(path)
    add_rung(store, "bigram", 2.49)
    add_rung(store, "linear", 2.51, seed=1)
    add_rung(store, "linear", 2.53, seed=2)
    add_rung(store, "single-head", 2.42)
    add_rung(store, "multi-head", 2.0, dropout=0.1)  # ablated
    add_rung(store, "single-head", 1.9, steps=500)  # quick
    add_rung(store, "multi-head", 2.5, status="failed")
    add_rung(store, "blocks", 2.5, status="queued")
    store.close()
    return path


@pytest.fixture
def ladder_database(ladder_template: Path, tmp_path: Path) -> Path:
    """A copy for one test."""
    path = tmp_path / "runs.db"
    path.write_bytes(ladder_template.read_bytes())
    return path


async def on_ladder(pilot: Any) -> LadderScreen:
    """Goes to the ladder and waits until everything is on it."""
    app = pilot.app
    await until(pilot, lambda: app.loaded)
    await pilot.press("1")
    await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.screen.states)
    await until(pilot, lambda: len(app.snapshot.samples) >= sum(state.best is not None for state in app.screen.states))
    return app.screen


def row(app: Any, name: str) -> str:
    """The line of a rung on the screen."""
    return next(line for line in on_screen(app).splitlines() if line.startswith(f"│ {name}  "))


def said(app: Any) -> str:
    """All toasts."""
    return "\n".join(note.message for note in app._notifications)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("made", [True, False])
async def test_an_empty_database_opens_on_the_ladder(
    size: tuple[int, int], made: bool, empty_database: Path, tmp_path: Path
) -> None:
    app = lab_app(empty_database if made else tmp_path / "new.db")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.screen.states)
        await until(pilot, lambda: "4.143" in row(app, "guessing evenly"))
        assert "63.0" in row(app, "guessing evenly")
        assert "2.486" in row(app, "bigram by counting")
        assert "2.492" in row(app, "bigram")
        assert "not trained" in row(app, "bigram")
        assert app.screen.rung.stage.name == "bigram", "the cursor stands on the first rung that is not trained"
        assert "enter climb the ladder" in on_screen(app)
        assert "loading torch to measure this machine…" in on_screen(app) or size[0] < 100
        if size[0] > 100:
            assert "a sample" in on_screen(app)
            assert "Δ" not in on_screen(app), "nothing is there yet to compare"


async def test_the_models_without_training_are_there_before_the_database(tmp_path: Path) -> None:
    app = lab_app(tmp_path / "new.db")
    app.reader.run = lambda: None
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: "2.486" in row(app, "bigram by counting"))
        sample = row(app, "bigram by counting")[80:150]
        assert len(sample.split()) > 5
        assert not app.loaded
        await pilot.press("enter")
        assert app.screen.states, "climbing waits for the database"


@pytest.mark.parametrize("size", SIZES)
async def test_only_finished_runs_of_the_stages_own_config_count(size: tuple[int, int], ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=size) as pilot:
        await on_ladder(pilot)
        assert "2.490" in row(app, "bigram")
        assert "✓ yours ×2" in row(app, "linear")
        assert "2.520" in row(app, "linear")
        assert "+0.030" in row(app, "linear")
        assert ("±0.127" in row(app, "linear")) is (size[0] > 100), "Student's t of two seeds"
        assert "2.420" in row(app, "single-head")
        assert "−0.100" in row(app, "single-head")
        assert "✗ failed" in row(app, "multi-head")
        assert "2.261" in row(app, "multi-head"), "the published figure"
        assert "2.0" not in row(app, "multi-head")
        assert "◌ waiting 1" in row(app, "blocks")
        assert "not trained" in row(app, "mlp on names")


async def test_the_rung_under_the_cursor_is_explained(ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await on_ladder(pilot)
        screen.query_one(LadderTable).move_to("residual")
        await until(pilot, lambda: "residual = off → on" in on_screen(app))
        shown = on_screen(app)
        for said in ("skip connections", "output projections; feed-forward 4C wide", "feed_forward_multiple = 1 → 4",
                     "2.0681", "the lecture's in 3:17", "the largest single drop"):  # fmt: skip
            assert said in shown, said
        screen.query_one(LadderTable).move_to("linear")
        await until(pilot, lambda: "±0.127 over 2 seeds" in on_screen(app))
        await pilot.press("g")
        await until(pilot, lambda: "Every character equally likely" in on_screen(app))


async def test_panes_one_at_a_time_where_there_is_little_room(ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await on_ladder(pilot)
        await pilot.press("tab")
        await until(pilot, lambda: "the switch" in on_screen(app))
        await pilot.press("tab")
        await until(pilot, lambda: "guessing evenly  val 4.143 · 63.0 choices" in on_screen(app))
        await pilot.press("G")
        await until(pilot, lambda: "WARWICK" in on_screen(app))
        assert "[red]brother[/red]\\x1b[2J" in on_screen(app), SAMPLE
        await pilot.press("shift+tab", "shift+tab")
        assert screen.pane == "rungs"


async def test_zoom_gives_a_pane_the_whole_screen(ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await on_ladder(pilot)
        await pilot.press("shift+tab", "z")
        await until(pilot, lambda: screen.zoomed and not screen.query_one("#rungs").display)
        await pilot.press("escape")
        await until(pilot, lambda: not screen.zoomed and screen.query_one("#rungs").display)


async def test_climbing_queues_what_is_missing_and_nothing_twice(
    ladder_database: Path, worker_starts: list[Path]
) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await on_ladder(pilot)
        before = statuses(ladder_database)
        screen.query_one(LadderTable).move_to("residual")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "waiting" in row(app, "scaled-cpu"))
        await until(pilot, lambda: app.edits.next_undo.startswith("climb the ladder"))
        added = statuses(ladder_database).keys() - before.keys()
        stages = sorted(named(app, name).stage for name in added)
        missing = ["feed-forward", "layernorm", "mlp", "multi-head", "residual", "scaled-cpu"]
        assert stages == missing
        order = sorted((named(app, name) for name in added), key=lambda run: run.queue_position)
        assert order[0].stage == "mlp", "from the foot"
        assert worker_starts == [ladder_database]
        await pilot.press("u")
        await until(pilot, lambda: statuses(ladder_database) == before)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
@pytest.mark.parametrize("key", ["enter", "n"])
async def test_climbing_leaves_the_modern_rung_out_and_its_row_offers_it(
    empty_database: Path, size: tuple[int, int], key: str
) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.loaded and app.screen.states)
        screen = app.screen
        assert "modern" not in {new.config.stage for new in screen._missing_runs}
        await pilot.press("G")
        await until(pilot, lambda: screen.rung and screen.rung.stage.name == "modern")
        assert "climb" not in {action.id for action in footer_actions(screen.situation)}
        screen.go_to("rung")
        await until(pilot, lambda: app.ladder.code)
        said = screen.query_one("#rung", TextPane).plain
        for told in ("rotary positions", "enter or n", "optimizer = adamw → muon", "squared_relu(x)"):
            assert told in said
        screen.go_to("rungs")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ComposerScreen) and app.screen.checked)
        assert app.screen.draft.stage == "modern"
        assert not app.snapshot.runs


async def test_an_empty_ladder_is_climbed_from_its_foot(empty_database: Path) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.screen.states)
        await until(pilot, lambda: app.loaded)
        await pilot.press("enter")
        await until(pilot, lambda: len(app.snapshot.runs) == 10)
        order = [run.stage for run in sorted(app.snapshot.runs, key=lambda run: run.queue_position)]
        assert order[:3] == ["bigram", "scaled-cpu", "linear"], "the longest second: two train side by side"
        await until(pilot, lambda: "waiting 1" in row(app, "bigram"))
        await until(pilot, lambda: "loading torch" in on_screen(app))
        store = RunStore.open(empty_database)
        run = lifecycle.claim(store)
        lifecycle.end(store, run.id, run.attempt, "failed", "no")
        store.close()
        await until(pilot, lambda: "loading torch" not in on_screen(app))


async def test_enter_on_a_trained_rung_opens_its_best_run_and_trains_nothing(ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await on_ladder(pilot)
        before = statuses(ladder_database)
        screen.query_one(LadderTable).move_to("linear")
        await until(pilot, lambda: "enter open" in on_screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not screen)
        assert app.screen.MODE == "run_view"
        assert statuses(ladder_database) == before


@pytest.mark.parametrize("size", SIZES)
async def test_climbing_says_how_long_it_takes_here(
    size: tuple[int, int], empty_database: Path, asked_speeds: list[tuple[SpeedRequest, Listener]]
) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.screen.states)
        await until(pilot, lambda: asked_speeds)
        said_first = "measuring…" if size[0] < 100 else "(loading torch to measure this machine…)"
        await until(pilot, lambda: said_first in on_screen(app))
        asked_speeds[0][1].started()
        if size[0] > 100:
            await until(pilot, lambda: "(measuring this machine… 0 of 10)" in on_screen(app))
        for place in range(10):
            await until(pilot, lambda place=place: len(asked_speeds) == place + 1)
            asked_speeds[place][1].speed(Speed(20.0, 0.01, 1e5, 1000, "cpu", "fp32", 1))
        said_last = "climb the ladder (about 1m 40s" + (" here, quit any time)" if size[0] > 100 else ")")
        await until(pilot, lambda: said_last in on_screen(app))
        assert len(asked_speeds) == 10
        await pilot.press("enter")
        await until(pilot, lambda: len(app.snapshot.runs) == 10)
        assert all(run.steps == app.ladder.runs[run.stage].config.steps for run in app.snapshot.runs), "not fewer"
        await until(pilot, lambda: "climb the ladder" not in on_screen(app), seconds=5)


async def test_what_could_not_be_measured_keeps_nobody_from_climbing(
    empty_database: Path, asked_speeds: list[tuple[SpeedRequest, Listener]]
) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.screen.states)
        for place in range(10):
            await until(pilot, lambda place=place: len(asked_speeds) == place + 1)
            asked_speeds[place][1].failed("the torch helper died (1); ask again")
        await until(pilot, lambda: "not measured: the torch helper died" in on_screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.snapshot.runs) == 10)


async def test_d_leaves_an_empty_database_for_the_demo(empty_database: Path) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.loaded)
        await until(pilot, lambda: "d demo: finished runs" in on_screen(app))
        await pilot.press("d")
        await until(pilot, lambda: app._exit)
    assert app.return_value == OPEN_DEMO


@pytest.mark.parametrize("size", SIZES)
async def test_the_demo_is_marked_as_such(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    app = LabApp(demo_copy(), mode="ladder")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LadderScreen) and app.screen.states and app.loaded)
        assert " demo " in on_screen(app).splitlines()[0]
        await until(pilot, lambda: "✓ demo" in row(app, "layernorm"))
        assert "✓ yours" not in on_screen(app)
        assert "climb the ladder" not in on_screen(app)


async def test_samples_of_all_rungs_are_of_one_seed(ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await on_ladder(pilot)
        assert screen.seed == 1337
        await until(pilot, lambda: "the same start, seed 1337" in on_screen(app))
        await pilot.press("tab", "tab", "z", "G")
        await until(pilot, lambda: "linear (seed 1)" in on_screen(app), seconds=5)
        assert "single-head  val 2.420" in on_screen(app)


async def test_the_lines_of_code_of_a_rung_are_shown(ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(160, 60)) as pilot:
        screen = await on_ladder(pilot)
        await until(pilot, lambda: app.ladder.code)
        screen.query_one(LadderTable).move_to("residual")
        await pilot.press("tab", "z", "G")
        await until(pilot, lambda: "x = x + added if self.residual else added" in on_screen(app))
        assert "layers.py · Block.passed" in on_screen(app)


async def test_new_run_composes_the_rung_under_the_cursor(ladder_database: Path) -> None:
    app = lab_app(ladder_database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await on_ladder(pilot)
        screen.query_one(LadderTable).move_to("layernorm")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ComposerScreen) and app.screen.checked)
        assert app.screen.draft.stage == "layernorm"


async def test_the_first_rung_and_the_first_below_the_line_are_said_once(empty_database: Path) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.loaded)
        store = RunStore.open(empty_database)
        add_rung(store, "bigram", 2.49)
        await until(pilot, lambda: "The first rung is trained. bigram-1" in said(app))
        assert "below the line" not in said(app)
        add_rung(store, "single-head", 2.42)
        store.close()
        await until(pilot, lambda: "single-head-1 is below the line" in said(app))
        assert said(app).count("The first rung") == 1


# Pure parts


def rungs_of(path: Path) -> tuple[Sequence[RungState], Snapshot]:
    """The ladder as it stands in a database."""
    store = RunStore.open(path)
    runs = tuple(store.runs())
    facts = store.dataset(runs[0].dataset_sha256, runs[0].dataset_kind)
    store.close()
    references = {(runs[0].dataset_sha256, runs[0].dataset_kind): References("shakespeare", 4.14, facts.counting_loss)}
    facts_ = with_rungs(LadderFacts())
    return rung_states(facts_.stages, facts_.group_hashes, runs), Snapshot(runs, references=references)


def test_children_and_quick_runs_are_no_rungs(ladder_database: Path) -> None:
    states, _ = rungs_of(ladder_database)
    assert [state.stage.name for state in states if state.finished] == ["bigram", "linear", "single-head"]
    with sqlite3.connect(ladder_database) as connection:
        connection.execute("UPDATE run SET tags_json = '[\"quick\"]' WHERE name = 'bigram-1'")
        connection.execute("UPDATE run SET parent_id = id WHERE name = 'single-head-1'")
    connection.close()
    states, _ = rungs_of(ladder_database)
    assert [state.stage.name for state in states if state.finished] == ["linear"]


def test_what_was_there_before_is_no_news(ladder_database: Path) -> None:
    _, snapshot = rungs_of(ladder_database)
    events = FirstEvents()
    assert events.news(snapshot) == []
    assert events.news(snapshot) == []
    events = FirstEvents()
    assert events.news(Snapshot()) == []
    assert len(events.news(snapshot)) == 2
    assert events.over


def test_a_run_whose_config_is_nonsense_is_no_news_but_that_it_is_finished(ladder_database: Path) -> None:
    _, snapshot = rungs_of(ladder_database)
    runs = tuple(dataclasses.replace(run, config_json="nonsense") for run in snapshot.runs)
    events = FirstEvents()
    events.news(Snapshot())
    assert len(events.news(dataclasses.replace(snapshot, runs=runs))) == 1
    assert not events.over


def test_the_switch_of_every_stage_names_what_its_config_changes() -> None:
    for stage in STAGES:
        switch = {key: after for key, _, after in stage_switch(stage.name)}
        assert switch, stage.name
        assert switch.keys() >= {key for key in stage.changes if key in switch or stage.stands_on is None}
    assert ("heads", "1", "4") in stage_switch("multi-head")
    assert ("dataset", "shakespeare", "names") not in stage_switch("single-head")
