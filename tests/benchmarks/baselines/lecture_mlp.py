"""The MLP of the lectures on names, as a learner would type it in a notebook. It shares no code with lab."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional as F

CONTEXT, EMBEDDING, HIDDEN, BATCH = 3, 10, 200, 32


def examples(words: list[str], ids: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Every context of three characters with the one after."""
    inputs, targets = [], []
    for word in words:
        context = [0] * CONTEXT
        for character in word + ".":
            inputs.append(context)
            targets.append(ids[character])
            context = [*context[1:], ids[character]]
    return torch.tensor(inputs), torch.tensor(targets)


def train(words: list[str], steps: int, *, seed: int = 2147483647) -> float:
    """Trains by plain SGD, lr 0.1 and then 0.01; returns the loss on the val words."""
    ids = {character: i + 1 for i, character in enumerate(sorted(set("".join(words))))} | {".": 0}
    shuffled = list(words)
    random.Random(42).shuffle(shuffled)
    first, second = int(0.8 * len(shuffled)), int(0.9 * len(shuffled))
    inputs, targets = examples(shuffled[:first], ids)
    val_inputs, val_targets = examples(shuffled[first:second], ids)
    g = torch.Generator().manual_seed(seed)
    table = torch.randn((len(ids), EMBEDDING), generator=g)
    w1, b1 = torch.randn((CONTEXT * EMBEDDING, HIDDEN), generator=g), torch.randn(HIDDEN, generator=g)
    w2, b2 = torch.randn((HIDDEN, len(ids)), generator=g), torch.randn(len(ids), generator=g)
    parameters = [table, w1, b1, w2, b2]
    for parameter in parameters:
        parameter.requires_grad = True

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        hidden = torch.tanh(table[x].view(-1, CONTEXT * EMBEDDING) @ w1 + b1)
        return F.cross_entropy(hidden @ w2 + b2, y)

    losses = []
    for step in range(steps):
        chosen = torch.randint(0, len(inputs), (BATCH,), generator=g)
        loss = loss_of(inputs[chosen], targets[chosen])
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        lr = 0.1 if step < steps / 2 else 0.01
        for parameter in parameters:
            parameter.data += -lr * parameter.grad
        losses.append(loss.log10().item())
    with torch.no_grad():
        return loss_of(val_inputs, val_targets).item()


@torch.no_grad()
def sample_names(parameters: list[Tensor], characters: str, count: int, *, seed: int = 2147483647 + 10) -> list[str]:
    """Names from the trained table and weights, one after another; `characters` begins with what ends a name."""
    table, w1, b1, w2, b2 = parameters
    g = torch.Generator().manual_seed(seed)
    names = []
    for _ in range(count):
        out: list[str] = []
        context = [0] * CONTEXT
        while True:
            hidden = torch.tanh(table[torch.tensor([context])].view(1, -1) @ w1 + b1)
            probabilities = F.softmax(hidden @ w2 + b2, dim=1)
            drawn = int(torch.multinomial(probabilities, num_samples=1, generator=g).item())
            context = [*context[1:], drawn]
            if drawn == 0:
                break
            out.append(characters[drawn])
        names.append("".join(out))
    return names
