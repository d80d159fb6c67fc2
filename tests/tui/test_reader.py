"""The reader's snapshots."""

from __future__ import annotations

from pathlib import Path

from tui_helpers import add_run, lab_app, opened, until

from lab.store.run_store import RunStore


async def test_a_run_that_is_as_it_was_is_the_same_object_in_the_next_snapshot(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await opened(pilot)
        before = app.snapshot.by_id
        renamed = next(iter(before))
        store = RunStore.open(database)
        add_run(store, "bigram", 2.4, name="meanwhile")
        store.rename(renamed, "another")
        store.close()
        await until(pilot, lambda: any(run.name == "meanwhile" for run in app.snapshot.runs))
        await until(pilot, lambda: app.snapshot.by_id[renamed].name == "another")
        after = app.snapshot.by_id
        assert [run_id for run_id in before if after[run_id] is not before[run_id]] == [renamed]
