"""What a model thought came next: the likeliest characters as bars, before and after temperature and truncation."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.text import Text

from lab.datasets.tokenizer import visible
from lab.inference.protocol import Token

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LARGEST_BAR = 40
_OUTSIDE_BARS = 24
"""Columns of a row that are not bars."""


def next_character_bars(token: Token, colours: Mapping[str, str], width: int, rows: int, *, changed: bool) -> Text:
    """A row a character, the drawn one marked; with `changed` the share that it was drawn with stands beside its own.

    The drawn character has a row even where it is not among the likeliest.
    """
    muted = colours["text-muted"]
    size = max(4, min(_LARGEST_BAR, (width - _OUTSIDE_BARS) // 2 if changed else width - 14))
    said = Text(no_wrap=True)
    heading = f"     {'as the model has it':<{size + 8}}"
    if changed:
        heading += "as it is drawn from"
    said.append(heading.rstrip() + "\n", muted)
    shown = list(token.likeliest[: max(1, rows - 1)])
    drawn = next((each for each in token.likeliest if each.character == token.character), None)
    if drawn is not None and drawn not in shown:
        shown[-1] = drawn
    rowed = [(each.character, each.before, each.after) for each in shown]
    if drawn is None:
        rowed[-1:] = [(token.character, math.exp(-token.surprise), math.nan)]
    for character, before, after in rowed:
        chosen = character == token.character
        said.append(" ▸ " if chosen else "   ", f"bold {colours['accent']}")
        said.append(f"{visible(character):<2.2}", "bold" if chosen else "")
        said.append(_bar(before, size), colours["primary"])
        said.append(f" {before:>6.1%} ", "" if chosen else muted)
        if changed:
            _append_after(said, after, size, colours, chosen=chosen)
        said.append("\n")
    return said


def _append_after(said: Text, after: float, size: int, colours: Mapping[str, str], *, chosen: bool) -> None:
    if after == 0:
        said.append("cut off", colours["text-muted"])
    elif math.isfinite(after):
        said.append(_bar(after, size), colours["accent"])
        said.append(f" {after:>6.1%}", "" if chosen else colours["text-muted"])


def _bar(share: float, size: int) -> str:
    """A bar of a share of so many cells, to the eighth of a cell."""
    eighths = max(1, round(share * size * 8)) if share > 0 else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(size)
