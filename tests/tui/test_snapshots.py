"""Pictures of the Runs mode: `pytest --snapshot-update` takes them anew, after a look at each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tui_helpers import lab_app, named, opened, until

from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_table import RunTable

MARKED = ("residual-1", "multi-head-1", "bigram-1")


@pytest.fixture
def app(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lab on the stored runs, by a path that is the same everywhere."""
    shutil.copyfile(template, tmp_path / "runs.db")
    monkeypatch.chdir(tmp_path)
    return lab_app(Path("runs.db"))


async def with_marks(pilot: Any) -> None:
    """Three runs marked, the baseline pinned."""
    screen = await opened(pilot)
    screen.baseline = named(pilot.app, "bigram-1").id
    screen.marks = tuple(named(pilot.app, name).id for name in MARKED)
    screen.query_one(RunTable).move_to(named(pilot.app, "residual-1").id)
    chart = screen.query_one(LossChart)
    await until(pilot, lambda: len([line for line in chart.content.lines if line.label]) == 3)
    await until(pilot, lambda: pilot.app.snapshot.detail.run_id == named(pilot.app, "residual-1").id)
    await until(pilot, lambda: pilot.app.worker)


async def on_the_chart(pilot: Any) -> None:
    """The same, on the chart's page."""
    await with_marks(pilot)
    await pilot.press("tab")
    await pilot.pause()


def test_runs_at_160x45(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(160, 45), run_before=with_marks)


def test_runs_at_80x24(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=with_marks)


def test_chart_at_80x24(snap_compare: Any, app: Any) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=on_the_chart)
