"""The character tokenizer: there and back, and what it says of characters that it lacks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.datasets.tokenizer import CharacterTokenizer, visible
from lab.errors import PromptError

LETTERS = CharacterTokenizer.of_text("hello world\n")


@given(st.text())
def test_decoding_gives_back_the_text(text: str) -> None:
    tokenizer = CharacterTokenizer.of_text(text)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.shape == (len(text),)
    assert tokenizer.decode(ids.tolist()) == text


@given(st.text(min_size=1), st.randoms())
def test_ids_are_places_in_the_vocabulary_whatever_its_order(text: str, random: object) -> None:
    vocabulary = list(dict.fromkeys(text))
    random.shuffle(vocabulary)  # type: ignore[attr-defined]
    tokenizer = CharacterTokenizer(tuple(vocabulary))
    assert tokenizer.encode(text).tolist() == [vocabulary.index(character) for character in text]


def test_the_vocabulary_is_sorted_by_code_point() -> None:
    assert LETTERS.vocabulary == ("\n", " ", "d", "e", "h", "l", "o", "r", "w")


def test_an_empty_text_has_no_ids() -> None:
    assert LETTERS.encode("").tolist() == []


def test_a_model_starts_from_the_newline_or_else_from_the_first_character() -> None:
    assert LETTERS.vocabulary[LETTERS.start_id] == "\n"
    assert CharacterTokenizer.of_text("ab").start_id == 0


def test_foreign_characters_are_named_with_what_there_is() -> None:
    with pytest.raises(PromptError) as caught:
        LETTERS.encode("hello, World!")
    assert str(caught.value) == "the vocabulary of 9 characters lacks '!', ',', 'W'; it has ⏎␣dehlorw"


def test_foreign_control_characters_are_named_escaped() -> None:
    with pytest.raises(PromptError) as caught:
        LETTERS.encode("\x1b[31m\x00")
    assert "'\\x1b'" in str(caught.value)
    assert "'\\x00'" in str(caught.value)
    assert str(caught.value).isprintable()


def test_many_foreign_characters_are_cut_short() -> None:
    with pytest.raises(PromptError) as caught:
        LETTERS.encode("".join(chr(0x4E00 + i) for i in range(500)))
    assert len(str(caught.value)) < 200


@given(st.characters())
def test_a_visible_character_is_printable(character: str) -> None:
    shown = visible(character)
    assert shown
    assert shown.isprintable()
    assert shown != " "


def test_rows_of_ids_are_texts_up_to_their_end() -> None:
    tokenizer = CharacterTokenizer.of_text("\nabé\U0001f600")
    end = tokenizer.start_id
    rows = np.array([[1, 2, end, 1], [end, end, end, end], [3, 4, 1, 2]])
    assert tokenizer.decode_rows(rows, end) == ["ab", "", "é\U0001f600ab"]
    assert tokenizer.decode_rows(rows, -1) == [tokenizer.decode(row) for row in rows.tolist()]
    assert tokenizer.decode_rows(rows[:, :0], end) == [""] * 3
    assert tokenizer.decode_rows(rows[:0], end) == []
