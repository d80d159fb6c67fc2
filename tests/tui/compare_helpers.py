"""Runs of several seeds for the tests of comparing, and the way to the Compare mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tui_helpers import add_run, until

from lab.store.run_store import RunRow, RunStore
from lab.tui.screens.compare import CompareScreen


def add_seeds(database: Path, stage: str, ends: dict[int, float], **settings: Any) -> list[RunRow]:
    """A run for each seed, with the val that it ends with."""
    store = RunStore.open(database)
    runs = [add_run(store, stage, end, seed=seed, **settings) for seed, end in ends.items()]
    store.close()
    return runs


async def in_compare(pilot: Any, database: Path, *, marked: bool = True) -> CompareScreen:
    """Goes to Compare: residual over three seeds, blocks and bigram; waits until all of it is read."""
    app = pilot.app
    add_seeds(database, "residual", {1: 2.09, 2: 2.07})
    await until(pilot, lambda: len(app.snapshot.runs) == 11)
    names = ("blocks-1", "bigram-1", "residual-1", "residual-2", "residual-3")
    found = {run.name: run.id for run in app.snapshot.runs}
    if marked:
        app.marks = tuple(found[name] for name in names)
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.is_whole)
    if marked:
        await until(pilot, lambda: len(app.screen.comparison.groups) == 3 and not app.screen.comparison.unread)
    return app.screen  # type: ignore[no-any-return]


def labels(screen: CompareScreen) -> list[str]:
    """The groups as they are listed."""
    return [group.label for group in screen.comparison.groups]
