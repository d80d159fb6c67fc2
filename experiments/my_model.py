"""A model of one's own: a GRU. Train it like a rung of the ladder, then change it.

    lab train my_model.py:MyModel
    lab train my_model.py:MyModel --set context_length=32 --set embedding_dim=64 --against residual

The constructor is given what it asks for, by name: vocabulary_size, any field of the config (context_length,
embedding_dim, layers, dropout, …), or config, the whole of it. A default given here holds unless --set changes it.
"""

from torch import nn
from torch.nn import functional as F


class MyModel(nn.Module):
    """Reads character by character, and keeps what it has read in a state of `embedding_dim` numbers."""

    def __init__(self, vocabulary_size, context_length=16, embedding_dim=48, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_dim)
        self.gru = nn.GRU(embedding_dim, embedding_dim, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embedding_dim, vocabulary_size)

    def forward(self, idx, targets=None):
        """Logits (B, T, V) after each character of idx (B, T), and their loss against targets (B, T)."""
        states, _ = self.gru(self.embedding(idx))  # (B, T, C)
        logits = self.head(self.dropout(states))  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
