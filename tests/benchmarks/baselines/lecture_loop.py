"""The loop of the lectures, as a learner would type it: what lab's speed is measured against.

One module a head, looped over and concatenated; batches stacked from Python lists of slices; plain AdamW; the loss
estimated every 200 steps on 200 random batches of each split. It shares no code with lab.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EVAL_INTERVAL, EVAL_BATCHES = 200, 200


@dataclass(frozen=True)
class Sizes:
    """How large the model is, and its batch."""

    embedding: int = 32
    context: int = 8
    heads: int = 4
    layers: int = 3
    batch: int = 32
    dropout: float = 0.0


SMALL = Sizes()
SCALED = Sizes(embedding=384, context=256, heads=6, layers=6, batch=64, dropout=0.2)


class Head(nn.Module):
    """One head of masked self-attention."""

    def __init__(self, sizes: Sizes, size: int) -> None:
        super().__init__()
        self.key = nn.Linear(sizes.embedding, size, bias=False)
        self.query = nn.Linear(sizes.embedding, size, bias=False)
        self.value = nn.Linear(sizes.embedding, size, bias=False)
        self.dropout = nn.Dropout(sizes.dropout)
        self.register_buffer("tril", torch.tril(torch.ones(sizes.context, sizes.context)))

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, size)."""
        _, t, _ = x.shape
        key, query = self.key(x), self.query(x)
        affinity = query @ key.transpose(-2, -1) * key.shape[-1] ** -0.5  # (B, T, T)
        affinity = affinity.masked_fill(self.tril[:t, :t] == 0, float("-inf"))
        return self.dropout(F.softmax(affinity, dim=-1)) @ self.value(x)


class Heads(nn.Module):
    """Several heads, one after another."""

    def __init__(self, sizes: Sizes, count: int, size: int, *, projected: bool) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Head(sizes, size) for _ in range(count)])
        self.projection = nn.Linear(count * size, sizes.embedding) if projected else nn.Identity()
        self.dropout = nn.Dropout(sizes.dropout if projected else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, count × size), or C when projected."""
        return self.dropout(self.projection(torch.cat([head(x) for head in self.heads], dim=-1)))


class Block(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, sizes: Sizes, *, residual: bool, norm: bool) -> None:
        super().__init__()
        c = sizes.embedding
        self.residual = residual
        self.heads = Heads(sizes, sizes.heads, c // sizes.heads, projected=residual)
        if residual:
            layers = [nn.Linear(c, 4 * c), nn.ReLU(), nn.Linear(4 * c, c), nn.Dropout(sizes.dropout)]
        else:
            layers = [nn.Linear(c, c), nn.ReLU()]
        self.feed_forward = nn.Sequential(*layers)
        self.norm1 = nn.LayerNorm(c) if norm else nn.Identity()
        self.norm2 = nn.LayerNorm(c) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, C) to (B, T, C)."""
        if self.residual:
            x = x + self.heads(self.norm1(x))
            return x + self.feed_forward(self.norm2(x))
        return self.feed_forward(self.heads(x))


class LectureModel(nn.Module):
    """A stage of the lecture on Shakespeare."""

    def __init__(self, stage: str, vocabulary_size: int, sizes: Sizes = SMALL) -> None:
        super().__init__()
        self.context = sizes.context
        self.positions: nn.Embedding | None = None
        body: list[nn.Module] = []
        width = sizes.embedding
        if stage == "bigram":
            self.tokens, self.head = nn.Embedding(vocabulary_size, vocabulary_size), nn.Identity()
            self.body: nn.Module = nn.Identity()
            return
        self.tokens = nn.Embedding(vocabulary_size, width)
        if stage != "linear":
            self.positions = nn.Embedding(sizes.context, width)
        if stage == "single-head":
            body, width = [Heads(sizes, 1, 16, projected=False)], 16
        elif stage == "multi-head":
            body = [Heads(sizes, sizes.heads, width // sizes.heads, projected=False)]
        elif stage == "feed-forward":
            body = [Block(sizes, residual=False, norm=False)]
        elif stage in ("blocks", "residual", "layernorm"):
            residual, norm = stage != "blocks", stage == "layernorm"
            body = [Block(sizes, residual=residual, norm=norm) for _ in range(sizes.layers)]
            body += [nn.LayerNorm(width)] if norm else []
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(width, vocabulary_size)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits (B × T, V), and the loss where there are targets."""
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        logits = self.head(self.body(x))
        if targets is None:
            return logits, None
        b, t, v = logits.shape
        return logits, F.cross_entropy(logits.view(b * t, v), targets.view(b * t))

    @torch.no_grad()
    def generate(self, tokens: Tensor, count: int) -> Tensor:
        """Goes on from tokens (B, t) by so many, the whole window recomputed for each."""
        for _ in range(count):
            logits, _ = self(tokens[:, -self.context :])
            last = logits.view(len(tokens), -1, logits.shape[-1])[:, -1]
            tokens = torch.cat((tokens, torch.multinomial(F.softmax(last, dim=-1), 1)), dim=1)
        return tokens


class Loop:
    """Trains a stage of the lecture on a text."""

    def __init__(
        self, text: str, stage: str, lr: float, *, seed: int = 1337, sizes: Sizes = SMALL, device: str = "cpu"
    ) -> None:
        torch.manual_seed(seed)
        characters = sorted(set(text))
        ids = {character: i for i, character in enumerate(characters)}
        data = torch.tensor([ids[character] for character in text])
        cut = int(0.9 * len(data))
        self.splits = {"train": data[:cut], "val": data[cut:]}
        self.sizes, self.device = sizes, device
        self.model = LectureModel(stage, len(characters), sizes).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr)

    def get_batch(self, split: str) -> tuple[Tensor, Tensor]:
        """Inputs and targets (B, T), stacked from slices."""
        source, context = self.splits[split], self.sizes.context
        starts = torch.randint(len(source) - context, (self.sizes.batch,))
        inputs = torch.stack([source[i : i + context] for i in starts])
        targets = torch.stack([source[i + 1 : i + context + 1] for i in starts])
        return inputs.to(self.device), targets.to(self.device)

    @torch.no_grad()
    def estimate_loss(self) -> dict[str, float]:
        """The mean loss of random batches of each split."""
        self.model.eval()
        estimates = {}
        for split in self.splits:
            losses = torch.zeros(EVAL_BATCHES)
            for k in range(EVAL_BATCHES):
                _, loss = self.model(*self.get_batch(split))
                losses[k] = loss.item()
            estimates[split] = losses.mean().item()
        self.model.train()
        return estimates

    def train(self, steps: int, *, evaluate: bool = True) -> float:
        """Takes so many steps, estimating the loss every 200; returns the last batch's loss."""
        for step in range(steps):
            if evaluate and step % EVAL_INTERVAL == 0:
                self.estimate_loss()
            _, loss = self.model(*self.get_batch("train"))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return loss.item()
