"""How names, numbers and times are written, on the screen and by the commands. What comes from outside is literal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.analysis.intervals import Interval

NOTHING = "–"


def literal(text: str, *, lines: bool = False) -> str:
    """A text as it may stand on the screen: control and format characters escaped, markup left as it is.

    With `lines`, newlines stay what they are.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character, lines) for character in text)


def _shown(character: str, lines: bool) -> str:
    if character.isprintable() or (lines and character == "\n"):
        return character
    return repr(character)[1:-1] if not character.isspace() or character in "\n\r\t\v\f" else " "


def clip(text: str, width: int) -> str:
    """A text cut to so many cells, its end marked where something is missing."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else "…"[:width]


def si(value: float | None) -> str:
    """A count in four characters or so: 823, 4.2k, 42k, 10.8M."""
    if value is None or not math.isfinite(value):
        return NOTHING
    for unit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit * 0.9995:
            scaled = value / unit
            return f"{scaled:.3g}{suffix}" if scaled < 999.5 else f"{scaled:.0f}{suffix}"
    return f"{value:.0f}"


def loss(value: float | None) -> str:
    """A loss in nats, with the digits that mean something."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"


def interval(value: Interval | None, *, signed: bool = False) -> str:
    """A mean and its interval: 2.076 ±0.008, or the mean alone where nothing is known of the scatter."""
    if value is None or not math.isfinite(value.mean):
        return NOTHING
    said = f"{value.mean:+.3f}".replace("-", "−") if signed else loss(value.mean)
    return said + (f" ±{value.half_width:.3f}" if value.half_width is not None else "")


def choices(value: float | None) -> str:
    """e^loss: among how many characters the model is as unsure as when choosing evenly."""
    if value is None or not math.isfinite(value):
        return NOTHING
    number = math.exp(min(value, 700.0))
    if number < 100:
        return f"{number:.1f}"
    return si(number) if number < 1e12 else f"{number:.0e}".replace("e+", "e")


def duration(seconds: float) -> str:
    """A span of time by its two largest units at most: 4s, 1m 20s, 3h, 12d."""
    if not math.isfinite(seconds):
        return NOTHING
    whole = max(0, int(seconds))
    for unit, suffix, below, below_suffix in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // below
            return (
                f"{whole // unit}{suffix} {rest}{below_suffix}"
                if rest and whole < 10 * unit
                else f"{whole // unit}{suffix}"
            )
    return f"{whole}s"


def age(seconds: float) -> str:
    """How long ago, by its largest unit: now, 40s, 12m, 3h, 5d."""
    if not math.isfinite(seconds):
        return NOTHING
    whole = max(0, int(seconds))
    for unit, suffix in ((365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "m")):
        if whole >= unit:
            return f"{whole // unit}{suffix}"
    return f"{whole // 10 * 10}s" if whole >= 10 else "now"


def bar(share: float, width: int) -> tuple[str, str]:
    """A progress bar as its done and its open part."""
    half_cells = round(min(1.0, max(0.0, share)) * width * 2)
    done = "━" * (half_cells // 2) + ("╸" if half_cells % 2 else "")
    return done, "─" * (width - len(done))


def plural(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown_value(value: object) -> str:
    """A config's value as one types it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        short = f"{value:g}"
        if 0 < abs(value) < 0.01:  # 3e-4, as people write learning rates
            mantissa, _, exponent = f"{value:e}".partition("e")
            short = f"{float(mantissa):g}e{int(exponent)}"
        return short if float(short) == value else repr(value)
    return "none" if value is None else str(value)
