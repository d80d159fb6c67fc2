"""A run's life: what each wish and each end does to its status, one by one and in any order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from lab.config.ladder import stage_config
from lab.errors import UsageError
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore

AddRuns = Callable[[int], list[str]]


@pytest.fixture
def add_runs(store: RunStore, dataset_facts: DatasetFacts) -> AddRuns:
    """Adds so many waiting runs and returns their ids."""

    def add(count: int) -> list[str]:
        new = NewRun(config=stage_config("bigram"), dataset=dataset_facts)
        return [run.id for run in store.add_runs([new] * count)]

    return add


def waiting(store: RunStore) -> list[str]:
    return [run.id for run in lifecycle.waiting_runs(store)]


def claimed(store: RunStore, run_id: str | None = None) -> RunRow:
    run = lifecycle.claim(store, run_id)
    assert run is not None
    return run


def test_runs_are_claimed_in_the_order_they_were_added(store: RunStore, add_runs: AddRuns) -> None:
    ids = add_runs(3)
    assert [claimed(store).id for _ in ids] == ids
    assert lifecycle.claim(store) is None


def test_a_claim_counts_the_attempt_and_keeps_the_first_start(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    first = claimed(store)
    assert (first.status, first.attempt, first.queue_position) == ("training", 1, None)
    assert lifecycle.requeue(store, run_id, 1, "its worker went")
    second = claimed(store)
    assert second.attempt == 2
    assert second.started_at == first.started_at is not None


def test_a_run_is_claimed_by_name_out_of_turn(store: RunStore, add_runs: AddRuns) -> None:
    first, second = add_runs(2)
    assert claimed(store, second).id == second
    assert lifecycle.claim(store, second) is None
    assert waiting(store) == [first]


def test_pausing_a_waiting_run_takes_it_out_of_the_queue(store: RunStore, add_runs: AddRuns) -> None:
    first, second = add_runs(2)
    assert lifecycle.pause(store, first)
    assert store.run(first).status == "paused"
    assert waiting(store) == [second]


def test_pausing_a_training_run_is_a_wish(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    assert lifecycle.pause(store, run_id)
    assert (store.run(run_id).status, store.run(run_id).wish) == ("training", "pause")
    assert lifecycle.end(store, run_id, run.attempt, "paused")
    after = store.run(run_id)
    assert (after.status, after.wish, after.ended_at) == ("paused", None, None)


def test_resuming_takes_back_a_wish_that_is_not_yet_granted(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    claimed(store)
    assert not lifecycle.resume(store, run_id)
    lifecycle.pause(store, run_id)
    assert lifecycle.resume(store, run_id)
    assert (store.run(run_id).status, store.run(run_id).wish) == ("training", None)


@pytest.mark.parametrize(("wish", "status"), [("pause", "paused"), ("stop", "stopped"), ("cancel", "cancelled")])
def test_a_wish_that_stands_is_granted(store: RunStore, add_runs: AddRuns, wish: str, status: str) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    assert getattr(lifecycle, wish)(store, run_id)
    assert lifecycle.end_as_wished(store, run_id, run.attempt, status)
    after = store.run(run_id)
    assert (after.status, after.wish) == (status, None)
    assert (after.ended_at is not None) == (status in lifecycle.ENDED)


@pytest.mark.parametrize(("wish", "status"), [("pause", "paused"), ("stop", "stopped"), ("cancel", "cancelled")])
def test_a_wish_taken_back_while_it_is_granted_is_not_lost(
    store: RunStore, add_runs: AddRuns, wish: str, status: str
) -> None:
    run_id, other = add_runs(2)
    run = claimed(store)
    assert getattr(lifecycle, wish)(store, run_id)
    assert lifecycle.resume(store, run_id)
    assert lifecycle.end_as_wished(store, run_id, run.attempt, status)
    after = store.run(run_id)
    assert (after.status, after.wish, after.ended_at) == ("queued", None, None)
    assert waiting(store) == [run_id, other]


def test_another_wish_than_the_one_that_is_granted_still_stands(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    lifecycle.pause(store, run_id)
    lifecycle.stop(store, run_id)
    assert lifecycle.end_as_wished(store, run_id, run.attempt, "paused")
    after = store.run(run_id)
    assert (after.status, after.wish) == ("queued", "stop")
    assert not lifecycle.end_as_wished(store, run_id, run.attempt, "stopped"), "that attempt is over"
    assert store.run(run_id) == after


def test_each_resumed_run_waits_before_all_others(store: RunStore, add_runs: AddRuns) -> None:
    ids = add_runs(4)
    for run_id in ids[1:]:
        lifecycle.pause(store, run_id)
    for run_id in ids[1:]:
        assert lifecycle.resume(store, run_id)
    assert waiting(store) == [ids[3], ids[2], ids[1], ids[0]]


def test_a_new_run_waits_behind_those_that_were_resumed(store: RunStore, add_runs: AddRuns) -> None:
    first, second, third = add_runs(3)
    for run_id in (first, second, third):
        lifecycle.pause(store, run_id)
    for run_id in (first, second, third):
        lifecycle.resume(store, run_id)
    [last] = add_runs(1)
    assert waiting(store) == [third, second, first, last]


def test_stopping_scores_a_training_run_and_cancels_a_waiting_one(store: RunStore, add_runs: AddRuns) -> None:
    trained, waits = add_runs(2)
    claimed(store)
    assert lifecycle.stop(store, trained)
    assert (store.run(trained).status, store.run(trained).wish) == ("training", "stop")
    assert lifecycle.stop(store, waits)
    assert store.run(waits).status == "cancelled"
    assert store.run(waits).ended_at is not None


def test_cancelling_gives_up_what_waits_or_is_paused_and_asks_what_trains(store: RunStore, add_runs: AddRuns) -> None:
    trained, waits, paused = add_runs(3)
    claimed(store)
    lifecycle.pause(store, paused)
    assert all(lifecycle.cancel(store, run_id) for run_id in (trained, waits, paused))
    assert store.run(trained).wish == "cancel"
    assert store.run(waits).status == store.run(paused).status == "cancelled"


@pytest.mark.parametrize("status", lifecycle.ENDED)
def test_what_has_ended_takes_no_wishes(store: RunStore, add_runs: AddRuns, status: str) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    assert lifecycle.end(store, run_id, run.attempt, status)
    before = store.run(run_id)
    assert before.ended_at is not None
    wishes = (lifecycle.pause, lifecycle.resume, lifecycle.stop, lifecycle.cancel)
    assert not any(wish(store, run_id) for wish in wishes)
    assert store.run(run_id) == before


@pytest.mark.parametrize("status", lifecycle.ENDED)
def test_all_but_finished_runs_can_be_retried(store: RunStore, add_runs: AddRuns, status: str) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    lifecycle.end(store, run_id, run.attempt, status, error="because")
    assert lifecycle.retry(store, run_id) == (status != "finished")
    if status != "finished":
        again = store.run(run_id)
        assert (again.status, again.failures, again.error, again.ended_at) == ("queued", 0, None, None)


def test_wishes_for_an_unknown_run_do_nothing(store: RunStore) -> None:
    asked = (lifecycle.pause, lifecycle.resume, lifecycle.stop, lifecycle.cancel, lifecycle.retry)
    assert not any(wish(store, "000000") for wish in asked)
    assert not lifecycle.move(store, "000000", 1)


def test_an_attempt_that_was_lost_can_change_nothing(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    lost = claimed(store)
    lifecycle.requeue(store, run_id, lost.attempt, "its worker went")
    claimed(store)
    before = store.run(run_id)
    assert not lifecycle.end(store, run_id, lost.attempt, "finished")
    assert not lifecycle.requeue(store, run_id, lost.attempt, "again")
    assert lifecycle.attempt_failed(store, run_id, lost.attempt, "again") is None
    assert store.run(run_id) == before


def test_a_run_fails_for_good_after_three_failures_without_a_checkpoint(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    statuses = [lifecycle.attempt_failed(store, run_id, claimed(store).attempt, "it burst") for _ in range(3)]
    assert statuses == ["queued", "queued", "failed"]
    run = store.run(run_id)
    assert (run.failures, run.error, run.queue_position) == (3, "it burst", None)
    assert run.ended_at is not None
    assert [event.level for event in store.events(run_id)] == ["error"] * 3


def test_a_complete_checkpoint_forgives_earlier_failures(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    for _ in range(4):
        run = claimed(store)
        recorder = RunRecorder(store, run_id, run.attempt, 100)
        recorder.checkpoint("complete", 10, lambda path: path.write_bytes(b"weights"))
        recorder.close()
        assert lifecycle.attempt_failed(store, run_id, run.attempt, "it burst") == "queued"
    assert store.run(run_id).failures == 1


def test_the_death_of_a_worker_is_not_the_runs_failure(store: RunStore, add_runs: AddRuns) -> None:
    first, _second = add_runs(2)
    for _ in range(5):
        assert lifecycle.requeue(store, first, claimed(store, first).attempt, "its worker went")
    run = store.run(first)
    assert (run.status, run.failures) == ("queued", 0)
    assert waiting(store)[0] == first
    assert [event.text for event in store.events(first)] == ["its worker went"] * 5


@pytest.mark.parametrize("lose", ["requeue", "attempt_failed"])
@pytest.mark.parametrize("wish", ["pause", "stop", "cancel"])
def test_a_wish_outlives_the_attempt_it_was_made_to(store: RunStore, add_runs: AddRuns, lose: str, wish: str) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    getattr(lifecycle, wish)(store, run_id)
    assert getattr(lifecycle, lose)(store, run_id, run.attempt, "it went")
    assert claimed(store).wish == wish


def test_a_wish_of_a_lost_attempt_can_be_taken_back(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    lifecycle.stop(store, run_id)
    lifecycle.requeue(store, run_id, run.attempt, "its worker went")
    assert lifecycle.resume(store, run_id)
    assert (store.run(run_id).status, store.run(run_id).wish) == ("queued", None)


@pytest.mark.parametrize(("place", "order"), [(1, "cabd"), (2, "acbd"), (3, "abcd"), (4, "abdc"), (99, "abdc")])
def test_a_waiting_run_is_moved_to_a_place(store: RunStore, add_runs: AddRuns, place: int, order: str) -> None:
    letters = dict(zip("abcd", add_runs(4), strict=True))
    assert lifecycle.move(store, letters["c"], place)
    assert waiting(store) == [letters[letter] for letter in order]


def test_there_is_no_place_before_the_first(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    with pytest.raises(UsageError, match="place 0: the first in the queue is 1"):
        lifecycle.move(store, run_id, 0)


def test_only_waiting_runs_can_be_moved(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    claimed(store)
    assert not lifecycle.move(store, run_id, 1)


def test_training_runs_are_told_apart_by_who_trains_them(store: RunStore, dataset_facts: DatasetFacts) -> None:
    config = stage_config("bigram")
    by_worker, by_command = store.add_runs(
        [
            NewRun(config=config, dataset=dataset_facts),
            NewRun(config=config, dataset=dataset_facts, trained_by="command"),
        ]
    )
    for run in (by_worker, by_command):
        claimed(store, run.id)
    assert [run.id for run in lifecycle.training_runs(store, "worker")] == [by_worker.id]
    assert [run.id for run in lifecycle.training_runs(store, "command")] == [by_command.id]
    lifecycle.end(store, by_command.id, 1, "paused")
    lifecycle.resume(store, by_command.id)
    assert store.run(by_command.id).trained_by == "worker"


def test_a_retry_is_taken_back_with_all_that_was_known_of_the_failure(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    run = claimed(store)
    lifecycle.attempt_failed(store, run_id, run.attempt, "out of memory", for_good=True)
    before = store.run(run_id)
    assert lifecycle.retry(store, run_id)
    assert lifecycle.take_back(store, before)
    assert store.run(run_id) == before


def test_a_retry_that_trains_already_is_not_taken_back(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    lifecycle.cancel(store, run_id)
    before = store.run(run_id)
    lifecycle.retry(store, run_id)
    claimed(store)
    assert not lifecycle.take_back(store, before)
    assert store.run(run_id).status == "training"


def test_taken_back_runs_stand_where_they_stood_in_the_queue(store: RunStore, add_runs: AddRuns) -> None:
    ids = add_runs(4)
    before = [store.run(run_id) for run_id in ids]
    lifecycle.pause(store, ids[1])
    lifecycle.cancel(store, ids[2])
    lifecycle.move(store, ids[3], 1)  # gives every place anew, among them those that the others had
    for run in before[1:3]:
        assert lifecycle.take_back(store, run)
    assert waiting(store)[:2] == [ids[3], ids[1]]
    positions = [run.queue_position for run in lifecycle.waiting_runs(store)]
    assert len(set(positions)) == 4


def test_a_wish_to_a_training_run_is_taken_back_granted_or_not(store: RunStore, add_runs: AddRuns) -> None:
    [run_id] = add_runs(1)
    before = claimed(store)
    lifecycle.stop(store, run_id)
    assert lifecycle.take_back(store, before)
    assert (store.run(run_id).status, store.run(run_id).wish) == ("training", None)
    lifecycle.end(store, run_id, before.attempt, "stopped")
    assert lifecycle.take_back(store, before)
    assert store.run(run_id).status == "queued"


def test_nothing_is_claimed_from_a_paused_queue(store: RunStore, add_runs: AddRuns) -> None:
    first, second = add_runs(2)
    claimed(store)
    assert lifecycle.pause_queue(store)
    assert not lifecycle.pause_queue(store)
    assert lifecycle.queue_paused(store)
    assert lifecycle.claim(store) is None
    assert lifecycle.claim(store, second) is None
    assert store.run(first).status == "training"
    assert lifecycle.resume_queue(store)
    assert not lifecycle.resume_queue(store)
    assert claimed(store).id == second


class Lives(RuleBasedStateMachine):
    """Runs that are asked, trained, lost and ended in any order, beside a model of what must come of it."""

    runs: Bundle[str] = Bundle("runs")
    attempts: Bundle[tuple[str, int]] = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = RunStore.open(Path(self.folder.name) / "runs.db")
        self.facts = DatasetFacts("5" * 64, "stream", "shakespeare", "/texts/s.txt", 1000, ("a", "b"), 1.25)
        self.status: dict[str, str] = {}
        self.queue: list[str] = []
        self.owner: dict[str, int] = {}
        self.wish: dict[str, str | None] = {}
        self.failures: dict[str, int] = {}
        self.trashed: set[str] = set()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def leaves(self, run: str, status: str) -> None:
        """The model's part of a run's getting a status other than queued."""
        if run in self.queue:
            self.queue.remove(run)
        self.status[run] = status

    def waits(self, run: str, *, front: bool) -> None:
        """The model's part of a run's waiting again."""
        self.status[run] = "queued"
        self.queue.insert(0 if front else len(self.queue), run)

    @rule(target=runs, count=st.integers(1, 3))
    def add(self, count: int) -> object:
        new = NewRun(config=stage_config("bigram"), dataset=self.facts)
        ids = [run.id for run in self.store.add_runs([new] * count)]
        for run in ids:
            self.waits(run, front=False)
            self.wish[run], self.failures[run], self.owner[run] = None, 0, 0
        return multiple(*ids)

    @rule(target=attempts)
    def claim(self) -> object:
        run = lifecycle.claim(self.store)
        first = next((run_id for run_id in self.queue if run_id not in self.trashed), None)
        assert (run.id if run else None) == first
        if run is None:
            return multiple()
        self.leaves(run.id, "training")
        self.owner[run.id] += 1
        assert run.attempt == self.owner[run.id]
        assert run.wish == self.wish[run.id]
        return run.id, run.attempt

    @rule(run=runs)
    def pause(self, run: str) -> None:
        status = self.status[run]
        assert lifecycle.pause(self.store, run) == (status in ("queued", "training"))
        if status == "queued":
            self.leaves(run, "paused")
            self.wish[run] = None
        elif status == "training":
            self.wish[run] = "pause"

    @rule(run=runs)
    def resume(self, run: str) -> None:
        status = self.status[run]
        applies = status == "paused" or (status in ("queued", "training") and self.wish[run] is not None)
        assert lifecycle.resume(self.store, run) == applies
        self.wish[run] = None
        if status == "paused":
            self.waits(run, front=True)
            self.failures[run] = 0

    @rule(run=runs, how=st.sampled_from(["stop", "cancel"]))
    def give_up(self, run: str, how: str) -> None:
        status = self.status[run]
        assert getattr(lifecycle, how)(self.store, run) == (status in ("queued", "paused", "training"))
        if status == "training":
            self.wish[run] = how
        elif status in ("queued", "paused"):
            self.leaves(run, "cancelled")
            self.wish[run] = None

    @rule(run=runs)
    def retry(self, run: str) -> None:
        applies = self.status[run] in lifecycle.RETRYABLE
        assert lifecycle.retry(self.store, run) == applies
        if applies:
            self.waits(run, front=False)
            self.failures[run] = 0

    @rule(run=runs, place=st.integers(1, 6))
    def move(self, run: str, place: int) -> None:
        shown = [run_id for run_id in self.queue if run_id not in self.trashed]
        assert lifecycle.move(self.store, run, place) == (run in shown)
        if run in shown:
            shown.remove(run)
            shown.insert(place - 1, run)
            self.queue = shown + [run_id for run_id in self.queue if run_id in self.trashed]

    @rule(attempt=attempts)
    def fail(self, attempt: tuple[str, int]) -> None:
        run, number = attempt
        owns = self.owns(attempt)
        result = lifecycle.attempt_failed(self.store, run, number, "it burst")
        if not owns:
            assert result is None
            return
        self.failures[run] += 1
        if self.failures[run] == lifecycle.FAILURES_ALLOWED:
            assert result == "failed"
            self.leaves(run, "failed")
            self.wish[run] = None
        else:
            assert result == "queued"
            self.waits(run, front=True)

    @rule(attempt=attempts, status=st.sampled_from(sorted(lifecycle.WISHES)))
    def end_as_wished(self, attempt: tuple[str, int], status: str) -> None:
        run, number = attempt
        owns = self.owns(attempt)
        assert lifecycle.end_as_wished(self.store, run, number, status) == owns
        if owns and self.wish[run] == lifecycle.WISHES[status]:
            self.leaves(run, status)
            self.wish[run] = None
        elif owns:
            self.waits(run, front=True)

    @rule(attempt=attempts)
    def requeue(self, attempt: tuple[str, int]) -> None:
        owns = self.owns(attempt)
        assert lifecycle.requeue(self.store, *attempt, "its worker went") == owns
        if owns:
            self.waits(attempt[0], front=True)

    @rule()
    def the_worker_dies_and_the_next_takes_over(self) -> None:
        left = [run.id for run in lifecycle.training_runs(self.store, "worker")]
        assert left == sorted(run for run, status in self.status.items() if status == "training")
        for run in reversed(left):
            assert lifecycle.requeue(self.store, run, self.owner[run], "its worker ended")
            self.waits(run, front=True)
        assert lifecycle.training_runs(self.store, "worker") == []

    @rule(attempt=consumes(attempts), status=st.sampled_from(["paused", *lifecycle.ENDED]))
    def end(self, attempt: tuple[str, int], status: str) -> None:
        owns = self.owns(attempt)
        assert lifecycle.end(self.store, *attempt, status) == owns
        if owns:
            self.leaves(attempt[0], status)
            self.wish[attempt[0]] = None

    @rule(run=runs)
    def trash(self, run: str) -> None:
        self.store.trash([run])
        self.trashed.add(run)

    @rule(run=runs)
    def restore(self, run: str) -> None:
        self.store.restore([run])
        self.trashed.discard(run)

    def owns(self, attempt: tuple[str, int]) -> bool:
        run, number = attempt
        return self.status[run] == "training" and self.owner[run] == number

    def everything(self) -> list[RunRow]:
        rows = self.store.runs() + self.store.runs(trashed=True)
        return sorted(rows, key=lambda run: (run.queue_position is None, run.queue_position, run.id))

    @invariant()
    def every_run_is_where_the_model_has_it(self) -> None:
        rows = {run.id: run for run in self.everything()}
        assert {run_id: run.status for run_id, run in rows.items()} == self.status
        assert {run_id: run.attempt for run_id, run in rows.items()} == self.owner
        assert {run_id: run.wish for run_id, run in rows.items()} == self.wish
        assert {run_id: run.failures for run_id, run in rows.items()} == self.failures

    @invariant()
    def the_queue_is_in_order_without_ties(self) -> None:
        shown = [run_id for run_id in self.queue if run_id not in self.trashed]
        assert [run.id for run in lifecycle.waiting_runs(self.store)] == shown
        positions = [run.queue_position for run in lifecycle.waiting_runs(self.store)]
        assert len(set(positions)) == len(positions)

    @invariant()
    def what_has_ended_says_when_and_only_what_waits_has_a_place(self) -> None:
        for run in self.everything():
            assert (run.ended_at is not None) == (run.status in lifecycle.ENDED)
            assert (run.queue_position is not None) == (run.status == "queued")
            assert run.wish is None or run.status in lifecycle.ACTIVE


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=40, stateful_step_count=30)


@pytest.mark.full
class TestManyLives(Lives.TestCase):  # type: ignore[misc, name-defined]
    """The same, longer."""

    settings = settings(max_examples=200, stateful_step_count=50)
