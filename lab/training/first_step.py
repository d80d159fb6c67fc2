"""The first step of a model beside that of a reference, on the same batch: parameters, loss, gradients.

Where every tensor of the model has its counterpart in the reference, by name or by shape, the reference's initial
weights are put into the model too: if both compute the same, loss and gradients then agree to the last digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.models.build import build_model, parameter_count
from lab.training.batches import Batches


@dataclass(frozen=True)
class TensorPair:
    """A tensor of the model and its counterpart: how it was found, and the size of both gradients (root mean square).

    `gap` is the largest difference of their gradients with the same weights in both, where they could be put in.
    """

    name: str
    shape: tuple[int, ...]
    reference: str | None
    found_by: str | None
    gradient: float | None
    reference_gradient: float | None
    gap: float | None = None


@dataclass(frozen=True)
class FirstSteps:
    """Both first steps; `same_weights_loss` is the model's with the reference's weights in it."""

    stage: str
    reference: str
    parameters: int
    reference_parameters: int
    loss: float
    reference_loss: float
    tensors: tuple[TensorPair, ...]
    unmatched: tuple[str, ...]
    """Tensors of the reference without a counterpart."""
    same_weights_loss: float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compare_first_steps(config: RunConfig, reference: RunConfig, dataset: Dataset) -> FirstSteps:
    """Computes the first step of two configs on the CPU, each on its own batch of the same seed and size."""
    v = dataset.vocabulary_size
    model, other = build_model(config, v), build_model(reference, v)
    batch, of_other = (Batches(each, dataset, torch.device("cpu")).batch(1) for each in (config, reference))
    loss, gradients = _step(model, config.seed, *batch)
    other_loss, other_gradients = _step(other, config.seed, *of_other)
    pairs = _counterparts(dict(model.named_parameters()), dict(other.named_parameters()))
    tensors = [
        TensorPair(
            name,
            tuple(parameter.shape),
            reference=pairs[name][0] if name in pairs else None,
            found_by=pairs[name][1] if name in pairs else None,
            gradient=_size(gradients.get(name)),
            reference_gradient=_size(other_gradients.get(pairs[name][0])) if name in pairs else None,
        )
        for name, parameter in model.named_parameters()
    ]
    matched = {found for found, _ in pairs.values()}
    unmatched = tuple(name for name, _ in other.named_parameters() if name not in matched)
    same, gaps = None, dict[str, float]()
    if not unmatched and len(pairs) == len(tensors):
        with torch.no_grad():
            weights = dict(other.named_parameters())
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[pairs[name][0]])
        same, gradients = _step(model, config.seed, *batch)
        gaps = {name: _gap(gradients.get(name), other_gradients.get(found)) for name, (found, _) in pairs.items()}
    return FirstSteps(
        config.stage,
        reference.stage,
        parameter_count(model),
        parameter_count(other),
        loss,
        other_loss,
        tuple(replace(each, gap=gaps.get(each.name)) for each in tensors),
        unmatched,
        same,
    )


def _step(model: nn.Module, seed: int, tokens: Tensor, targets: Tensor) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of a model's first batch, its dropout drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.zero_grad()
        _, loss = model(tokens, targets)
        loss.backward()
    found = {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}
    return float(loss.detach()), found


def _counterparts(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, tuple[str, str]]:
    """The reference's tensor of each tensor, and how it was found: by its name, else in order by its shape."""
    pairs = {name: (name, "name") for name in own if name in other and other[name].shape == own[name].shape}
    left = [name for name in other if name not in pairs]
    for name, tensor in own.items():
        if name not in pairs:
            found = next((each for each in left if other[each].shape == tensor.shape), None)
            if found is not None:
                left.remove(found)
                pairs[name] = found, "shape"
    return pairs


def _size(gradient: Tensor | None) -> float | None:
    return float(gradient.square().mean().sqrt()) if gradient is not None else None


def _gap(one: Tensor | None, other: Tensor | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return float((one - other).abs().max())
