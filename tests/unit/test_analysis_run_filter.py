"""The filter language over runs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from lab.analysis.run_filter import FilterError, filter_fields, parse_filter
from lab.config.ladder import stage_config
from lab.errors import UsageError


def run(stage: str = "residual", **facts: Any) -> Any:
    """What a filter reads of a run."""
    settings = facts.pop("settings", {})
    usual = {
        "id": "1abc", "name": f"{stage}-1", "stage": stage, "dataset": "shakespeare", "status": "finished",
        "experiment": None,
        "kind": "training", "device": "cpu", "notes": "", "tags": ("quick",), "val_loss": 2.08, "best_val_loss": 2.07,
        "train_loss": 2.0, "parameters": 41_921, "chars_per_second": 61e3, "step": 5000, "seconds": 80.0,
        "written": json.loads(stage_config(stage, settings=settings).to_json()),
    }  # fmt: skip
    return SimpleNamespace(**(usual | facts))


@pytest.mark.parametrize(
    "text",
    [
        "", "resid", "RESID", "stage:residual", "stage:res", "stage=residual", "status:finished", "status:done",
        "val<2.1", "val<=2.08", "val>2 val<3", "lr=1e-3", "lr:1e-3", "lr<1e-2", "learning_rate<1e-2", "heads=4",
        "tag:quick", "-name:test", "-status:failed", "parameters<42k", "speed>60k", "steps=5k", "residual:true",
        "norm:none", "device:cpu", "stage!=bigram", "choices<8.1", "head_dim:none", "1abc",
        "kind:training", "-kind:lr-sweep", "residual:on", "seed:1337", "batch_size>16",
        'name:"residual-1"', "status:fin",
    ],
)  # fmt: skip
def test_lets_through(text: str) -> None:
    assert parse_filter(text)(run())


@pytest.mark.parametrize(
    "text",
    ["bigram", "stage:blocks", "stage=res", "val>2.1", "lr<1e-3", "-residual", "-tag:quick", "tag:base",
     "residual:false", "steps<5000", "stage:residual val>3", "parameters>1m", "experiment:why"],
)  # fmt: skip
def test_keeps_out(text: str) -> None:
    assert not parse_filter(text)(run())


def test_a_run_without_the_number_matches_no_comparison() -> None:
    assert not parse_filter("val<9")(run(val_loss=None))
    assert not parse_filter("val>0")(run(val_loss=None))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stag:x", "no field 'stag': did you mean 'stage'?"),
        ("zzz:1", "no field 'zzz'"),
        ("val<", "val<: a number is missing"),
        ("val<two", "'two' is not a number"),
        ("stage<3", "stage< compares text; write stage:3"),
        ("status:finishd", "no status 'finishd': did you mean 'finished'?"),
        ("activation=rleu", "no activation 'rleu': did you mean 'relu'?"),
        ("residual=maybe", "no residual 'maybe': there are true, false"),
    ],
)
def test_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_filter(text)
    assert said in str(error.value)


def test_says_where_it_is_wrong() -> None:
    with pytest.raises(FilterError) as error:
        parse_filter("stage:residual -val<two tag:x")
    assert (error.value.start, error.value.end) == (15, 23)


def test_a_text_with_blanks_stands_in_quotation_marks() -> None:
    assert parse_filter('notes:"to do"')(run(notes="still to do"))
    assert not parse_filter('notes:"to do"')(run(notes="to be done"))
    assert parse_filter('"residual')(run())  # while it is being typed


def test_knows_every_setting() -> None:
    assert {"stage", "val", "lr", "dropout"} <= set(filter_fields())


def test_a_setting_that_an_older_config_does_not_have_is_at_its_default() -> None:
    old = {"stage": "residual", "lr": 0.001}
    assert parse_filter("momentum=0.95 momentum>0.9 qk_norm:off adamw_lr:none")(run(written=old))
    assert not parse_filter("momentum<0.9")(run(written=old))
    assert not parse_filter("momentum>0.9")(run(written=old, kind="external"))
