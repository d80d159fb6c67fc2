"""Muon: momentum, made orthogonal before it is applied (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lab.training.device import imitates_bf16
from lab.training.optimizers import AdamW, gradient_of

# A quintic whose iteration brings every singular value between 0 and 1 near to 1, steepest at 0 (Jordan et al. 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


class Muon:
    """Updates matrices by their orthogonalised Nesterov momentum, and every other parameter by AdamW.

    A parameter that stands for several matrices on top of each other (queries, keys and values) is taken apart for it.
    Weight decay, decoupled, is the matrices' alone.
    """

    def __init__(
        self,
        matrices: Mapping[str, tuple[Tensor, int]],
        others: Mapping[str, Tensor],
        *,
        weight_decay: float,
        momentum: float,
        beta2: float,
        others_lr_ratio: float,
    ) -> None:
        """From matrices, each with how many it stands for, and others, whose rate is `others_lr_ratio` times Muon's."""
        self._matrices = {name: parameter for name, (parameter, _) in matrices.items()}
        self._momenta = {name: torch.zeros_like(parameter) for name, parameter in self._matrices.items()}
        self._adamw = AdamW(others, 0.0, beta2=beta2)
        self._weight_decay, self._momentum, self._others_lr_ratio = weight_decay, momentum, others_lr_ratio
        self._alike: dict[tuple[int, int], list[tuple[str, int]]] = {}
        for name, (parameter, parts) in matrices.items():
            shape = (parameter.shape[0] // parts, parameter.shape[1])
            self._alike.setdefault(shape, []).append((name, parts))

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """p ← (1 − lr λ) p − lr √max(1, rows / columns) · orthogonal(momentum); AdamW's step for the rest."""
        self._adamw.step(lr * self._others_lr_ratio)
        names = list(self._matrices)
        gradients = [gradient_of(self._matrices[name]) for name in names]
        momenta = [self._momenta[name] for name in names]
        torch._foreach_lerp_(momenta, gradients, 1 - self._momentum)
        ahead = dict(zip(names, torch._foreach_lerp(gradients, momenta, self._momentum), strict=True))
        for (rows, columns), alike in self._alike.items():
            stacked = torch.cat([ahead[name].view(parts, rows, columns) for name, parts in alike])  # (N, rows, columns)
            updates = orthogonalised(stacked).mul_(lr * max(1.0, rows / columns) ** 0.5)
            for (name, parts), update in zip(alike, updates.split([parts for _, parts in alike]), strict=True):
                parameter = self._matrices[name]
                parameter.mul_(1 - lr * self._weight_decay).sub_(update.reshape(parts * rows, columns))

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        self._adamw.zero_grad()
        for parameter in self._matrices.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Momentum of each matrix, and AdamW's state of the rest."""
        return self._adamw.state() | {f"{name}.momentum": momentum for name, momentum in self._momenta.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` told."""
        self._adamw.restore(state)
        for name, momentum in self._momenta.items():
            momentum.copy_(state[f"{name}.momentum"])


def orthogonalised(matrices: Tensor) -> Tensor:
    """Near U Vᵀ for matrices U S Vᵀ, (N, rows, columns), by Newton–Schulz iteration; singular values near 1.

    In bf16, which is exact enough; in fp32 on a processor that would have to imitate bf16, twenty times slower.
    """
    rows, columns = matrices.shape[-2:]
    x = matrices.to(torch.float32 if imitates_bf16(matrices.device.type) else torch.bfloat16)
    if rows > columns:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    wide = x.shape[-1] >= 2 * x.shape[-2] and x.dtype == torch.float32
    x = _iterated_by_gram(x) if wide else _iterated(x)
    return (x.mT if rows > columns else x).float()


def _iterated(x: Tensor) -> Tensor:
    """X ← (a + b XXᵀ + c (XXᵀ)²) X, so many times."""
    a, b, c = _QUINTIC
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _iterated_by_gram(x: Tensor) -> Tensor:
    """The same on XXᵀ alone, which for a wide X is much smaller: its powers commute, and X itself is touched twice.

    It squares the singular values, for which bf16 is too coarse.
    """
    a, b, c = _QUINTIC
    gram = x @ x.mT
    identity = a * torch.eye(gram.shape[-1], device=x.device)
    product = identity / a
    for step in range(NEWTON_SCHULZ_STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + identity
        product = factor @ product
        if step < NEWTON_SCHULZ_STEPS - 1:
            gram = factor @ gram @ factor
    return product @ x
