"""Makes the pictures of the README from a database of real runs: `python docs/make_pictures.py runs.db`.

Wants a finished ladder of several seeds, with at least one LR sweep and one run that `lab break` has queued; nothing in
it is changed.
With names after the database (`inspect`, `runs`, …) makes those alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Static

from lab.queue.break_requests import pairs_with
from lab.store.location import files_folder
from lab.store.run_store import TRAINING, RunRow
from lab.tui.app import LabApp
from lab.tui.drafts import Draft
from lab.tui.screens.compare import CompareScreen
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.help import HelpScreen
from lab.tui.screens.inspect import InspectScreen
from lab.tui.screens.lr_finder import LRFinderScreen
from lab.tui.screens.race import RaceScreen
from lab.tui.screens.run_view import RunView
from lab.tui.screens.sample import SampleScreen
from lab.tui.widgets.ladder_table import LadderTable
from lab.tui.widgets.page_view import PageView
from lab.tui.widgets.run_table import RunTable

SIZE = (160, 45)
MARKED = ("bigram", "single-head", "multi-head", "blocks", "layernorm")
OPENED = "layernorm"
COMPARED = ("blocks", "multi-head", "residual", "layernorm")
GRID = Draft("residual", change="lr=1e-3, 3e-4 dropout=0, 0.1, 0.2", seeds="1..3")
PROMPT = "ROMEO:"
INSPECTED = (
    ("data", "bigram", ()),
    ("anatomy", OPENED, ("down",) * 6),
    ("bigram", "mlp", ("down",) * 5 + ("right",) * 8),
    ("embeddings", "mlp", ("right",) * 3),
    ("attention", OPENED, ("]", "right", "right")),
    ("logit-lens", OPENED, ("down",) * 3 + ("right",) * 3),
    ("knock-out", OPENED, ("down",)),
    ("loss-map", OPENED, ("]",)),
    ("averaging", OPENED, ("]", "]")),
)
"""Views, whose run they are shown of, and the keys that are pressed on the page."""
ALL = ("runs", "compare", "composer", "help", "ladder", "run_view", "lr_finder", "race", "sample", "inspect")
PATIENCE_SECONDS = 300.0
DRAWING_SECONDS = 0.7


class Pictures:
    """lab on the screen, and a folder that its pictures go into."""

    def __init__(self, app: LabApp, pilot: Pilot[str], folder: Path) -> None:
        self.app, self.pilot, self.folder = app, pilot, folder

    async def one(self, name: str) -> None:
        """What one of the methods below takes."""
        await self.until(lambda: self.app.loaded)
        await getattr(self, name)()

    async def runs(self) -> None:
        """The Runs mode with one run of each of some stages marked."""
        await self.pilot.press("2")
        wanted = {stage: self.newest(stage) for stage in MARKED}
        for run_id in wanted.values():
            self.move_to(run_id)
            await self.pilot.press("space")
        await self.until(lambda: set(wanted.values()) <= self.app.snapshot.curves.keys())
        await self.take("runs")

    async def compare(self) -> None:
        """The Compare mode with every seed of some stages, against the one that holds nothing together."""
        self.app.marks = tuple(run.id for stage in COMPARED for run in self.finished(stage))
        self.app.baseline = self.newest(COMPARED[0])
        await self.pilot.press("3")
        screen = self.app.screen
        assert isinstance(screen, CompareScreen)
        await self.until(lambda: len(screen.comparison.groups) == len(COMPARED) and not screen.comparison.unread)
        await self.pilot.press("j", "j")
        await self.take("compare")

    async def composer(self) -> None:
        """The composer with a grid of runs, over the Runs."""
        screen = ComposerScreen(GRID)
        await self.app.push_screen(screen)
        await self.until(lambda: "about" in str(screen.query_one("#preview", Static).content))
        await self.take("composer")
        await self.pilot.press("escape")

    async def help(self) -> None:
        """The help, over the Runs."""
        await self.pilot.press("?")
        await self.until(lambda: isinstance(self.app.screen, HelpScreen))
        await self.take("help")
        await self.pilot.press("escape")

    async def ladder(self) -> None:
        """The Ladder mode at the rung that buys most."""
        await self.pilot.press("1")
        await self.until(lambda: bool(self.app.ladder.code) and bool(self.app.snapshot.samples))
        self.app.screen.query_one(LadderTable).move_to("residual")
        await self.take("ladder")

    async def run_view(self) -> None:
        """A run's four panes, the cursor in the middle of the run."""
        await self.pilot.press("2")
        run_id = self.newest(OPENED)
        self.move_to(run_id)
        await self.pilot.press("enter")
        await self.until(lambda: isinstance(self.app.screen, RunView) and run_id in self.app.snapshot.curves)
        screen = self.app.screen
        await self.until(lambda: isinstance(screen, RunView) and screen.samples is not None)
        await self.pilot.press(*["shift+left"] * 4)
        await self.take("run-view")
        await self.pilot.press("escape")

    async def lr_finder(self) -> None:
        """The LR finder with the newest sweep."""
        await self.pilot.press("4")
        await self.until(lambda: isinstance(self.app.screen, LRFinderScreen))
        await self.take("lr-finder")

    async def race(self) -> None:
        """A run against the twin that has one thing broken, both finished."""
        runs = self.app.snapshot.runs
        pair = next(pair for run in runs if run.ended_at for pair in pairs_with(run, runs))
        screen = RaceScreen(pair)
        await self.app.push_screen(screen)
        await self.until(lambda: len(screen.comparison.groups) == len(screen.comparison.samples) == 2)
        await self.take("race")
        await self.pilot.press("escape")

    async def sample(self) -> None:
        """A text by a run and by its first checkpoint, looked at a few characters before its end."""
        self.app.selected = self.newest(OPENED)
        await self.pilot.press("5")
        screen = self.app.screen
        assert isinstance(screen, SampleScreen)
        await self.until(lambda: screen.run is not None and screen.run.id == self.app.selected)
        await self.until(lambda: screen.choices.run_id == self.app.selected and bool(screen.choices.checkpoints))
        screen.query_one("#checkpoints").focus()
        await self.pilot.press("G", "space", "g", "i", *PROMPT)
        await self.pilot.press("tab", *"0.8", "tab", *"20", "tab", "tab", *"200", "enter")
        await self.until(lambda: not screen.active)
        await self.pilot.press("shift+left", "shift+left", "left")
        await self.take("sample")

    async def inspect(self) -> None:
        """Every view of a trained model, each of a stage that has what it shows."""
        for view, stage, keys in INSPECTED:
            await self.pilot.press("2")
            run_id = self.newest(stage)
            self.move_to(run_id)
            await self.until(lambda run_id=run_id: self.app.selected == run_id)  # type: ignore[misc]
            await self.pilot.press("6")
            screen = self.app.screen
            assert isinstance(screen, InspectScreen)
            screen.open_on(run_id, view)
            page = screen.query_one("#page-first", PageView)
            await self.until(lambda: page.page is not None and page.page.view == view)  # noqa: B023
            await self.until(lambda: page.page is not None and page.page.run_id == run_id)  # noqa: B023
            await self.pilot.press("enter", *keys)
            await self.take(f"inspect-{view}")
            await self.pilot.press("escape")

    def newest(self, stage: str) -> str:
        """The newest finished run of a stage."""
        return self.finished(stage)[-1].id

    def finished(self, stage: str) -> list[RunRow]:
        """The finished runs of a stage that are as its first, but for the seed."""
        of_stage = [
            run
            for run in self.app.snapshot.runs
            if run.stage == stage and run.kind == TRAINING and run.status == "finished"
        ]
        return [run for run in of_stage if run.group_hash == of_stage[0].group_hash]

    def move_to(self, run_id: str) -> None:
        """Puts the cursor of the Runs on a run."""
        self.app.screen.query_one(RunTable).move_to(run_id)

    async def take(self, name: str) -> None:
        """Writes a picture of the screen, once it stands still."""
        await self.pilot.pause(DRAWING_SECONDS)
        (self.folder / f"{name}.svg").write_text(self.app.export_screenshot(title="lab"))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition. Raises `TimeoutError`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await self.pilot.pause(0.05)


async def make(database: Path, folder: Path, names: Sequence[str]) -> None:
    """Pictures of a database, into a folder."""
    app = LabApp(database)
    async with app.run_test(size=SIZE) as pilot:
        pictures = Pictures(app, pilot, folder)
        for name in names:
            await pictures.one(name)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:  # nothing that was chosen or marked before shows
        os.environ.update(HOME=home, XDG_CONFIG_HOME=home, COLORTERM="truecolor")
        given, copied = Path(sys.argv[1]), Path(home) / "lab" / "runs.db"
        copied.parent.mkdir()
        with closing(sqlite3.connect(given)) as source, closing(sqlite3.connect(copied)) as target:
            source.backup(target)  # with what a worker has not folded into the file yet
        shutil.copytree(files_folder(given), files_folder(copied), ignore=shutil.ignore_patterns("screen.json"))
        asyncio.run(make(copied, Path(__file__).parent, sys.argv[2:] or ALL))
