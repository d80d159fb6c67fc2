"""Runs that are built ill are diagnosed, those that are built well are not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.analysis.findings import findings
from lab.analysis.known_curves import Curve, known_curve
from lab.analysis.seen import Finding, Seen, layer_name
from lab.config.ladder import STAGES, stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import load_dataset
from lab.queue.requests import RunRequest, compose
from lab.queue.trainer_process import train_claimed_run
from lab.reports.run_findings import findings_of
from lab.store import lifecycle
from lab.store.run_store import RunStore

Diagnose = Callable[..., dict[str, Finding]]


@pytest.fixture(scope="module")
def excerpt(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The beginning of Shakespeare: long enough to train on for a moment, short enough to be scored in one."""
    path = tmp_path_factory.mktemp("texts") / "excerpt.txt"
    path.write_text(load_dataset("shakespeare").path.read_text()[:60_000])
    return str(path)


@pytest.fixture
def diagnose(store: RunStore, one_thread: None) -> Diagnose:
    """Truly trains a run and returns its findings by rule."""

    def train(stage: str, dataset: str = "", **settings: Any) -> dict[str, Finding]:
        request = RunRequest(stage, dataset=dataset, settings={"eval_examples": 64, **settings})
        [added] = store.add_runs(compose(request, store.database.path))
        run = lifecycle.claim(store, added.id)
        assert run is not None
        outcome = train_claimed_run(store, run, threads=1)
        lifecycle.end(store, run.id, run.attempt, outcome.status, outcome.error)
        return {finding.rule: finding for finding in findings_of(store, store.run(run.id))}

    return train


# Runs that are built ill


def test_an_mlp_from_unit_normal_weights(diagnose: Diagnose) -> None:
    found = diagnose("mlp", steps=4)
    first = found["first-loss"]
    assert first.text.startswith("first loss 2")
    assert "against guessing evenly 3.30" in first.text
    assert (first.where, first.step) == ("head", 0)
    assert found["saturated"].where == "hidden.1"
    assert "tanh 7" in found["saturated"].text


DEEP_TANH = {"layers": 5, "hidden_dim": 100, "init": "kaiming", "last_layer_scale": 0.1, "steps": 4}


def test_a_deep_tanh_network_with_too_small_a_gain(diagnose: Diagnose) -> None:
    found = diagnose("mlp", activation_gain=0.5, **DEEP_TANH)
    assert found.keys() >= {"shrinking", "vanishing"}
    assert "from 0.4" in found["shrinking"].text
    assert "layer 1 to 0.02" in found["shrinking"].text
    assert found["shrinking"].where == "hidden.9"
    assert "from layer 5 down to layer 1" in found["vanishing"].text


def test_a_deep_tanh_network_with_too_large_a_gain(diagnose: Diagnose) -> None:
    found = diagnose("mlp", activation_gain=3, **DEEP_TANH)
    assert "saturated" in found
    assert "layer 1 tanh 4" in found["saturated"].text


def test_a_deep_tanh_network_with_the_right_gain(diagnose: Diagnose) -> None:
    assert not diagnose("mlp", **DEEP_TANH)


def test_blocks_without_residuals(diagnose: Diagnose, excerpt: str) -> None:
    found = diagnose("blocks", excerpt, layers=6, steps=4)["vanishing"]
    assert "gradients fall by 10^3" in found.text or "gradients fall by 10^2" in found.text
    assert (found.where, found.step) == ("blocks.0", 1)
    assert "residual=true" in found.remedy


def test_attention_multiplied_by_the_root_of_d(diagnose: Diagnose, excerpt: str) -> None:
    found = diagnose("layernorm", excerpt, attention_scale="sqrt(d)", steps=4)["peaked-attention"]
    assert found.where.startswith("blocks.")
    assert "head" in found.text
    assert "1/sqrt(d)" in found.remedy


def test_attention_without_its_mask(diagnose: Diagnose, excerpt: str) -> None:
    found = diagnose("layernorm", excerpt, causal_mask=False, steps=20)["sees-the-answer"]
    assert "causal_mask=false lets each position read what follows" in found.text


def test_ten_times_the_learning_rate(diagnose: Diagnose, excerpt: str) -> None:
    found = diagnose("layernorm", excerpt, lr=1e-2, steps=4)["large-updates"]
    assert found.text == "updates 0.1 of the data: lr=0.01 is too high"
    assert "--set lr=0.000" in found.remedy


def test_a_text_learned_by_heart(diagnose: Diagnose, tmp_path: Path) -> None:
    draw = random.Random(1)
    text = tmp_path / "noise.txt"
    text.write_text("".join(draw.choice("abcdefgh") for _ in range(1500)))
    found = diagnose(
        "mlp", str(text), dataset_as="stream", init="kaiming", optimizer="adamw", lr=3e-3, schedule="constant",
        context_length=8, steps=400, last_layer_scale=0.1,
    )["overfitting"]  # fmt: skip
    assert "rising: overfitting since step" in found.text
    assert found.step < 200


def test_a_run_that_is_cut_short(diagnose: Diagnose) -> None:
    found = diagnose("linear", lr=1e-3, steps=300)["underfitting"]
    assert "both still falling: underfitting" in found.text


def test_a_run_that_trails_its_stage(diagnose: Diagnose) -> None:
    found = diagnose("single-head", lr=1e-5, steps=400)["above-known-curve"]
    assert "above the known curve of single-head at the same step" in found.text
    assert found.step == 400


def test_one_batch_that_cannot_reach_zero(diagnose: Diagnose) -> None:
    found = diagnose("bigram", overfit_one_batch=True, steps=1500, lr=0.1)["one-batch-floor"]
    assert "equal contexts have different targets" in found.text


def test_one_batch_that_will_not_overfit(diagnose: Diagnose) -> None:
    found = diagnose("bigram", overfit_one_batch=True, steps=250, lr=1e-4)["one-batch"]
    assert "one batch will not overfit" in found.text


# The ladder

BUILT_ILL = {"mlp": {"first-loss", "saturated"}, "blocks": {"vanishing"}}
"""What the lectures themselves build so, and the stage's lesson says it."""


LARGE = ("scaled", "scaled-cpu", "modern")


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES if stage.name not in LARGE])
def test_the_stages_as_shipped_are_not_diagnosed(stage: str, diagnose: Diagnose, excerpt: str) -> None:
    dataset = "names" if stage == "mlp" else excerpt
    found = diagnose(stage, dataset, steps=30, eval_every=6)
    assert found.keys() - {"underfitting"} == BUILT_ILL.get(stage, set())  # which thirty steps of anything do


@pytest.mark.full
@pytest.mark.parametrize("stage", LARGE)
def test_the_large_stages_are_not_diagnosed_at_their_start(stage: str, diagnose: Diagnose, excerpt: str) -> None:
    assert not diagnose(stage, excerpt, steps=3)


# The rules at their borders


@dataclass
class OneTensor:
    """Histograms of one tensor, made up."""

    tensor: str
    kind: Any
    values: dict[str, list[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getattr__(self, name: str) -> np.ndarray:
        if name == "steps":
            return np.arange(1, len(self) + 1)
        return np.array(self.values.get(name, [np.nan] * len(self)), dtype=float)


def seen(config: RunConfig | None = None, **facts: Any) -> Seen:
    """A run of 1,000 steps in which nothing is wrong, but for what is given."""
    steps = np.arange(0, 1001, 100)
    losses = np.linspace(3.3, 2.3, len(steps))
    losses[-3:] = losses[-4]
    metrics = {"train/eval_loss": Curve(steps, losses), "val/loss": Curve(steps, losses + 0.05)}
    made = {"config": config or stage_config("layernorm"), "vocabulary_size": 27, "metrics": metrics, "histograms": ()}
    return Seen(**(made | facts))  # type: ignore[arg-type]


def rules(of: Seen) -> set[str]:
    return {finding.rule for finding in findings(of)}


def curves(train: list[float], val: list[float]) -> dict[str, Curve]:
    steps = np.arange(len(train)) * 100
    return {"train/eval_loss": Curve(steps, np.array(train)), "val/loss": Curve(steps, np.array(val))}


def test_nothing_is_said_of_a_run_of_which_nothing_is_known() -> None:
    assert not rules(seen(metrics={}))
    assert not rules(seen(metrics={}, ended=True))
    assert not rules(seen())


@pytest.mark.parametrize(("val", "expected"), [(4.2, set()), (4.4, {"first-loss"})])
def test_a_first_loss_may_lie_a_nat_above_guessing(val: float, expected: set[str]) -> None:
    assert rules(seen(metrics=curves([val], [val]))) == expected
    assert not rules(seen(metrics=curves([val], [val]), from_start=False))


@pytest.mark.parametrize(("share", "expected"), [(0.39, set()), (0.41, {"saturated"})])
def test_tanh_may_be_saturated_a_little(share: float, expected: set[str]) -> None:
    assert rules(seen(histograms=[OneTensor("hidden.1", "activations", {"saturated": [0.9, share]})])) == expected


def test_the_deadest_layer_is_named_and_the_others_counted() -> None:
    shares = {"0": 0.1, "1": 0.71, "2": 0.6}
    layers = [
        OneTensor(f"blocks.{place}.feed_forward.activation", "activations", {"dead": [share]})
        for place, share in shares.items()
    ]
    [found] = findings(seen(histograms=layers))
    assert found.text == "block 2's feed-forward ReLU 71% dead: nothing in the batch activates them"
    assert "and 1 of 2 other layers are too" in found.evidence


@pytest.mark.parametrize(
    ("settings", "share", "remedy"),
    [
        ({}, 0.9, "smaller weights before it: --set init=kaiming"),
        ({"init": "kaiming", "activation_gain": 3}, 0.9, "--set activation_gain=1.67, which keeps the size"),
        ({"init": "kaiming"}, 0.9, "a smaller activation_gain than 1.67"),
    ],
)
def test_a_remedy_is_one_that_the_config_can_take(settings: dict[str, Any], share: float, remedy: str) -> None:
    layer = OneTensor("hidden.1", "activations", {"saturated": [share]})
    [found] = findings(seen(stage_config("mlp", settings=settings), histograms=[layer]))
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("stage", "settings", "remedy"),
    [
        ("layernorm", {"attention_scale": "none"}, "--set 'attention_scale=1/sqrt(d)'"),
        ("residual", {"layers": 8}, "--set norm=pre, or --set qk_norm=true"),
    ],
)
def test_what_helps_peaked_attention_is_what_is_amiss(stage: str, settings: dict[str, Any], remedy: str) -> None:
    heads = [OneTensor("blocks.7.attention.head.0", "attention-entropy", {"means": [0.5]})]
    [found] = findings(seen(stage_config(stage, settings=settings), histograms=heads))
    assert remedy in found.remedy


def test_a_residual_stream_without_norms_is_named_where_the_first_loss_is_high() -> None:
    [found] = findings(seen(stage_config("residual", settings={"layers": 8}), metrics=curves([9.0], [9.0])))
    assert (
        found.remedy == "scale it down: --set last_layer_scale=0.1, or keep what it reads at its size: --set norm=pre"
    )


def test_a_layer_behind_dropout_is_counted_right() -> None:
    layers = [OneTensor(f"hidden.{place}", "activations", {"saturated": [share]}) for place, share in ((1, 0), (4, 1))]
    [found] = findings(seen(stage_config("mlp", settings={"dropout": 0.1}), histograms=layers))
    assert found.text.startswith("layer 2 tanh 100% saturated")


def test_updates_that_are_not_numbers_are_no_evidence() -> None:
    assert not rules(seen(histograms=[OneTensor("head.weight", "updates", {"log10_ratios": [np.nan, np.nan]})]))
    assert rules(seen(histograms=[OneTensor("head.weight", "updates", {"log10_ratios": [np.nan, -0.9]})])) == {
        "large-updates"
    }


@pytest.mark.parametrize(("lower", "expected"), [(-0.1, {"large-updates"}), (0.1, set())])
def test_a_rate_with_which_val_falls_as_fast_as_it_should_is_not_too_high(lower: float, expected: set[str]) -> None:
    facts = {"histograms": [OneTensor("head.weight", "updates", {"log10_ratios": [-0.9, -2.5]})]}
    val = seen().losses()
    assert rules(seen(known=Curve(val[0], val[2] + lower), **facts)) == expected


def test_a_gap_alone_is_no_overfitting_while_val_falls() -> None:
    falling = [3.0, 2.6, 2.3, 2.1, 2.0, 1.95, 1.9]
    train = [3.0, 2.5, 2.0, 1.7, 1.4, 1.2, 1.0]
    assert not rules(seen(metrics=curves(train, falling)))
    rising = [3.0, 2.6, 2.3, 2.1, 2.15, 2.2, 2.3]
    assert rules(seen(metrics=curves(train, rising))) == {"overfitting"}


def test_a_run_that_goes_on_is_not_yet_underfitting() -> None:
    falling = [3.3, 3.1, 2.9, 2.7, 2.5, 2.3]
    assert not rules(seen(metrics=curves(falling, falling)))
    assert rules(seen(metrics=curves(falling, falling), ended=True)) == {"underfitting"}


def test_one_batch_is_judged_only_after_some_steps() -> None:
    config = stage_config("layernorm", settings={"overfit_one_batch": True})
    least = Curve(np.array([0]), np.array([0.0]))
    for steps, loss, expected in ((100, 1.0, set()), (300, 1.0, {"one-batch"}), (300, 0.1, set())):
        metrics = {"train/loss": Curve(np.array([steps]), np.array([loss])), "one_batch_least_loss": least}
        assert rules(seen(config, metrics=metrics)) == expected


def test_a_loss_too_good_to_be_true_is_said_so() -> None:
    [found] = findings(seen(metrics=curves([3.0, 0.3], [3.0, 0.3])))
    assert (found.rule, found.step) == ("sees-the-answer", 100)


def test_every_finding_is_a_document_of_plain_values() -> None:
    [found] = findings(seen(metrics=curves([9.0], [9.0])))
    assert found.document().keys() == {"rule", "text", "evidence", "where", "step", "remedy"}
    assert all(isinstance(value, str | int) for value in found.document().values())


def test_known_curves_are_of_the_shipped_sizes_and_text() -> None:
    sha256 = load_dataset("shakespeare").sha256
    known = known_curve(stage_config("layernorm"), sha256)
    assert known is not None
    assert known.steps[-1] == 5000
    assert known.values[-1] == pytest.approx(2.07, abs=0.03)
    assert known_curve(stage_config("layernorm", settings={"lr": 1.0}), sha256) is not None
    assert known_curve(stage_config("layernorm", settings={"layers": 2}), sha256) is None
    assert known_curve(stage_config("layernorm"), "5" * 64) is None


def test_a_tensor_has_a_name_in_words() -> None:
    names = {
        "hidden.3": "layer 2",
        "blocks.1": "block 2",
        "blocks.0.feed_forward.activation": "block 1's feed-forward",
        "blocks.2.attention.head.0": "block 3's attention head 1",
        "head": "head",
    }
    assert {tensor: layer_name(tensor) for tensor in names} == names
    assert layer_name("hidden.4", parts_of_hidden=3) == "layer 2"
