"""The loss over a split is what a direct computation finds, whatever it is cut into."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from training_helpers import tiny_config

from lab.config.ladder import stage_config
from lab.datasets.dataset import Dataset
from lab.models.build import build_model
from lab.models.layers import PADDING_TARGET
from lab.training.evaluate import Split, least_loss

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def directly(model: torch.nn.Module, examples: np.ndarray, *, every_position: bool) -> float:
    """The mean over all predicted characters, one example at a time, in double precision."""
    losses: list[float] = []
    for example in examples.tolist():
        inputs = torch.tensor([max(0, token) for token in example[:-1]])[None]
        logits = model(inputs)[0][0].double()
        targets = example[1:] if every_position else example[-1:]
        losses += [
            float(F.cross_entropy(row, torch.tensor(target)))
            for row, target in zip(logits, targets, strict=True)
            if target != PADDING_TARGET
        ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("stage", ["bigram", "layernorm", "mlp"])
@pytest.mark.parametrize("kind", ["stream", "words"])
@torch.no_grad()
def test_the_loss_of_a_split_is_the_mean_over_its_characters(
    prose: Dataset, few_names: Dataset, kind: str, stage: str, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = {"stream": prose, "words": few_names}[kind]
    config = tiny_config(stage, dataset)
    model = build_model(config, dataset.vocabulary_size).eval()
    every_position = config.predicts_every_position
    examples = dataset.evaluation_examples(split, config.context_length, every_position=every_position)
    scored = Split(config, dataset, split, CPU)
    assert len(scored) == len(examples)
    expected = directly(model, examples, every_position=every_position)
    assert scored.loss(model) == pytest.approx(expected, abs=1e-6)
    monkeypatch.setattr("lab.training.evaluate._TOKENS_AT_ONCE", 50)  # the last pass is a smaller one
    assert Split(config, dataset, split, CPU).loss(model) == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_some_places_of_a_split_are_scored_as_directly(few_names: Dataset) -> None:
    config = tiny_config("layernorm", few_names)
    model = build_model(config, few_names.vocabulary_size).eval()
    scored = Split(config, few_names, "train", CPU)
    places = scored.evenly_spaced(7)
    examples = few_names.evaluation_examples("train", config.context_length, every_position=True)[places.numpy()]
    assert scored.loss(model, places) == pytest.approx(directly(model, examples, every_position=True), abs=1e-6)


@pytest.mark.parametrize("count", [1, 7, 50, 10_000])
def test_places_are_spread_evenly(prose: Dataset, count: int) -> None:
    split = Split(tiny_config("bigram", prose), prose, "train", CPU)
    places = split.evenly_spaced(count).tolist()
    assert len(places) == min(count, len(split))
    assert places == sorted(set(places))
    assert places[0] == 0
    gaps = np.diff([*places, len(split)])
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_model_and_random_state_as_they_were(prose: Dataset, training: bool) -> None:
    config = tiny_config("scaled", prose, dropout=0.5)
    model = build_model(config, prose.vocabulary_size).train(training)
    split = Split(config, prose, "val", CPU)
    before = torch.get_rng_state()
    first = split.loss(model)
    assert split.loss(model) == first
    assert model.training is training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_scoring_beats_at_every_pass(prose: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.training.evaluate._TOKENS_AT_ONCE", 80)
    config = tiny_config("bigram", prose)
    beats: list[int] = []
    split = Split(config, prose, "val", CPU)
    split.loss(build_model(config, prose.vocabulary_size), beat=lambda: beats.append(1))
    assert len(beats) == -(-len(split) // 10)


@pytest.mark.parametrize(("stage", "settings"), [("bigram", {}), ("mlp", {}), ("mlp", {"context_length": 40})])
def test_a_stream_is_held_once_however_its_windows_overlap(
    prose: Dataset, stage: str, settings: dict[str, Any]
) -> None:
    split = Split(tiny_config(stage, prose, **settings), prose, "train", CPU)
    assert split._examples.untyped_storage().nbytes() == prose.splits["train"].nbytes


@pytest.mark.parametrize(
    ("stage", "settings", "least"),
    [
        ("bigram", {}, 2 / 5 * math.log(2)),  # after a come b and c
        ("linear", {}, 2 / 5 * math.log(2)),
        ("single-head", {}, 2 / 5 * math.log(2)),  # and a stands first in both rows
        ("linear", {"positions": "learned"}, 2 / 5 * math.log(2)),
        ("single-head", {"causal_mask": False}, 0.0),  # the rows differ
    ],
)
def test_the_least_loss_is_what_equal_contexts_cost(stage: str, settings: dict[str, Any], least: float) -> None:
    config = stage_config(stage, settings={"context_length": 3, "batch_size": 2, **settings})
    a, b, c, d = range(4)
    tokens, targets = torch.tensor([[a, b, d], [a, c, d]]), torch.tensor([[b, d, d], [c, d, PADDING_TARGET]])
    assert least_loss(config, tokens, targets) == pytest.approx(least)  # padding does not count


def test_the_least_loss_of_a_window_is_of_the_whole_window() -> None:
    config = stage_config("mlp", dataset_as="words", settings={"context_length": 2})
    tokens = torch.tensor([[0, 1], [0, 1], [0, 1], [1, 1]])
    assert least_loss(config, tokens, torch.tensor([[2], [2], [3], [3]])) == pytest.approx(
        -(2 * math.log(2 / 3) + math.log(1 / 3)) / 4
    )
