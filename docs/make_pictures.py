"""Makes the pictures of the README from a database of real runs: `python docs/make_pictures.py runs.db`."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from lab.tui.app import LabApp
from lab.tui.widgets.run_table import RunTable

SIZE = (150, 42)
MARKED = ("bigram", "single-head", "multi-head", "blocks", "layernorm")
PATIENCE_SECONDS = 20.0
DRAWING_SECONDS = 0.5


async def pictures(database: Path, folder: Path) -> None:
    """The Runs mode with one run of each of some stages marked, and the Ladder mode."""
    app = LabApp(database)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("2")
        wanted = {stage: run.id for run in reversed(app.snapshot.runs) for stage in MARKED if run.stage == stage}
        table = app.screen.query_one(RunTable)
        for run_id in wanted.values():
            table.move_cursor(row=table.get_row_index(run_id))
            await pilot.press("space")
        await until(pilot, lambda: set(wanted.values()) <= app.snapshot.curves.keys())
        await pilot.pause(DRAWING_SECONDS)
        (folder / "runs.svg").write_text(app.export_screenshot(title="lab"))
        await pilot.press("1")
        await until(pilot, lambda: bool(app.ladder.untrained) and bool(app.snapshot.samples))
        await pilot.pause(DRAWING_SECONDS)
        (folder / "ladder.svg").write_text(app.export_screenshot(title="lab"))


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Waits for a condition. Raises `TimeoutError`."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await pilot.pause(0.05)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as aside:  # nothing that was chosen or marked before shows
        os.environ.update(XDG_CONFIG_HOME=aside, COLORTERM="truecolor")
        copied = shutil.copyfile(sys.argv[1], Path(aside) / "runs.db")
        asyncio.run(pictures(Path(copied), Path(__file__).parent))
