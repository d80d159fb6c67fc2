"""Figures: what a page is made of survives the way to the screen, and no number is anything but a number."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.config.ladder import stage_config
from lab.errors import UsageError
from lab.inference.figures import (
    Bars,
    Choice,
    Heatmap,
    Lines,
    Page,
    Passage,
    Prose,
    Scatter,
    Table,
    extent,
    grid,
    number,
    page_document,
    page_of,
)
from lab.inference.protocol import InspectRequest, decode, encode, inspect_message, inspect_request_of
from lab.inference.views import VIEWS, InspectOptions, find_view, fits, fitting_views, why_not

EVERY_KIND = Page(
    view="data",
    title="a page",
    look_at="One. Two.",
    figures=(
        Heatmap("h", ("a", "b"), ("a", "b"), ((1.0, None), (0.5, 0.5)), 0.0, 1.0, lower_triangular=True),
        Heatmap("t", ("1",), ("a", "b"), ((0.1, 0.2),), 0.0, 1.0, texts=(("x", "⏎"),), group="g"),
        Bars("b", ("a",), (1.0,), (0.5,), (1.5,), 0.9, "guessing evenly"),
        Scatter("s", ("a", "b"), (0.0, 1.0), (1.0, None), ("vowel", "digit"), neighbours=((1,), (0,))),
        Lines("l", ("one",), (1.0, 2.0), ((None, 3.0),), log_y=True),
        Table("t", ("name", "n"), (("x", 1), ("y", None)), depths=(0, 1)),
        Prose("p", (Passage("to be\nor", "worst", 3.5, (0.1,) * 8, 5),), 0.0, 4.0),
    ),
    notes=("cut",),
    choices=(Choice("layer", ("1", "2"), "1"),),
    run_id="r",
    step=7,
)


def test_a_page_comes_back_from_the_wire_as_it_was() -> None:
    assert page_of(decode(encode(page_document(EVERY_KIND)))) == EVERY_KIND


@given(st.lists(st.lists(st.floats(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_numbers_come_back_as_numbers_or_none(rows: list[list[float]]) -> None:
    values = grid(rows)
    heatmap = Heatmap("h", tuple(str(i) for i in range(len(rows))), ("a", "b", "c"), values, 0.0, 1.0)
    page = page_of(json.loads(json.dumps(page_document(Page("v", "t", "", (heatmap,))), allow_nan=False)))
    assert page.figures == (heatmap,)
    for row, kept in zip(rows, values, strict=True):
        for given_value, kept_value in zip(row, kept, strict=True):
            if math.isfinite(given_value):
                assert kept_value == pytest.approx(given_value, rel=1e-5)
            else:
                assert kept_value is None


def test_extents_pass_over_what_is_no_number() -> None:
    assert extent((None, 2.0, -1.0)) == (-1.0, 2.0)
    assert extent((None,)) == (0.0, 1.0)
    assert number(math.inf) is None


# Views and requests


def test_an_unknown_view_is_answered_with_the_near_miss() -> None:
    with pytest.raises(UsageError, match="unknown view 'dta': did you mean 'data'"):
        find_view("dta")
    with pytest.raises(UsageError, match=r"unknown view 'zzz': one of: data"):
        find_view("zzz")
    assert find_view("dataset").name == "data"


def test_a_view_fits_or_says_why_not_and_offers_one_that_does() -> None:
    for stage in ("bigram", "linear", "mlp", "single-head", "modern"):
        config = stage_config(stage)
        for view in VIEWS:
            reason = why_not(view, config)
            assert bool(reason) != fits(view, config)
            assert (view in fitting_views(config)) == fits(view, config)
            if reason:
                assert fits(find_view(reason.rpartition(" ")[2]), config)


def test_a_request_comes_back_from_the_wire_and_a_senseless_one_is_refused() -> None:
    request = InspectRequest("runs.db", "1a", "data", "last", InspectOptions(prompt="to be", layer=2))
    assert inspect_request_of(decode(encode(inspect_message(1, request)))) == request
    for bad in (
        {},
        {"database": "x", "run_id": "y"},
        {"database": "x", "run_id": "y", "view": 3},
        {"database": "x", "run_id": "y", "view": "data", "colour": "red"},
        {"database": "x", "run_id": "y", "view": "data", "options": {"layer": "two"}},
        {"database": "x", "run_id": "y", "view": "data", "options": {"layer": True}},
        {"database": "x", "run_id": "y", "view": "data", "options": {"depth": 1}},
        {"database": "x", "run_id": "y", "view": "data", "options": []},
    ):
        with pytest.raises(UsageError, match="makes no sense"):
            inspect_request_of({"id": 1, "inspect": bad})
