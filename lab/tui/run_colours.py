"""The colours of runs: stable, and told apart in every theme, in few colours and by the colour-blind."""

from __future__ import annotations

from functools import cache

from lab.tui.theme import DARK, LIGHT, blend

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
