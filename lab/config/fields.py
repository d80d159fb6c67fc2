"""One field of a config by itself: its name as people may write it, a value of it, and its rule in words."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter, ValidationError

from lab.config.run_config import SYNONYMS, RunConfig, check_keys, explained, may_be_derived
from lab.errors import ConfigError
from lab.text import shown_value


def known_key(key: str) -> str:
    """A field's name as people may write it: `block size`, `n_embd`, `Learning-Rate`. Raises `ConfigError`."""
    plain = key.strip().lower().replace("-", "_").replace(" ", "_")
    name = plain if plain in RunConfig.model_fields else SYNONYMS.get(plain, key.strip())
    check_keys({name: None})
    return name


def field_value(key: str, value: object) -> Any:
    """One field's value, of its own type: `1e-3` from the text, `none` for a field left to be derived.

    Raises `ConfigError` on an unknown key, and where the value breaks the field's rule.
    """
    check_keys({key: value})
    info = RunConfig.model_fields[key]
    if isinstance(value, str):
        value = value.strip()
        if value.lower() == "none" and may_be_derived(key):
            return None
    if isinstance(value, bool) and info.annotation is not bool:
        raise ConfigError(f"{key}={shown_value(value)} must be {field_rule(key)}")
    try:
        return _field_adapter(key).validate_python(value)
    except ValidationError as error:
        detail = {**error.errors()[0], "loc": (key,)}
        raise ConfigError(explained(detail)) from None


def field_rule(key: str) -> str:
    """What a field may hold, in a few words: `above 0`, `whole, 1 to 256`, `none, pre or post`."""
    info = RunConfig.model_fields[key]
    alternatives = [kind for kind in (get_args(info.annotation) or (info.annotation,)) if kind is not type(None)]
    if info.annotation is bool:
        return "on or off"
    if all(isinstance(option, str) for option in alternatives):
        return f"{', '.join(alternatives[:-1])} or {alternatives[-1]}"
    if str in alternatives:
        return "text"
    bounds = {name: getattr(bound, name) for bound in info.metadata for name in _BOUNDS if hasattr(bound, name)}
    rule = f"above {bounds['gt']:g}" if "gt" in bounds else f"{bounds['ge']:,g} or more"
    if bounds.get("lt", math.inf) < 1e6:
        rule += f", below {bounds['lt']:g}"
    elif bounds.get("le", math.inf) < 1e6:
        rule = f"{bounds['ge']:,g} to {bounds['le']:,g}"
    return f"{'whole, ' if int in alternatives else ''}{rule}{', or none' if info.default is None else ''}"


_BOUNDS = ("gt", "ge", "lt", "le")


@cache
def _field_adapter(key: str) -> TypeAdapter[Any]:
    info = RunConfig.model_fields[key]
    kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(kind)
