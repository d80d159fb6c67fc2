"""The line at the top: at every width it keeps what matters most, and never runs over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from tui_helpers import lab_app, named, on_screen, opened, until

from lab.store import lifecycle
from lab.store.run_store import RunStore, run_table
from lab.tui.snapshot import Snapshot
from lab.tui.theme import DARK, theme_colours
from lab.tui.widgets.bars import BarFacts, _status_line

PROBLEM = "the database cannot be read: disk I/O error on a disk that has seen better days"


def facts_of(database: Path) -> BarFacts:
    """Two runs train, one waits."""
    store = RunStore.open(database)
    runs = [
        replace(run, status="training", step=200, seconds=30.0) if run.name in ("bigram-1", "residual-1") else run
        for run in store.runs()
    ]
    store.close()
    colours = theme_colours(DARK.to_color_system().generate() | DARK.variables)
    return BarFacts(Path.home() / "lab" / "runs.db", Snapshot(tuple(runs)), colours, loaded=True, worker=True)


@pytest.mark.parametrize("width", [60, 80, 100, 110, 160, 240])
@pytest.mark.parametrize("problem", ["", PROBLEM])
def test_what_matters_most_is_kept_at_every_width(width: int, problem: str, database: Path) -> None:
    line = _status_line(replace(facts_of(database), problem=problem), width)
    assert line.cell_len <= width
    assert "bigram-1 50% +1" in line.plain
    if problem:
        assert "⚠ the database" in line.plain
    else:
        assert "1 waiting" in line.plain
    if width >= 160 and not problem:
        for said in ("30s left", "196k chars/s", "~/lab/runs.db · cpu"):
            assert said in line.plain


def test_the_speed_gives_way_before_the_time_left(database: Path) -> None:
    plain = [_status_line(facts_of(database), width).plain for width in range(46, 110)]
    first = {said: next(i for i, line in enumerate(plain) if said in line)
             for said in ("bigram-1", "waiting", "left", "chars/s")}  # fmt: skip
    assert first["bigram-1"] <= first["waiting"] <= first["left"] <= first["chars/s"]


async def test_a_window_may_shrink_to_nothing_and_grow_again(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        for size in ((59, 15), (20, 5), (3, 2), (80, 24), (240, 70)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            for key in ("j", "z", "tab", "?", "escape"):
                await pilot.press(key)
        assert "Runs · 9" in on_screen(app) or "Loss" in on_screen(app)
        await pilot.resize_terminal(59, 15)
        await until(pilot, lambda: "make the window larger" in on_screen(app))


async def test_a_full_disk_is_said_while_training_waits_for_it(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        store, reason = app.reader.store(), f"the disk of {database} is full"
        run = named(app, "bigram-1")
        with store.database.writer.begin() as connection:
            connection.execute(sa.update(run_table).where(run_table.c.id == run.id).values(status="training"))
        assert lifecycle.hold_for_storage(store, run.id, run.attempt, reason)
        await until(pilot, lambda: "⚠ training waits: the disk of " in on_screen(app))
        await until(pilot, lambda: named(app, "bigram-1").status == "queued")
        lifecycle.storage_works(store)
        await until(pilot, lambda: "training waits" not in on_screen(app))
