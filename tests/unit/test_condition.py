"""The conditions of an experiment: what they say of a config, and what is wrong with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.config.condition import parse_condition
from lab.config.ladder import stage_config
from lab.errors import ConfigError

VALUES = stage_config("residual").model_dump() | {"variant": "no skip"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("residual = on", True),
        ("residual == false", False),
        ("residual = on and layers > 3", False),
        ("layers <= 3 or norm = pre", True),
        ("not layers <= 3 or norm = pre", False),
        ("not (layers <= 3 and norm = pre)", True),
        ("variant = 'no skip'", True),
        ("variant != all", True),
        ("heads > layers", True),
        ("heads = layers", False),
        ("n_layer = 3", True),
        ("head_dim = none", True),
        ("head_dim < 100", False),
        ("lr = 1e-3", True),
        ("lr > -1", True),
        ("stage = residual", True),
        ('attention_scale != "sqrt(d)"', True),
        ("layers=3and heads=4", None),
    ],
)
def test_a_condition_says_whether_it_holds(text: str, holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(ConfigError):
            parse_condition(text)
    else:
        assert parse_condition(text).holds(VALUES) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a key of the config"),
        ("residul = on", "unknown key 'residul': did you mean 'residual'?"),
        ("layers", "at its end: expected a comparison"),
        ("layers >", "at its end: expected a value"),
        ("layers > pre", "layers=pre must be a valid integer"),
        ("norm < pre", "norm is not a number"),
        ("heads > norm", "norm is not a number"),
        ("heads = 1 layers = 2", "column 11: expected `and`"),
        ("(heads = 1", "at its end: expected `)`"),
        ("heads ~ 1", "column 7: expected a comparison"),
        ("norm = prae", "norm=prae must be"),
        ("__import__('os') = 1", "expected a comparison"),
        ("(" * 100 + "heads = 1" + ")" * 100, "nested more than"),
        ("not " * 100 + "heads = 1", "nested more than"),
    ],
)
def test_what_is_wrong_with_a_condition_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_condition(text)
    assert said in str(error.value)


WORDS = st.sampled_from(
    ["heads", "layers", "norm", "lr", "=", "!=", "<", ">=", "and", "or", "not", "(", ")", "4", "pre"]
)


@given(st.lists(WORDS, max_size=12))
def test_any_words_are_a_condition_or_an_error(words: list[str]) -> None:
    try:
        condition = parse_condition(" ".join(words))
    except ConfigError:
        return
    assert condition.holds(VALUES) in (True, False)


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    try:
        condition = parse_condition(text)
    except ConfigError:
        return
    assert condition.holds(VALUES) in (True, False)
