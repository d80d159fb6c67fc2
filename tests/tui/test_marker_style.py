"""When charts are ASCII, and when they are drawn in blocks."""

from __future__ import annotations

import pytest

from lab.tui.marker_style import THEME_VARIABLE, marker_style, needs_ascii
from lab.tui.theme import DARK, PRESENTER


@pytest.mark.parametrize(
    ("environment", "encoding", "ascii_only"),
    [
        ({}, "utf-8", False),
        ({}, "UTF8", False),
        ({}, None, False),
        ({}, "ascii", True),
        ({}, "iso8859-1", True),
        ({"LANG": "en_US.UTF-8"}, "utf-8", False),
        ({"LANG": "de_DE.utf8@euro"}, "utf-8", False),
        ({"LANG": "en_US.ISO-8859-1"}, "utf-8", True),
        ({"LANG": "en_US.ISO-8859-1", "LC_ALL": "C.UTF-8"}, "utf-8", False),
        ({"LC_ALL": "C"}, "utf-8", True),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, "utf-8", True),
        ({"LANG": "en_US.UTF-8", "TERM": "vt100"}, "utf-8", True),
        ({"LANG": "en_US.UTF-8", "TERM": "vte-256color"}, "utf-8", False),
        ({"TERM": "xterm"}, "utf-8", False),
    ],
)
def test_ascii_is_for_terminals_without_utf8_or_braille(
    environment: dict[str, str], encoding: str | None, ascii_only: bool
) -> None:
    assert needs_ascii(environment, encoding) == ascii_only


def test_the_theme_says_what_charts_are_drawn_with() -> None:
    assert marker_style(DARK.variables, ascii_only=False) == "braille"
    assert marker_style(PRESENTER.variables, ascii_only=False) == "block"
    assert marker_style(PRESENTER.variables, ascii_only=True) == "ascii"
    assert marker_style({THEME_VARIABLE: "unheard of"}, ascii_only=False) == "braille"
