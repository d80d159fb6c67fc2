"""Batches are a pure function of the seed and the step, drawn evenly, and the same for all stages."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from training_helpers import tiny_config

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.models.layers import PADDING_TARGET
from lab.training.batches import STEPS_DRAWN_TOGETHER, Batches, cut_targets

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def batches(dataset: Dataset, stage: str = "layernorm", **settings: Any) -> Batches:
    return Batches(tiny_config(stage, dataset, **settings), dataset, CPU)


def same(some: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]) -> bool:
    return torch.equal(some[0], others[0]) and torch.equal(some[1], others[1])


@given(st.lists(st.integers(1, 3 * STEPS_DRAWN_TOGETHER), min_size=1, max_size=12))
def test_the_order_of_asking_does_not_matter(steps: list[int]) -> None:
    drawn = batches(_prose())
    for step in steps:
        assert same(drawn.batch(step), batches(_prose()).batch(step))


def _prose() -> Dataset:
    return _DATASETS["prose"]


_DATASETS: dict[str, Dataset] = {}


@pytest.fixture(autouse=True)
def _keep_dataset(prose: Dataset) -> None:
    _DATASETS["prose"] = prose


def test_the_random_state_of_the_process_is_neither_read_nor_moved(prose: Dataset) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = batches(prose).batch(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(batches(prose).batch(1), first)


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ("bigram", {}),
        ("linear", {}),
        ("blocks", {"layers": 3}),
        ("layernorm", {"lr": 0.5, "steps": 77, "dropout": 0.4, "precision": "fp32", "optimizer": "sgd"}),
    ],
)
def test_stages_with_the_same_seed_see_the_same_batches(prose: Dataset, stage: str, settings: dict[str, Any]) -> None:
    mine, theirs = batches(prose, "residual"), batches(prose, stage, **settings)
    for step in (1, 2, 255, 256, 257, 5000):
        assert same(mine.batch(step), theirs.batch(step))


def test_the_mlp_sees_the_same_windows_of_a_stream(prose: Dataset) -> None:
    inputs, targets = batches(prose, "bigram", context_length=3).batch(9)
    mlp_inputs, mlp_targets = batches(prose, "mlp", context_length=3).batch(9)
    assert torch.equal(mlp_inputs, inputs)
    assert torch.equal(mlp_targets, targets[:, -1:])


@pytest.mark.parametrize("changed", [{"seed": 1}, {"context_length": 7}, {"batch_size": 5}])
def test_what_the_batches_depend_on_changes_them(prose: Dataset, changed: dict[str, Any]) -> None:
    assert not same(batches(prose).batch(3), batches(prose, **changed).batch(3))


def test_no_two_steps_see_the_same(prose: Dataset) -> None:
    drawn = batches(prose)
    seen = {tuple(drawn.batch(step)[0].flatten().tolist()) for step in range(1, 600)}
    assert len(seen) == 599


def test_how_many_batches_are_gathered_together_does_not_matter(
    prose: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = batches(prose)
    monkeypatch.setattr("lab.training.batches._TOKENS_GATHERED_TOGETHER", 1)
    alone = batches(prose)
    for step in range(1, STEPS_DRAWN_TOGETHER + 20):
        assert same(together.batch(step), alone.batch(step))


def test_targets_are_the_next_characters_of_the_text(prose: Dataset) -> None:
    text = prose.tokenizer.decode(prose.splits["train"].tolist())
    inputs, targets = batches(prose, batch_size=50).batch(1)
    for row, following in zip(inputs.tolist(), targets.tolist(), strict=True):
        assert row[1:] == following[:-1]
        assert prose.tokenizer.decode([*row, following[-1]]) in text


@pytest.mark.parametrize("stage", ["layernorm", "mlp"])
def test_words_are_trained_on_from_their_start_to_their_end(few_names: Dataset, stage: str) -> None:
    inputs, targets = batches(few_names, stage, batch_size=64).batch(1)
    boundary = few_names.tokenizer.start_id
    words = set(few_names.tokenizer.decode(few_names.splits["train"].tolist()).split("\n"))
    assert inputs.min() >= 0
    if stage == "mlp":
        assert targets.shape == (64, 1)
        assert targets.min() >= 0
        return
    for row, following in zip(inputs.tolist(), targets.tolist(), strict=True):
        length = following.index(boundary)
        assert row[0] == boundary
        assert few_names.tokenizer.decode(following[:length]) in words
        assert row[1 : length + 1] == following[:length]
        assert set(following[length + 1 :]) <= {PADDING_TARGET}


@pytest.mark.parametrize("stage", ["layernorm", "mlp"])
@pytest.mark.parametrize("kind", ["stream", "words"])
def test_every_example_is_drawn_about_as_often_as_any_other(
    prose: Dataset, few_names: Dataset, stage: str, kind: str
) -> None:
    dataset = {"stream": prose, "words": few_names}[kind]
    config = tiny_config(stage, dataset, batch_size=64)
    drawn = Batches(config, dataset, CPU)
    every_position = config.predicts_every_position
    examples = torch.from_numpy(dataset.examples("train", config.context_length, every_position=every_position).copy())
    expected = Counter(_rows(*cut_targets(examples, every_position=every_position)))
    seen: Counter[tuple[int, ...]] = Counter()
    steps = 2 * STEPS_DRAWN_TOGETHER
    for step in range(1, steps + 1):
        seen.update(_rows(*drawn.batch(step)))
    assert seen.keys() <= expected.keys()
    total = steps * 64
    # Sum of squared deviations over what is expected: as many as there are examples, more or less.
    chi_squared = sum((seen[row] - (e := total * n / len(examples))) ** 2 / e for row, n in expected.items())
    freedom = len(expected) - 1
    assert abs(chi_squared - freedom) < 5 * (2 * freedom) ** 0.5


def _rows(inputs: Tensor, targets: Tensor) -> list[tuple[int, ...]]:
    return [(*row, *following) for row, following in zip(inputs.clamp(min=0).tolist(), targets.tolist(), strict=True)]


def test_overfitting_one_batch_sees_the_first_one_always(prose: Dataset) -> None:
    drawn, usual = batches(prose, overfit_one_batch=True), batches(prose)
    for step in (1, 2, 300, 4000):
        assert same(drawn.batch(step), usual.batch(1))


def test_characters_per_step_leave_padding_out(prose: Dataset, few_names: Dataset) -> None:
    assert batches(prose, batch_size=3).characters_per_step == 3 * 8
    assert batches(prose, "mlp", batch_size=3).characters_per_step == 3
    words = [word for word in few_names.tokenizer.decode(few_names.splits["train"].tolist()).split("\n") if word]
    per_word = sum(len(word) + 1 for word in words) / len(words)
    assert batches(few_names, batch_size=3).characters_per_step == pytest.approx(3 * per_word)


def test_targets_are_cut_from_the_example(few_names: Dataset) -> None:
    examples = torch.arange(12).view(3, 4)
    inputs, targets = cut_targets(examples, every_position=True)
    assert inputs.tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]
    assert targets.tolist() == [[1, 2, 3], [5, 6, 7], [9, 10, 11]]
    assert cut_targets(examples, every_position=False)[1].tolist() == [[3], [7], [11]]


def test_a_batch_of_a_config_is_what_it_has_always_been(prose: Dataset) -> None:
    """Stored runs go on with the batches they began with: this may change in no later version."""
    config: RunConfig = tiny_config("bigram", prose, batch_size=2, context_length=4)
    drawn = Batches(config, prose, CPU)
    texts = [[prose.tokenizer.decode(row) for row in drawn.batch(step)[0].tolist()] for step in (1, 257)]
    assert texts == [["on.\n", "e mi"], ["mind", "'tis"]]
