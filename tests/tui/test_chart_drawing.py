"""What plotext is given and what is kept of it: no spike lost, nothing drawn twice, the same as if drawn at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.tui import chart
from lab.tui.chart import Axis, Canvas, Drawer, Trace
from lab.tui.marker_style import MarkerStyle

X = np.arange(5000.0)
X_AXIS, Y_AXIS = Axis(0, 5000), Axis(0, 10)
STYLES: tuple[MarkerStyle, ...] = ("braille", "block", "ascii")


def noisy(seed: int, points: int = 5000) -> np.ndarray:
    """A metric that falls and never rests."""
    return 2 + 5 * np.exp(-np.arange(points) / 900) + np.random.default_rng(seed).normal(0, 0.3, points)


def drawn(drawer: Drawer, *traces: Trace, width: int = 60, height: int = 15, style: MarkerStyle = "braille") -> Canvas:
    """The traces on a canvas."""
    return drawer.draw(traces, X_AXIS, Y_AXIS, width, height, style)


def same(one: Canvas, other: Canvas) -> bool:
    """Whether two canvases show the same."""
    return one.rows == other.rows and bool((one.owners == other.owners).all())


class Builds:
    """Counts what plotext is asked to draw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dots: list[int] = []
        """Of each drawing: how many dots a line was drawn through."""
        ink = chart._ink

        def counted(path: Any, *more: Any) -> np.ndarray:
            self.dots.append(len(path))
            return ink(path, *more)

        monkeypatch.setattr(chart, "_ink", counted)


@pytest.mark.parametrize("style", STYLES)
def test_each_column_keeps_its_lowest_and_highest_value(style: MarkerStyle) -> None:
    y = noisy(1)
    canvas = drawn(Drawer(), Trace("a", X, y), style=style)
    for column, values in enumerate(np.split(y, np.searchsorted(X, np.arange(1, 60) * 5000 / 60))):
        rows = np.flatnonzero(canvas.owners[:, column] == 0)
        for extreme in (values.min(), values.max()):
            assert int((1 - extreme / 10) * 15) in rows
    assert canvas.owners.shape == (15, 60)


def test_a_line_that_has_not_changed_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    builds, drawer = Builds(monkeypatch), Drawer()
    traces = [Trace(str(i), X, noisy(i)) for i in range(4)]
    first = drawn(drawer, *traces)
    assert len(builds.dots) == 4
    assert same(first, drawn(drawer, *traces))
    assert len(builds.dots) == 4
    drawn(drawer, *traces[:3], Trace("3", X, noisy(9)))
    assert len(builds.dots) == 5
    drawn(drawer, *traces, width=50)
    assert len(builds.dots) == 9


def test_of_a_line_that_has_grown_only_its_end_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    builds, drawer = Builds(monkeypatch), Drawer()
    y = noisy(3)
    drawn(drawer, Trace("a", X[:4000], y[:4000]))
    drawn(drawer, Trace("a", X[:4050], y[:4050]))
    assert builds.dots[1] < 0.1 * builds.dots[0]


@settings(max_examples=30, deadline=None)
@given(
    ends=st.lists(st.integers(0, 400), min_size=2, max_size=5),
    holes=st.sets(st.integers(0, 399), max_size=12),
    coarse=st.sampled_from([1, 7, 40]),
    style=st.sampled_from(STYLES),
)
def test_drawn_bit_by_bit_it_looks_as_if_drawn_at_once(
    ends: list[int], holes: set[int], coarse: int, style: MarkerStyle
) -> None:
    x = np.arange(0, 400.0, coarse) * 12.5
    y = noisy(5, 400)[::coarse].copy()
    y[[hole // coarse for hole in holes]] = np.nan
    drawer = Drawer()
    for end in ends:
        trace = Trace("a", x[: end // coarse], y[: end // coarse])
        assert same(drawn(drawer, trace, style=style), drawn(Drawer(), trace, style=style))


def test_a_line_is_cut_where_it_leaves_what_is_shown() -> None:
    x, y = np.array([0.0, 4000.0]), np.array([0.0, 8.0])
    whole = Drawer().draw([Trace("a", x, y)], Axis(0, 4000), Axis(0, 8), 40, 40, "braille")
    part = Drawer().draw([Trace("a", x, y)], Axis(1000, 2000), Axis(2, 4), 40, 40, "braille")
    assert whole.rows == part.rows  # the same slope, though both points lie beside what is shown
    beside = Drawer().draw([Trace("a", x, y)], Axis(5000, 6000), Axis(2, 4), 40, 40, "braille")
    assert set("".join(beside.rows)) == {" "}


@pytest.mark.parametrize(("style", "shade"), [("braille", "⢕"), ("block", "░"), ("ascii", ":")])
def test_a_band_lies_behind_the_lines(style: MarkerStyle, shade: str) -> None:
    x = np.array([0.0, 5000.0])
    band = Trace("band", x, np.array([7.9, 7.9]), np.array([2.1, 2.1]))
    line = Trace("line", x, np.array([5.0, 5.0]))
    canvas = drawn(Drawer(), band, line, style=style, height=20)
    assert (canvas.owners[:4] == -1).all()
    assert (canvas.owners[5:9] == 0).all()
    assert (canvas.owners[9:11] == 1).any(axis=0).all()
    assert (canvas.owners[17:] == -1).all()
    assert shade in canvas.rows[6]
    row = canvas.rows[int(np.flatnonzero((canvas.owners == 1).all(axis=1))[0])]
    assert shade not in row


def test_later_lines_lie_over_earlier_ones() -> None:
    flat = [Trace(str(i), X, np.full(5000, 5.0)) for i in range(3)]
    assert drawn(Drawer(), *flat).owners.max() == 2
    assert set(drawn(Drawer(), *flat).owners[drawn(Drawer(), *flat).owners >= 0].tolist()) == {2}


def test_ascii_draws_with_characters_of_its_own_alone() -> None:
    traces = [Trace(str(i), X, noisy(i) + i, character=character) for i, character in enumerate("*o+")]
    text = "".join(drawn(Drawer(), *traces, style="ascii").rows)
    assert set(text) <= set(" *o+")
    assert set("*o+") <= set(text)
