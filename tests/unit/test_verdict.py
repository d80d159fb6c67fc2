"""Verdicts: what they say, when they stay silent, and how often they are wrong on made-up data."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pytest

from lab.analysis.groups import group_runs
from lab.analysis.intervals import difference_interval, holm, mean_interval, p_value, seeds_needed
from lab.analysis.verdict import judge
from tests.unit.comparison_helpers import made

BASE = {1: 2.30, 2: 2.33, 3: 2.27}


def test_a_clear_difference_is_said_with_its_interval() -> None:
    better = {seed: loss - 0.27 + 0.004 * seed for seed, loss in BASE.items()}
    runs = made("blocks", BASE) + made("blocks", better, {"layers": 4})
    base, other = group_runs(runs)
    first, second = judge([base, other], base)
    assert (first.outcome, first.sentence, first.difference) == ("baseline", "the baseline", None)
    assert second.outcome == "better"
    assert second.sentence == "better by 0.26 ± 0.01"
    assert second.paired
    assert second.difference is not None
    assert second.difference.mean == pytest.approx(-0.262)
    worse = judge([base], other)[0]
    assert worse.sentence == "worse by 0.26 ± 0.01"


def test_a_small_difference_is_said_with_the_seeds_that_it_needs() -> None:
    runs = made("blocks", BASE) + made("blocks", {1: 2.31, 2: 2.31, 3: 2.27}, {"layers": 4})
    base, other = group_runs(runs)
    verdict = judge([other], base)[0]
    assert verdict.outcome == "no difference"
    assert verdict.sentence.startswith("no difference seen at n = 3 (±0.04); one of 0.003 needs about ")
    assert verdict.sentence.endswith(" seeds") or verdict.sentence.startswith("no difference seen")


def test_one_seed_is_too_few_and_its_difference_is_still_shown() -> None:
    base, other = group_runs(made("blocks", {1: 2.3}) + made("blocks", {1: 2.0}, {"layers": 4}))
    verdict = judge([other], base)[0]
    assert (verdict.outcome, verdict.sentence) == ("too few seeds", "too few seeds: n = 1 against 1")
    assert verdict.difference is not None
    assert verdict.difference.mean == pytest.approx(-0.3)


def test_runs_that_saw_other_batches_are_not_paired() -> None:
    same_seeds = made("blocks", BASE) + made("blocks", {1: 2.1, 2: 2.2, 3: 2.15}, {"batch_size": 16})
    base, other = group_runs(same_seeds)
    assert not judge([other], base)[0].paired
    base, other = group_runs(made("blocks", BASE) + made("blocks", {1: 2.1, 2: 2.2, 3: 2.15}, {"layers": 2}))
    assert judge([other], base)[0].paired


def test_runs_that_did_not_end_well_do_not_count() -> None:
    runs = made("blocks", BASE) + made("blocks", {1: 2.1}, {"layers": 2}, status="diverged")
    base, other = group_runs(runs)
    assert judge([other], base)[0].sentence == "nothing to compare yet"
    assert judge([base], other)[0].sentence == "the baseline has not finished"


def test_groups_of_another_text_are_not_compared() -> None:
    base, other = group_runs(made("blocks", BASE) + made("blocks", BASE, dataset_sha256="6" * 64))
    verdict = judge([other], base, comparable=lambda group: False)[0]
    assert (verdict.outcome, verdict.difference) == ("not comparable", None)
    assert verdict.final is not None


def test_a_difference_that_many_comparisons_explain_is_not_believed() -> None:
    runs = made("blocks", BASE) + made("blocks", {1: 2.28, 2: 2.30, 3: 2.255}, {"layers": 2})
    runs += [run for n in range(4, 12) for run in made("blocks", {1: 2.29, 2: 2.34, 3: 2.27}, {"layers": n})]
    base, first, *others = group_runs(runs)
    alone, among = judge([first], base)[0], judge([first, *others], base)[0]
    assert alone.outcome == "better"
    assert among.outcome == "no difference"
    assert "stands among 9 comparisons" in among.sentence


def test_holm_corrects_as_published() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.8]) == [1.0, 1.0]


def test_p_values_and_intervals_agree() -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        values = random.normal(0.02, 0.02, size=4)
        interval = mean_interval(list(values))
        assert interval is not None
        assert interval.half_width is not None
        p = p_value(interval)
        assert p is not None
        assert (p < 0.05) == (abs(interval.mean) > interval.half_width)


def test_the_seeds_that_are_needed_grow_as_the_effect_shrinks() -> None:
    interval = mean_interval([0.01, -0.01, 0.02])
    assert interval is not None
    assert interval.half_width is not None
    halved, third = (seeds_needed(interval, interval.half_width / part) for part in (2, 3))
    assert halved == 5
    assert third is not None
    assert third > halved
    assert seeds_needed(interval, 1e-9) is None


@pytest.mark.parametrize("paired", [True, False])
def test_false_alarms_are_as_rare_as_said(paired: bool) -> None:
    random = np.random.default_rng(7)
    alarms = 0
    for _ in range(2000):
        count = int(random.integers(2, 6))
        shared = random.normal(2.0, 0.02, size=count)  # what a seed does to both
        own = {seed: float(shared[seed] + random.normal(0, 0.01)) for seed in range(count)}
        others = shared if paired else random.normal(2.0, 0.02, size=count)
        other = {seed + (0 if paired else 100): float(others[seed] + random.normal(0, 0.01)) for seed in range(count)}
        difference = difference_interval(own, other)
        assert difference is not None
        p = p_value(difference)
        alarms += p is not None and p < 0.05
    assert alarms <= 0.06 * 2000


def test_many_null_comparisons_at_once_raise_one_false_alarm_in_twenty_tables() -> None:
    random = np.random.default_rng(11)
    tables = 0
    for _ in range(400):
        base = {seed: float(value) for seed, value in enumerate(random.normal(2, 0.02, size=3))}
        others = [{seed: float(v) for seed, v in enumerate(random.normal(2, 0.02, size=3))} for _ in range(5)]
        p_values = [p_value(interval) for each in others if (interval := difference_interval(each, base))]
        tables += min(holm([p for p in p_values if p is not None])) < 0.05
    assert tables <= 0.07 * 400, "2,000 comparisons, five a table"


@pytest.mark.parametrize(("counts", "spreads"), [((3, 3), (1, 1)), ((5, 5), (1, 1)), ((4, 8), (1, 2))])
def test_intervals_cover_the_true_difference_as_often_as_they_say(
    counts: tuple[int, int], spreads: tuple[float, float]
) -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        own: dict[Hashable, float] = dict(enumerate(random.normal(1.9, 0.02 * spreads[0], size=counts[0])))
        others = random.normal(2.0, 0.02 * spreads[1], size=counts[1])
        difference = difference_interval(own, {f"other {i}": float(value) for i, value in enumerate(others)})
        assert difference is not None
        assert difference.half_width is not None
        covered += abs(difference.mean + 0.1) <= difference.half_width
    assert 0.93 <= covered / 2000 <= 0.97
