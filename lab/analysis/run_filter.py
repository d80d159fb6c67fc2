"""The filter language over runs: words and terms such as `stage:residual val<2.1 -tag:quick`."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from lab.errors import UsageError


class Filterable(Protocol):
    """What a filter reads of a run."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def experiment(self) -> str | None: ...
    @property
    def notes(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def kind(self) -> str: ...
    @property
    def written(self) -> Mapping[str, Any]: ...


class FilterError(UsageError):
    """A filter that means nothing; `start` and `end` say which of its characters are wrong."""

    def __init__(self, said: str, start: int = 0, end: int = 0) -> None:
        super().__init__(said)
        self.start, self.end = start, end


@dataclass(frozen=True)
class Term:
    """One condition; `negated` runs are those that do not meet it."""

    matches: Callable[[Any], bool]
    negated: bool = False


@dataclass(frozen=True)
class RunFilter:
    """All of its terms must hold; without terms it lets every run through."""

    terms: tuple[Term, ...] = ()

    def __call__(self, run: Filterable) -> bool:
        return all(term.matches(run) != term.negated for term in self.terms)


_STATUS_WORDS = {"waiting": "queued", "running": "training", "done": "finished"}

CLOSED: Mapping[str, tuple[str, ...]] = {
    "status": ("queued", "training", "paused", "finished", "stopped", "diverged", "failed", "cancelled"),
    "kind": ("training", "lr-sweep", "external"),
}
"""Fields of text that have a few values only."""

_TEXTS: Mapping[str, Callable[[Any], Iterable[str]]] = {
    "id": lambda run: (run.id,),
    "name": lambda run: (run.name,),
    "stage": lambda run: (run.stage,),
    "dataset": lambda run: (run.dataset,),
    "status": lambda run: (run.status,),
    "kind": lambda run: (run.kind,),
    "tag": lambda run: run.tags,
    "experiment": lambda run: (run.experiment or "",),
    "device": lambda run: (run.device or "",),
    "notes": lambda run: (run.notes,),
}

_NUMBERS: Mapping[str, Callable[[Any], float | None]] = {
    "val": lambda run: run.val_loss,
    "best": lambda run: run.best_val_loss,
    "train": lambda run: run.train_loss,
    "choices": lambda run: None if run.val_loss is None else math.exp(min(run.val_loss, 700.0)),
    "parameters": lambda run: run.parameters,
    "speed": lambda run: run.chars_per_second,
    "step": lambda run: run.step,
    "seconds": lambda run: run.seconds,
}

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_WORD = re.compile(r"""(?:[^\s"]|"[^"]*"?)+""")
_TERM = re.compile(r"(?P<field>[A-Za-z_]+)(?P<operator><=|>=|!=|<|>|=|:)(?P<value>.*)", re.DOTALL)
_SUFFIXES = {"k": 1e3, "m": 1e6, "g": 1e9}


def parse_filter(text: str) -> RunFilter:
    """The filter that a line means; a text with blanks stands in "quotation marks".

    Raises `FilterError` on an unknown field, a value that the field cannot have, or one that cannot be compared.
    """
    terms = []
    for found in _WORD.finditer(text):
        try:
            terms.append(_term(found[0]))
        except UsageError as error:
            raise FilterError(str(error), found.start(), found.end()) from None
    return RunFilter(tuple(terms))


def filter_fields() -> tuple[str, ...]:
    """Every field that a term may name."""
    from lab.config.run_config import RunConfig

    return (*_TEXTS, *_NUMBERS, *(field for field in RunConfig.model_fields if field not in _TEXTS))


def is_text(field: str) -> bool:
    """Whether a field is compared as text."""
    return field in _TEXTS


def config_choices(field: str) -> tuple[str, ...]:
    """The values of a field of the config that has a few only; empty for a number or a free text."""
    from lab.config.run_config import RunConfig

    if field not in RunConfig.model_fields:
        return ()
    annotation = RunConfig.model_fields[field].annotation
    return (
        ("true", "false") if annotation is bool else tuple(each for each in get_args(annotation) if type(each) is str)
    )


def _term(word: str) -> Term:
    negated = word.startswith("-") and len(word) > 1
    word = word.removeprefix("-") if negated else word
    found = _TERM.fullmatch(word)
    if not found:
        return Term(_contains_word(word.replace('"', "").casefold()), negated)
    field, sign, value = found["field"].lower(), found["operator"], found["value"].replace('"', "")
    return Term(_condition(field, sign, value), negated)


def _contains_word(text: str) -> Callable[[Any], bool]:
    def matches(run: Filterable) -> bool:
        said = (run.name, run.stage, run.dataset, run.id, *run.tags)
        return any(text in each.casefold() for each in said)

    return matches


def _condition(field: str, sign: str, value: str) -> Callable[[Any], bool]:
    if field in _TEXTS:
        return _text_condition(field, sign, value)
    if field in _NUMBERS:
        return _number_condition(field, _NUMBERS[field], sign, value)
    from lab.config.run_config import SYNONYMS, RunConfig

    field = SYNONYMS.get(field, field)
    if field in RunConfig.model_fields:
        return _config_condition(field, sign, value, RunConfig.model_fields[field].default)
    near = difflib.get_close_matches(field, filter_fields(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else "there are stage: status: tag: val< lr< …"
    raise UsageError(f"no field '{field}': {hint}")


def _text_condition(field: str, sign: str, value: str) -> Callable[[Any], bool]:
    if sign not in (":", "=", "!="):
        raise UsageError(f"{field}{sign} compares text; write {field}:{value or 'text'}")
    read, wanted = _TEXTS[field], value.casefold()
    if field == "status":
        wanted = _STATUS_WORDS.get(wanted, wanted)
    if field in CLOSED:
        _check_choice(field, sign, wanted, CLOSED[field], parts=sign == ":")
    if sign == ":":
        return lambda run: any(wanted in each.casefold() for each in read(run))
    equal = sign == "="
    return lambda run: any(wanted == each.casefold() for each in read(run)) == equal


def _number_condition(field: str, read: Callable[[Any], float | None], sign: str, value: str) -> Callable[[Any], bool]:
    compare, wanted = _OPERATORS["=" if sign == ":" else sign], _number(field, sign, value)

    def matches(run: Any) -> bool:
        known = read(run)
        return known is not None and compare(known, wanted)

    return matches


def _config_condition(field: str, sign: str, value: str, default: Any) -> Callable[[Any], bool]:
    """Of a setting as it was written down: to check ten thousand configs anew would take most of a second."""

    def read(run: Filterable) -> Any:  # a config from before there was such a field means its default
        return run.written.get(field, None if run.kind == "external" else default)

    if sign in ("<", ">", "<=", ">="):
        return _number_condition(field, lambda run: _if_number(read(run)), sign, value)
    wanted, equal = value.casefold(), sign != "!="
    if choices := config_choices(field):
        wanted = {"on": "true", "off": "false"}.get(wanted, wanted) if choices[0] == "true" else wanted
        _check_choice(field, sign, wanted, choices, parts=False)

    def matches(run: Filterable) -> bool:
        known = read(run)
        if isinstance(known, (int, float)) and not isinstance(known, bool):
            return (known == _number(field, sign, value)) == equal
        return (str(known).casefold() == wanted) == equal

    return matches


def _check_choice(field: str, sign: str, value: str, choices: tuple[str, ...], *, parts: bool) -> None:
    """Raises `UsageError` where no value of the field could be meant."""
    if value in choices or (parts and any(value in choice for choice in choices)):
        return
    near = difflib.get_close_matches(value, choices, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(choices)}"
    raise UsageError(f"no {field} '{value}': {hint}" if value else f"{field}{sign}: a value is missing; {hint}")


def _if_number(known: Any) -> float | None:
    return known if isinstance(known, (int, float)) else None


def _number(field: str, sign: str, text: str) -> float:
    scale = _SUFFIXES.get(text[-1:].lower(), 1.0)
    try:
        return float(text[:-1] if scale != 1.0 else text) * scale
    except ValueError:
        said = f"'{text}' is not a number" if text else "a number is missing"
        raise UsageError(f"{field}{sign}: {said}; for example {field}{sign}2.1") from None
