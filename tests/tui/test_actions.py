"""Every action of the registry does what it says; one without a test fails here."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from compare_helpers import in_compare
from inspect_helpers import answer, in_inspect, on_view
from sample_helpers import FakeClient, add_checkpoints, in_sample
from sweep_helpers import add_sweep, in_finder
from textual.widgets import Input, OptionList
from tui_helpers import HOSTILE, add_run, lab_app, named, on_screen, opened, statuses, until

from lab.store.run_store import RunStore
from lab.tui.actions import ACTIONS, ACTIONS_BY_ID, FOOTER_KEYS, Situation, footer_actions
from lab.tui.screens.break_run import BreakScreen
from lab.tui.screens.choice import ChoiceScreen
from lab.tui.screens.choose_runs import ChooseRunsScreen
from lab.tui.screens.columns import ColumnsScreen
from lab.tui.screens.compare import CompareScreen
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.confirm import ConfirmScreen
from lab.tui.screens.continue_run import ContinueScreen
from lab.tui.screens.help import HelpScreen
from lab.tui.screens.inspect import InspectScreen
from lab.tui.screens.ladder import LadderScreen
from lab.tui.screens.lr_finder import LRFinderScreen
from lab.tui.screens.notes import NotesScreen
from lab.tui.screens.race import RaceScreen
from lab.tui.screens.run_view import RunView
from lab.tui.screens.runs import RunsScreen
from lab.tui.screens.sample import SampleScreen
from lab.tui.screens.sweep_composer import SweepComposerScreen
from lab.tui.theme import LIGHT
from lab.tui.widgets.detail_pane import DetailPane
from lab.tui.widgets.filter_bar import FilterBar
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_table import RunTable

Exercise = Callable[[Any, Any, Path], Awaitable[None]]
EXERCISES: dict[str, Exercise] = {}


def exercises(*ids: str) -> Callable[[Exercise], Exercise]:
    """Marks what exercises an action."""

    def mark(exercise: Exercise) -> Exercise:
        EXERCISES.update(dict.fromkeys(ids, exercise))
        return exercise

    return mark


def go_to(screen: Any, name: str) -> None:
    """Puts the cursor on a run."""
    screen.query_one(RunTable).move_to(named(screen.app, name).id)


@exercises("new_run")
async def _new_run(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("n")
    await until(pilot, lambda: isinstance(pilot.app.screen, ComposerScreen) and pilot.app.screen.checked)
    assert pilot.app.screen.draft.stage == "residual"
    await pilot.press("escape")
    assert pilot.app.screen is screen


@exercises("edit_copy")
async def _edit_copy(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "blocks-1")
    await pilot.press("e")
    await until(pilot, lambda: isinstance(pilot.app.screen, ComposerScreen) and pilot.app.screen.checked)
    draft = pilot.app.screen.draft
    assert (draft.stage, draft.change, draft.steps) == ("blocks", "lr=3e-4", "400")


@exercises("pause_resume")
async def _pause(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "linear-1")
    await pilot.press("p")
    await until(pilot, lambda: statuses(database)["linear-1"] == "paused")
    await until(pilot, lambda: named(pilot.app, "linear-1").status == "paused")
    await pilot.press("p")
    await until(pilot, lambda: statuses(database)["linear-1"] == "queued")


@exercises("stop", "undo")
async def _stop(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "linear-1")
    await pilot.press("K")
    await until(pilot, lambda: statuses(database)["linear-1"] == "cancelled")
    await until(pilot, lambda: pilot.app.edits.next_undo)
    await pilot.press("u")
    await until(pilot, lambda: statuses(database)["linear-1"] == "queued")


@exercises("retry")
async def _retry(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "layernorm-1")
    before = screen.run
    await pilot.press("R")
    await until(pilot, lambda: statuses(database)["layernorm-1"] == "queued")
    await until(pilot, lambda: pilot.app.edits.next_undo)
    await pilot.press("u")
    await until(pilot, lambda: named(pilot.app, "layernorm-1") == before)
    assert before.status == "diverged"


@exercises("trash")
async def _trash(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "bigram-1")
    await pilot.press("d")
    await until(pilot, lambda: "bigram-1" not in statuses(database))
    await until(pilot, lambda: "bigram-1" not in on_screen(pilot.app).split("Loss")[0])
    await until(pilot, lambda: pilot.app.edits.next_undo)
    await pilot.press("u")
    await until(pilot, lambda: "bigram-1" in on_screen(pilot.app).split("Loss")[0])


@exercises("cancel")
async def _cancel(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "linear-1")
    await pilot.press("C")
    await until(pilot, lambda: statuses(database)["linear-1"] == "cancelled")


async def marked(pilot: Any, screen: Any, *names: str) -> None:
    """Marks these runs."""
    for name in names:
        go_to(screen, name)
        await pilot.press("space")
    assert len(screen.marked) == len(names)


@exercises("mark_all")
async def _mark_all(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("/", *"stage:residual", "enter", "A")
    assert {run.name for run in screen.marked} == {"residual-1", HOSTILE}
    await pilot.press("escape")
    assert len(screen.chosen) == 2, "marks survive the filter"
    await pilot.press("A")
    assert len(screen.marked) == 9
    await pilot.press("A")
    assert screen.marked == ()


@exercises("again")
async def _again(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("a")
    await until(pilot, lambda: "queues 2 runs: seeds 1338, 1339" in on_screen(pilot.app))
    line = screen.query_one("#question Input", Input)
    line.value = "1337"
    await until(pilot, lambda: "seed 1337 of residual-1 is there already" in on_screen(pilot.app))
    await pilot.press("enter")
    assert screen.query_one("#question").display, "a wrong answer is not taken"
    line.value = "7 9"
    await until(pilot, lambda: "queues 2 runs: seeds 7, 9" in on_screen(pilot.app))
    await pilot.press("enter")
    await until(pilot, lambda: {run.seed for run in pilot.app.snapshot.runs if run.stage == "residual"} == {1337, 7, 9})
    assert pilot.app.focused is screen.query_one(RunTable)
    await pilot.press("u")
    await until(pilot, lambda: len(pilot.app.snapshot.runs) == 9)


@exercises("tag")
async def _tag(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("t", *"base", "enter")
    await until(pilot, lambda: named(pilot.app, "residual-1").tags == ("base",))
    await marked(pilot, screen, "residual-1", "bigram-1")
    await pilot.press("t", *"x -base", "enter")
    await until(pilot, lambda: named(pilot.app, "bigram-1").tags == ("x",))
    assert named(pilot.app, "residual-1").tags == ("x",)
    await until(pilot, lambda: "tag 2 runs" in pilot.app.edits.next_undo)
    await pilot.press("u")
    await until(pilot, lambda: named(pilot.app, "residual-1").tags == ("base",))
    assert named(pilot.app, "bigram-1").tags == ()


@exercises("notes")
async def _notes(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("N", *"worse", "enter", *"at first", "escape")
    assert isinstance(pilot.app.screen, NotesScreen), "what was typed is not lost at one press"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: named(pilot.app, "residual-1").notes == "worse\nat first")
    assert pilot.app.screen is screen
    await until(pilot, lambda: pilot.app.edits.next_undo)
    await pilot.press("u")
    await until(pilot, lambda: named(pilot.app, "residual-1").notes == "")


@exercises("export")
async def _export(pilot: Any, screen: Any, database: Path) -> None:
    await marked(pilot, screen, "residual-1", "bigram-1")
    await pilot.press("E")
    line = screen.query_one("#question Input", Input)
    assert line.value == "runs.csv"
    line.value = str(database.with_name("runs.txt"))
    await until(pilot, lambda: "ends in .csv or .jsonl" in on_screen(pilot.app))
    target = database.with_name("runs.jsonl")
    line.value = str(target)
    await pilot.press("enter")
    await until(pilot, target.exists)
    assert [json.loads(each)["name"] for each in target.read_text().splitlines()] == ["residual-1", "bigram-1"]


@exercises("move_up", "move_down", "move_first")
async def _move_in_queue(pilot: Any, screen: Any, database: Path) -> None:
    store = RunStore.open(database)
    for _ in range(2):
        add_run(store, "bigram", 2.5, status="queued")
    store.close()
    await until(pilot, lambda: pilot.app.snapshot.waiting == 3)

    def order() -> list[str]:
        return sorted(pilot.app.snapshot.places, key=pilot.app.snapshot.places.__getitem__)

    first, second, third = order()
    screen.query_one(RunTable).move_to(third)
    await pilot.press("shift+up")
    await until(pilot, lambda: order() == [first, third, second])
    await pilot.press("T")
    await until(pilot, lambda: order() == [third, first, second])
    assert screen.run.id == third
    await pilot.press("full_stop")
    await until(pilot, lambda: order() == [first, third, second])
    await until(pilot, lambda: pilot.app.edits.next_undo.startswith("move"))
    await pilot.press("u")
    await until(pilot, lambda: order() == [third, first, second])


@exercises("pause_queue")
async def _pause_queue(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("P")
    await until(pilot, lambda: pilot.app.snapshot.queue_paused)
    await pilot.press("P")
    await until(pilot, lambda: not pilot.app.snapshot.queue_paused)


@exercises("show_trash", "restore", "delete_for_good")
async def _trash_view(pilot: Any, screen: Any, database: Path) -> None:
    await marked(pilot, screen, "bigram-1", "residual-1", "blocks-1")
    await pilot.press("d")
    await until(pilot, lambda: len(pilot.app.snapshot.runs) == 6)
    await pilot.press("D")
    await until(pilot, lambda: screen.query_one(RunTable).row_count == 3)
    assert "Trash · 3" in on_screen(pilot.app)
    await pilot.press("escape", "p", "K")  # takes the marks away; what is in the trash is not trained
    go_to_trashed(screen, "bigram-1")
    await pilot.press("r")
    await until(pilot, lambda: screen.query_one(RunTable).row_count == 2)
    go_to_trashed(screen, "residual-1")
    await pilot.press("d")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
    assert "residual-1, with" in on_screen(pilot.app)
    await pilot.press("escape")
    await until(pilot, lambda: pilot.app.screen is screen)
    await pilot.press("d")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
    await pilot.press("d")
    await until(pilot, lambda: screen.query_one(RunTable).row_count == 1)
    await pilot.press("D")
    await until(pilot, lambda: screen.query_one(RunTable).row_count == 7)
    assert statuses(database).keys() >= {"bigram-1"}
    assert not statuses(database).keys() & {"residual-1", "blocks-1"}


def go_to_trashed(screen: Any, name: str) -> None:
    """Puts the cursor on a run in the trash."""
    trashed = screen.app.snapshot.trashed
    screen.query_one(RunTable).move_to(next(run.id for run in trashed if run.name == name))


@exercises("columns")
async def _columns(pilot: Any, screen: Any, database: Path) -> None:
    table = screen.query_one(RunTable)
    usual = [column.key for column in table.columns_shown]
    await pilot.press("c")
    assert isinstance(pilot.app.screen, ColumnsScreen)
    columns = pilot.app.screen.query_one(OptionList)
    columns.highlighted = columns.get_option_index("lr")
    await pilot.press("space", "s")
    columns.highlighted = columns.get_option_index("stage")
    await pilot.press("space")
    columns.highlighted = columns.get_option_index("val")
    await pilot.press("shift+up")
    await pilot.press("escape")
    assert pilot.app.screen is screen
    shown = [column.key for column in table.columns_shown]
    assert shown == [*(key for key in moved_ahead(usual, "val") if key != "stage"), "lr"]
    assert screen.sort == "lr"
    assert "lr ▲" in on_screen(pilot.app)
    await pilot.press("c", "r", "escape")
    assert [column.key for column in table.columns_shown] == usual


def moved_ahead(keys: list[str], key: str) -> list[str]:
    """The keys, one of them a place ahead."""
    place = keys.index(key)
    return [*keys[: place - 1], key, keys[place - 1], *keys[place + 1 :]]


@exercises("cursor_down", "cursor_up", "cursor_first", "cursor_last")
async def _move(pilot: Any, screen: Any, database: Path) -> None:
    table = screen.query_one(RunTable)
    for key, row in (("j", 1), ("down", 2), ("k", 1), ("up", 0), ("G", 8), ("g", 0), ("end", 8), ("home", 0)):
        await pilot.press(key)
        assert table.cursor_row == row, key


@exercises("mark", "unmark_all")
async def _mark(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    run_id = screen.run.id
    await pilot.press("space")
    assert screen.marks == (run_id,)
    await pilot.press("escape")
    assert screen.marks == ()


@exercises("pin")
async def _pin(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "blocks-1")
    await pilot.press("*")
    await until(pilot, lambda: "−0.242" in on_screen(pilot.app))  # residual against blocks
    assert "other data" in on_screen(pilot.app)
    await pilot.press("*")
    assert screen.baseline is None


@exercises("filter")
async def _filter(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("/", *"resid")
    await until(pilot, lambda: screen.query_one(RunTable).row_count == 2)
    await pilot.press("enter")
    assert screen.query_one(FilterBar).display
    assert pilot.app.focused is screen.query_one(RunTable)
    await pilot.press("escape")
    await until(pilot, lambda: screen.query_one(RunTable).row_count == 9)


@exercises("sort", "sort_reverse")
async def _sort(pilot: Any, screen: Any, database: Path) -> None:
    table = screen.query_one(RunTable)
    await pilot.press("s")
    assert screen.sort == "name"
    while screen.sort != "val":
        await pilot.press("s")
    go_to(screen, "residual-1")
    assert screen.run.name == "residual-1"
    assert table.cursor_row == 0 or named(pilot.app, "residual-1").val_loss > 2.0
    first = table.get_row_at(0)[2].plain
    await pilot.press("S")
    assert screen.reverse
    assert table.get_row_at(0)[2].plain != first
    assert table.get_row_at(table.row_count - 1)[7].plain == "–"  # without a value: last either way round


@exercises("next_pane", "previous_pane")
async def _panes(pilot: Any, screen: Any, database: Path) -> None:
    for key, pane in (("tab", "chart"), ("tab", "detail"), ("tab", "runs"), ("shift+tab", "detail")):
        await pilot.press(key)
        assert screen.pane == pane
        assert pilot.app.focused.id == pane


@exercises("next_tab", "previous_tab")
async def _tabs(pilot: Any, screen: Any, database: Path) -> None:
    detail = screen.query_one(DetailPane)
    go_to(screen, "blocks-1")
    for key, tab in (("]", "config"), ("]", "log"), ("]", "sample"), ("[", "log")):
        await pilot.press(key)
        assert detail.tab == tab
    await until(pilot, lambda: "cpu fp32, 1 thread" in on_screen(pilot.app))
    await pilot.press("[")
    await until(pilot, lambda: "changed against its stage" in on_screen(pilot.app))
    assert "3e-4" in on_screen(pilot.app)


@exercises("zoom")
async def _zoom(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("tab", "z")
    assert screen.zoomed
    assert not screen.query_one(RunTable).display
    assert screen.query_one(LossChart).size.width > pilot.app.size.width - 6
    await pilot.press("escape")
    assert not screen.zoomed
    assert screen.query_one(RunTable).display


@exercises("x_axis", "log_x", "log_y", "smooth_less", "smooth_more", "whole_range")
async def _chart(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    chart = screen.query_one(LossChart)
    await until(pilot, lambda: any(line.label for line in chart.content.lines))
    await pilot.press("x")
    assert screen.options.x == "chars"
    await until(pilot, lambda: "chars" in on_screen(pilot.app).splitlines()[-3])
    await pilot.press("x")
    assert screen.options.x == "FLOPs"
    before = screen.options.smoothing
    await pilot.press("l", "L", "o", ">", "<", "<")
    assert screen.options.log_x
    assert screen.options.log_y
    assert screen.options.whole_range
    assert screen.options.smoothing == before - 1
    await until(pilot, lambda: "log y · log x · whole range" in on_screen(pilot.app))


@exercises("help")
async def _help(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("?")
    assert isinstance(pilot.app.screen, HelpScreen)
    await pilot.press(*"zzz")
    await until(pilot, lambda: "nothing is called that" in on_screen(pilot.app))
    await pilot.press("ctrl+u", *"pin")
    await until(pilot, lambda: "Pin the run as the baseline" in on_screen(pilot.app))
    await pilot.press("escape")
    assert pilot.app.screen is screen


@exercises("command_palette")
async def _palette(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("ctrl+p", *"logari")
    await until(pilot, lambda: "log y" in on_screen(pilot.app))
    await pilot.press("down", "enter")
    await until(pilot, lambda: pilot.app.screen is screen and (screen.options.log_y or screen.options.log_x))


@exercises("copy")
async def _copy(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("y")
    await until(pilot, lambda: "command that repeats it" in on_screen(pilot.app))
    await pilot.press("j", "j", "enter")
    assert pilot.app.clipboard == "lab train residual --steps 400"
    assert pilot.app.screen is screen


@exercises("write_file", "picture")
async def _write_file(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("enter", "w")
    await until(pilot, lambda: "curves (CSV)" in on_screen(pilot.app))
    await pilot.press("k", "enter")  # the last of the list, round the top
    await until(pilot, lambda: (database.parent / "lab.svg").exists())
    await until(pilot, lambda: "residual-1" in (database.parent / "lab.svg").read_text().replace("&#160;", " "))
    await screen.run_action("picture")
    await until(pilot, lambda: (database.parent / "lab-2.svg").exists())


@exercises("change_theme")
async def _theme(pilot: Any, screen: Any, database: Path) -> None:
    await screen.run_action("change_theme")
    await until(pilot, lambda: pilot.app.screen is not screen)
    await pilot.press(*"lab-light")
    await until(pilot, lambda: "lab-light" in on_screen(pilot.app))
    await pilot.press("down", "enter")
    await until(pilot, lambda: pilot.app.theme == "lab-light")
    await until(pilot, lambda: pilot.app.screen is screen)
    cell = screen.query_one(RunTable).get_row_at(0)[1]
    assert LIGHT.secondary in str(cell.spans[0].style), "cells follow the theme"


@exercises("quit")
async def _quit(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("q")
    assert isinstance(pilot.app.screen, ConfirmScreen)
    assert "1 waiting: the work goes on in the background" in on_screen(pilot.app)
    await pilot.press("escape")
    assert pilot.app.screen is screen
    await pilot.press("q", "q")
    await until(pilot, lambda: not pilot.app.is_running or pilot.app._exit)


@exercises("stop_worker")
async def _stop_worker(pilot: Any, screen: Any, database: Path) -> None:
    await screen.run_action("stop_worker")
    await until(pilot, lambda: "worker" in " ".join(note.message for note in pilot.app._notifications))


@exercises("climb")
async def _climb(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("1")
    await until(pilot, lambda: isinstance(pilot.app.screen, LadderScreen) and pilot.app.screen.states)
    assert pilot.app.screen.rung.missing
    await pilot.press("enter")
    await until(pilot, lambda: statuses(database).get("scaled-cpu-1", statuses(database).get("scaled-1")) == "queued")


@exercises("open_demo")
async def _open_demo(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("1")
    await until(pilot, lambda: isinstance(pilot.app.screen, LadderScreen) and pilot.app.screen.states)
    await pilot.press("d")
    assert pilot.app.is_running, "only an empty database is left for the demo"
    assert len(pilot.app.snapshot.runs) == 9


@exercises("mode_ladder", "mode_runs")
async def _modes(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.press("1")
    await until(pilot, lambda: isinstance(pilot.app.screen, LadderScreen))
    await pilot.press("2")
    await until(pilot, lambda: pilot.app.screen is screen)


@exercises("mode_lr_finder", "use_rate", "new_sweep", "find_lr")
async def _lr_finder(pilot: Any, screen: Any, database: Path) -> None:
    store = RunStore.open(database)
    add_sweep(store)
    store.close()
    finder = await in_finder(pilot)
    await until(pilot, lambda: finder.rate)
    await pilot.press("right")
    rate = finder.rate
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, ComposerScreen) and pilot.app.screen.checked)
    assert pilot.app.screen.draft.change == f"lr={rate:.2g}"
    await pilot.press("escape", "n")
    await until(pilot, lambda: isinstance(pilot.app.screen, SweepComposerScreen))
    await pilot.press("escape", "2")
    await until(pilot, lambda: pilot.app.screen is screen)
    await screen.run_action("find_lr")
    await until(pilot, lambda: isinstance(pilot.app.screen, SweepComposerScreen))


@exercises("open_run", "back")
async def _open(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("tab", "enter")
    assert isinstance(pilot.app.screen, RunView)
    assert pilot.app.screen.run.name == "residual-1"
    await pilot.press("q")
    assert pilot.app.screen is screen


@exercises("text_first", "text_last")
async def _text(pilot: Any, screen: Any, database: Path) -> None:
    await pilot.resize_terminal(80, 20)
    go_to(screen, "residual-1")
    await pilot.press("enter", "[")
    view = pilot.app.screen
    await pilot.press("[")
    assert view.page == "config"
    pane = view.query_one("#page-config")
    await until(pilot, lambda: pane.max_scroll_y > 0)
    await pilot.press("G")
    await until(pilot, lambda: pane.scroll_y == pane.max_scroll_y)
    await pilot.press("g")
    await until(pilot, lambda: pane.scroll_y == 0)


@exercises("step_first", "step_last", "play")
async def _play(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("enter", "home")
    view = pilot.app.screen
    assert view.step == 0
    await pilot.press("space")
    await until(pilot, lambda: view.step >= 8)
    await pilot.press("space")
    assert not view.playing
    await pilot.press("end")
    assert view.cursor is None


@exercises("continue_run")
async def _continue(pilot: Any, screen: Any, database: Path) -> None:
    add_checkpoints(database, residual_1=(1, 400))
    go_to(screen, "residual-1")
    await pilot.press("enter", "c")
    await until(pilot, lambda: isinstance(pilot.app.screen, ContinueScreen) and pilot.app.screen.checked)
    await pilot.press(*"100", "enter")
    await until(pilot, lambda: statuses(database).get("residual-2") == "queued")


@exercises("chart_closer", "chart_farther", "chart_reset", "chart_left", "chart_right")
async def _chart_zoom(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    chart = screen.query_one(LossChart)
    await until(pilot, lambda: any(line.label for line in chart.content.lines))
    await pilot.press("+")
    assert screen.options.zoom == (100, 300)
    await pilot.press(")", ")")
    assert screen.options.zoom == (200, 400)
    await pilot.press("(")
    assert screen.options.zoom == (150, 350)
    await until(pilot, lambda: "zoomed: 150 to 350" in on_screen(pilot.app))
    await pilot.press("-")
    assert screen.options.zoom is None
    await pilot.press("+", "+", "=")
    assert screen.options.zoom is None


@exercises("step_forward", "step_back", "step_forward_far", "step_back_far")
async def _step(pilot: Any, screen: Any, database: Path) -> None:
    go_to(screen, "residual-1")
    await pilot.press("enter", "shift+left", "left", "right", "left", "left", "shift+right", "left")
    assert pilot.app.screen.step == 400 - 3 * 4


@exercises("mode_sample", "write", "write_again", "prompt", "beside", "leave")
async def _sample(pilot: Any, screen: Any, database: Path) -> None:
    add_checkpoints(database, residual_1=(1, 400))
    client = pilot.app.inference = FakeClient()
    sample = await in_sample(pilot)
    await pilot.press("space", "enter")
    assert [request.checkpoint for request, _ in client.asked] == ["best", "best"]
    await pilot.press("escape", "r")
    assert client.cancelled == [1, 2]
    assert client.request.seed == 1338
    await pilot.press("enter", "i")
    assert pilot.app.focused is sample.query_one("#prompt")
    await pilot.press("escape")
    assert pilot.app.focused.id == "first-text"


@exercises(
    "mode_inspect", "look", "next_figure", "previous_figure", "inspect_prompt", "inspect_again", "stop_inspecting"
)
async def _inspect(pilot: Any, screen: Any, database: Path) -> None:
    add_checkpoints(database, residual_1=(1, 400))
    client = pilot.app.inference = FakeClient()
    inspect = await in_inspect(pilot)
    page = await on_view(pilot, inspect, "attention")
    await pilot.press("]", "]", "[")
    assert page.current == 1
    await pilot.press("enter")
    assert inspect.zoomed
    await pilot.press("i", *"To be", "enter")
    await until(pilot, lambda: client.inspected[-1][0].options.prompt == "To be")
    asked = len(client.inspected)
    await pilot.press("escape")
    assert client.cancelled[-1] == 20_000 + asked
    await until(pilot, lambda: "r begins again" in on_screen(pilot.app))
    await pilot.press("r")
    await until(pilot, lambda: len(client.inspected) == asked + 1)
    answer(client)
    await until(pilot, lambda: page.page is not None)


@exercises("inspect_run", "later_checkpoint", "earlier_checkpoint", "side_by_side")
async def _inspect_checkpoints(pilot: Any, screen: Any, database: Path) -> None:
    add_checkpoints(database, residual_1=(1, 20, 400), bigram_1=(300,))
    client = pilot.app.inference = FakeClient()
    go_to(screen, "residual-1")
    await pilot.press("I")
    await until(pilot, lambda: isinstance(pilot.app.screen, InspectScreen))
    inspect = pilot.app.screen
    await until(pilot, lambda: inspect.run is not None and inspect.run.name == "residual-1")
    await until(pilot, lambda: inspect.choices.run_id == named(pilot.app, "residual-1").id)
    await on_view(pilot, inspect, "embeddings")
    await pilot.press("comma")
    await until(pilot, lambda: client.inspected[-1][0].checkpoint == "20")
    await pilot.press("comma", "full_stop")
    assert inspect.lists().checkpoint == "20"
    await pilot.press("space", "full_stop")
    assert inspect.beside == (named(pilot.app, "residual-1").id, "20")
    await until(pilot, lambda: inspect.query_one("#second").display)


@exercises("option_more", "option_less", "choose_option")
async def _inspect_options(pilot: Any, screen: Any, database: Path) -> None:
    add_checkpoints(database, residual_1=(1, 400))
    client = pilot.app.inference = FakeClient()
    inspect = await in_inspect(pilot)
    page = await on_view(pilot, inspect, "averaging")
    await pilot.press("+")
    await until(pilot, lambda: client.inspected[-1][0].options.head_size == 32)
    answer(client)
    await until(pilot, lambda: page.page is not None and page.page.choices[0].chosen == "32")
    await pilot.press("-")
    await until(pilot, lambda: page.page is not None and page.page.choices[0].chosen == "16")
    await pilot.press("o")
    assert isinstance(pilot.app.screen, ChoiceScreen)
    await pilot.press("enter")
    await until(pilot, lambda: client.inspected[-1][0].options.head_size == 4)


@exercises("mode_compare", "choose_runs", "unmark")
async def _compare(pilot: Any, screen: Any, database: Path) -> None:
    compare = await in_compare(pilot, database)
    await pilot.press("slash")
    assert isinstance(pilot.app.screen, ChooseRunsScreen)
    await pilot.press(*"multi", "tab", "enter")
    await until(pilot, lambda: len(compare.comparison.groups) == 4)
    assert "multi-head" in on_screen(pilot.app)
    compare.query_one("#groups-rows").highlighted = [each.label for each in compare.comparison.groups].index("bigram")
    await pilot.press("space")
    await until(
        pilot, lambda: [each.label for each in compare.comparison.groups] == ["residual", "multi-head", "blocks"]
    )


@exercises("group_seeds", "group_by")
async def _groups(pilot: Any, screen: Any, database: Path) -> None:
    compare = await in_compare(pilot, database)
    await pilot.press("v")
    await until(pilot, lambda: len(compare.comparison.groups) == 5)
    assert "residual-1" in on_screen(pilot.app)
    await pilot.press("V")
    assert isinstance(pilot.app.screen, ChoiceScreen)
    keys = compare.setting_keys()
    await pilot.press(*["j"] * (2 + keys.index("residual")), "enter")
    await until(pilot, lambda: {each.label for each in compare.comparison.groups} == {"residual=on", "residual=off"})
    await pilot.press("v")
    await until(pilot, lambda: len(compare.comparison.groups) == 3)


@exercises("chart_kind", "metric", "band")
async def _drawing(pilot: Any, screen: Any, database: Path) -> None:
    compare = await in_compare(pilot, database)
    await until(pilot, lambda: len(compare.chart.content.bands) == 1)
    first = compare.chart.content.bands[0]
    await pilot.press("B")
    await until(pilot, lambda: "lowest to highest" in on_screen(pilot.app))
    assert (compare.chart.content.bands[0].high < first.high).all(), "three seeds: t is wide"
    await pilot.press("m")
    assert isinstance(pilot.app.screen, ChoiceScreen)
    await pilot.press("j", "enter")
    await until(pilot, lambda: compare.comparison.wanted.metric == "train/loss" and not compare.comparison.unread)
    await until(pilot, lambda: "train/loss · mean" in on_screen(pilot.app))
    await pilot.press("c")
    await until(pilot, lambda: len([panel for panel in compare.query("#multiples LossChart") if panel.display]) == 3)
    await pilot.press("c")
    await until(pilot, lambda: "n=3" in on_screen(pilot.app))


@exercises("target", "inside_kind")
async def _target(pilot: Any, screen: Any, database: Path) -> None:
    compare = await in_compare(pilot, database)
    await pilot.press("T", *"none", "enter")
    assert "is no loss" in on_screen(pilot.app)
    line = compare.query_one("#question Input", Input)
    line.value = "2.4"
    await pilot.press("enter")
    await until(pilot, lambda: "to 2.40" in on_screen(pilot.app))
    compare.page = "inside"
    await pilot.press("h")
    assert compare.inside_kind == "gradients"


@exercises("break_run", "compare_in_full")
async def _break(pilot: Any, screen: Any, database: Path) -> None:
    app = pilot.app
    go_to(screen, "residual-1")
    await pilot.press("b")
    await until(pilot, lambda: isinstance(app.screen, BreakScreen))
    assert "no residual" in on_screen(app)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, RaceScreen))
    await until(pilot, lambda: statuses(database).get("residual-1-no-residual") == "queued")
    await until(pilot, lambda: "residual-1-no-residual waits to begin" in on_screen(app))
    twin = named(app, "residual-1-no-residual")
    await until(pilot, lambda: len(app.screen.comparison.groups) == 2)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, CompareScreen) and len(app.screen.comparison.groups) == 2)
    assert app.marks == (named(app, "residual-1").id, twin.id)
    assert app.baseline == named(app, "residual-1").id


SCREENS = {
    "compare": CompareScreen,
    "ladder": LadderScreen,
    "race": RaceScreen,
    "run_view": RunView,
    "runs": RunsScreen,
    "lr_finder": LRFinderScreen,
    "sample": SampleScreen,
    "inspect": InspectScreen,
}


def test_every_action_has_a_method_and_is_exercised() -> None:
    assert EXERCISES.keys() == ACTIONS_BY_ID.keys()
    assert SCREENS.keys() >= {mode for action in ACTIONS for mode in action.modes}
    for mode, screen in SCREENS.items():
        for action in ACTIONS:
            if action.is_for(mode):
                assert callable(getattr(screen, f"action_{action.id}", None)), (mode, action.id)


@pytest.mark.parametrize("mode", SCREENS)
def test_no_key_means_two_things(mode: str) -> None:
    situations = (("finished", 0, False), ("finished", 1, False), (None, 1, False), ("finished", 0, True))
    for status, missing, trash in situations:  # enter climbs to what is not trained, d deletes what is in the trash
        now = Situation(mode=mode, status=status, missing_rungs=missing, runs=1, trash=trash)
        here = [action for action in ACTIONS if action.is_for(mode)]
        shared = [action for action in here if sum(not set(action.keys).isdisjoint(other.keys) for other in here) > 1]
        meant = [key for action in here if action not in shared or action.when(now) for key in action.keys]
        assert len(meant) == len(set(meant))


@pytest.mark.parametrize("exercise", dict.fromkeys(EXERCISES.values()), ids=lambda exercise: exercise.__name__[1:])
async def test_actions(exercise: Exercise, database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        await exercise(pilot, screen, database)


def test_the_footer_shows_what_can_be_done_with_the_run_at_most_seven() -> None:
    training = [action.id for action in footer_actions(Situation(status="training", runs=3))]
    assert "stop" in training
    assert "pause_resume" in training
    assert "retry" not in training
    failed = [action.id for action in footer_actions(Situation(status="failed", runs=3))]
    assert failed[0] == "retry"
    assert "stop" not in failed
    empty = [action.id for action in footer_actions(Situation())]
    assert empty[0] == "new_run"
    assert "mark" not in empty
    assert max(len(training), len(failed), len(empty)) <= FOOTER_KEYS
