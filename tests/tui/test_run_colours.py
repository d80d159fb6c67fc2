"""The colours of runs: told apart by numbers, in every theme, in few colours, and by the colour-blind."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from rich.color import Color, ColorSystem
from textual.theme import BUILTIN_THEMES, Theme

from lab.tui.run_colours import as_shown, run_colour
from lab.tui.theme import OWN_THEMES, rgb

HUES = 12
JUST_NOTICED = 2.3
"""CIELAB distance at which two colours side by side are just told apart."""

# Simulation of colour-blindness at full severity on linear RGB: Machado, Oliveira, Fernandes (2009), table 1.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colours: list[tuple[int, int, int]]) -> np.ndarray:
    """sRGB as linear light, (N, 3)."""
    share = np.array(colours) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def cielab(light: np.ndarray) -> np.ndarray:
    """Linear sRGB as CIELAB under D65, (N, 3)."""
    xyz = np.clip(light, 0, 1) @ XYZ.T / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)


def nearest(colours: list[tuple[int, int, int]], blindness: str = "none") -> float:
    """The CIELAB distance of the two that are most alike."""
    places = cielab(linear(colours) @ BLINDNESS[blindness].T)
    return min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(places, 2))


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances, as WCAG 2 defines it: 1 to 21."""
    low, high = sorted(float(light) for light in linear([rgb(one), rgb(other)]) @ XYZ[1])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [True, False])
def test_the_colours_are_far_apart_for_everyone(dark: bool) -> None:
    colours = [rgb(run_colour(slot, dark=dark)) for slot in range(HUES)]
    assert nearest(colours) > 30
    assert nearest(colours, "protanopia") > 15 > 6 * JUST_NOTICED
    assert nearest(colours, "deuteranopia") > 15


@pytest.mark.parametrize("dark", [True, False])
def test_they_stay_apart_as_256_colours(dark: bool) -> None:
    colours = [
        tuple(Color.parse(run_colour(slot, dark=dark)).downgrade(ColorSystem.EIGHT_BIT).get_truecolor())
        for slot in range(HUES)
    ]
    assert nearest(colours) > 30


@pytest.mark.parametrize(("dark", "distinct"), [(True, 12), (False, 9)])
def test_as_many_as_can_be_stay_apart_as_16_colours(dark: bool, distinct: int) -> None:
    shown = {as_shown(run_colour(slot, dark=dark), "standard") for slot in range(HUES)}
    assert len(shown) == distinct
    assert shown.isdisjoint({0} if dark else {15, 7})  # the background's own


def test_all_colours_of_runs_differ_where_there_are_enough_colours() -> None:
    for dark in (True, False):
        assert len({run_colour(slot, dark=dark) for slot in range(3 * HUES)}) == 3 * HUES


def test_without_colours_none_is_told_apart() -> None:
    assert as_shown("#ff0000", None) == as_shown("#00ff00", None)
    assert as_shown("#ff0000", "truecolor") != as_shown("#fe0000", "truecolor")
    assert as_shown("#ff0000", "256") == as_shown("#fe0000", "256")


THEMES = [
    theme for theme in (*OWN_THEMES, *BUILTIN_THEMES.values()) if (theme.background or "").startswith("#")
]  # the others have the terminal's own background


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_they_are_seen_on_the_background_of_every_theme(theme: Theme) -> None:
    seen = [contrast(run_colour(slot, dark=theme.dark), theme.background or "") for slot in range(3 * HUES)]
    assert min(seen[:HUES]) > 2.6
    assert min(seen) > 1.8
