"""The themes of lab, and the colours of cells and charts in any theme."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from textual.theme import Theme

DARK = Theme(
    name="lab",
    primary="#6ea8fe",
    secondary="#7fd1c7",
    accent="#f0b86e",
    foreground="#d5dae3",
    background="#0f1217",
    surface="#151a21",
    panel="#1d242e",
    success="#86cf8b",
    warning="#e8c268",
    error="#f0776c",
    dark=True,
    variables={
        "border": "#414852",  # greys with a touch of blue: with more of it 256 colours make them teal
        "border-blurred": "#2e333b",
        "block-cursor-background": "#2a3a52",
        "block-cursor-foreground": "#f2f5fa",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#1d2734",
        "footer-background": "#151a21",
        "input-selection-background": "#6ea8fe 35%",
        "text-muted": "#8591a3",
    },
)

LIGHT = Theme(
    name="lab-light",
    primary="#1f5fbf",
    secondary="#0f7a70",
    accent="#a85b00",
    foreground="#20262e",
    background="#fbfbf9",
    surface="#f3f3ef",
    panel="#e8e9e4",
    success="#23783a",
    warning="#8f6400",
    error="#b8322a",
    dark=False,
    variables={
        "border": "#b3b8bf",
        "border-blurred": "#d3d6da",
        "block-cursor-background": "#cfe0f7",
        "block-cursor-foreground": "#10151c",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e3eaf3",
        "input-selection-background": "#1f5fbf 25%",
        "text-muted": "#5e6772",
    },
)

PRESENTER = Theme(
    name="lab-presenter",
    primary="#4fc3ff",
    secondary="#5ff0e0",
    accent="#ffd23f",
    foreground="#ffffff",
    background="#000000",
    surface="#101010",
    panel="#202020",
    success="#6dff7c",
    warning="#ffe14d",
    error="#ff6b5e",
    dark=True,
    variables={
        "border": "#b0b0b0",
        "border-blurred": "#707070",
        "block-cursor-background": "#004f9e",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#303030",
        "footer-background": "#101010",
        "input-selection-background": "#4fc3ff 45%",
        "chart-marker": "block",
        "text-muted": "#cfcfcf",
    },
)
"""For a projector: high contrast, thick chart lines, large figures, and nothing that pops up over the picture."""

OWN_THEMES = (DARK, LIGHT, PRESENTER)

SIXTEEN_COLOURS: Mapping[bool, Mapping[str, str]] = {
    True: {"block-cursor-background": "#000080", "block-cursor-blurred-background": "#808080"},
    False: {
        "block-cursor-background": "#00ffff",
        "block-cursor-blurred-background": "#c0c0c0",
        "border-blurred": "#808080",
    },
}
"""What stands in on a terminal with 16 colours, on dark and on light: there the tones proper become one."""

WITHOUT_COLOUR: Mapping[str, str] = {
    "block-cursor-text-style": "bold underline",
    "block-cursor-blurred-text-style": "underline",
}
"""What shows where the cursor is without colours (`NO_COLOR`)."""

_NAMED = ("foreground", "background", "primary", "secondary", "accent", "success", "warning", "error", "border")


def theme_colours(variables: Mapping[str, str]) -> dict[str, str]:
    """The colours that cells and charts use, as `#rrggbb`, from the variables of any theme."""
    return _theme_colours(tuple((name, variables.get(name, "")) for name in (*_NAMED, "text-muted")))


@lru_cache(maxsize=64)
def _theme_colours(named: tuple[tuple[str, str], ...]) -> dict[str, str]:
    from textual.color import Color, ColorParseError

    variables = dict(named)
    colours: dict[str, str] = {}
    for name in _NAMED:
        try:
            colour = Color.parse(variables.get(name, ""))
        except ColorParseError:
            continue
        if not colour.ansi:
            colours[name] = "#{:02x}{:02x}{:02x}".format(*colour.rgb)
    front, back = colours.setdefault("foreground", "#d5dae3"), colours.setdefault("background", "#0f1217")
    muted = variables.get("text-muted", "")
    colours["text-muted"] = muted if muted.startswith("#") and len(muted) == 7 else blend(front, back, 0.6)
    colours["border"] = blend(front, back, 0.25)
    return dict.fromkeys(_NAMED, front) | colours


def blend(colour: str, background: str, share: float) -> str:
    """A colour mixed into a background; `share` of it is left."""
    front, back = rgb(colour), rgb(background)
    mixed = (round(f * share + b * (1 - share)) for f, b in zip(front, back, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of `#rrggbb`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
