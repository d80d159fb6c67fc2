"""The character tokenizer: a character is a token, its id its place in the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lab.errors import PromptError

WORD_BOUNDARY = "\n"
"""What stands before and after each word; the lectures write it `.`."""

_VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥"}


@dataclass(frozen=True)
class CharacterTokenizer:
    """Characters to ids and back, by a vocabulary in order of id."""

    vocabulary: tuple[str, ...]

    @classmethod
    def of_text(cls, text: str) -> CharacterTokenizer:
        """A tokenizer of the characters that a text is made of, sorted by code point."""
        return cls(tuple(map(chr, np.flatnonzero(np.bincount(_code_points(text))).tolist())))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each character."""
        return {character: i for i, character in enumerate(self.vocabulary)}

    @cached_property
    def start_id(self) -> int:
        """What a model sees before the first character: the newline, which is also the boundary of words."""
        return self.ids.get(WORD_BOUNDARY, 0)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, shape (len(text),), int64. Raises `PromptError` naming the foreign characters."""
        code_points = _code_points(text)
        known = np.array([ord(character) for character in self.vocabulary], dtype=np.int64)
        id_of = np.full(max(known.max(initial=0), code_points.max(initial=0)) + 1, -1)
        id_of[known] = np.arange(len(known))
        ids = id_of[code_points]
        if (ids < 0).any():
            foreign = sorted({chr(code_point) for code_point in code_points[ids < 0].tolist()})
            named = ", ".join(repr(character) for character in foreign[:8])
            raise PromptError(
                f"the vocabulary of {len(self.vocabulary)} characters lacks {named}; "
                f"it has {''.join(visible(character) for character in self.vocabulary[:120])}"
            )
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of some ids."""
        return "".join(self.vocabulary[i] for i in ids)

    def decode_rows(self, ids: np.ndarray, end_id: int) -> list[str]:
        """The texts of rows of ids, (N, t), each up to the first `end_id` where it has one."""
        n, t = ids.shape
        ends = np.c_[ids, np.full(n, end_id)] == end_id
        lengths = ends.argmax(axis=1).tolist()
        code_points = np.array([ord(character) for character in self.vocabulary], dtype="<u4")
        text = code_points[ids].tobytes().decode("utf-32-le", "surrogatepass")
        return [text[row * t : row * t + length] for row, length in enumerate(lengths)]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def visible(character: str) -> str:
    """A character as it can stand in a table: blanks by their signs, other unprintable ones escaped."""
    if character in _VISIBLE:
        return _VISIBLE[character]
    return character if character.isprintable() else repr(character)[1:-1]
