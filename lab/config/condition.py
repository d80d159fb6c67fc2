"""The conditions of an experiment: comparisons of config keys, such as `residual = off and layers > 4`.

A small language of its own, read by recursive descent; nothing in it is ever run as code.

    condition  = all { "or" all }
    all        = one { "and" one }
    one        = "not" one | "(" condition ")" | key operator (key | number | word | 'text')
"""

from __future__ import annotations

import contextlib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from lab.config.fields import field_value, known_key
from lab.config.run_config import RunConfig
from lab.errors import ConfigError

Values = Mapping[str, Any]
_Test = Callable[[Values], bool]

VARIANT = "variant"
"""The name of a combination's variant; conditions may ask for it as for a key."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'[^']*'|"[^"]*")|(?P<operator><=|>=|==|!=|=|<|>)|(?P<bracket>[()])|(?P<word>[^\s()<>=!'"]+))"""
)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DEEPEST = 50


@dataclass(frozen=True)
class Condition:
    """A condition that has been read; `holds` asks it of a config's values."""

    text: str
    holds: _Test


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


def parse_condition(text: str) -> Condition:
    """Reads a condition. Raises `ConfigError` with the column, counted from 1, and what was expected there."""
    reader = _Reader(text, _tokens(text))
    test = reader.condition()
    reader.expect_end()
    return Condition(text, test)


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            column = place + len(text[place:]) - len(text[place:].lstrip()) + 1
            raise ConfigError(f"condition `{text}`, column {column}: '{text[column - 1]}' means nothing here")
        kind = str(found.lastgroup)
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
        place = found.end()
    return tokens


class _Reader:
    """Goes through the tokens once, from left to right."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def condition(self) -> _Test:
        """One or more alternatives."""
        tests = [self._all()]
        while self._take("or"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda values: any(test(values) for test in tests)

    def expect_end(self) -> None:
        """Raises `ConfigError` where something is left."""
        if self._next is not None:
            raise self._wrong("expected `and`, `or` or the end")

    def _all(self) -> _Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda values: all(test(values) for test in tests)

    def _one(self) -> _Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"nested more than {_DEEPEST} deep")
        try:
            if self._take("not"):
                test = self._one()
                return lambda values: not test(values)
            if self._take("("):
                test = self.condition()
                if not self._take(")"):
                    raise self._wrong("expected `)`")
                return test
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> _Test:
        left = self._side("a key of the config")
        found = self._next
        if found is None or found.kind != "operator":
            raise self._wrong("expected a comparison: = != < <= > >=")
        self._place += 1
        right = self._side("a value or a key")
        try:
            return _comparison(left.text, found.text, right)
        except ConfigError as error:
            raise ConfigError(f"condition `{self._text}`: {error}") from None

    def _side(self, expected: str) -> _Token:
        found = self._next
        if found is None or found.kind not in ("word", "text"):
            raise self._wrong(f"expected {expected}")
        self._place += 1
        return found

    def _take(self, word: str) -> bool:
        taken = self._next is not None and self._next.kind in ("word", "bracket") and self._next.text == word
        self._place += taken
        return taken

    @property
    def _next(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _wrong(self, said: str) -> ConfigError:
        found = self._next
        where = f"column {found.column}" if found else "at its end"
        return ConfigError(f"condition `{self._text}`, {where}: {said}")


def _comparison(name: str, sign: str, right: _Token) -> _Test:
    """The test that a comparison is. Raises `ConfigError` on an unknown key, and on a value it cannot have."""
    key = VARIANT if name == VARIANT else known_key(name)
    compare = _OPERATORS[sign]
    ordered = compare not in (operator.eq, operator.ne)
    if ordered and not _is_number(key):
        raise ConfigError(f"{key} is not a number: compare it with = or !=")
    other = _key_meant(right, key)
    if other is None:
        wanted = _value(right.text.strip("'\""), key)
        return lambda values: _compared(values[key], compare, wanted)
    if ordered and not _is_number(other):
        raise ConfigError(f"{other} is not a number: compare it with = or !=")
    return lambda values: _compared(values[key], compare, values[other])


def _compared(one: Any, compare: Callable[[Any, Any], bool], other: Any) -> bool:
    if (one is None or other is None) and compare not in (operator.eq, operator.ne):
        return False  # what is left to be derived is neither more nor less
    return compare(one, other)


def _key_meant(right: _Token, key: str) -> str | None:
    """The key that the right side names; None where it is a value of the left one's."""
    if right.kind == "text" or key == VARIANT:
        return None
    try:
        _value(right.text, key)
    except ConfigError:
        return right.text if right.text in RunConfig.model_fields else None
    return None


def _value(text: str, key: str) -> Any:
    """A value to compare a key with; a number may lie outside what the key can be. Raises `ConfigError`."""
    if key == VARIANT:
        return text
    if _is_number(key) and re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", text.lower()):
        with contextlib.suppress(ValueError):
            return float(text)
    return field_value(key, text)


def _is_number(key: str) -> bool:
    if key == VARIANT:
        return False
    annotation = RunConfig.model_fields[key].annotation
    return bool({int, float} & {annotation, *get_args(annotation)})
