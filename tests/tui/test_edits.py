"""Changes to many runs at once: which they are made to, what is said, and how they are taken back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tui_helpers import add_run

from lab.errors import LabError, UsageError
from lab.store import lifecycle
from lab.store.run_store import RunRow, RunStore
from lab.tui.edits import Edits, _moved
from lab.tui.snapshot import Snapshot
from lab.tui.typed_words import check_notes, new_seeds, parse_tags
from lab.tui.widgets.waiting_times import waiting_times


@pytest.fixture
def store(database: Path) -> Any:
    store = RunStore.open(database)
    yield store
    store.close()


def run_of(store: RunStore, name: str) -> RunRow:
    return next(run for run in store.runs() if run.name == name)


def test_a_change_is_made_to_those_that_allow_it_and_taken_back_together(store: RunStore) -> None:
    edits, before = Edits(), store.runs()
    said = edits.retry(store, before)
    assert said == "2 runs: waits again; 7 others could not"
    assert store.runs() != before
    assert edits.undo(store) == "undone: retry 2 runs"
    assert store.runs() == before


@pytest.mark.parametrize("change", ["pause_or_resume", "stop", "cancel", "retry", "trash"])
def test_every_change_of_all_runs_is_taken_back(change: str, store: RunStore) -> None:
    edits, before = Edits(), store.runs()
    getattr(edits, change)(store, before)
    assert store.runs() != before
    edits.undo(store)
    assert store.runs() == before
    with pytest.raises(UsageError, match="nothing to undo"):
        edits.undo(store)


def test_a_change_that_fits_none_is_refused_and_not_remembered(store: RunStore) -> None:
    edits = Edits()
    finished = [run for run in store.runs() if run.status == "finished"]
    with pytest.raises(UsageError, match="of 5 runs none fits: there is nothing to stop"):
        edits.stop(store, finished)
    with pytest.raises(UsageError, match="bigram-1 is finished: there is nothing to retry"):
        edits.retry(store, [run_of(store, "bigram-1")])
    assert edits.next_undo == ""


def test_an_undo_that_comes_too_late_says_so(store: RunStore) -> None:
    edits = Edits()
    run = run_of(store, "layernorm-1")
    edits.retry(store, [run])
    lifecycle.claim(store, run.id)
    with pytest.raises(UsageError, match="too late to undo: retry layernorm-1"):
        edits.undo(store)


def test_queueing_again_takes_the_config_the_tags_and_the_parent(store: RunStore) -> None:
    edits, run = Edits(), run_of(store, "blocks-1")
    store.set_tags(run.id, ["base"])
    assert edits.again(store, [store.run(run.id)], lambda _: (5, 6)) == "2 runs: queued"
    added = [each for each in store.runs() if each.group_hash == run.group_hash and each.id != run.id]
    assert [(each.seed, each.status, each.tags) for each in added] == [
        (5, "queued", ("base",)),
        (6, "queued", ("base",)),
    ]
    edits.undo(store)
    assert len(store.runs()) == 9


def test_several_waiting_runs_move_without_overtaking_each_other(store: RunStore) -> None:
    for _ in range(3):
        add_run(store, "bigram", 2.5, status="queued")
    first, second, third, fourth = lifecycle.waiting_runs(store)
    edits = Edits()
    edits.move(store, [third, fourth], -1)
    assert [run.id for run in lifecycle.waiting_runs(store)] == [first.id, third.id, fourth.id, second.id]
    edits.move(store, [second], None)
    edits.undo(store)
    edits.undo(store)
    assert [run.id for run in lifecycle.waiting_runs(store)] == [first.id, second.id, third.id, fourth.id]


@given(st.lists(st.integers(0, 9), unique=True), st.sets(st.integers(0, 9)), st.sampled_from([-3, -1, 1, 2, None]))
def test_moving_loses_no_run_and_keeps_the_order_of_each_kind(
    order: list[int], moved: set[int], by: int | None
) -> None:
    names = [str(each) for each in order]
    chosen = {str(each) for each in moved}
    after = _moved(names, chosen, by)
    assert sorted(after) == sorted(names)
    assert [each for each in after if each in chosen] == [each for each in names if each in chosen]
    assert [each for each in after if each not in chosen] == [each for each in names if each not in chosen]


def test_tags_are_words() -> None:
    words = parse_tags("#base, quick -old")
    assert (words.added, words.removed) == (("base", "quick"), ("old",))
    assert words.of(SimpleNamespace(name="r", tags=("old", "kept"))) == ("kept", "base", "quick")
    for wrong in ("\x1b[31m", "-", "--x", 'a"b', "x" * 41):
        with pytest.raises(UsageError, match="tag"):
            parse_tags(wrong)
    with pytest.raises(UsageError, match="20 are enough"):
        parse_tags(" ".join(f"t{n}" for n in range(21))).of(SimpleNamespace(name="r", tags=()))


def test_notes_have_an_end() -> None:
    assert check_notes("a\nb\n\n") == "a\nb"
    with pytest.raises(UsageError, match="at most 10,000"):
        check_notes("x" * 10_001)
    with pytest.raises(UsageError, match="UTF-8"):
        check_notes("\ud800")


def seeded(run_id: str, group: str, seed: int) -> Any:
    return SimpleNamespace(id=run_id, name=run_id, group_hash=group, seed=seed)


def test_new_seeds_are_new_in_their_group() -> None:
    taken = {"g": {1337, 1338, 1340}, "h": {7}}
    runs = [seeded("a", "g", 1337), seeded("b", "g", 1338), seeded("c", "h", 7)]
    assert new_seeds("+2", runs, taken) == {"a": (1339, 1341), "c": (8, 9)}
    assert new_seeds("1..3", runs[:1], taken) == {"a": (1, 2, 3)}
    for wrong, said in (
        ("", "no seeds"),
        ("1338", "seed 1338 of a is there already"),
        ("+0", "from"),
        ("x", "seed"),
    ):
        with pytest.raises(LabError, match=said):
            new_seeds(wrong, runs, taken)


def test_waiting_runs_are_foreseen_as_far_as_their_lengths_are_known(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.queue.forecast.cores", lambda: 1)
    lifecycle.cancel(store, run_of(store, "linear-1").id)
    same = [add_run(store, "bigram", 2.5, status="queued") for _ in range(2)]  # as bigram-1, which took 12 s
    unknown = add_run(store, "linear", 2.5, status="queued", lr=0.5)
    last = add_run(store, "bigram", 2.5, status="queued")

    def times() -> list[tuple[float | None, float | None]]:
        snapshot = Snapshot(tuple(store.runs()), queue_paused=lifecycle.queue_paused(store))
        found = waiting_times(snapshot)
        return [(found[run.id].start, found[run.id].seconds) for run in (*same, unknown, last)]

    assert times() == [(0.0, 12.0), (12.0, 12.0), (24.0, None), (None, 12.0)]
    lifecycle.pause_queue(store)
    assert times() == [(None, 12.0), (None, 12.0), (None, None), (None, 12.0)]
    lifecycle.resume_queue(store)
    add_run(store, "linear", 2.6, status="training")  # half of it took 12 s
    assert times() == [(12.0, 12.0), (24.0, 12.0), (36.0, 24.0), (60.0, 12.0)]
