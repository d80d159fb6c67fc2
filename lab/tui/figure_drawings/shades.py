"""A number as a shade: a colour of the theme where there are many, a character where there are few or none."""

from __future__ import annotations

from functools import lru_cache

from rich.style import Style

from lab.inference.figures import Number
from lab.tui.figure_drawings.base import FigureLook
from lab.tui.theme import blend, rgb

LEVELS = 32
"""More than can be told apart."""
FAINTEST = 0.07
"""Of its colour, in the lowest shade: what is masked has none at all."""

_BLOCKS = "·░▒▓█"
_NEGATIVE_BLOCKS = "·-=≡■"
_ASCII = ".:-=+*%#@"
_NEGATIVE_ASCII = ".,;ox$&WM"


class Scale:
    """From `low` to `high`; a diverging one has its zero in the middle, blank, with a colour for either side."""

    def __init__(self, look: FigureLook, low: float, high: float, *, diverging: bool = False) -> None:
        self._look, self._low, self._high, self._diverging = look, low, high, diverging

    def share(self, value: float) -> float:
        """How far a value lies from the low end, or from zero: 0 to 1, below zero −1 to 0 where it diverges."""
        if self._diverging:
            most = max(abs(self._low), abs(self._high))
            return max(-1.0, min(1.0, value / most)) if most else 0.0
        span = self._high - self._low
        return max(0.0, min(1.0, (value - self._low) / span)) if span > 0 else 0.0

    def style(self, value: Number) -> Style:
        """The shade of a cell: its background, and what can be read on it."""
        if value is None:
            return Style()
        return self.style_of_share(self.share(value))

    def style_of_share(self, share: float) -> Style:
        """The same by the share."""
        colours = self._look.colours
        if self._look.in_characters:
            plain = self._look.colour_system is None
            name = "accent" if share < 0 else "primary" if abs(share) > 0.25 else "text-muted"
            return Style() if plain else Style(color=colours.get(name, "default"))
        if self._look.colour_system == "256":
            return _shade_of_256(round(share * LEVELS), dark=self._look.dark)
        return _shade(
            round(share * LEVELS), colours["background"], colours["primary"], colours["accent"], colours["foreground"]
        )

    def colour(self, value: Number) -> str:
        """The shade alone, as `#rrggbb`."""
        if value is None:
            return self._look.colour("background")
        shade = self.style(value).bgcolor
        return shade.name if shade is not None else self._look.colour("background")

    def character(self, value: Number) -> str:
        """The shade as a character, for where colours don't do; those below zero have other ones."""
        return " " if value is None else self.character_of_share(self.share(value))

    def character_of_share(self, share: float) -> str:
        """The same by the share."""
        plain = self._look.ascii_only
        ladder = (_NEGATIVE_ASCII if plain else _NEGATIVE_BLOCKS) if share < 0 else (_ASCII if plain else _BLOCKS)
        return ladder[min(len(ladder) - 1, int(abs(share) * len(ladder)))]


@lru_cache(maxsize=1024)
def _shade(level: int, background: str, high: str, low: str, strongest: str) -> Style:
    share = abs(level) / LEVELS
    hue = low if level < 0 else high
    if share <= 0.6:
        colour = blend(hue, background, FAINTEST + (1 - FAINTEST) * share / 0.6)
    else:
        colour = blend(strongest, hue, 0.75 * (share - 0.6) / 0.4)
    return Style(color=_readable_on(colour, background, strongest), bgcolor=colour)


_STEPS_OF_256 = (0x5F, 0x87, 0xAF, 0xD7, 0xFF)
"""How bright each of the red, green and blue of 256 colours can be, beside 0."""


@lru_cache(maxsize=256)
def _shade_of_256(level: int, *, dark: bool) -> Style:
    """Blues that rise evenly, reds below zero, all of them among the 256: tones between would become any others."""
    pure = [(0, 0, step) for step in _STEPS_OF_256]
    pale = [(step, step, 0xFF) for step in _STEPS_OF_256]
    ladder = [(0x1C, 0x1C, 0x1C), *pure, *pale] if dark else [(0xEE, 0xEE, 0xEE), *pale[-2::-1], *pure[::-1]]
    red, green, blue = ladder[min(len(ladder) - 1, abs(level) * len(ladder) // LEVELS)]
    if level < 0:
        red, blue = blue, red
    colour = f"#{red:02x}{green:02x}{blue:02x}"
    return Style(color=_readable_on(colour, "#000000", "#ffffff"), bgcolor=colour)


def _readable_on(colour: str, background: str, foreground: str) -> str:
    """Which of the two stands out more against a colour."""
    here = _luminance(colour)
    return max((background, foreground), key=lambda other: abs(_luminance(other) - here))


def _luminance(colour: str) -> float:
    red, green, blue = rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue
