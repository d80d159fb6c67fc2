"""The models that need no training: guessing evenly, and the bigram by counting pairs."""

from __future__ import annotations

import math

import numpy as np

from lab.datasets.dataset import Dataset


def guessing_evenly(vocabulary_size: int) -> float:
    """The loss, in nats a character, of a model that finds every character equally likely: ln V."""
    return math.log(vocabulary_size)


def pair_counts(ids: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """How often each character follows each, shape (V, V): row before, column after."""
    pairs = ids[:-1] * vocabulary_size + ids[1:]
    return np.bincount(pairs, minlength=vocabulary_size**2).reshape(vocabulary_size, vocabulary_size)


def counted_bigram(dataset: Dataset) -> np.ndarray:
    """Probabilities of the next character after each, from the train split's counts plus one, shape (V, V)."""
    counts = pair_counts(dataset.splits["train"], dataset.vocabulary_size) + 1
    return counts / counts.sum(axis=1, keepdims=True)


def counting_loss(dataset: Dataset, split: str = "val") -> float:
    """The loss of the counted bigram over every pair of a split, in nats a character."""
    surprise = -np.log(counted_bigram(dataset))
    counts = pair_counts(dataset.splits[split], dataset.vocabulary_size)
    return float((counts * surprise).sum() / counts.sum())
