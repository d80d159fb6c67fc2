"""What applies the gradients.

At the sizes of the ladder the update itself takes less time than `torch.optim`'s bookkeeping around it, so these call
torch's fused kernels directly; they compute what `torch.optim.AdamW` and `torch.optim.SGD` do, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

ADAMW_BETA1 = 0.9
ADAMW_EPSILON = 1e-8


class Optimizer(Protocol):
    """Applies gradients to named parameters, and can be stored and restored."""

    def step(self, lr: float) -> None:
        """Updates every parameter by its gradient."""
        ...

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What must be kept to go on exactly, by name."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` told."""
        ...


class SGD:
    """Plain stochastic gradient descent; weight decay is added to the gradient."""

    def __init__(self, parameters: Mapping[str, Tensor], weight_decay: float) -> None:
        self._parameters = list(parameters.values())
        self._weight_decay = weight_decay

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """p ← p − lr (g + λp)."""
        gradients = [gradient_of(parameter) for parameter in self._parameters]
        torch._fused_sgd_(
            self._parameters,
            gradients,
            [],
            weight_decay=self._weight_decay,
            momentum=0.0,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Nothing: it has no memory."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""


class AdamW:
    """Adam with decoupled weight decay (Kingma & Ba 2014; Loshchilov & Hutter 2017)."""

    def __init__(self, parameters: Mapping[str, Tensor], weight_decay: float, *, beta2: float = 0.999) -> None:
        self._beta2 = beta2
        self._names = list(parameters)
        self._parameters = list(parameters.values())
        self._weight_decay = weight_decay
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        device = self._parameters[0].device if self._parameters else None
        self._steps = torch.zeros((), device=device)  # one count for all, which counts once a step

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Moves each parameter by its mean gradient over the root of its mean squared gradient."""
        gradients = [gradient_of(parameter) for parameter in self._parameters]
        self._steps += 1
        torch._fused_adamw_(
            self._parameters,
            gradients,
            self._means,
            self._squares,
            [],
            [self._steps] * len(gradients),
            lr=lr,
            beta1=ADAMW_BETA1,
            beta2=self._beta2,
            weight_decay=self._weight_decay,
            eps=ADAMW_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Mean, mean square and step count of each parameter."""
        kept = zip(self._names, self._means, self._squares, strict=True)
        return {
            f"{name}.{part}": tensor
            for name, mean, square in kept
            for part, tensor in (("mean", mean), ("square", square), ("step", self._steps))
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` told."""
        for name, mean, square in zip(self._names, self._means, self._squares, strict=True):
            mean.copy_(state[f"{name}.mean"])
            square.copy_(state[f"{name}.square"])
            self._steps.copy_(state[f"{name}.step"])


def gradient_of(parameter: Tensor) -> Tensor:
    """A parameter's gradient; zero for one that no position of the batch has used."""
    return parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
