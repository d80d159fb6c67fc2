"""The Runs mode: what opens, what is drawn, what an empty or damaged database says, and every size."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input
from tui_helpers import HOSTILE, NOW, add_run, lab_app, named, on_screen, opened, until

from lab.cli.screen import screen_options
from lab.errors import WorkerError
from lab.queue import requests
from lab.store.recorder import RunRecorder
from lab.store.run_store import RunStore
from lab.tui.run_colours import run_colour, run_slot
from lab.tui.snapshot import Snapshot
from lab.tui.widgets.detail_pane import DetailPane
from lab.tui.widgets.filter_bar import FilterBar
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_table import RunTable
from lab.tui.worker_minder import WorkerMinder

SIZES = [(80, 24), (160, 45)]


@pytest.mark.parametrize("size", SIZES)
async def test_opens_on_the_stored_runs(size: tuple[int, int], database: Path, worker_starts: list[Path]) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        shown = on_screen(app)
        for said in ("◌ waiting 1", "‖ paused", "✗ failed", "↯ diverged", "✓ finished", "residual-1", "2.083", "8.0"):
            assert said in shown
        table = screen.query_one(RunTable)
        assert table.row_count == 9
        assert screen.run.name == "linear-1"  # what waits stands first
        await until(pilot, lambda: worker_starts == [database])
        assert screen.query_one(LossChart).display is (size[0] > 100)


async def test_marks_overlay_their_curves(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        chart = screen.query_one(LossChart)
        for name in ("residual-1", "bigram-1", "multi-head-1"):
            screen.query_one(RunTable).move_to(named(app, name).id)
            await pilot.press("space")
        await until(pilot, lambda: len([line for line in chart.content.lines if line.label]) == 3)
        shown = on_screen(app)
        for said in ("residual-1 2.083", "bigram-1 2.489", "multi-head-1 2.271", "bigram by counting 2.49"):
            assert said in shown
        assert len({line.colour for line in chart.content.lines if line.label}) == 3
        await pilot.press("/", *"mlp", "enter")
        assert len(screen.marks) == 3, "marks survive filtering"


async def test_the_chart_draws_only_what_has_changed(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "residual-1").id)
        chart = screen.query_one(LossChart)
        await until(pilot, lambda: any(line.label for line in chart.content.lines) and chart.drawings)
        before = chart.drawings
        app.snapshot = Snapshot(
            app.snapshot.runs, app.snapshot.slots, app.snapshot.curves, app.snapshot.references, app.snapshot.detail
        )
        await pilot.press("]")
        assert chart.drawings == before


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_names_samples_and_logs_are_shown_literally(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, HOSTILE).id)
        await until(pilot, lambda: app.snapshot.detail and app.snapshot.detail.run_id == named(app, HOSTILE).id)
        screen.query_one(RunTable).focus()
        assert "[bold]x[/bold]" in on_screen(app)
        detail = screen.query_one(DetailPane)
        for tab, said in (
            ("sample", "[red]brother[/red]\\x1b[2J, he"),
            ("log", "\\x1b[31m\\nend"),
            ("config", "residual"),
        ):
            detail.tab = tab
            screen.go_to("detail")
            await until(pilot, lambda said=said: said in on_screen(app))
        assert "\x1b" not in on_screen(app)
        screen.query_one(RunTable).move_to(named(app, HOSTILE).id)
        await pilot.press("d")  # its toast names the run
        await until(pilot, lambda: app._notifications)
        assert "[bold]x[/bold]\\x1b[31m\\nend" in next(iter(app._notifications)).message


async def test_the_filter_says_what_is_wrong_as_one_types(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("/")
        line = screen.query_one("#filter Input", Input)
        line.value = "stag:b"
        await until(pilot, lambda: "no field 'stag': did you mean 'stage'?" in on_screen(app))
        line.value = "val<2.2 -lr>1"
        await until(pilot, lambda: screen.query_one(RunTable).row_count == 3)
        await pilot.press("escape")
        assert not screen.query_one(FilterBar).display
        await until(pilot, lambda: screen.query_one(RunTable).row_count == 9)


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_database_says_what_to_press(size: tuple[int, int], empty_database: Path) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.ladder.untrained is not None)
        await pilot.press("2")
        await until(pilot, lambda: "2.486" in on_screen(app))
        shown = on_screen(app)
        for said in ("No runs yet", "1    the ladder", "guessing evenly", "4.143", "63.0", "by counting", "2.486"):
            assert said in shown
        await pilot.press("j", "space", "p", "tab", "z", "/", "*", "x", "]", "d", "u", "s")  # nothing to act on
        assert app.is_running


async def test_the_cursor_stays_with_its_run(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        screen.query_one(RunTable).move_to(named(app, "blocks-1").id)
        await pilot.press("s", "S")
        assert screen.run.name == "blocks-1"
        store = RunStore.open(database)
        add_run(store, "bigram", 2.5, status="queued")
        store.close()
        await until(pilot, lambda: screen.query_one(RunTable).row_count == 10)
        assert screen.run.name == "blocks-1"


async def test_a_training_run_is_followed(database: Path) -> None:
    store = RunStore.open(database)
    run = add_run(store, "layernorm", 2.3, status="training", steps=1000)
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        assert screen.run.id == run.id, "what trains stands first"
        assert "50%" in on_screen(app)
        chart = screen.query_one(LossChart)
        await until(pilot, lambda: any(line.label for line in chart.content.lines))
        recorder = RunRecorder(store, run.id, run.attempt, run.steps)
        recorder.log("train/loss", 500, [2.0] * 250)
        recorder.log("val/loss", 740, [1.987])
        recorder.sample(750, "what it writes now")
        recorder.progress(step=750, val_loss=1.987)
        recorder.close()
        await until(pilot, lambda: "1.987" in on_screen(app))
        await until(pilot, lambda: "what it writes now" in on_screen(app))
        assert "75%" in on_screen(app)
        assert max(line.x.max() for line in chart.content.lines) == 749
    store.close()


async def test_every_size_and_back(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await opened(pilot)
        for width, height in ((50, 12), (80, 24), (240, 70), (60, 16), (100, 30), (59, 40), (160, 15), (160, 45)):
            await pilot.resize_terminal(width, height)
            tiny = width < 60 or height < 16
            await until(pilot, lambda tiny=tiny: ("make the window larger" in on_screen(app)) == tiny)
            if not tiny:
                assert screen.query_one("#strip").display == (width < 100 or height < 30)
                assert "linear-1" in on_screen(app)


async def test_one_pane_and_a_strip_where_there_is_no_room(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        for said in ("Loss", "Sample", "Config", "Log", "Runs"):
            await pilot.press("tab")
            await until(pilot, lambda said=said: f"─ {said}" in on_screen(app) or f" {said} " in on_screen(app))
        assert screen.pane == "runs"
        await pilot.click("#strip", offset=(10, 0))
        assert screen.pane == "chart"


async def test_a_damaged_database_is_said_not_thrown(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(b"SQLite format 3\0" + b"nonsense" * 400)
    app = lab_app(path)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.problem)
        assert "⚠" in on_screen(app)
        await until(pilot, lambda: "lab doctor --repair" in on_screen(app))


async def test_a_database_that_becomes_unreadable_is_said(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        connection = sqlite3.connect(database)
        connection.execute("ALTER TABLE run RENAME TO elsewhere")
        connection.commit()
        await until(pilot, lambda: "cannot be read" in app.problem)
        connection.execute("ALTER TABLE elsewhere RENAME TO run")
        connection.commit()
        connection.close()
        await until(pilot, lambda: not app.problem)


def test_the_worker_is_not_started_in_a_tight_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def fail(path: Path) -> int:
        tries.append(path)
        raise WorkerError("the worker did not start: [no] torch")

    monkeypatch.setattr(requests, "start_worker", fail)
    monkeypatch.setattr(requests, "worker_pid", lambda path: None)
    told: list[Any] = []
    minder = WorkerMinder(tmp_path / "runs.db", told.append)
    minder.need(True)
    for _ in range(20):
        minder.look()
    assert len(tries) == 1
    assert told[-1].problem == "the worker did not start: [no] torch"
    minder.retry_now()
    minder.look()
    assert len(tries) == 2
    minder.need(False)
    minder.look()
    assert told[-1].problem == ""


@pytest.mark.parametrize("exists", [True, False], ids=["runs", "ladder"])
def test_the_first_frame_needs_nothing_heavy(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "runs.db"
    if exists:
        RunStore.open(path).close()
    code = (
        "import sys, asyncio, pathlib\n"
        "from lab.cli.screen import screen_options\n"
        "screen_options([]), screen_options(['--ascii', '--db', 'runs.db'])\n"
        "from lab.tui.app import LabApp\n"
        "heavy = ('torch', 'sqlalchemy', 'plotext', 'pydantic', 'scipy', 'numpy', 'typer')\n"
        "assert not [name for name in heavy if name in sys.modules], 'at import'\n"
        "start_threads = LabApp._start_threads\n"
        "def watched(app):\n"
        "    app.seen = [name for name in heavy if name in sys.modules]\n"
        "    start_threads(app)\n"
        "LabApp._start_threads = watched\n"
        "async def main():\n"
        "    app = LabApp(pathlib.Path(sys.argv[1]))\n"
        "    async with app.run_test() as pilot:\n"
        "        while not app.loaded: await pilot.pause(0.01)\n"
        "    assert app.seen == [], app.seen\n"
        "    assert 'sqlalchemy' in sys.modules and 'torch' not in sys.modules\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], (None, False)),
        (["--ascii"], (None, True)),
        (["--db", "a.db"], (Path("a.db"), False)),
        (["--db=a=b.db", "--ascii"], (Path("a=b.db"), True)),
        (["--db"], None),
        (["--db="], None),
        (["--version"], None),
        (["--help"], None),
        (["runs"], None),
        (["--db", "a.db", "runs"], None),
    ],
)
def test_the_screen_needs_no_parser_of_commands(arguments: list[str], options: tuple[Path | None, bool] | None) -> None:
    assert screen_options(arguments) == options


def test_run_colours_are_distinct_and_stable() -> None:
    from lab.config.ladder import STAGES

    for dark in (True, False):
        firsts = {run_colour(run_slot(stage.name, 0), dark=dark) for stage in STAGES}
        assert len(firsts) == len(STAGES)
        of_one_stage = {run_colour(run_slot("residual", nth), dark=dark) for nth in range(24)}
        assert len(of_one_stage) == 24
        assert len(of_one_stage & firsts) == 1
    assert run_slot("anything else", 0) == run_slot("anything else", 0)


async def test_no_thread_outlives_the_screen(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "recorder" in name]
    assert app.clock() == NOW
