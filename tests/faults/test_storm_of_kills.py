"""A storm of kills over a queue at work: nothing is lost, nothing is doubled, and every run ends as if undisturbed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from processes import Laboratory
from storm import Storm, check, child_of, left, menu, storm, table

from lab.store.run_store import RunStore
from tests.conftest import NAMES, PROSE

FEW, MIDDLE = 5, 30
KINDS_OF_A_SHORT_STORM = ("dropout", "sweep")


def test_a_short_storm_of_kills_changes_nothing(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--full") or pytestconfig.getoption("--storm"):
        pytest.skip("a longer storm runs instead")
    blow(tmp_path, pytestconfig, FEW, kinds=KINDS_OF_A_SHORT_STORM)


@pytest.mark.full
def test_a_storm_of_kills_changes_nothing(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--storm"):
        pytest.skip("a longer storm runs instead")
    blow(tmp_path, pytestconfig, MIDDLE)


def test_a_storm_as_long_as_asked_for_changes_nothing(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    count = pytestconfig.getoption("--storm")
    if not count:
        pytest.skip("runs with --storm N")
    blow(tmp_path, pytestconfig, count)


def blow(folder: Path, config: pytest.Config, count: int, kinds: tuple[str, ...] = ()) -> None:
    """Trains every kind of run undisturbed, then again in a storm, and compares."""
    seed = config.getoption("--storm-seed")
    print(f"\nstorm of {count} kills, again with: --storm {count} --storm-seed {seed}")
    text, words = folder / "prose.txt", folder / "words.txt"
    text.write_text(PROSE)
    words.write_text("\n".join(NAMES) + "\n")
    store = RunStore.open(folder / "runs.db")
    try:
        laboratory = Laboratory(store, text)
        offered = {kind: make for kind, make in menu(laboratory, words).items() if not kinds or kind in kinds}
        first = trained_undisturbed(laboratory, offered)
        if not kinds:
            parent = store.run(first["dropout"])
            offered["child"] = child_of(laboratory, parent)
            first |= trained_undisturbed(laboratory, {"child": offered["child"]})
        offered = dict(random.Random(seed).sample(sorted(offered.items()), len(offered)))  # in an order of its own
        undisturbed = {kind: left(laboratory, run_id) for kind, run_id in first.items()}
        over = Storm(laboratory, folder, offered)
        over.blow(storm(seed, count))
        check(over, undisturbed)
        print(table(over))
    finally:
        store.close()


def trained_undisturbed(laboratory: Laboratory, kinds: dict[str, Any]) -> dict[str, str]:
    """The ids of runs that nothing happened to, by kind."""
    rows = laboratory.store.add_runs([make(f"{kind} undisturbed") for kind, make in kinds.items()])
    with laboratory.worker(stall_seconds=600.0):
        for row in rows:
            assert laboratory.wait_for(row.id, "finished").attempt == 1
    return {kind: row.id for kind, row in zip(kinds, rows, strict=True)}
