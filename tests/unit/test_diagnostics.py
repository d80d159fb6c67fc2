"""Diagnostics see what there is to be seen, and change nothing of what is trained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lab.analysis.histograms import bin_edges
from lab.config.diagnostics import BINS, KINDS, Edges, Kind, Reading
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.models.build import build_model
from lab.models.layers import MultiHeadAttention
from lab.training.diagnostics import VALUES_LOOKED_AT, Diagnostics, _bins, _some_values
from tests.unit.training_helpers import (
    CPU,
    TINY,
    MemoryRecorder,
    assert_same_weights,
    joined_points,
    tiny_config,
    token_batch,
    train,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def home(stage: str, prose: Dataset, few_names: Dataset) -> Dataset:
    return few_names if stage == "mlp" else prose


def look(
    config: RunConfig, vocabulary_size: int = 20, model: nn.Module | None = None
) -> dict[tuple[str, Kind], Reading]:
    """What is read of a model at one batch, its weights doubled in between."""
    model = model or build_model(config, vocabulary_size)
    diagnostics = Diagnostics(config, model, CPU)
    diagnostics.before(*token_batch(config, vocabulary_size))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return {(reading.tensor, reading.kind): reading for reading in diagnostics.after()}


def assert_trained_the_same(config: RunConfig, dataset: Dataset, folder: Path) -> MemoryRecorder:
    """Trains with a look at every third step and with none; returns what was recorded with."""
    looked_at = train(config.replace(diagnostics_every=3), dataset, folder / "on")
    alone = train(config.replace(diagnostics_every=0), dataset, folder / "off")
    assert_same_weights(looked_at.weights, alone.weights)
    assert joined_points(looked_at.recorder, 0, looked_at.recorder) == joined_points(alone.recorder, 0, alone.recorder)
    assert looked_at.recorder.samples == alone.recorder.samples
    assert list(looked_at.recorder.snapshots) == [1, *range(3, config.steps, 3), config.steps]
    assert not alone.recorder.snapshots
    return looked_at.recorder


@pytest.mark.parametrize(
    "settings",
    [{}, pytest.param({"optimizer": "sgd", "lr": 0.1}, marks=pytest.mark.full)],
    ids=["as shipped", "SGD"],
)
@pytest.mark.parametrize("stage", TINY)
def test_no_trained_bit_changes(
    stage: str, settings: dict[str, Any], prose: Dataset, few_names: Dataset, tmp_path: Path
) -> None:
    dataset = home(stage, prose, few_names)
    alone = {"adamw_lr": None} if stage == "modern" and settings else {}
    assert_trained_the_same(tiny_config(stage, dataset, **settings, **alone), dataset, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ("layernorm", {"dropout": 0.3}),
        ("mlp", {"dropout": 0.3}),
        ("mlp", {"optimizer": "adamw"}),
        ("residual", {"grad_clip": 0.5, "tied_embeddings": True}),
        ("blocks", {"attention": "uniform", "dropout": 0.2}),
        ("layernorm", {"precision": "bf16"}),
    ],
)
def test_no_trained_bit_changes_with_dropout_and_other_switches(
    stage: str, settings: dict[str, Any], prose: Dataset, few_names: Dataset, tmp_path: Path
) -> None:
    dataset = home(stage, prose, few_names)
    alone = {"adamw_lr": None} if stage == "modern" and settings else {}
    assert_trained_the_same(tiny_config(stage, dataset, **settings, **alone), dataset, tmp_path)


def test_a_run_that_goes_on_is_seen_as_an_undisturbed_one(prose: Dataset, tmp_path: Path) -> None:
    config = tiny_config("layernorm", prose, dropout=0.2, diagnostics_every=3)
    whole = train(config, prose, tmp_path / "whole")
    first = train(config, prose, tmp_path / "first", wishes={20: "pause"})
    step = first.outcome.step
    assert 20 <= step < config.steps
    second = train(config, prose, tmp_path / "second", resume=first.recorder.read("complete", step))
    assert_same_weights(second.weights, whole.weights)
    until = {at: readings for at, readings in first.recorder.snapshots.items() if at <= step}
    assert until | second.recorder.snapshots == whole.recorder.snapshots


def test_a_look_leaves_neither_gradients_nor_hooks_nor_random_numbers(prose: Dataset) -> None:
    config = tiny_config("scaled", prose)
    model = build_model(config, 20)
    random = torch.get_rng_state()
    Diagnostics(config, model, CPU).before(*token_batch(config, 20))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_run_is_looked_at_when_it_is_evaluated_and_at_its_first_step(prose: Dataset, tmp_path: Path) -> None:
    config = tiny_config("bigram", prose, steps=20, eval_every=8)
    assert list(train(config, prose, tmp_path).recorder.snapshots) == [1, 8, 16, 20]


def test_every_kind_of_every_layer_is_seen(prose: Dataset) -> None:
    readings = look(tiny_config("layernorm", prose))
    assert {kind for _, kind in readings} == set(KINDS)
    layers = {tensor for tensor, kind in readings if kind == "activations"}
    assert layers == {tensor for tensor, kind in readings if kind == "gradients"}
    of_block = {"attention_norm", "attention.projections", "attention.output", "feed_forward_norm"}
    of_block |= {"feed_forward.hidden", "feed_forward.activation", "feed_forward.output"}
    assert {f"blocks.1.{name}" for name in of_block} | {"blocks.1", "final_norm", "head"} < layers
    heads = [tensor for tensor, kind in readings if kind == "attention-entropy"]
    assert heads == [f"blocks.{block}.attention.head.{head}" for block in range(2) for head in range(2)]


def test_gradients_are_those_of_the_step(few_names: Dataset) -> None:
    config = tiny_config("mlp", few_names, batch_size=64)
    model = build_model(config, 20)
    _, loss = model(*token_batch(config, 20))
    loss.backward()
    weight = model.hidden[0].weight
    expected = weight.grad.clone()
    ratio = math.log10(expected.std(correction=0) / weight.detach().std(correction=0))
    reading = look(config, model=model)["hidden.0.weight", "weight-gradients"]
    assert reading.total == pytest.approx(float(expected.sum()), abs=1e-6)
    assert reading.total_of_squares == pytest.approx(float(expected.square().sum()))
    assert reading.low == pytest.approx(float(expected.min()))
    assert reading.log10_ratio == pytest.approx(ratio, abs=1e-4)


def test_an_update_is_what_was_added_to_the_weights(prose: Dataset) -> None:
    readings = look(tiny_config("layernorm", prose))
    for (tensor, kind), reading in readings.items():
        if kind == "updates":  # doubled: each weight was added to itself
            weights = readings[tensor, "weights"]
            assert (reading.low, reading.high) == (weights.low, weights.high)
            assert reading.total == pytest.approx(weights.total)
            assert reading.log10_ratio == pytest.approx(0.0, abs=1e-6)


def test_the_share_of_saturated_tanh(few_names: Dataset) -> None:
    mild, wild = (
        look(tiny_config("mlp", few_names, init="kaiming", activation_gain=gain, batch_size=64))[
            "hidden.1", "activations"
        ]
        for gain in (0.1, 1000.0)
    )
    assert (mild.edges, wild.edges) == ("linear", "linear")
    assert mild.saturated == 0
    assert wild.saturated is not None
    assert wild.saturated > 0.95
    assert wild.counts[0] + wild.counts[BINS - 2] > 0.9 * sum(wild.counts)


def test_the_share_of_dead_relus(prose: Dataset) -> None:
    config = tiny_config("feed-forward", prose)
    model = build_model(config, 20)
    with torch.no_grad():
        bias = model.blocks[0].feed_forward.hidden.bias
        bias.fill_(1e3)
        bias[: len(bias) // 4] = -1e3
    assert look(config, model=model)["blocks.0.feed_forward.activation", "activations"].dead == 0.25


def test_the_entropy_of_even_attention_is_all_there_can_be(prose: Dataset) -> None:
    config = tiny_config("single-head", prose)
    model = build_model(config, 20)
    attention = model.blocks[0].attention
    assert isinstance(attention, MultiHeadAttention)
    with torch.no_grad():
        attention.projections.weight.zero_()
    even = look(config, model=model)["blocks.0.attention.head.0", "attention-entropy"]
    assert even.counts[BINS - 2] == sum(even.counts) > 0
    assert even.low == pytest.approx(1, abs=1e-5)


def test_a_context_of_one_has_no_entropy(prose: Dataset) -> None:
    readings = look(tiny_config("single-head", prose, context_length=1))
    assert not [tensor for tensor, kind in readings if kind == "attention-entropy"]


def test_what_is_not_finite_is_counted_apart(prose: Dataset) -> None:
    config = tiny_config("bigram", prose)
    model = build_model(config, 20)
    with torch.no_grad():
        model.head.weight[0, :3] = torch.tensor([math.nan, math.inf, -math.inf])
    reading = look(config, model=model)["head.weight", "weights"]
    assert reading.counts[BINS - 1] == 3
    assert math.isfinite(reading.total_of_squares)
    assert reading.high is not None
    assert reading.high < math.inf


def test_a_model_of_nothing_but_nan_is_still_read(prose: Dataset) -> None:
    config = tiny_config("layernorm", prose)
    model = build_model(config, 20)
    with torch.no_grad():
        model.token_embedding.weight.fill_(math.nan)
    reading = look(config, model=model)["token_embedding.weight", "weights"]
    assert (reading.low, reading.high, reading.log10_ratio) == (None, None, None)
    assert reading.counts[BINS - 1] == sum(reading.counts)


@pytest.mark.parametrize("edges", ["log2-20", "log2-30", "linear", "share"])
@given(st.lists(st.floats(-1e6, 1e6, width=32) | st.floats(-1, 1, width=32), min_size=1))
def test_values_fall_between_the_edges_that_are_drawn(edges: Edges, values: list[float]) -> None:
    numbers = np.array(values, dtype=np.float32)
    bins, borders = _bins(numbers, edges), bin_edges(edges)
    assert len(borders) == BINS
    assert ((bins >= 0) & (bins <= BINS - 2)).all()
    tolerance = 0.0 if edges.startswith("log2") else 1e-5  # of the rounding of fp32
    exact = numbers.astype(float)
    assert ((bins == 0) | (exact >= borders[bins] - tolerance)).all()
    assert ((bins == BINS - 2) | (exact <= borders[bins + 1] + tolerance)).all()


def test_the_bins_are_in_the_order_of_the_values() -> None:
    values = [-3e9, -1.0, -1e-3, -1e-9, -0.0, 0.0, 1e-9, 1e-3, 1.0, 3e9]
    bins = _bins(np.array(values, dtype=np.float32), "log2-20")
    assert bins.tolist() == sorted(bins.tolist())
    assert bins[[0, 3, 4, 5, 6, 9]].tolist() == [0, 31, 31, 31, 31, 62]


@pytest.mark.parametrize("edges", ["log2-20", "log2-30", "linear", "share"])
def test_what_is_not_finite_is_in_the_last_bin_alone(edges: Edges) -> None:
    values = np.array([math.nan, -math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e-45, 0.0], dtype=np.float32)
    assert (_bins(values, edges) == BINS - 1).tolist() == [True] * 4 + [False] * 4


def test_a_reading_is_what_numpy_says_of_the_whole_tensor(prose: Dataset) -> None:
    """Of every tensor that is small enough to be read whole: bins, sums and extremes, apart from its neighbours'."""
    config = tiny_config("layernorm", prose)
    model = build_model(config, 20)
    weights = {name: each.detach().clone().numpy().ravel() for name, each in model.named_parameters() if each.dim() > 1}
    readings = look(config, model=model)
    for name, values in weights.items():
        reading = readings[name, "weights"]
        assert len(values) <= VALUES_LOOKED_AT
        assert reading.counts == tuple(np.bincount(_bins(values, reading.edges), minlength=BINS))
        assert reading.total == pytest.approx(values.sum(dtype=float), abs=1e-9)
        assert reading.total_of_squares == pytest.approx(np.square(values, dtype=float).sum())
        assert (reading.low, reading.high) == (values.min(), values.max())


@pytest.mark.parametrize("shape", [(300, 400), (7, 96, 384), (100_000, 2), (5,)])
def test_of_a_large_tensor_values_of_every_column_are_looked_at(shape: tuple[int, ...]) -> None:
    columns: Tensor = torch.arange(shape[-1]).expand(shape)
    seen = _some_values(columns)
    assert min(VALUES_LOOKED_AT // 2, columns.numel()) <= len(seen) <= VALUES_LOOKED_AT
    assert set(seen.tolist()) == set(range(shape[-1]))
    counts = np.bincount(seen.numpy().astype(int))
    assert counts.max() - counts.min() <= 1 + len(seen) // shape[-1] // 4
