"""The optimisers update as torch's own do, and the learning rate moves as its schedule says."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lab.config.ladder import stage_config
from lab.config.schedule import learning_rate
from lab.models.build import build_model
from lab.training import muon
from lab.training.build_optimizer import build_optimizer
from lab.training.muon import Muon, orthogonalised
from lab.training.optimizers import SGD, AdamW, Optimizer

SHAPES = {"table": (7, 5), "blocks.0.matrix": (33, 17), "bias": (17,), "scalar": ()}
STEPS = 60
LRS = [1e-3 * (1 + step % 7) for step in range(STEPS)]


def parameters() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator).requires_grad_() for name, shape in SHAPES.items()}


def give_gradients(named: dict[str, Tensor], step: int, without: tuple[str, ...] = ()) -> None:
    """Gradients of very different sizes, the same for the same step."""
    generator = torch.Generator().manual_seed(step)
    for name, parameter in named.items():
        gradient = torch.randn(parameter.shape, generator=generator) * 10.0 ** (step % 9 - 4)
        parameter.grad = None if name in without else gradient


def updated(optimizer: Optimizer, named: dict[str, Tensor], steps: range) -> dict[str, Tensor]:
    for step in steps:
        give_gradients(named, step)
        optimizer.step(LRS[step])
    return named


@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_updates_are_torchs_own_to_the_bit(kind: str, weight_decay: float) -> None:
    ours, theirs = parameters(), parameters()
    config = stage_config("layernorm", settings={"optimizer": kind, "weight_decay": weight_decay})
    optimizer = build_optimizer(config, ours)
    torchs = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[kind]
    reference = torchs(theirs.values(), lr=1.0, weight_decay=weight_decay, fused=True)
    for step in range(STEPS):
        for named in (ours, theirs):
            give_gradients(named, step)
        reference.param_groups[0]["lr"] = LRS[step]
        reference.step()
        optimizer.step(LRS[step])
        for name in SHAPES:
            assert torch.equal(ours[name], theirs[name]), (step, name)


def test_adamw_without_fusing_agrees_nearly() -> None:
    ours, theirs = parameters(), parameters()
    updated(AdamW(ours, 0.01), ours, range(STEPS))
    reference = torch.optim.AdamW(theirs.values(), lr=1.0, weight_decay=0.01, foreach=False)
    for step in range(STEPS):
        give_gradients(theirs, step)
        reference.param_groups[0]["lr"] = LRS[step]
        reference.step()
    for name in SHAPES:
        assert torch.allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", [AdamW, SGD])
def test_a_parameter_without_a_gradient_counts_as_one_of_zero(kind: type[AdamW] | type[SGD]) -> None:
    ours, theirs = parameters(), parameters()
    optimizer, reference = kind(ours, 0.1), kind(theirs, 0.1)
    for step in range(10):
        give_gradients(ours, step, without=("blocks.0.matrix",))
        give_gradients(theirs, step)
        theirs["blocks.0.matrix"].grad = torch.zeros_like(theirs["blocks.0.matrix"])
        optimizer.step(0.01)
        reference.step(0.01)
    for name in SHAPES:
        assert torch.equal(ours[name], theirs[name])


@pytest.mark.parametrize("kind", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("stopped_after", [0, 1, 17, 59])
def test_a_restored_optimizer_goes_on_as_if_nothing_had_been(kind: str, stopped_after: int) -> None:
    config = stage_config("layernorm", settings={"optimizer": kind})
    undisturbed = parameters()
    updated(build_optimizer(config, undisturbed), undisturbed, range(STEPS))
    named = parameters()
    first = build_optimizer(config, named)
    updated(first, named, range(stopped_after))
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    second = build_optimizer(config, named)
    second.restore(state)
    updated(second, named, range(stopped_after, STEPS))
    for name in SHAPES:
        assert torch.equal(named[name], undisturbed[name])


def test_the_state_names_every_parameter_apart() -> None:
    named = parameters()
    state = AdamW(named, 0.0).state()
    assert set(state) == {f"{name}.{part}" for name in SHAPES for part in ("mean", "square", "step")}
    assert SGD(named, 0.0).state() == {}


@pytest.mark.parametrize("kind", [AdamW, SGD])
def test_gradients_are_forgotten(kind: type[AdamW] | type[SGD]) -> None:
    named = parameters()
    give_gradients(named, 0)
    kind(named, 0.0).zero_grad()
    assert all(parameter.grad is None for parameter in named.values())


# The learning rate

COSINE_MIDDLE = 0.1 + 0.9 / 2


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({}, {1: 1, 50: 1, 100: 1}),
        ({"schedule": "step", "decay_start": 0.5}, {1: 1, 50: 1, 51: 0.1, 100: 0.1}),
        ({"schedule": "step", "decay_start": 0.5, "decay_to": 0.0}, {50: 1, 51: 0, 100: 0}),
        ({"schedule": "linear"}, {50: 0.55, 100: 0.1}),
        ({"schedule": "linear", "decay_to": 0.0}, {25: 0.75, 50: 0.5, 100: 0}),
        ({"schedule": "linear", "decay_start": 0.8, "decay_to": 0.0}, {1: 1, 80: 1, 90: 0.5, 100: 0}),
        ({"schedule": "cosine"}, {50: COSINE_MIDDLE, 100: 0.1}),
        ({"schedule": "cosine", "decay_to": 0.0}, {25: (1 + math.sqrt(0.5)) / 2, 50: 0.5, 100: 0}),
        ({"schedule": "linear", "decay_start": 1.0}, {1: 1, 100: 1}),
        ({"warmup_steps": 9}, {1: 0.1, 5: 0.5, 9: 0.9, 10: 1, 100: 1}),
        ({"warmup_steps": 20, "schedule": "linear", "decay_to": 0.0}, {20: 20 / 21, 60: 0.5, 100: 0}),
        ({"warmup_steps": 20, "schedule": "cosine", "decay_to": 0.0}, {20: 20 / 21, 60: 0.5, 100: 0}),
    ],
)
def test_the_learning_rate_follows_its_schedule(settings: dict[str, Any], rates: dict[int, float]) -> None:
    config = stage_config("layernorm", settings={"steps": 100, "lr": 0.02} | settings)
    for step, share in rates.items():
        assert learning_rate(config, step) == pytest.approx(0.02 * share, abs=1e-12), step


@given(
    st.sampled_from(["constant", "step", "cosine", "linear"]),
    st.integers(0, 49),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_learning_rate_rises_then_falls_and_stays_within_its_bounds(
    schedule: str, warmup_steps: int, decay_start: float, decay_to: float
) -> None:
    changed = {"schedule": schedule, "warmup_steps": warmup_steps, "decay_start": decay_start, "decay_to": decay_to}
    config = stage_config("layernorm", settings={"steps": 50, "lr": 0.5} | changed)
    rates = [learning_rate(config, step) for step in range(1, 51)]
    rising, falling = rates[:warmup_steps], rates[warmup_steps:]
    assert all(before < after for before, after in itertools.pairwise(rising))
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(falling))
    assert all(0 < rate < 0.5 for rate in rising)
    assert all(0.5 * decay_to - 1e-12 <= rate <= 0.5 for rate in falling)


# Muon


def test_muon_updates_a_matrix_as_torchs_own_does() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"blocks.0.a": (33, 17), "blocks.0.b": (12, 40), "blocks.1.a": (33, 17)}
    ours = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    theirs = {name: tensor.clone() for name, tensor in ours.items()}
    optimizer = Muon(
        {name: (tensor, 1) for name, tensor in ours.items()},
        {"embedding": torch.zeros(3)},
        weight_decay=0.1,
        momentum=0.95,
        beta2=0.95,
        others_lr_ratio=1.0,
    )
    reference = torch.optim.Muon(theirs.values(), lr=1.0, weight_decay=0.1, momentum=0.95, nesterov=True)
    for step in range(STEPS):
        for named in (ours, theirs):
            give_gradients(named, step)
        reference.param_groups[0]["lr"] = LRS[step]
        reference.step()
        optimizer.step(LRS[step])
    for name in shapes:  # bf16 rounds differently in a batch of matrices
        assert (ours[name] - theirs[name]).norm() < 0.01 * (STEPS * max(LRS)), name


def test_an_orthogonalised_matrix_has_singular_values_near_one() -> None:
    matrices = torch.randn(3, 24, 60, generator=torch.Generator().manual_seed(0))
    for found in (orthogonalised(matrices), orthogonalised(matrices.mT)):
        values = torch.linalg.svdvals(found)
        assert float(values.min()) > 0.6
        assert float(values.max()) < 1.3


@pytest.mark.parametrize("shape", [(2, 24, 48), (3, 16, 64), (1, 8, 100)])
def test_a_wide_matrix_is_made_orthogonal_by_its_small_square(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)) / shape[-1]
    assert torch.allclose(muon._iterated_by_gram(x), muon._iterated(x), atol=1e-4)


def test_queries_keys_and_values_are_taken_apart_for_muon() -> None:
    config = stage_config("modern", settings={"embedding_dim": 8, "heads": 2, "layers": 1, "weight_decay": 0.0})
    named = dict(build_model(config, 9).named_parameters())
    before = {name: tensor.detach().clone() for name, tensor in named.items()}
    optimizer = build_optimizer(config, named)
    for name, tensor in named.items():
        tensor.grad = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(len(name)))
    optimizer.step(1.0)
    name = "blocks.0.attention.projections.weight"
    for part in (before[name] - named[name].detach()).chunk(3):
        assert float(torch.linalg.svdvals(part).min()) > 0.6


def test_muon_leaves_embedding_and_head_to_adamw() -> None:
    config = stage_config("modern", settings={"embedding_dim": 8, "heads": 2, "layers": 1})
    state = build_optimizer(config, dict(build_model(config, 9).named_parameters())).state()
    under_adamw = {name.removesuffix(".square") for name in state if name.endswith(".square")}
    assert under_adamw == {"token_embedding.weight", "head.weight"}
    assert sum(name.endswith(".momentum") for name in state) == 4


def test_adamw_moves_at_its_own_rate_under_muon() -> None:
    settings = {"embedding_dim": 8, "heads": 2, "layers": 1}
    moved = []
    for adamw_lr in (6e-3, 12e-3):
        config = stage_config("modern", settings=settings | {"adamw_lr": adamw_lr})
        named = dict(build_model(config, 9).named_parameters())
        before = named["head.weight"].detach().clone()
        named["head.weight"].grad = torch.ones_like(before)
        build_optimizer(config, named).step(config.lr)
        moved.append(float((before - named["head.weight"].detach()).mean()))
    assert moved == [pytest.approx(6e-3, rel=1e-3), pytest.approx(12e-3, rel=1e-3)]
