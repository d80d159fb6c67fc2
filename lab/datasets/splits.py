"""How a text is cut: into train, val and test, and into the examples that a model learns from.

Each split is one array of ids. In a split of words, every word stands between two boundaries (id of the newline), so
the pairs and windows of a split are found the same way for both kinds of dataset.
"""

from __future__ import annotations

import random

import numpy as np

TRAIN_SHARE = 0.9
"""Of a stream; the rest is its validation split."""
WORDS_SHARES = (0.8, 0.9)
"""Where a shuffled list of words is cut into train, val and test."""
WORDS_SHUFFLE_SEED = 42
PADDING = -1
"""Stands where a row of words has no character: never an input, never part of the loss."""


def split_stream(ids: np.ndarray) -> dict[str, np.ndarray]:
    """The first nine tenths to train on, the rest to validate."""
    cut = int(TRAIN_SHARE * len(ids))
    return {"train": ids[:cut], "val": ids[cut:]}


def split_words(words: list[str]) -> dict[str, list[str]]:
    """80 % train, 10 % val, 10 % test of the words, shuffled as in the lecture; duplicates are kept."""
    shuffled = list(words)
    random.Random(WORDS_SHUFFLE_SEED).shuffle(shuffled)
    first, second = (int(share * len(shuffled)) for share in WORDS_SHARES)
    return {"train": shuffled[:first], "val": shuffled[first:second], "test": shuffled[second:]}


def stream_windows(ids: np.ndarray, context_length: int) -> np.ndarray:
    """Every window of a stream with its next character, shape (N, T+1); a view."""
    return np.lib.stride_tricks.sliding_window_view(ids, context_length + 1)


def consecutive_windows(ids: np.ndarray, context_length: int) -> np.ndarray:
    """Windows that cover a stream once, shape (N, T+1); the last partial one is dropped."""
    return stream_windows(ids, context_length)[::context_length]


def word_rows(ids: np.ndarray, boundary: int, context_length: int) -> np.ndarray:
    """One word a row, from its start to its end, padded, shape (N, T+1)."""
    starts, lengths = _words(ids, boundary)
    columns = np.arange(context_length + 1)
    inside = columns <= lengths[:, None]
    places = np.minimum(starts[:, None] + columns, len(ids) - 1)
    return np.where(inside, ids[places], PADDING)


def word_windows(ids: np.ndarray, boundary: int, context_length: int) -> np.ndarray:
    """Every character of every word (its end too) after the T characters before it, shape (N, T+1).

    Before a word stand as many boundaries as the context needs, as in the lecture.
    """
    starts, lengths = _words(ids, boundary)
    # Position of each predicted character in the split, and how far into its word it is (1 is the first character).
    depth = np.concatenate([np.arange(1, length + 1) for length in lengths]) if len(lengths) else np.zeros(0, int)
    target = np.repeat(starts, lengths) + depth
    back = np.arange(context_length, -1, -1)
    windows = ids[np.maximum(target[:, None] - back, 0)]
    return np.where(back < depth[:, None], windows, boundary)


def longest_word(ids: np.ndarray, boundary: int) -> int:
    """Characters in the longest word of a split."""
    _, lengths = _words(ids, boundary)
    return int(lengths.max(initial=1)) - 1


def _words(ids: np.ndarray, boundary: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each word's opening boundary stands, and the characters from there to its closing one."""
    boundaries = np.flatnonzero(ids == boundary)
    return boundaries[:-1], np.diff(boundaries)
