"""How texts are cut: every character is a target exactly once, and nothing leaks from one split to another."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.datasets.splits import (
    PADDING,
    consecutive_windows,
    longest_word,
    split_stream,
    split_words,
    stream_windows,
    word_rows,
    word_windows,
)

BOUNDARY = 0
contexts = st.integers(1, 12)
streams = st.lists(st.integers(0, 9), min_size=2, max_size=200).map(np.array)
words = st.lists(st.lists(st.integers(1, 26), min_size=1, max_size=9), min_size=1, max_size=20)


def joined(some: list[list[int]]) -> np.ndarray:
    """Words as a split holds them, each between two boundaries."""
    ids = [BOUNDARY]
    for word in some:
        ids += [*word, BOUNDARY]
    return np.array(ids)


@given(streams)
def test_a_stream_is_split_into_its_first_nine_tenths_and_the_rest(ids: np.ndarray) -> None:
    parts = split_stream(ids)
    assert np.concatenate([parts["train"], parts["val"]]).tolist() == ids.tolist()
    assert len(parts["train"]) == len(ids) * 9 // 10


@given(st.lists(st.text(min_size=1, max_size=3), max_size=60))
def test_splitting_words_loses_none_and_keeps_duplicates(some: list[str]) -> None:
    parts = split_words(some)
    assert Counter(parts["train"] + parts["val"] + parts["test"]) == Counter(some)


def test_words_are_shuffled_and_cut_as_in_the_lecture() -> None:
    some = [f"word{i}" for i in range(1000)]
    shuffled = list(some)
    random.Random(42).shuffle(shuffled)
    parts = split_words(some)
    assert parts["train"] == shuffled[:800]
    assert parts["val"] == shuffled[800:900]
    assert parts["test"] == shuffled[900:]


def test_splitting_leaves_the_given_words_in_their_order() -> None:
    some = ["a", "b", "c", "d", "e"]
    split_words(some)
    assert some == ["a", "b", "c", "d", "e"]


@given(streams, contexts)
def test_a_stream_has_a_window_at_every_position(ids: np.ndarray, context: int) -> None:
    if len(ids) <= context:
        with pytest.raises(ValueError, match="window"):
            stream_windows(ids, context)
        return
    windows = stream_windows(ids, context)
    assert windows.shape == (len(ids) - context, context + 1)
    for place, window in enumerate(windows):
        assert window.tolist() == ids[place : place + context + 1].tolist()


@given(streams, contexts)
def test_consecutive_windows_predict_every_character_once_but_for_the_last_partial_window(
    ids: np.ndarray, context: int
) -> None:
    if len(ids) <= context:
        return
    # Numbered by position, so that a character met twice would be seen.
    windows = consecutive_windows(np.arange(len(ids)), context)
    targets = windows[:, 1:].ravel().tolist()
    assert targets == list(range(1, len(targets) + 1))
    assert len(ids) - 1 - len(targets) < context
    assert (windows[:, :-1].ravel() == np.arange(len(targets))).all()


@given(words, st.integers(10, 14))
def test_a_row_holds_one_word_with_its_start_and_end_and_is_padded(some: list[list[int]], context: int) -> None:
    rows = word_rows(joined(some), BOUNDARY, context)
    assert rows.shape == (len(some), context + 1)
    for row, word in zip(rows.tolist(), some, strict=True):
        whole = [BOUNDARY, *word, BOUNDARY]
        assert row == whole + [PADDING] * (context + 1 - len(whole))


@given(words, st.integers(10, 14))
def test_rows_predict_every_character_of_every_word_once(some: list[list[int]], context: int) -> None:
    targets = word_rows(joined(some), BOUNDARY, context)[:, 1:]
    assert targets[targets != PADDING].tolist() == joined(some)[1:].tolist()


@given(words, contexts)
def test_windows_predict_every_character_of_every_word_once(some: list[list[int]], context: int) -> None:
    windows = word_windows(joined(some), BOUNDARY, context)
    assert windows[:, -1].tolist() == joined(some)[1:].tolist()


@given(words, contexts)
def test_a_window_sees_its_own_word_alone_and_boundaries_before_it(some: list[list[int]], context: int) -> None:
    # As makemore builds its dataset: a context of boundaries that the word is pushed through.
    expected = []
    for word in some:
        seen = [BOUNDARY] * context
        for character in [*word, BOUNDARY]:
            expected.append([*seen, character])
            seen = [*seen[1:], character]
    assert word_windows(joined(some), BOUNDARY, context).tolist() == expected


@given(words)
def test_the_longest_word_is_found(some: list[list[int]]) -> None:
    assert longest_word(joined(some), BOUNDARY) == max(len(word) for word in some)


def test_a_split_without_words_has_no_examples() -> None:
    nothing = np.array([BOUNDARY])
    assert word_windows(nothing, BOUNDARY, 3).shape == (0, 4)
    assert word_rows(nothing, BOUNDARY, 3).shape == (0, 4)
    assert longest_word(nothing, BOUNDARY) == 0
