"""The text that a view runs through the model: a person's, or the beginning of what the model was validated on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.errors import DatasetError
from lab.inference.inspection.subject import Subject

LONGEST_DEFAULT = 48
"""Characters of a prompt that nobody gave: what can be read on one screen."""
_WITHOUT_TEXT = "To be, or not to be: that is the question."
_A_NAME = "isabella"


@dataclass(frozen=True)
class Prompt:
    """Tokens (1, t), t at most the context length, as they can be shown, and what was done to fit them in."""

    tokens: Tensor
    characters: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The characters with their positions, from 1: no two are alike."""
        return tuple(f"{i} {character}" for i, character in enumerate(self.characters, start=1))


def read_prompt(subject: Subject, text: str) -> Prompt:
    """A prompt as the model reads it; of words, from their start. Raises `PromptError` on foreign characters.

    What is longer than the context is cut to its last T characters, and said.
    """
    t = subject.config.context_length
    start = [subject.tokenizer.start_id] if subject.config.dataset_as == "words" else []
    given = subject.tokenizer.encode(text).tolist() if text else _default(subject, t - len(start))
    ids = [*start, *given]
    notes: tuple[str, ...] = ()
    if len(ids) > t:
        what = f"The prompt has {len(ids):,} characters and the model sees {t:,} at once"
        notes = (f"{what}: only the last {t:,} are shown.",)
        ids = ids[-t:]
    if not subject.config.predicts_every_position:  # a full window, or nothing
        ids = [*[subject.tokenizer.start_id] * (t - len(ids)), *ids]
    return Prompt(torch.tensor([ids]), tuple(subject.characters[i] for i in ids), notes)


def _default(subject: Subject, room: int) -> list[int]:
    """The first characters of the val split, or of a well-known line where the text is gone."""
    room = max(1, min(room, LONGEST_DEFAULT))
    words = subject.config.dataset_as == "words"
    try:
        ids = subject.dataset.splits["val"].tolist()
    except DatasetError:
        known = subject.tokenizer.ids
        return [known[each] for each in (_A_NAME if words else _WITHOUT_TEXT) if each in known][:room] or [0]
    if not words:
        return ids[:room]
    boundary = subject.tokenizer.start_id
    first = ids[1 : ids.index(boundary, 1)]
    return first[:room]
