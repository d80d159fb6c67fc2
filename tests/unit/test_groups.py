"""Runs in groups, their curves on one axis, what differs between them, and what is unfair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lab.analysis.alignment import BANDS, aligned, band, first_reached, on_clock
from lab.analysis.config_diff import MISSING, config_diff, differing
from lab.analysis.fairness import characters_seen, same_text, unfair
from lab.analysis.groups import Group, group_runs
from lab.analysis.verdict import judge
from lab.errors import ConfigError
from tests.unit.comparison_helpers import MadeRun, made

LOSSES = {1: 2.3, 2: 2.31}


def said(one: list[MadeRun], base: list[MadeRun], *parents: MadeRun) -> str:
    """All that is unfair about one group against another, in one text."""
    runs = {run.id: run for run in (*one, *base, *parents)}
    found = unfair(Group("one", tuple(one)), Group("base", tuple(base)), runs)
    assert all(each.remedy for each in found)
    return " | ".join(f"{each.touches}: {each.text}" for each in found)


def test_runs_that_differ_in_the_seed_alone_are_a_group() -> None:
    runs = made("blocks", LOSSES) + made("blocks", LOSSES, {"layers": 2}) + made("blocks", {3: 2.2})
    groups = group_runs(runs)
    assert [[run.seed for run in group.runs] for group in groups] == [[1, 2, 3], [1, 2]]
    assert [group.label for group in groups] == ["layers=3", "layers=2"]


def test_variants_of_an_experiment_keep_their_names() -> None:
    def called(name: str, settings: dict[str, object]) -> list[MadeRun]:
        runs = made("blocks", LOSSES, settings)
        return [replace(run, name=f"{name}/seed={run.seed}") for run in runs]

    shallow, deep = called("shallow", {"layers": 2}), called("deep", {})
    assert [group.label for group in group_runs(shallow + deep)] == ["shallow", "deep"]
    assert [group.label for group in group_runs(shallow + made("blocks", LOSSES))] == ["layers=2", "layers=3"]
    single = [replace(run, name="shallow", experiment="depth") for run in made("blocks", {1: 2.3}, {"layers": 2})]
    assert [group.label for group in group_runs(single + deep)] == ["shallow", "deep"]
    by_settings = called("blocks/layers=2", {"layers": 2}) + called("blocks/layers=3", {})
    assert [group.label for group in group_runs(by_settings)] == ["layers=2", "layers=3"]


def test_stages_name_their_groups() -> None:
    assert [group.label for group in group_runs(made("blocks", LOSSES) + made("residual", LOSSES))] == [
        "blocks",
        "residual",
    ]


def test_grouped_by_a_setting_the_runs_are_paired_where_all_else_is_equal() -> None:
    runs = [
        run
        for lr in (1e-3, 3e-3)
        for run in made("blocks", LOSSES, {"lr": lr}) + made("blocks", {1: 2.1, 2: 2.11}, {"lr": lr, "layers": 2})
    ]
    base, other = group_runs(runs, by="n_layer")
    assert (base.label, other.label) == ("layers=3", "layers=2")
    verdict = judge([other], base)[0]
    assert (verdict.count, verdict.paired) == (4, True)
    with pytest.raises(ConfigError, match="did you mean 'layers'"):
        group_runs(runs, by="layer")


def test_the_newest_of_two_runs_with_one_seed_counts() -> None:
    group = group_runs(made("blocks", {1: 2.5}) + made("blocks", {1: 2.3, 2: 2.4}))[0]
    assert [run.val_loss for run in group.scored] == [2.3, 2.4]


def test_only_what_differs_is_told() -> None:
    one, other = {"lr": 1e-3, "layers": 3, "residual": True, "steps": 5}, {"lr": 1e-3, "layers": 3.0, "residual": 1}
    rows = config_diff([one, other])
    assert [(row.key, row.values) for row in rows] == [("residual", (True, 1)), ("steps", (5, MISSING))]
    assert differing([one]) == []


def test_curves_of_other_steps_are_aligned_where_all_of_them_are() -> None:
    first = np.array([0.0, 10, 20, 30]), np.array([3.0, 2, 1, 0])
    second = np.array([5.0, 15, 25]), np.array([2.5, 1.5, 0.5])
    places, rows = aligned([first, second])
    assert places.tolist() == [5, 10, 15, 20, 25]
    assert np.allclose(rows[0], rows[1])
    for kind in BANDS:
        each = band([first, second], kind)
        assert np.allclose(each.low, each.high), "the same line"


def test_bands_reach_as_far_as_their_name_says() -> None:
    x = np.arange(3.0)
    curves = [(x, np.full(3, value)) for value in (1.0, 2.0, 3.0)]
    sd, reach, interval = (band(curves, kind) for kind in ("sd", "range", "interval"))
    assert (sd.low[0], sd.high[0]) == (1.0, 3.0)
    assert (reach.low[0], reach.high[0]) == (1.0, 3.0)
    assert interval.high[0] - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-5)
    alone = band(curves[:1])
    assert (alone.mean == alone.low).all()
    assert not len(band([]).x)
    assert len(band([(np.arange(9000.0), np.arange(9000.0))]).x) == 1000


def test_a_gap_in_a_curve_is_a_gap_in_the_mean() -> None:
    x = np.arange(4.0)
    gap = band([(x, np.array([1.0, np.nan, 1, 1])), (x, np.ones(4))])
    assert np.isnan(gap.mean).tolist() == [False, True, False, False]


def test_when_a_loss_is_reached() -> None:
    x, y = np.array([0.0, 10, 20]), np.array([3.0, 2, 1])
    assert first_reached(x, y, 2.5) == 5
    assert first_reached(x, y, 4) == 0
    assert first_reached(x, y, 0.5) is None
    assert first_reached(x, np.array([np.nan, 2.0, 1.0]), 2.5) == 10
    clock = on_clock(np.array([0, 50, 100]), 10.0, np.array([100]), np.array([100.0]))
    assert clock.tolist() == [0, 5, 10]


def test_what_is_fair_is_not_complained_of() -> None:
    assert said(made("blocks", LOSSES, {"residual": True, "output_projection": True}), made("blocks", LOSSES)) == ""


@pytest.mark.parametrize(
    ("stage", "settings", "facts", "expected"),
    [
        ("blocks", {}, {"dataset_sha256": "6" * 64}, "Δ: shakespeare has changed between the two"),
        ("blocks", {"context_length": 16}, {}, "Δ: val is scored with more context (16 characters against 8)"),
        ("blocks", {"steps": 2500}, {}, "Δ: another budget: 640k characters against 1.28M"),
        ("blocks", {"lr": 0.1}, {"lab_version": "2"}, "Δ: trained by lab 2, the baseline by 1"),
        ("blocks", {"lr": 0.1}, {"parameters": 2500}, "parameters: 2.5 × the parameters (2.5k against 1k)"),
        ("blocks", {"causal_mask": False}, {}, "val: it sees the answer: no mask"),
        ("blocks", {"lr": 0.1}, {"device": "cuda"}, "chars/s: on cuda against cpu"),
        ("residual", {}, {}, "Δ: residual also changed: "),
        ("mlp", {}, {}, "from every position of a window in the other"),
    ],
)
def test_what_is_unfair_is_said(
    stage: str, settings: dict[str, object], facts: dict[str, object], expected: str
) -> None:
    assert expected in said(made(stage, LOSSES, settings, **facts), made("blocks", LOSSES))


def test_other_seeds_and_runs_that_diverged_are_said() -> None:
    other_seeds = said(made("blocks", {1: 2.1, 5: 2.1}, {"layers": 2}), made("blocks", LOSSES))
    assert "Δ: other seeds (1, 5 against 1, 2)" in other_seeds
    half = made("blocks", LOSSES, {"layers": 2}) + made("blocks", {3: 9.0}, {"layers": 2}, status="diverged")
    assert "val: 1 of 3 runs diverged and left out" in said(half, made("blocks", LOSSES))


def test_the_parents_steps_count() -> None:
    parent = made("blocks", {1: 2.4})[0]
    child = made("blocks", {1: 2.2}, {"steps": 7500, "batch_size": 64}, parent_id=parent.id, parent_step=5000)
    assert characters_seen(child[0], {parent.id: parent}) == 8 * (5000 * 32 + 2500 * 64)
    assert "the steps of the run it went on from counted" in said(child, made("blocks", {1: 2.3}), parent)


def test_texts_are_the_same_or_not() -> None:
    one, other = (Group("", tuple(made("blocks", LOSSES, dataset_sha256=sha))) for sha in ("5" * 64, "6" * 64))
    assert same_text(one, one)
    assert not same_text(one, other)
