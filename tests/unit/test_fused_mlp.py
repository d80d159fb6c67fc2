"""The MLP's fused step computes what autograd does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training_helpers import tiny_config, token_batch

from lab.config.ladder import stage_config
from lab.datasets.dataset import Dataset
from lab.models.build import build_model
from lab.models.fused_mlp import FusedMLP, can_fuse
from lab.training.batches import Batches

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("context_length", [1, 3, 8])
@pytest.mark.parametrize("layers", [0, 1, 2, 4])
@pytest.mark.parametrize("init", ["normal", "kaiming"])
def test_loss_and_gradients_are_autograds(context_length: int, layers: int, init: str) -> None:
    sizes = {"context_length": context_length, "layers": layers, "hidden_dim": 20, "init": init}
    config = stage_config("mlp", settings=sizes)
    model = build_model(config, 27)
    tokens, targets = token_batch(config, 27)
    tokens[0] = tokens[1]  # a character that stands in several examples gathers from all of them
    _, expected = model(tokens, targets)
    expected.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    loss = FusedMLP(model).loss_and_gradients(tokens, targets)
    assert torch.allclose(loss, expected, rtol=1e-6)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6), name


def test_gradients_do_not_add_up_over_steps(few_names: Dataset) -> None:
    config = tiny_config("mlp", few_names)
    model, batches = build_model(config, few_names.vocabulary_size), Batches(config, few_names, torch.device("cpu"))
    fused = FusedMLP(model)
    fused.loss_and_gradients(*batches.batch(1))
    first = model.head.weight.grad.clone()
    fused.loss_and_gradients(*batches.batch(2))
    fused.loss_and_gradients(*batches.batch(1))
    assert torch.equal(model.head.weight.grad, first)


def test_the_lectures_mlp_is_fused() -> None:
    assert can_fuse(stage_config("mlp"))
    assert can_fuse(stage_config("mlp", settings={"layers": 3, "optimizer": "adamw"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"activation": "relu"},
        {"bias": False},
        {"dropout": 0.1},
        {"tied_embeddings": True, "hidden_dim": 10},
        {"grad_clip": 1.0},
        {"compile": True},
    ],
)
def test_what_the_fused_step_does_not_know_goes_through_autograd(changed: dict[str, Any]) -> None:
    assert not can_fuse(stage_config("mlp", settings=changed))


def test_other_models_are_not_fused() -> None:
    assert not can_fuse(stage_config("bigram"))
    assert not can_fuse(stage_config("layernorm", settings={"activation": "tanh"}))
