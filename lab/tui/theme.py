"""The themes of lab, and the colours that runs and statuses keep in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

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
        "border": "#3a4555",
        "border-blurred": "#2a323e",
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

_ON_DARK = (
    "#f0776c", "#f0a35e", "#dcc765", "#a5d06f", "#5fcf8f", "#5bd0c4",
    "#5fb8e8", "#7f9cf5", "#ac8bf2", "#d987e0", "#f083b4", "#c9a98a",
)  # fmt: skip
_ON_DARK_LIGHTER = (
    "#f9b4ad", "#f8cda6", "#efe3a8", "#cfe8ae", "#a9e8c5", "#a6e9e1",
    "#abdaf5", "#bcccfb", "#d3c1fa", "#edc1f1", "#f9bfd9", "#e5d3c1",
)  # fmt: skip
_ON_LIGHT = (
    "#c0392b", "#b85c00", "#8a7000", "#4d7c0f", "#0f7a4d", "#0b7a75",
    "#0369a1", "#3451c6", "#6d3fc4", "#9b2fae", "#b83280", "#7a5230",
)  # fmt: skip
_ON_LIGHT_DARKER = (
    "#7d1f16", "#7a3d00", "#5c4a00", "#2f4d08", "#064d30", "#054d4a",
    "#024469", "#1d2f80", "#452680", "#651b73", "#7a1c53", "#4d331d",
)  # fmt: skip

_STRIDE = 5
"""From one run of a stage to the next; prime to the number of hues, so that twelve runs differ."""


def run_slot(stage: str, nth_of_stage: int) -> int:
    """The place of a run's colour in the palette, by its stage and how many runs of the stage came before it."""
    hues = len(_ON_DARK)
    place = _stage_places().get(stage, sum(stage.encode()))
    if not nth_of_stage:  # the plain tones are the stages' first runs' alone
        return place * 7 % hues
    later = nth_of_stage - 1
    tone = 1 + (later + later // hues) % 2
    return (place * 7 + nth_of_stage * _STRIDE) % hues + hues * tone


@cache
def _stage_places() -> dict[str, int]:
    from lab.config.ladder import STAGES

    return {stage.name: place for place, stage in enumerate(STAGES)}


def run_colour(slot: int, *, dark: bool) -> str:
    """A run's colour on a dark or a light background, the same wherever the run is shown."""
    hue, tone = slot % len(_ON_DARK), slot // len(_ON_DARK) % 3
    plain, other, background = (
        (_ON_DARK, _ON_DARK_LIGHTER, DARK.background) if dark else (_ON_LIGHT, _ON_LIGHT_DARKER, LIGHT.background)
    )
    if tone == 2:
        return blend(plain[hue], background or "#000000", 0.78)
    return (plain, other)[tone][hue]


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
