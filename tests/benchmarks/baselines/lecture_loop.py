"""The loop of the lectures, as a learner would type it: what lab's speed is measured against.

One module a head, looped over and concatenated; batches stacked from Python lists of slices; plain AdamW; the loss
estimated every 200 steps on 200 random batches of each split. It shares no code with lab.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING, CONTEXT, BATCH = 32, 8, 32
EVAL_INTERVAL, EVAL_BATCHES = 200, 200


class Head(nn.Module):
    """One head of masked self-attention."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.key = nn.Linear(EMBEDDING, size, bias=False)
        self.query = nn.Linear(EMBEDDING, size, bias=False)
        self.value = nn.Linear(EMBEDDING, size, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(CONTEXT, CONTEXT)))

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, size)."""
        _, t, _ = x.shape
        key, query = self.key(x), self.query(x)
        affinity = query @ key.transpose(-2, -1) * key.shape[-1] ** -0.5  # (B, T, T)
        affinity = affinity.masked_fill(self.tril[:t, :t] == 0, float("-inf"))
        return F.softmax(affinity, dim=-1) @ self.value(x)


class Heads(nn.Module):
    """Several heads, one after another."""

    def __init__(self, count: int, size: int, *, projected: bool) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Head(size) for _ in range(count)])
        self.projection = nn.Linear(count * size, EMBEDDING) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, count × size), or C when projected."""
        return self.projection(torch.cat([head(x) for head in self.heads], dim=-1))


class Block(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, *, residual: bool, norm: bool) -> None:
        super().__init__()
        self.residual = residual
        self.heads = Heads(4, EMBEDDING // 4, projected=residual)
        if residual:
            layers = [nn.Linear(EMBEDDING, 4 * EMBEDDING), nn.ReLU(), nn.Linear(4 * EMBEDDING, EMBEDDING)]
        else:
            layers = [nn.Linear(EMBEDDING, EMBEDDING), nn.ReLU()]
        self.feed_forward = nn.Sequential(*layers)
        self.norm1 = nn.LayerNorm(EMBEDDING) if norm else nn.Identity()
        self.norm2 = nn.LayerNorm(EMBEDDING) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, C)."""
        if self.residual:
            x = x + self.heads(self.norm1(x))
            return x + self.feed_forward(self.norm2(x))
        return self.feed_forward(self.heads(x))


class LectureModel(nn.Module):
    """A stage of the lecture on Shakespeare."""

    def __init__(self, stage: str, vocabulary_size: int) -> None:
        super().__init__()
        self.positions: nn.Embedding | None = None
        body: list[nn.Module] = []
        width = EMBEDDING
        if stage == "bigram":
            self.tokens, self.head = nn.Embedding(vocabulary_size, vocabulary_size), nn.Identity()
            self.body: nn.Module = nn.Identity()
            return
        self.tokens = nn.Embedding(vocabulary_size, EMBEDDING)
        if stage != "linear":
            self.positions = nn.Embedding(CONTEXT, EMBEDDING)
        if stage == "single-head":
            body, width = [Heads(1, 16, projected=False)], 16
        elif stage == "multi-head":
            body = [Heads(4, 8, projected=False)]
        elif stage == "feed-forward":
            body = [Block(residual=False, norm=False)]
        elif stage in ("blocks", "residual", "layernorm"):
            body = [Block(residual=stage != "blocks", norm=stage == "layernorm") for _ in range(3)]
            body += [nn.LayerNorm(EMBEDDING)] if stage == "layernorm" else []
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(width, vocabulary_size)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits (B × T, V), and the loss where there are targets."""
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(torch.arange(tokens.shape[1]))
        logits = self.head(self.body(x))
        if targets is None:
            return logits, None
        b, t, v = logits.shape
        return logits, F.cross_entropy(logits.view(b * t, v), targets.view(b * t))


def train(text: str, stage: str, steps: int, lr: float, *, seed: int = 1337, evaluate: bool = True) -> LectureModel:
    """Trains a stage of the lecture on a text."""
    torch.manual_seed(seed)
    characters = sorted(set(text))
    ids = {character: i for i, character in enumerate(characters)}
    data = torch.tensor([ids[character] for character in text])
    cut = int(0.9 * len(data))
    splits = {"train": data[:cut], "val": data[cut:]}

    def get_batch(split: str) -> tuple[Tensor, Tensor]:
        source = splits[split]
        starts = torch.randint(len(source) - CONTEXT, (BATCH,))
        inputs = torch.stack([source[i : i + CONTEXT] for i in starts])
        return inputs, torch.stack([source[i + 1 : i + CONTEXT + 1] for i in starts])

    @torch.no_grad()
    def estimate_loss() -> dict[str, float]:
        model.eval()
        estimates = {}
        for split in splits:
            losses = torch.zeros(EVAL_BATCHES)
            for k in range(EVAL_BATCHES):
                _, loss = model(*get_batch(split))
                losses[k] = loss.item()
            estimates[split] = losses.mean().item()
        model.train()
        return estimates

    model = LectureModel(stage, len(characters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for step in range(steps):
        if evaluate and (step % EVAL_INTERVAL == 0 or step == steps - 1):
            estimate_loss()
        _, loss = model(*get_batch("train"))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return model
