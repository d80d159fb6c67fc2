"""Several values of a setting, as people write them; counted without being written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.config.fields import field_rule, field_value, known_key
from lab.config.run_config import RunConfig
from lab.config.value_list import Range, values_from_text, values_of
from lab.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("lr", "1e-3, 3e-4", [1e-3, 3e-4]),
        ("lr", "1e-3", [1e-3]),
        ("lr", "1e-3,", [1e-3]),
        ("seed", "1..5", [1, 2, 3, 4, 5]),
        ("seed", "1..3, 7", [1, 2, 3, 7]),
        ("lr", "1e-4..1e-2 log 5", [1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2]),
        ("context_length", "2..32 log 5", [2, 4, 8, 16, 32]),
        ("dropout", "0..0.4 linear 5", [0.0, 0.1, 0.2, 0.3, 0.4]),
        ("steps", "1_000..3_000 linear 3", [1000, 2000, 3000]),
        ("dropout", "0..1 linear 5", ConfigError),
        ("residual", "on, off", [True, False]),
        ("head_dim", "none, 8", [None, 8]),
        ("attention_scale", "1/sqrt(d), none", ["1/sqrt(d)", "none"]),
        ("dataset", "../text.txt", ["../text.txt"]),
        ("lr", "fast", ConfigError),
        ("lr", "", ConfigError),
        ("lr", "1e-3, 0.001", ConfigError),
        ("lr", "0.1..0.5", ConfigError),
        ("lr", "0..1 log 3", ConfigError),
        ("layers", "1..3 log 9", ConfigError),
        ("layers", "1..3 cubic 2", ConfigError),
        ("layers", "1..5 log 5", ConfigError),
        ("layers", "5..1", ConfigError),
        ("layers", "1..1000", ConfigError),
        ("residual", "0..1", ConfigError),
        ("layer", "1", ConfigError),
    ],
)
def test_values_are_read_as_people_write_them(key: str, text: str, values: object) -> None:
    if values is ConfigError:
        with pytest.raises(ConfigError):
            values_from_text(key, text)
        return
    read = values_from_text(key, text)
    assert list(read) == values
    assert len(read) == len(list(read))
    assert [type(value) for value in read] == [type(value) for value in values]  # type: ignore[attr-defined]


def test_a_range_is_counted_without_being_written_out() -> None:
    assert len(values_from_text("seed", "1..2000000000")) == 2_000_000_000
    assert len(values_from_text("lr", "1e-5..1 log 1000000000")) == 1_000_000_000


NUMBERS = {
    "lr": st.floats(1e-9, 1e6, exclude_min=True),
    "seed": st.integers(0, 2**31 - 1),
    "dropout": st.floats(0, 0.99),
    "weight_decay": st.floats(0, 1e6),
}


@st.composite
def lists_of_values(draw: st.DrawFn) -> tuple[str, list[object]]:
    """A key, and values and ranges of it."""
    key = draw(st.sampled_from(sorted(NUMBERS)))
    singles = draw(st.lists(NUMBERS[key], min_size=1, max_size=4, unique=True))
    return key, list(singles)


@given(lists_of_values())
def test_what_is_shown_is_read_back_the_same(given_values: tuple[str, list[object]]) -> None:
    key, singles = given_values
    values = values_of(key, singles)
    assert values_from_text(key, str(values)) == values


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(2, 50), st.sampled_from(["", "linear"]))
def test_a_range_is_read_back_the_same(first: int, width: int, count: int, spacing: str) -> None:
    made = Range(first, first + width, min(count, width + 1) if spacing else width + 1, spacing)
    (part,) = values_from_text("seed", str(made)).parts
    assert part == made
    assert (made[0], made[len(made) - 1]) == (first, first + width)


@given(st.floats(1e-6, 1), st.floats(1.5, 100), st.integers(2, 30), st.sampled_from(["linear", "log"]))
def test_a_range_goes_up_from_end_to_end(first: float, factor: float, count: int, spacing: str) -> None:
    values = list(Range(first, first * factor, count, spacing))
    assert (values[0], values[-1]) == (first, first * factor)
    assert all(first <= value <= first * factor or spacing == "log" for value in values)
    assert len(values) == count


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("lr", "above 0"),
        ("layers", "whole, 0 to 256"),
        ("dropout", "0 or more, below 1"),
        ("decay_to", "0 to 1"),
        ("steps", "whole, 1 or more"),
        ("head_dim", "whole, 1 to 65,536, or none"),
        ("residual", "on or off"),
        ("norm", "none, pre or post"),
        ("dataset", "text"),
    ],
)
def test_each_field_has_a_rule_in_words(key: str, rule: str) -> None:
    assert field_rule(key) == rule


def test_every_field_has_a_rule() -> None:
    assert all(field_rule(key) for key in RunConfig.model_fields)


def test_keys_are_known_by_their_synonyms() -> None:
    assert known_key("block size") == "context_length"
    assert known_key("n_embd") == "embedding_dim"
    assert known_key("Learning-Rate") == "lr"
    assert known_key("lr") == "lr"
    with pytest.raises(ConfigError, match="did you mean 'layers'"):
        known_key("layer")


def test_one_value_is_read_as_its_field_has_it() -> None:
    assert field_value("head_dim", "none") is None
    assert field_value("lr", " 3e-4 ") == 3e-4
    with pytest.raises(ConfigError, match="layers=on must be whole, 0 to 256"):
        field_value("layers", True)
    with pytest.raises(ConfigError, match="norm=prae must be"):
        field_value("norm", "prae")
