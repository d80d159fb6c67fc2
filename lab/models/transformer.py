"""The transformer of the lecture, every piece of which a config can leave out: from an embedding and a head upwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.models.layers import Block, build_norm, next_character_loss


class Transformer(nn.Module):
    """Embeddings, blocks, a head: a decoder in the manner of GPT (Vaswani et al. 2017; Radford et al. 2019)."""

    places: Tensor

    def __init__(self, config: RunConfig, vocabulary_size: int) -> None:
        super().__init__()
        c, width = config.embedding_dim, config.final_width
        self.token_embedding = nn.Embedding(vocabulary_size, c)
        self.position_embedding = nn.Embedding(config.context_length, c) if config.positions == "learned" else None
        self.blocks = nn.Sequential(*[Block(config) for _ in range(config.layers)])
        self.final_norm = build_norm(config, width) if config.norm == "pre" else nn.Identity()
        self.head = nn.Linear(width, vocabulary_size, bias=config.bias)
        if config.tied_embeddings:
            self.head.weight = self.token_embedding.weight
        self.logit_softcap = config.logit_softcap
        self.register_buffer("places", torch.arange(config.context_length), persistent=False)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits (B, T, V) after each of the tokens (B, T), and their loss against targets (B, T)."""
        x = self.token_embedding(tokens)  # (B, T, C)
        if self.position_embedding is not None:
            x = x + self.position_embedding(self.places[: tokens.shape[1]])  # (T, C), the same for every example
        logits = self.logits(self.blocks(x))  # (B, T, C) -> (B, T, V)
        return logits, None if targets is None else next_character_loss(logits, targets)

    def logits(self, x: Tensor) -> Tensor:
        """What the head makes of the last block's output: (…, V) from (…, C)."""
        logits: Tensor = self.head(self.final_norm(x))
        if self.logit_softcap:  # Gemma 2 (2024): no logit runs away
            logits = self.logit_softcap * torch.tanh(logits / self.logit_softcap)
        return logits
