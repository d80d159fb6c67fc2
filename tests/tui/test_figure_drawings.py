"""Figures on the screen: what of them is seen in how much room, in which colours, and what is under the cursor."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from inspect_helpers import FIGURES
from rich.cells import cell_len

from lab.inference.figures import Bars, Figure, Heatmap, Lines, Passage, Prose, Scatter, Table
from lab.inference.protocol import InspectRequest
from lab.tui.chart_cells import Row
from lab.tui.figure_drawings.base import Drawing, FigureLook, Size, said_column, said_number, short_number
from lab.tui.figure_drawings.kinds import drawing_of
from lab.tui.figure_drawings.layout import lay_out
from lab.tui.figure_drawings.shades import Scale
from lab.tui.theme import DARK, LIGHT, PRESENTER, theme_colours

COLOURS = theme_colours(
    {
        "foreground": "#d5dae3",
        "background": "#0f1217",
        "primary": "#6ea8fe",
        "accent": "#f0b86e",
        "secondary": "#7fd1c7",
    }
)
LOOK = FigureLook(COLOURS)
PLAIN = replace(LOOK, colour_system=None)
ASCII = replace(LOOK, marker="ascii", colour_system=None)
HOSTILE = "[red]x[/red]\x1b[31m"
MAP = Heatmap(
    "m", ("a", "␣"), ("x", "y", "z"), ((0.0, 0.5, 1.0), (0.25, None, 0.75)), 0.0, 1.0, "after", "comes", "share"
)
EVERY = [figure for name, make in FIGURES.items() for figure in make(InspectRequest("db", "id", name))]


def said(row: Row) -> str:
    return "".join(segment.text for segment in row)


def text_of(drawing: Drawing) -> str:
    return "\n".join(said(row) for row in drawing.rows)


def large(figure: Figure, look: FigureLook = LOOK) -> Drawing:
    return drawing_of(figure).draw(look, Size(100, 30), (0, 0))


# Every kind


@pytest.mark.parametrize("look", [LOOK, PLAIN, ASCII, replace(LOOK, colour_system="standard")])
@pytest.mark.parametrize("figure", EVERY, ids=lambda figure: f"{type(figure).__name__}-{figure.title}")
def test_every_figure_fills_the_room_it_is_given_and_no_more(figure: Figure, look: FigureLook) -> None:
    drawing = drawing_of(figure)
    sizes = [*drawing.sizes(look, 120)[:1], *drawing.sizes(look, 120)[-1:], Size(40, 10), Size(12, 4), Size(3, 1)]
    for size in sizes:
        for cursor in (None, drawing.start(), drawing.within((10**6, 10**6))):
            drawn = drawing.draw(look, size, cursor)
            assert len(drawn.rows) <= max(size.height, 4)
            assert {sum(cell_len(segment.text) for segment in row) for row in drawn.rows} <= {size.width}
            assert all(drawing.within(spot) == spot for spot in drawn.spots.values())


@pytest.mark.parametrize("figure", EVERY, ids=lambda figure: f"{type(figure).__name__}-{figure.title}")
def test_in_ascii_nothing_but_the_characters_of_the_text_goes_beyond(figure: Figure) -> None:
    drawing = drawing_of(figure)
    own = {character for character in repr(figure) if ord(character) > 127} | set("−–⏎␣…")
    for size in drawing.sizes(ASCII, 100):
        drawn = text_of(drawing.draw(ASCII, size, drawing.start()))
        assert {character for character in drawn if ord(character) > 127} <= own


@pytest.mark.parametrize("figure", EVERY, ids=lambda figure: f"{type(figure).__name__}-{figure.title}")
def test_a_cursor_stays_in_the_figure_and_says_what_is_there(figure: Figure) -> None:
    drawing = drawing_of(figure)
    cursor = drawing.start()
    for right, down in ((1, 0), (0, 1), (10, 0), (0, 10), (-1, 0), (0, -1), (-100, 0), (0, -100)):
        cursor = drawing.moved(cursor, right, down)
        assert drawing.within(cursor) == cursor
        assert drawing.under(cursor).plain


@pytest.mark.parametrize(
    "figure",
    [
        Heatmap(HOSTILE, (HOSTILE,), (HOSTILE,), ((1.0,),), 0, 1, HOSTILE, HOSTILE, HOSTILE, texts=((HOSTILE,),)),
        Bars(HOSTILE, (HOSTILE,), (1.0,), reference=0.5, reference_name=HOSTILE, unit=HOSTILE),
        Scatter(HOSTILE, (HOSTILE,), (1.0,), (1.0,), (HOSTILE,), HOSTILE, HOSTILE),
        Lines(HOSTILE, (HOSTILE,), (1.0, 2.0), ((1.0, 2.0),), HOSTILE, HOSTILE),
        Table(HOSTILE, (HOSTILE,), ((HOSTILE,),)),
        Prose(HOSTILE, (Passage(HOSTILE, HOSTILE, 1.0, tuple(1.0 for _ in HOSTILE)),), unit=HOSTILE),
    ],
)
def test_texts_from_outside_are_literal(figure: Figure) -> None:
    drawing = drawing_of(figure)
    assert "\x1b" not in text_of(large(figure)) + drawing.under(drawing.start()).plain


@pytest.mark.parametrize(
    "figure",
    [
        Heatmap("h", (), (), (), 0, 1),
        Bars("b", (), ()),
        Scatter("s", (), (), (), ()),
        Scatter("s", ("a",), (None,), (None,), ("vowel",)),
        Lines("l", (), (), ()),
        Lines("l", ("a",), (1.0, 2.0), ((None, None),)),
        Table("t", ("a",), ()),
        Prose("p", ()),
        Prose("p", (Passage(""),)),
    ],
)
def test_a_figure_of_nothing_is_no_trouble(figure: Figure) -> None:
    drawing = drawing_of(figure)
    drawing.sizes(LOOK, 80)
    large(figure)
    drawing.under(drawing.moved(drawing.start(), 1, 1))


# Heat maps


def test_a_heat_map_with_room_has_numbers_and_labels() -> None:
    drawn = text_of(large(MAP))
    assert drawn.splitlines()[0].split() == ["x", "y", "z"]
    assert ".50" in drawn
    assert "1" in drawn
    assert "↓ after  → comes" in drawn
    assert "share" in drawn


def test_shades_are_told_apart_without_colours_and_what_is_masked_is_blank() -> None:
    small = drawing_of(MAP).draw(PLAIN, Size(8, 4), None)
    assert [said(row)[2:8] for row in small.rows[1:3]] == ["··▒▒██", "░░  ▓▓"]
    plain = drawing_of(MAP).draw(ASCII, Size(8, 4), None)
    cells = [said(row)[2:8] for row in plain.rows[1:3]]
    assert len({cells[0][0], cells[0][2], cells[0][4], cells[1][0], cells[1][2], cells[1][4]}) == 6


def test_on_both_sides_of_zero_shades_differ_without_colours_too() -> None:
    scale = Scale(PLAIN, -2.0, 2.0, diverging=True)
    assert scale.character(-2.0) != scale.character(2.0)
    assert scale.character(-0.01) == scale.character(0.01) == "·"
    coloured = Scale(LOOK, -2.0, 2.0, diverging=True)
    assert coloured.colour(-2.0) != coloured.colour(2.0)


@pytest.mark.parametrize("theme", [DARK, LIGHT, PRESENTER], ids=lambda theme: theme.name)
def test_shades_rise_evenly_from_the_background_in_every_theme(theme: object) -> None:
    variables = {name: getattr(theme, name) for name in ("foreground", "background", "primary", "accent")}
    scale = Scale(FigureLook(theme_colours(variables)), 0.0, 1.0)

    def light(colour: str) -> float:
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    shades = [light(scale.colour(i / 10)) for i in range(11)]
    steps = [b - a for a, b in pairwise(shades)]
    assert all(step > 0 for step in steps) or all(step < 0 for step in steps)


def test_a_large_map_scrolls_with_the_cursor_and_keeps_its_labels() -> None:
    labels = tuple(f"{i:02}" for i in range(90))
    values = tuple(tuple(i * j / 8100 for j in range(90)) for i in range(90))
    drawing = drawing_of(Heatmap("large", labels, labels, values, 0, 1))
    for cursor in ((0, 0), (45, 60), (89, 89)):
        drawn = drawing.draw(LOOK, Size(60, 16), cursor)
        lines = text_of(drawn).splitlines()
        assert f"{cursor[1]:02}" in lines[0]
        assert any(line.strip().startswith(f"{cursor[0]:02}") for line in lines[1:])
        assert cursor in drawn.spots.values()
        assert "+ more" in lines[-1]


def test_a_thumbnail_has_two_rows_in_one_and_names_both() -> None:
    values = tuple(tuple(float(i == j) for j in range(40)) for i in range(40))
    labels = tuple("abcdefghijklmnopqrstuvwxyz01234567890123")
    drawing = drawing_of(Heatmap("eye", labels, labels, values, 0, 1))
    assert drawing.sizes(LOOK, 43)[-2:] == [Size(43, 21), Size(40, 21)]
    lines = text_of(drawing.draw(LOOK, Size(43, 21), (39, 3))).splitlines()
    assert lines[0].split() == ["".join(labels)]
    assert [line[:3] for line in (lines[1], lines[20])] == ["ab ", "23 "]
    assert drawing.sizes(PLAIN, 40)[-1] == Size(40, 40)
    cut = drawing.draw(LOOK, Size(40, 8), (39, 39))
    assert (38, 39) in cut.spots.values()
    words = drawing_of(Heatmap("eye", ("one", "two"), ("a", "b"), ((1.0, 0.0), (0.0, 1.0)), 0, 1))
    assert words.sizes(LOOK, 40)[-1] == Size(2, 1), "names that are no characters have no room"


def test_of_attention_it_is_said_whom_the_character_looks_at_in_order() -> None:
    rows = ((1.0, None, None), (0.3, 0.7, None), (0.2, 0.5, 0.3))
    drawing = drawing_of(
        Heatmap("h", ("t", "o", "␣"), ("t", "o", "␣"), rows, 0, 1, "asks", "is read", lower_triangular=True)
    )
    assert drawing.start() == (2, 0)
    assert drawing.under((2, 1)).plain == "asks ␣ · is read o · 0.5000\n␣ looks at o .50 · ␣ .30 · t .20"
    assert "masked" in drawing.under((0, 2)).plain


# The others


def test_a_scatter_names_neighbours_the_nearest_first_and_moves_from_point_to_point() -> None:
    figure = Scatter(
        "s", ("a", "e", "t"), (0.0, 1.0, 5.0), (0.0, 0.1, 1.0), ("vowel", "vowel", "consonant"),
        neighbours=((1, 2), (0, 2), (1, 0)), distances=((1.0, 5.0), (1.0, 4.0), (4.0, 5.0)),
    )  # fmt: skip
    drawing = drawing_of(figure)
    assert drawing.moved((0, 0), 1, 0) == (0, 1)
    assert drawing.moved((0, 0), 2, 0) == (0, 2)
    assert drawing.moved((0, 2), -1, 0) == (0, 1)
    assert drawing.moved((0, 2), 1, 0) == (0, 2)
    assert "nearest: e 1 · t 5" in drawing.under((0, 0)).plain
    drawn = text_of(large(figure))
    assert all(letter in drawn for letter in "aet")
    assert "vowel 2" in drawn


def test_points_in_one_place_are_all_seen() -> None:
    figure = Scatter("s", tuple("abcdefg"), (1.0,) * 7, (1.0,) * 7, ("vowel",) * 7)
    assert all(letter in text_of(large(figure)) for letter in "abcdefg")


def test_bars_start_at_their_reference_and_show_the_interval() -> None:
    figure = Bars("b", ("head 1", "head 2"), (2.5, 1.9), (2.4, 1.8), (2.6, 2.0), 2.0, "whole", "nats")
    lines = text_of(drawing_of(figure).draw(LOOK, Size(50, 5), None)).splitlines()
    assert "nats, from whole 2" in lines[0]
    assert all("├" in line and "┤" in line for line in lines[1:])
    assert lines[2].index("├") < lines[1].index("├")
    under = drawing_of(figure).under((0, 0)).plain
    assert "interval 2.4000 to 2.6000" in under
    assert "+0.5000 against whole 2" in under


def test_a_table_keeps_its_head_while_it_scrolls_and_indents_a_tree() -> None:
    rows = tuple((f"module {i}", i * 1000) for i in range(50))
    drawing = drawing_of(Table("t", ("module", "parameters"), rows, tuple(i % 3 for i in range(50))))
    lines = text_of(drawing.draw(LOOK, Size(40, 6), (40, 0))).splitlines()
    assert lines[0].split() == ["module", "parameters"]
    assert any("module 40" in line and "40,000" in line for line in lines)
    assert text_of(drawing.draw(LOOK, Size(40, 6), (0, 0))).splitlines()[2].startswith("  module 1")


def test_a_newline_in_prose_is_seen_and_is_one() -> None:
    figure = Prose("p", (Passage("ab\ncd", "worst", 4.0, (0.0, 1.0, 2.0, 3.0, 4.0), mark=3),), 0.0, 4.0, "nats")
    drawing = drawing_of(figure)
    lines = text_of(large(figure)).splitlines()
    assert [line.strip() for line in lines] == ["worst 4 nats", "ab⏎", "cd"]
    assert drawing.start() == (0, 3)
    assert drawing.under((0, 2)).plain == "worst · ⏎ 2 nats"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "–"), (math.nan, "–"), (3.0, "3"), (-1234.0, "−1,234"), (0.12345, "0.1235"), (12.345, "12.35"),
     (1e-6, "1e-06"), (-0.5, "−0.5000")],
)  # fmt: skip
def test_numbers_have_the_digits_that_mean_something(value: float | None, expected: str) -> None:
    assert said_number(value) == expected


def test_numbers_under_each_other_have_the_same_decimals() -> None:
    assert said_column([0.5, 0.25, None, 0.00001]) == ["0.5000", "0.2500", "–", "1e-05"]
    assert said_column([12.5, 3.0]) == ["12.50", "3.00"]
    assert said_column([1, 2000]) == ["1", "2,000"]


@pytest.mark.parametrize(
    ("value", "width", "expected"),
    [(0.123, 4, ".12"), (-0.5, 4, "−.50"), (12.3, 4, "12.3"), (12345.0, 4, ""), (12345.0, 5, "12.3k"), (3.0, 4, "3")],
)
def test_a_number_in_a_cell_is_short(value: float, width: int, expected: str) -> None:
    assert short_number(value, width) == expected


# A page of them


def drawings(view: str) -> list[object]:
    return [drawing_of(figure) for figure in FIGURES[view](InspectRequest("db", "id", view))]


@pytest.mark.parametrize("view", FIGURES)
@pytest.mark.parametrize("room", [(76, 17), (126, 40), (206, 64)], ids=["80x24", "160x45", "240x70"])
def test_figures_never_overlap_nor_leave_the_page(view: str, room: tuple[int, int]) -> None:
    placed = lay_out(drawings(view), LOOK, *room)  # type: ignore[arg-type]
    assert [each.number for each in placed] == list(range(len(placed)))
    taken: set[tuple[int, int]] = set()
    for each in placed:
        assert each.x + each.width <= room[0]
        assert each.size.width <= each.width
        cells = {(x, y) for x in range(each.x, each.x + each.width) for y in range(each.y, each.bottom)}
        assert not cells & taken
        taken |= cells


def test_all_heads_are_seen_at_once_and_grow_with_the_room() -> None:
    few, many = (lay_out(drawings("attention")[:8], LOOK, *room) for room in ((126, 40), (206, 64)))  # type: ignore[arg-type]
    assert max(each.bottom for each in few) <= 40
    assert max(each.bottom for each in many) <= 64
    assert many[0].size.width > few[0].size.width
    assert len({each.size for each in few}) == 1


def test_maps_of_a_page_have_cells_of_one_size_whether_texts_stand_in_them_or_not() -> None:
    labels, values = tuple("abcdefgh"), tuple(tuple(0.5 for _ in range(8)) for _ in range(4))
    plain = Heatmap("plain", ("1", "2", "3", "4"), labels, values, 0, 1)
    said_in = replace(plain, title="texts", texts=tuple(tuple("x" for _ in range(8)) for _ in range(4)))
    placed = lay_out([drawing_of(said_in), drawing_of(plain)], LOOK, 126, 30)
    assert placed[0].size == placed[1].size


def test_a_scatter_stays_large_where_a_long_table_follows() -> None:
    scatter = FIGURES["embeddings"](InspectRequest("db", "id", "embeddings"))[0]
    table = Table("t", ("letter", "nearest"), tuple((letter, "abc") for letter in "abcdefghijklmnopqrstuvwxyz" * 2))
    placed = lay_out([drawing_of(scatter), drawing_of(table)], LOOK, 126, 38)
    assert placed[0].size.height >= 20
    bars = Bars("b", tuple("abcdefgh"), (1.0,) * 8)
    both = lay_out([drawing_of(table), drawing_of(bars), drawing_of(bars)], LOOK, 126, 38)
    assert {each.y for each in both} == {0}, "bars make themselves narrow and stand beside it"
