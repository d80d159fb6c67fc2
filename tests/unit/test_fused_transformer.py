"""The lectures' transformers' fused step computes what autograd does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_helpers import assert_same_weights, tiny_config, token_batch, train

from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.models.build import build_model
from lab.models.fused_transformer import FusedTransformer, can_fuse
from lab.models.layers import PADDING_TARGET
from lab.training import loop as training_loop
from lab.training.batches import Batches
from lab.training.loop import TrainingLoop

pytestmark = pytest.mark.usefixtures("one_thread")

STAGES = ("linear", "single-head", "multi-head", "feed-forward", "blocks", "residual", "layernorm")
SWITCHES: list[dict[str, Any]] = [
    {"causal_mask": False},
    {"attention_scale": "sqrt(d)"},
    {"attention_scale": "none"},
    {"positions": "none"},
    {"feed_forward_multiple": 0},
    {"feed_forward_multiple": 1, "output_projection": False},
    {"residual": False},
    {"heads": 1, "head_dim": 12},
    {"context_length": 1},
    {"context_length": 16, "batch_size": 1},
]


def assert_as_autograd(config: RunConfig, *, padding: bool = False) -> None:
    assert can_fuse(config)
    model = build_model(config, 27)
    tokens, targets = token_batch(config, 27)
    if padding:
        targets[0, 2:] = targets[-1, :] = PADDING_TARGET
    _, expected = model(tokens, targets)
    expected.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    loss = FusedTransformer(model).loss_and_gradients(tokens, targets)
    assert torch.allclose(loss, expected, rtol=1e-6)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.shape == parameter.shape
        assert torch.allclose(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize("stage", STAGES)
def test_loss_and_gradients_are_autograds(stage: str) -> None:
    assert_as_autograd(stage_config(stage))


@pytest.mark.parametrize("switched", SWITCHES, ids=str)
def test_loss_and_gradients_are_autograds_with_each_switch(switched: dict[str, Any]) -> None:
    assert_as_autograd(stage_config("layernorm", settings={"batch_size": 5} | switched))


@pytest.mark.parametrize("stage", ["linear", "layernorm"])
def test_padding_is_no_part_of_it(stage: str) -> None:
    assert_as_autograd(stage_config(stage, settings={"context_length": 16, "batch_size": 6}), padding=True)


def test_gradients_do_not_add_up_over_steps(prose: Dataset) -> None:
    config = tiny_config("layernorm", prose)
    model, batches = build_model(config, prose.vocabulary_size), Batches(config, prose, torch.device("cpu"))
    fused = FusedTransformer(model)
    fused.loss_and_gradients(*batches.batch(1))
    first = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    fused.loss_and_gradients(*batches.batch(2))
    fused.loss_and_gradients(*batches.batch(1))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, first[name]), name


@pytest.mark.parametrize("kind", ["stream", pytest.param("words", marks=pytest.mark.full)])
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_is_that_of_autograd(prose: Dataset, few_names: Dataset, tmp_path: Path, stage: str, kind: str) -> None:
    dataset = {"stream": prose, "words": few_names}[kind]
    config = tiny_config(stage, dataset)

    def without(loop: TrainingLoop) -> None:
        assert loop._fused is not None
        loop._fused = None

    fused = train(config, dataset, tmp_path / "fused")
    plain = train(config, dataset, tmp_path / "plain", change=without)
    assert fused.losses == pytest.approx(plain.losses, rel=1e-4)
    assert fused.recorder.points["grad_norm"] == pytest.approx(plain.recorder.points["grad_norm"], rel=1e-3)


def test_a_run_that_was_paused_ends_as_an_undisturbed_one(
    prose: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: the way a run is computed follows from its config and resources alone."""
    monkeypatch.setattr(training_loop, "FLUSH_SECONDS", 0.0)  # a wish is heard after every step
    config = tiny_config("layernorm", prose)
    undisturbed = train(config, prose, tmp_path / "undisturbed")
    first = train(config, prose, tmp_path / "first", wishes={13: "pause"})
    resumed = train(config, prose, tmp_path / "resumed", resume=first.recorder.read("complete", 13))
    assert resumed.loop._fused is not None
    assert_same_weights(resumed.weights, undisturbed.weights)
    assert {step: undisturbed.losses[step] for step in resumed.losses} == resumed.losses
    assert resumed.recorder.samples[40] == undisturbed.recorder.samples[40]


@pytest.mark.parametrize(
    "changed",
    [
        {"activation": "gelu"},
        {"bias": False},
        {"dropout": 0.1},
        {"tied_embeddings": True},
        {"grad_clip": 1.0},
        {"norm": "post"},
        {"norm_kind": "rms"},
        {"positions": "rotary"},
        {"qk_norm": True},
        {"logit_softcap": 10.0},
        {"attention": "uniform"},
        {"value_projection": False},
        {"context_length": 17},
        {"compile": True},
    ],
    ids=str,
)
def test_what_the_fused_step_does_not_know_goes_through_autograd(changed: dict[str, Any]) -> None:
    assert can_fuse(stage_config("layernorm"))
    assert not can_fuse(stage_config("layernorm", settings=changed))


@pytest.mark.parametrize("stage", ["bigram", "mlp", "scaled", "scaled-cpu", "modern"])
def test_other_models_are_not_fused(stage: str) -> None:
    assert not can_fuse(stage_config(stage))
