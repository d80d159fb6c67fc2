"""The foot of the ladder: a table of logits, one row for each character that may come before."""

from __future__ import annotations

from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.models.layers import next_character_loss


class Bigram(nn.Module):
    """Predicts the next character from the present one alone, by a V×V table."""

    def __init__(self, config: RunConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.head = nn.Embedding(vocabulary_size, vocabulary_size)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits (B, T, V) after each of the tokens (B, T), and their loss against targets (B, T)."""
        logits = self.head(tokens)  # (B, T) -> (B, T, V)
        return logits, None if targets is None else next_character_loss(logits, targets)
