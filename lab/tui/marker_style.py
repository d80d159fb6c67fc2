"""What lines are drawn with: braille dots, thick blocks for a projector, or ASCII where the terminal has neither."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Literal, get_args

MarkerStyle = Literal["braille", "block", "ascii"]

THEME_VARIABLE = "chart-marker"
"""A theme that sets it to `block` or `ascii` has its charts drawn so."""
_WITHOUT_BRAILLE = ("linux", "vt52", "vt100", "vt102", "vt220", "ansi", "dumb", "cons25", "cygwin")
"""Terminals whose fonts have no braille, by `TERM`."""


def needs_ascii(environment: Mapping[str, str], encoding: str | None) -> bool:
    """Whether charts must be ASCII: by the encoding of the output, the locale, and the kind of terminal."""
    if encoding is not None and _plain(encoding) != "utf8":
        return True
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    charset = locale.partition("@")[0].rpartition(".")[2] if "." in locale else ""
    if locale in ("C", "POSIX") or (charset and _plain(charset) != "utf8"):
        return True
    return environment.get("TERM", "") in _WITHOUT_BRAILLE


def _plain(encoding: str) -> str:
    return encoding.lower().replace("-", "").replace("_", "")


def output_encoding() -> str | None:
    """The encoding of what the screen is written to; None where that is not known."""
    return getattr(sys.__stdout__, "encoding", None)


def marker_style(variables: Mapping[str, str], *, ascii_only: bool) -> MarkerStyle:
    """What every chart is drawn with: ASCII where nothing else is to be had, else as the theme has it."""
    wanted = variables.get(THEME_VARIABLE, "braille")
    if ascii_only:
        return "ascii"
    return next((style for style in get_args(MarkerStyle) if style == wanted), "braille")
