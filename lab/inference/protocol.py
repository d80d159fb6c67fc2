"""What the screen and the torch helper say to each other: one JSON object a line, requests in, answers out. No torch.

A request has an `id`, and its answers carry it: `started` when its turn comes, any number of `token`, `speed`,
`progress` or `page` answers, then one with `done` or `error`. `{"cancel": id}` ends a request early; it still answers
`done`. What has no id is passed over.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lab.errors import UsageError
from lab.inference.figures import Page, page_document, page_of
from lab.inference.views import InspectOptions

LARGEST_LINE = 16 * 2**20
"""Characters; a longer line is no message."""


LARGEST_TEXT = 20_000
"""Characters that one request may ask for."""
LARGEST_COUNT = 500


@dataclass(frozen=True)
class SampleRequest:
    """Text from a stored run's checkpoint, character by character.

    Several texts can be asked for by `count`, each with the seed after the last one's.
    """

    database: str
    run_id: str
    checkpoint: str = "best"
    prompt: str = ""
    tokens: int = 500
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 1337
    count: int = 1


@dataclass(frozen=True)
class SpeedRequest:
    """How long a config would train on this machine, with so many threads of its CPU.

    The config names its dataset; the database is where datasets that were added are looked for.
    """

    database: str
    config_json: str
    threads: int = 1
    source: tuple[str, ...] = ()
    """Of a model of one's own: its file's name, its class, and the text."""


@dataclass(frozen=True)
class Speed:
    """What was measured of a config: seconds of a whole run (evaluations and samples included) and of a step.

    `chars_per_second` is of training alone.
    """

    seconds: float
    seconds_per_step: float
    chars_per_second: float
    parameters: int
    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class InspectRequest:
    """One view of a stored run's checkpoint: best, last or a step."""

    database: str
    run_id: str
    view: str
    checkpoint: str = "best"
    options: InspectOptions = field(default_factory=InspectOptions)


@dataclass(frozen=True)
class Likelihood:
    """A character, and how likely it was before and after temperature and truncation."""

    character: str
    before: float
    after: float


@dataclass(frozen=True)
class Token:
    """One character drawn, its surprise in nats by the model itself, and the likeliest that it was drawn from.

    `text` counts the texts of one request from 0; the newline at the end of a word is a character too.
    """

    character: str
    surprise: float
    likeliest: tuple[Likelihood, ...] = field(default_factory=tuple)
    text: int = 0


def encode(message: dict[str, Any]) -> str:
    """A message as its line."""
    return json.dumps(message, ensure_ascii=True, allow_nan=False) + "\n"


def decode(line: str) -> dict[str, Any]:
    """A line as its message; empty where it is none."""
    if len(line) > LARGEST_LINE:
        return {}
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def request_id_of(message: dict[str, Any]) -> int | None:
    """The id that a message names; None where it names none."""
    request_id = message.get("id", message.get("cancel"))
    return request_id if isinstance(request_id, int) and not isinstance(request_id, bool) else None


def sample_request_of(message: dict[str, Any]) -> SampleRequest:
    """The request for text that a message holds. Raises `UsageError` where it makes no sense."""
    values = message.get("sample")
    if not isinstance(values, dict):
        raise UsageError("the request makes no sense: it asks for nothing")
    for name, kinds in _KINDS.items():
        if name in values and (not isinstance(values[name], kinds) or isinstance(values[name], bool)):
            raise UsageError(f"the request makes no sense: {name}={values[name]!r}")
    if not values.keys() <= _KINDS.keys() or not values.keys() >= {"database", "run_id"}:
        raise UsageError("the request makes no sense: it has other fields")
    request = SampleRequest(**values)
    if not 0 <= request.tokens <= LARGEST_TEXT:
        raise UsageError(f"length={request.tokens} must be between 0 and {LARGEST_TEXT:,}")
    if not 1 <= request.count <= LARGEST_COUNT:
        raise UsageError(f"count={request.count} must be between 1 and {LARGEST_COUNT}")
    if not 0 <= request.seed < 2**63:
        raise UsageError(f"seed={request.seed} must be between 0 and 2**63 − 1")
    return request


def sample_message(request_id: int, request: SampleRequest) -> dict[str, Any]:
    """A request for text, ready to be encoded."""
    return {"id": request_id, "sample": asdict(request)}


def speed_request_of(message: dict[str, Any]) -> SpeedRequest:
    """The question for a config's speed that a message holds. Raises `UsageError` where it makes no sense."""
    values = message.get("measure")
    if not isinstance(values, dict) or values.keys() != {"database", "config_json", "threads", "source"}:
        raise UsageError("the request makes no sense: it has other fields")
    source = values["source"]
    if not isinstance(source, list) or len(source) not in (0, 3) or not all(isinstance(part, str) for part in source):
        raise UsageError("the request makes no sense: it names no model's file")
    request = SpeedRequest(**values | {"source": tuple(source)})
    if not isinstance(request.database, str) or not isinstance(request.config_json, str):
        raise UsageError("the request makes no sense: it names no database or no config")
    if isinstance(request.threads, bool) or not isinstance(request.threads, int) or not 1 <= request.threads <= 4096:
        raise UsageError(f"threads={request.threads} must be between 1 and 4096")
    return request


def speed_request_message(request_id: int, request: SpeedRequest) -> dict[str, Any]:
    """A question for a config's speed, ready to be encoded."""
    return {"id": request_id, "measure": asdict(request)}


def speed_message(request_id: int, speed: Speed) -> dict[str, Any]:
    """An answer with a config's speed."""
    return {"id": request_id, "speed": asdict(speed)}


def speed_of(message: dict[str, Any]) -> Speed:
    """The speed that an answer carries. Raises `KeyError` or `TypeError` where it carries none."""
    return Speed(**message["speed"])


def inspect_request_of(message: dict[str, Any]) -> InspectRequest:
    """The question for a view that a message holds. Raises `UsageError` where it makes no sense."""
    values = dict(message["inspect"]) if isinstance(message.get("inspect"), dict) else {}
    given = values.pop("options", {})
    if not isinstance(given, dict) or not values.keys() >= {"database", "run_id", "view"}:
        raise UsageError("the request makes no sense: it asks for nothing")
    if not values.keys() <= {"database", "run_id", "view", "checkpoint"}:
        raise UsageError("the request makes no sense: it has other fields")
    kinds = {each.name: type(each.default) for each in fields(InspectOptions)}
    if not given.keys() <= kinds.keys() or not all(isinstance(value, str) for value in values.values()):
        raise UsageError("the request makes no sense: it has other fields")
    for name, value in given.items():
        if type(value) is not kinds[name]:
            raise UsageError(f"the request makes no sense: {name}={value!r}")
    return InspectRequest(**values, options=InspectOptions(**given))


def inspect_message(request_id: int, request: InspectRequest) -> dict[str, Any]:
    """A question for a view, ready to be encoded."""
    return {"id": request_id, "inspect": asdict(request)}


def progress_message(request_id: int, done: int, total: int) -> dict[str, Any]:
    """An answer that says how far the work is."""
    return {"id": request_id, "progress": [done, total]}


def progress_of(message: dict[str, Any]) -> tuple[int, int]:
    """How far the work is, and of how much. Raises `KeyError`, `ValueError` or `TypeError` where it does not say."""
    done, total = message["progress"]
    return int(done), int(total)


def page_message(request_id: int, page: Page) -> dict[str, Any]:
    """An answer with a page."""
    return {"id": request_id, "page": page_document(page)}


def answered_page(message: dict[str, Any]) -> Page:
    """The page that an answer carries. Raises `KeyError` or `TypeError` where it carries none."""
    return page_of(message["page"])


def token_message(request_id: int, token: Token) -> dict[str, Any]:
    """An answer with one character."""
    return {"id": request_id, "token": asdict(token)}


def token_of(message: dict[str, Any]) -> Token:
    """The character that an answer carries. Raises `KeyError` or `TypeError` where it carries none."""
    values = dict(message["token"])
    likeliest = tuple(Likelihood(**each) for each in values.pop("likeliest", ()))
    return Token(**values, likeliest=likeliest)


_KINDS: dict[str, tuple[type, ...]] = {
    "database": (str,),
    "run_id": (str,),
    "checkpoint": (str,),
    "prompt": (str,),
    "tokens": (int,),
    "temperature": (int, float),
    "top_k": (int, type(None)),
    "top_p": (int, float, type(None)),
    "seed": (int,),
    "count": (int,),
}
