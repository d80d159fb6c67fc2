"""What the screen and the torch helper say to each other: one JSON object a line, requests in, answers out. No torch.

A request has an `id`, and its answers carry it: any number of `token` answers, then one with `done` or `error`.
`{"cancel": id}` ends a request early; it still answers `done`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

LARGEST_LINE = 16 * 2**20
"""Characters; a longer line is no message."""


@dataclass(frozen=True)
class SampleRequest:
    """Text from a stored run's checkpoint, character by character."""

    database: str
    run_id: str
    checkpoint: str = "best"
    prompt: str = ""
    tokens: int = 500
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 1337


@dataclass(frozen=True)
class Likelihood:
    """A character, and how likely it was before and after temperature and truncation."""

    character: str
    before: float
    after: float


@dataclass(frozen=True)
class Token:
    """One character drawn, its surprise in nats by the model itself, and the likeliest that it was drawn from."""

    character: str
    surprise: float
    likeliest: tuple[Likelihood, ...] = field(default_factory=tuple)


def encode(message: dict[str, Any]) -> str:
    """A message as its line."""
    return json.dumps(message, ensure_ascii=True, allow_nan=False) + "\n"


def decode(line: str) -> dict[str, Any]:
    """A line as its message; empty where it is none."""
    if len(line) > LARGEST_LINE:
        return {}
    try:
        message = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def sample_message(request_id: int, request: SampleRequest) -> dict[str, Any]:
    """A request for text, ready to be encoded."""
    return {"id": request_id, "sample": asdict(request)}


def token_message(request_id: int, token: Token) -> dict[str, Any]:
    """An answer with one character."""
    return {"id": request_id, "token": asdict(token)}


def token_of(message: dict[str, Any]) -> Token:
    """The character that an answer carries. Raises `KeyError` or `TypeError` where it carries none."""
    values = dict(message["token"])
    likeliest = tuple(Likelihood(**each) for each in values.pop("likeliest", ()))
    return Token(**values, likeliest=likeliest)
