"""Cells of a chart to write into where no line is drawn, and the characters that surround the lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.segment import Segment
from rich.style import Style

Row = list[Segment]


@dataclass(frozen=True)
class Glyphs:
    """What a chart is framed with."""

    reference: str
    above: str
    below: str
    gutter: str
    gutter_tick: str
    corner: str
    floor: str
    floor_tick: str
    cursor: str
    legend: str
    marks: dict[str, str]


UNICODE = Glyphs(
    "┈", "↑", "↓", "│", "┤", "└", "─", "┴", "│", "━",
    {"best": "◆", "diverged": "✗", "checkpoint": "▲", "point": "●", "branch": "┣"},
)  # fmt: skip
ASCII = Glyphs(
    ".", "^", "v", "|", "+", "+", "-", "+", "|", "-",
    {"best": "B", "diverged": "X", "checkpoint": "C", "point": "O", "branch": "+"},
)  # fmt: skip

LINE_CHARACTERS = "*o+#@%&=~$?!"
"""What lines are drawn with in ASCII, one after the other."""
LINE_LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""What is written on lines that colours do not tell apart."""


class Cells:
    """One row of the canvas, cell by cell."""

    def __init__(self, characters: str, owners: np.ndarray, styles: Sequence[Style], blank: Style) -> None:
        self._characters = list(characters)
        self._styles = [styles[owner] if owner >= 0 else blank for owner in owners.tolist()]
        self._free = [character == " " for character in characters]

    def fill(self, character: str, style: Style) -> None:
        """Puts a character wherever no line is."""
        for i, free in enumerate(self._free):
            if free:
                self._characters[i], self._styles[i] = character, style

    def put(self, column: int, character: str, style: Style, *, over: bool = False) -> None:
        """Puts a character into one column, unless a line or a label is there; `over` puts it there all the same."""
        if 0 <= column < len(self._free) and (over or self._free[column]):
            self._characters[column], self._styles[column] = character, style
            self._free[column] = self._free[column] and not over

    def write(self, text: str, style: Style) -> bool:
        """Writes a text as far right as no line is in its way; False where there is no such place."""
        size = len(text)
        run = 0
        for i in range(len(self._free) - 1, -1, -1):
            run = run + 1 if self._free[i] else 0
            if run >= size:
                return self.write_at(i, text, style)
        return False

    def write_at(self, column: int, text: str, style: Style) -> bool:
        """Writes a text from a column on; False, and nothing, where a line or a label is in its way."""
        end = column + len(text)
        if column < 0 or end > len(self._free) or not all(self._free[column:end]):
            return False
        self._characters[column:end] = text
        self._styles[column:end] = [style] * len(text)
        self._free[column:end] = [False] * len(text)
        return True

    def segments(self) -> Row:
        """The row, alike neighbours joined."""
        row: Row = []
        start = 0
        for i in range(1, len(self._characters) + 1):
            if i == len(self._characters) or self._styles[i] is not self._styles[start]:
                row.append(Segment("".join(self._characters[start:i]), self._styles[start]))
                start = i
        return row


def spread(wanted: Sequence[int], rows: int) -> list[int]:
    """Places for labels that ascend, each on a row of its own, as near to where they are wanted as can be.

    That is a least-squares fit that ascends: neighbours too near each other are pooled about their mean.
    """
    pools: list[tuple[float, int]] = []
    for place, row in enumerate(wanted):
        pools.append((row - place, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1] = (pools[-1][0] + total, pools[-1][1] + count)
    places: list[int] = []
    for total, count in pools:
        shift = min(max(round(total / count), 0), rows - len(wanted))
        places += [shift + len(places) + k for k in range(count)]
    return places
