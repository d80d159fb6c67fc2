"""What a filter that is being typed may become."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.analysis.filter_completion import complete, values_of
from lab.analysis.run_filter import FilterError, filter_fields, parse_filter


def run(stage: str, *tags: str, **facts: Any) -> Any:
    usual = {"name": f"{stage}-1", "dataset": "shakespeare", "experiment": None}
    return SimpleNamespace(stage=stage, tags=tags, **(usual | facts))


VALUES = values_of([run("residual", "base"), run("blocks", "to do", experiment="attention"), run("residual")])


@pytest.mark.parametrize(
    ("text", "start", "first"),
    [
        ("st", 0, "stage:"),
        ("val<2 -st", 7, "stage:"),
        ("stage:", 6, "blocks"),
        ("stage:r", 6, "residual"),
        ("-stage:sid", 7, "residual"),
        ("status:f", 7, "finished"),
        ("tag:to", 4, '"to do"'),
        ("experiment:", 11, "attention"),
        ("activation=r", 11, "relu"),
        ("residual=", 9, "true"),
        ("kind:lr", 5, "lr-sweep"),
    ],
)
def test_completes(text: str, start: int, first: str) -> None:
    found = complete(text, len(text), lambda: VALUES)
    assert found.start == start
    assert found.options[0] == first


def test_offers_the_common_fields_before_anything_is_typed() -> None:
    assert complete("", 0, lambda: VALUES).options[:3] == ("stage:", "status:", "val<")


def test_offers_nothing_where_the_value_is_whole_or_within_quotation_marks() -> None:
    assert complete("stage:blocks", 12, lambda: VALUES).options == ()
    assert complete('notes:"st', 9, lambda: VALUES).options == ()


@given(st.text(max_size=30), st.integers(0, 30))
def test_never_fails_and_offers_fields_that_there_are(text: str, cursor: int) -> None:
    cursor = min(cursor, len(text))
    found = complete(text, cursor, lambda: VALUES)
    assert 0 <= found.start <= cursor
    for option in found.options:
        if option.endswith((":", "<", "=")):
            assert option[:-1] in filter_fields()


@given(st.text(max_size=40))
def test_a_filter_is_understood_or_refused_with_its_place(text: str) -> None:
    try:
        parse_filter(text)
        return
    except FilterError as error:
        place = (error.start, error.end)
    assert 0 <= place[0] < place[1] <= len(text)
