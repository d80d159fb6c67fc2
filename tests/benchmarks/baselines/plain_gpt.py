"""A plain GPT loop, as people train one today: fused queries, keys and values, PyTorch's own attention, fp32, eager.

AdamW with warm-up, cosine decay and clipped gradients, GELU, no biases, no dropout: nanoGPT's recipe for a processor,
at the sizes of `scaled-cpu`. It shares no code with lab.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING, CONTEXT, HEADS, LAYERS, BATCH = 128, 64, 4, 4, 12
STEPS, WARM_UP, LR, LAST_LR = 2000, 100, 1e-3, 1e-4


class Block(nn.Module):
    """Attention, then feed-forward, each after its norm and beside its skip."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(EMBEDDING, bias=False), nn.LayerNorm(EMBEDDING, bias=False)
        self.qkv = nn.Linear(EMBEDDING, 3 * EMBEDDING, bias=False)
        self.projection = nn.Linear(EMBEDDING, EMBEDDING, bias=False)
        self.wide = nn.Linear(EMBEDDING, 4 * EMBEDDING, bias=False)
        self.narrow = nn.Linear(4 * EMBEDDING, EMBEDDING, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, C)."""
        b, t, c = x.shape
        q, k, v = (part.view(b, t, HEADS, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(c, dim=2))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(attended.transpose(1, 2).reshape(b, t, c))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class GPT(nn.Module):
    """Logits (B, T, V), and their loss where there are targets."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary_size, EMBEDDING), nn.Embedding(CONTEXT, EMBEDDING)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(EMBEDDING, bias=False)
        self.head = nn.Linear(EMBEDDING, vocabulary_size, bias=False)
        self.head.weight = self.tokens.weight
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = (2 * LAYERS) ** -0.5 if name.endswith(("projection.weight", "narrow.weight")) else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """From tokens and targets (B, T)."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        logits = self.head(self.norm(self.blocks(x)))
        return logits, None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Loop:
    """Trains a GPT on a tensor of tokens, a step at a time."""

    def __init__(self, data: Tensor, vocabulary_size: int, *, seed: int = 1337, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        self._data, self._device = data, device
        self.model = GPT(vocabulary_size).to(device)
        matrices = [parameter for parameter in self.model.parameters() if parameter.ndim == 2]
        others = [parameter for parameter in self.model.parameters() if parameter.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.99))
        self._step = 0

    def step(self) -> float:
        """One step; the batch's loss."""
        self._step += 1
        for group in self._optimizer.param_groups:
            group["lr"] = _rate(self._step)
        starts = torch.randint(len(self._data) - CONTEXT, (BATCH,))
        inputs = torch.stack([self._data[i : i + CONTEXT] for i in starts])
        targets = torch.stack([self._data[i + 1 : i + CONTEXT + 1] for i in starts])
        _, loss = self.model(inputs.to(self._device), targets.to(self._device))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        return loss.item()


def _rate(step: int) -> float:
    if step <= WARM_UP:
        return LR * step / WARM_UP
    done = min(1.0, (step - WARM_UP) / (STEPS - WARM_UP))
    return LAST_LR + (LR - LAST_LR) * (1 + math.cos(math.pi * done)) / 2
