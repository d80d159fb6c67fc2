"""What diagnostics read is kept in few rows, merged exactly, and the same whatever happens to an attempt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from lab.config.diagnostics import BINS, Reading
from lab.config.ladder import stage_config
from lab.models.build import build_model
from lab.store import lifecycle
from lab.store.histograms import (
    LARGEST_HISTOGRAM_COUNT,
    SNAPSHOTS_KEPT,
    TensorHistograms,
    pack_counts,
    read_histograms,
    snapshot_bucket,
    unpack_counts,
)
from lab.store.recorder import RunRecorder, begin_attempt
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore
from lab.training.diagnostics import Diagnostics
from tests.unit.training_helpers import CPU, token_batch

FACTS = DatasetFacts("5" * 64, "stream", "shakespeare", "/texts/s.txt", 1000, ("a", "b"), 1.25)


def reading(step: int, tensor: str = "head", **facts: float | None) -> Reading:
    """A reading whose counts tell its step."""
    counts = np.zeros(BINS, dtype=int)
    counts[step % 60] = 10
    values: dict[str, float | None] = {"low": -float(step), "high": step / 3, "log10_ratio": -step / 7} | facts
    return Reading(tensor, "activations", "log2-20", tuple(counts.tolist()), step / 10, step**2 / 3, **values)


def claimed(store: RunStore, steps: int) -> RunRow:
    [added] = store.add_runs([NewRun(config=stage_config("bigram", settings={"steps": steps}), dataset=FACTS)])
    run = lifecycle.claim(store, added.id)
    assert run is not None
    return run


@pytest.fixture
def record(store: RunStore) -> Iterator[RunRecorder]:
    """The recorder of a run of 1,000 steps."""
    run = claimed(store, 1000)
    opened = RunRecorder(store, run.id, run.attempt, run.steps)
    yield opened
    opened.abandon()


def only(store: RunStore, run_id: str = "") -> TensorHistograms:
    [found] = read_histograms(store, run_id or store.runs()[0].id)
    return found


def columns(histograms: TensorHistograms) -> list[object]:
    arrays = vars(histograms).values()
    return [np.nan_to_num(value, nan=1e9).tolist() if isinstance(value, np.ndarray) else value for value in arrays]


@given(st.integers(2, 10**9), st.integers(1, 5000), st.data())
def test_buckets_follow_the_steps_and_are_few(steps: int, tensors: int, data: st.DataObject) -> None:
    some = sorted(data.draw(st.lists(st.integers(1, steps), min_size=2)))
    buckets = [snapshot_bucket(step, steps, tensors) for step in some]
    assert buckets == sorted(buckets)
    assert 0 <= min(buckets) <= max(buckets) < SNAPSHOTS_KEPT
    assert (max(buckets) + 1) * tensors <= max(2 * tensors, LARGEST_HISTOGRAM_COUNT)


def test_the_evaluations_of_a_run_keep_a_histogram_each() -> None:
    evaluated = [1, *range(200, 5001, 200)]
    assert len({snapshot_bucket(step, 5000, 200) for step in evaluated}) == len(evaluated)


@given(st.lists(st.integers(0, 2**62), min_size=BINS, max_size=BINS))
def test_packed_counts_come_back(counts: list[int]) -> None:
    assert unpack_counts(pack_counts(np.array(counts))).tolist() == counts


def test_one_snapshot_takes_few_bytes() -> None:
    counts = np.zeros(BINS, dtype=int)
    counts[20:45] = 300
    assert len(pack_counts(counts)) == 8 + 25 * 2


def bytes_kept(store: RunStore) -> int:
    """Bytes of the database, without what is free in it."""
    with store.database.reader.connect() as connection:
        pages, free, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def fill(record: RunRecorder, tensors: int, steps: Iterable[int], largest_count: int) -> None:
    """Snapshots that fill every bin, with all numbers that there can be."""
    counts = np.random.default_rng(1).integers(1, largest_count, BINS)
    facts = {"low": -1.5, "high": 1.7, "saturated": 0.11, "dead": 0.13, "log10_ratio": -3.1}
    for step in steps:
        readings = (
            Reading(f"blocks.{place}.feed_forward.activation", "activations", "log2-20", tuple(counts.tolist()), 0.1,
                    0.7, **facts)
            for place in range(tensors)
        )  # fmt: skip
        record.snapshot(step, list(readings))
    record.drain()


def test_the_longest_run_keeps_no_more_than_8_megabytes(store: RunStore, record: RunRecorder) -> None:
    before = bytes_kept(store)
    fill(record, 10, range(1, 1001), 8192)
    rows = 10 * SNAPSHOTS_KEPT
    a_row = (bytes_kept(store) - before) / rows
    assert len(read_histograms(store, store.runs()[0].id)[0]) == SNAPSHOTS_KEPT
    assert a_row * LARGEST_HISTOGRAM_COUNT <= 8 * 2**20


def test_a_small_stage_keeps_less_than_a_megabyte(store: RunStore, record: RunRecorder) -> None:
    """Of `layernorm`, the largest of the small stages, as often as it is looked at."""
    config = stage_config("layernorm")
    model = build_model(config, 65)
    diagnostics = Diagnostics(config, model, CPU)
    diagnostics.before(*token_batch(config, 65))
    readings = diagnostics.after()
    before = bytes_kept(store)
    looks = [step for step in range(1, config.steps + 1) if diagnostics.due(step)]
    for place in range(len(looks)):
        record.snapshot(1 + place * 1000 // len(looks), readings)
    record.drain()
    assert 100_000 < bytes_kept(store) - before < 2**20


def test_tensors_come_back_as_they_were_told_in_their_order(store: RunStore, record: RunRecorder) -> None:
    record.snapshot(1, [reading(1, "second"), reading(1, "first", low=None, high=None, log10_ratio=None, dead=0.25)])
    record.drain()
    second, first = read_histograms(store, store.runs()[0].id)
    assert (second.tensor, second.kind, second.edges) == ("second", "activations", "log2-20")
    assert second.counts.tolist() == [list(reading(1).counts)]
    assert second.means == pytest.approx([0.01])
    assert second.stds == pytest.approx([np.sqrt(1 / 30 - 0.0001)])
    assert (second.lows.tolist(), second.highs.tolist()) == ([-1.0], [1 / 3])
    assert first.tensor == "first"
    assert np.isnan(first.lows).all()
    assert np.isnan(first.log10_ratios).all()
    assert first.dead.tolist() == [0.25]
    assert read_histograms(store, store.runs()[0].id, kinds=("weights",)) == []


def test_neighbours_of_a_long_run_merge_exactly(store: RunStore, record: RunRecorder) -> None:
    for step in range(1, 1001):
        record.snapshot(step, [reading(step)])
    record.drain()
    merged = only(store)
    assert len(merged) == SNAPSHOTS_KEPT
    assert merged.snapshots.sum() == 1000
    assert merged.counts.sum() == 10_000
    assert merged.first_steps.tolist()[:2] == [1, 2]
    for place in (1, 30, SNAPSHOTS_KEPT - 1):
        steps = range(merged.first_steps[place], merged.steps[place] + 1)
        assert merged.snapshots[place] == len(steps)
        assert merged.counts[place].tolist() == sum(np.array(reading(step).counts) for step in steps).tolist()
        assert merged.lows[place] == -max(steps)
        assert merged.log10_ratios[place] == pytest.approx(np.mean([-step / 7 for step in steps]))


def test_a_hundred_tensors_take_a_few_statements_and_later_ones_join_them(store: RunStore, record: RunRecorder) -> None:
    statements: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    sa.event.listen(store.database.writer, "before_cursor_execute", hear)
    record.snapshot(1, [reading(1, f"layer {i}") for i in range(100)])
    record.drain()
    assert len(statements) < 10
    record.snapshot(500, [reading(500, f"layer {i}") for i in (*range(50), 100)])
    record.close()
    found = {tensor.tensor: tensor for tensor in read_histograms(store, store.runs()[0].id)}
    assert set(found) == {f"layer {i}" for i in range(101)}
    assert {name: len(tensor.steps) for name, tensor in found.items()} == {
        f"layer {i}": 2 if i < 50 else 1 for i in range(101)
    }
    assert found["layer 7"].counts[0][1] == found["layer 7"].counts[1][20] == 10


def test_a_number_that_some_snapshots_lack_is_the_mean_of_the_others(store: RunStore, record: RunRecorder) -> None:
    for step, ratio in ((900, -1.0), (901, None), (902, -2.0)):
        record.snapshot(step, [reading(step, log10_ratio=ratio)])
    record.drain()
    assert only(store).log10_ratios.tolist() == [-1.5]


@pytest.mark.parametrize("last_kept", [1, 2, 333, 500, 999])
def test_a_run_that_goes_on_keeps_what_an_undisturbed_one_does(store: RunStore, last_kept: int) -> None:
    undisturbed, disturbed = claimed(store, 1000), claimed(store, 1000)
    told = RunRecorder(store, undisturbed.id, undisturbed.attempt, 1000)
    first = RunRecorder(store, disturbed.id, disturbed.attempt, 1000)
    kept = ""
    for step in range(1, 1001):
        told.snapshot(step, [reading(step)])
        first.snapshot(step, [reading(step)])
        if step == last_kept:
            kept = json.dumps(first.open_buckets(), allow_nan=False)
    told.close()
    first.close()
    assert lifecycle.requeue(store, disturbed.id, disturbed.attempt, "its worker went")
    again = lifecycle.claim(store, disturbed.id)
    assert again is not None
    begin_attempt(store, again.id, again.attempt, last_kept)
    second = RunRecorder(store, again.id, again.attempt, 1000)
    second.restore_buckets(json.loads(kept))
    for step in range(last_kept + 1, 1001):
        second.snapshot(step, [reading(step)])
    second.close()
    assert columns(only(store, disturbed.id)) == columns(only(store, undisturbed.id))


def test_starting_over_forgets_all_histograms(store: RunStore, record: RunRecorder) -> None:
    record.snapshot(1, [reading(1)])
    record.drain()
    run = store.runs()[0]
    assert lifecycle.requeue(store, run.id, run.attempt, "its worker went")
    again = lifecycle.claim(store, run.id)
    assert again is not None
    begin_attempt(store, again.id, again.attempt, 0)
    assert read_histograms(store, run.id) == []
