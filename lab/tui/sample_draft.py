"""What a person fills in to have text written: checked as it is typed, against the vocabulary of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.datasets.tokenizer import visible
from lab.inference.protocol import LARGEST_COUNT, SampleRequest

LARGEST_LENGTH = 4_000
"""Characters of one text on the screen."""
FIELDS = ("temp", "top-k", "top-p", "length", "seed", "count")
_FOREIGN_SHOWN = 8


@dataclass(frozen=True)
class SampleDraft:
    """The fields as they are typed; an empty one means what its placeholder says."""

    prompt: str = ""
    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_plain(cls, prompt: object, values: object) -> SampleDraft:
        """A draft from remembered values; what is not text is left out."""
        pairs = values.items() if isinstance(values, dict) else ()
        fitting = tuple((name, value) for name, value in pairs if name in FIELDS and isinstance(value, str))
        return cls(prompt if isinstance(prompt, str) else "", fitting)

    def value(self, name: str) -> str:
        """What a field holds."""
        return dict(self.values).get(name, "").strip()

    def with_value(self, name: str, value: str) -> SampleDraft:
        """The draft with one field changed."""
        return SampleDraft(self.prompt, tuple((dict(self.values) | {name: value}).items()))


@dataclass(frozen=True)
class Checked:
    """What a draft comes to: settings for a request, or what is wrong with each field."""

    settings: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def request(self, database: str, run_id: str, checkpoint: str) -> SampleRequest:
        """The request to the torch helper."""
        return SampleRequest(database, run_id, checkpoint, **self.settings)


_NAMES = {"temp": "temperature", "top-k": "top_k", "top-p": "top_p", "length": "tokens"}
NAMES_UNLESS_GIVEN = 20


def placeholders(*, words: bool) -> dict[str, str]:
    """What an empty field means."""
    count = str(NAMES_UNLESS_GIVEN) if words else "1"
    return {"temp": "1", "top-k": "all", "top-p": "1", "length": "500", "seed": "1337", "count": count}


def check_draft(draft: SampleDraft, vocabulary: tuple[str, ...], *, words: bool) -> Checked:
    """Reads a draft; the vocabulary may be empty while it is not known."""
    settings: dict[str, Any] = {"prompt": draft.prompt, "temperature": 1.0, "tokens": 500, "seed": 1337}
    if words:
        settings["count"] = NAMES_UNLESS_GIVEN
    errors: dict[str, str] = {}
    for name in FIELDS:
        typed = draft.value(name)
        if not typed:
            continue
        try:
            settings[_NAMES.get(name, name)] = _READERS[name](typed)
        except ValueError as error:
            errors[name] = f"{name} {error}"
    foreign = sorted(set(draft.prompt) - set(vocabulary)) if vocabulary else []
    if foreign:
        named = " ".join(visible(character) for character in foreign[:_FOREIGN_SHOWN])
        more = " …" if len(foreign) > _FOREIGN_SHOWN else ""
        errors["prompt"] = f"the run has never seen {named}{more}: its text has {len(vocabulary)} characters"
    elif words and "\n" in draft.prompt:
        errors["prompt"] = "a newline ends a word: a prompt is the beginning of one"
    return Checked(settings, errors)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(typed: str) -> int:
        said = f"must be a whole number from {low:,} to {high:,}"
        try:
            number = int(typed)
        except ValueError:
            raise ValueError(said) from None
        if not low <= number <= high:
            raise ValueError(said)
        return number

    return read


def _number(low: float, high: float, *, above: bool, meaning: str) -> Callable[[str], float]:
    def read(typed: str) -> float:
        try:
            number = float(typed)
        except ValueError:
            raise ValueError(meaning) from None
        if not (low < number if above else low <= number) or not number <= high:
            raise ValueError(meaning)
        return number

    return read


_READERS: dict[str, Callable[[str], int | float]] = {
    "temp": _number(0, 100, above=False, meaning="must be from 0 (always the likeliest) to 100"),
    "top-k": _whole(1, 100_000),
    "top-p": _number(0, 1, above=True, meaning="must be above 0 and at most 1"),
    "length": _whole(1, LARGEST_LENGTH),
    "seed": _whole(0, 2**31 - 1),
    "count": _whole(1, LARGEST_COUNT),
}
