"""Makes the pictures of the README from a database of real runs: `python docs/make_pictures.py runs.db`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from textual.pilot import Pilot

from lab.tui.app import LabApp

SIZE = (150, 42)
MARKED = ("bigram", "single-head", "multi-head", "blocks", "layernorm")
PATIENCE_SECONDS = 20.0


async def runs_screen(database: Path, picture: Path) -> None:
    """The Runs mode with one run of each of some stages marked."""
    app = LabApp(database)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.loaded)
        wanted = {stage: run.id for run in reversed(app.snapshot.runs) for stage in MARKED if run.stage == stage}
        table = app.screen.query_one("#runs")
        for run_id in wanted.values():
            table.move_cursor(row=table.get_row_index(run_id))
            await pilot.press("space")
        await until(pilot, lambda: set(wanted.values()) <= app.snapshot.curves.keys())
        await pilot.pause(0.5)  # the last curve's drawing
        picture.write_text(app.export_screenshot(title="lab"))


async def until(pilot: Pilot[None], condition: object) -> None:
    """Waits for a condition. Raises `TimeoutError`."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # type: ignore[operator]
            await pilot.pause(0.05)


if __name__ == "__main__":
    asyncio.run(runs_screen(Path(sys.argv[1]), Path(__file__).with_name("runs.svg")))
