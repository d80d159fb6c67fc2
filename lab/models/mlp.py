"""The multilayer perceptron of Bengio et al. 2003, "A Neural Probabilistic Language Model", on characters."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.models.dropout import Dropout
from lab.models.layers import ACTIVATIONS, HiddenLinear, next_character_loss


class MLP(nn.Module):
    """Looks up an embedding for each of T characters, side by side, and predicts what follows the whole window."""

    def __init__(self, config: RunConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary_size, config.embedding_dim)
        widths = [config.context_length * config.embedding_dim, *[config.hidden_dim] * config.layers]
        hidden: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            hidden += [HiddenLinear(fan_in, fan_out, bias=config.bias), ACTIVATIONS[config.activation]()]
            if config.dropout:
                hidden.append(Dropout(config.dropout))
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Linear(widths[-1], vocabulary_size, bias=config.bias)
        if config.tied_embeddings:
            self.head.weight = self.token_embedding.weight

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits (B, 1, V) of the one character after the tokens (B, T), and their loss against targets (B, 1)."""
        side_by_side = self.token_embedding(tokens).flatten(1)  # (B, T, C) -> (B, T × C)
        logits = self.head(self.hidden(side_by_side))  # (B, V)
        loss = None if targets is None else next_character_loss(logits, targets)
        return logits.unsqueeze(1), loss  # (B, V) -> (B, 1, V)
