"""The colours of runs: stable, and told apart in every theme, in few colours and by the colour-blind."""

from __future__ import annotations

from functools import cache

from lab.tui.theme import DARK, LIGHT, blend

_ON_DARK = (
    "#efaba8", "#d6511d", "#daaf1b", "#e6e5ab", "#58f255", "#25a847",
    "#78e1e2", "#158daf", "#307cee", "#e287f2", "#e424a1", "#e3597a",
)  # fmt: skip
_ON_LIGHT = (
    "#ec4f22", "#8b300b", "#3d9521", "#288b72", "#186e94", "#2b60f5",
    "#211a7a", "#3c0df2", "#db35d7", "#93136e", "#f1256f", "#5e102a",
)  # fmt: skip
"""Searched for: far from each other in CIELAB, as they are, as 256 and 16 colours, and to the colour-blind."""
_STRONGER, _FAINTER = 0.45, 0.78
"""What is left of a colour, of the background's opposite or of the background mixed in, for later runs of a stage."""

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
    plain = (_ON_DARK if dark else _ON_LIGHT)[hue]
    if tone == 0:
        return plain
    background, opposite = (DARK.background, "#ffffff") if dark else (LIGHT.background, "#000000")
    return blend(plain, opposite, _STRONGER) if tone == 1 else blend(plain, background or "#000000", _FAINTER)


def as_shown(colour: str, system: str | None) -> object:
    """What a terminal makes of a colour: equal for colours that it does not tell apart. `system` as Rich calls it."""
    from rich.color import Color, ColorSystem

    systems = {"256": ColorSystem.EIGHT_BIT, "standard": ColorSystem.STANDARD, "windows": ColorSystem.WINDOWS}
    if system is None:
        return None
    return Color.parse(colour).downgrade(systems[system]).number if system in systems else colour
