"""The learning-rate sweep of the lectures, as a learner would type it in a notebook: one seed, a plain loop."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.baselines.lecture_mlp import BATCH, CONTEXT, EMBEDDING, HIDDEN

STEPS = 1000


def sweep(
    inputs: Tensor, targets: Tensor, characters: int, *, seed: int = 2147483647
) -> tuple[list[float], list[float]]:
    """Raises lr from 0.001 to 1 over a thousand steps; returns the exponents and the losses, to be looked at."""
    g = torch.Generator().manual_seed(seed)
    table = torch.randn((characters, EMBEDDING), generator=g)
    w1, b1 = torch.randn((CONTEXT * EMBEDDING, HIDDEN), generator=g), torch.randn(HIDDEN, generator=g)
    w2, b2 = torch.randn((HIDDEN, characters), generator=g), torch.randn(characters, generator=g)
    parameters = [table, w1, b1, w2, b2]
    for parameter in parameters:
        parameter.requires_grad = True
    exponents = torch.linspace(-3, 0, STEPS)
    rates = 10**exponents
    tried, losses = [], []
    for step in range(STEPS):
        chosen = torch.randint(0, len(inputs), (BATCH,), generator=g)
        hidden = torch.tanh(table[inputs[chosen]].view(-1, CONTEXT * EMBEDDING) @ w1 + b1)
        loss = F.cross_entropy(hidden @ w2 + b2, targets[chosen])
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        for parameter in parameters:
            parameter.data += -rates[step] * parameter.grad
        tried.append(exponents[step].item())
        losses.append(loss.item())
    return tried, losses
