"""Every view of every stage on both kinds of dataset; what does not fit, and what a person may have got wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.datasets.dataset import Dataset, load_dataset
from lab.errors import PromptError, UsageError
from lab.inference.figures import Bars, Heatmap, Lines, Page, Prose, Scatter, Table, page_document, page_of
from lab.inference.inspection import attention, character_losses
from lab.inference.inspection.pages import PAGES
from lab.inference.views import VIEWS, InspectOptions, fits
from tests.unit.inspection_helpers import STAGES, figure, page_for, subject_of
from tests.unit.training_helpers import set_weights

pytestmark = pytest.mark.usefixtures("one_thread")


def check_whole(page: Page) -> None:
    """Each figure has as many numbers as labels, all of it survives the wire, and something is said of it."""
    assert page_of(page_document(page)) == page
    assert page.figures
    assert page.look_at.count(".") >= 2
    for each in page.figures:
        match each:
            case Heatmap():
                assert len(each.values) == len(each.rows)
                assert {len(row) for row in each.values} == {len(each.columns)}
                assert each.low < each.high
            case Bars():
                assert len(each.labels) == len(each.values)
                assert {len(each.lows), len(each.highs)} <= {0, len(each.labels)}
            case Scatter():
                assert len(each.labels) == len(each.x) == len(each.y) == len(each.classes) == len(each.neighbours)
            case Lines():
                assert len(each.names) == len(each.values)
                assert {len(row) for row in each.values} == {len(each.x)}
            case Table():
                assert {len(row) for row in each.rows} <= {len(each.columns)}
            case Prose():
                assert all(len(passage.shades) in (0, len(passage.text)) for passage in each.passages)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", ["stream", "words"])
def test_every_view_that_fits_shows_something(stage: str, kind: str, prose: Dataset, few_names: Dataset) -> None:
    subject = subject_of(prose if kind == "stream" else few_names, stage)
    for view in VIEWS:
        if fits(view, subject.config):
            page = page_for(subject, view.name)
            check_whole(page)
            assert page.view == view.name


@pytest.mark.parametrize(
    "settings",
    [
        {"positions": "rotary"},
        {"norm": "pre", "norm_kind": "rms"},
        {"norm": "post"},
        {"qk_norm": True},
        {"attention": "uniform"},
        {"causal_mask": False},
        {"value_projection": False},
        {"tied_embeddings": True},
        {"residual": False},
        {"logit_softcap": 5.0},
        {"feed_forward_multiple": 0},
        {"heads": 1},
    ],
)
def test_every_switch_can_be_looked_into(settings: dict[str, object], prose: Dataset) -> None:
    subject = subject_of(prose, "residual", **settings)
    for view in VIEWS:
        check_whole(page_for(subject, view.name))
    check_whole(page_for(subject, "knock-out", replacement="mean"))


def test_groups_of_pieces(prose: Dataset) -> None:
    subject = subject_of(prose, "layernorm")
    for pieces in ("parts", "heads", "positions", "dimensions"):
        check_whole(page_for(subject, "knock-out", pieces=pieces))
    with pytest.raises(UsageError, match=r"pieces=toes: run layernorm-1 has parts, heads, positions, dimensions"):
        page_for(subject, "knock-out", pieces="toes")
    with pytest.raises(UsageError, match="replacement=noise must be one of: zero, mean"):
        page_for(subject, "knock-out", replacement="noise")
    with pytest.raises(UsageError, match=r"pieces=positions: run modern-1 has parts, heads, dimensions"):
        page_for(subject_of(prose, "modern"), "knock-out", pieces="positions")


def test_a_prompt_that_is_too_long_is_cut_and_said(prose: Dataset) -> None:
    page = page_for(subject_of(prose, "layernorm"), "attention", prompt="To be, or not to be")
    assert page.notes == ("The prompt has 19 characters and the model sees 8 at once: only the last 8 are shown.",)
    assert figure(page, "layer 1 head 1").rows == tuple("not to be".replace(" ", "␣")[-8:])


def test_a_prompt_of_words_begins_at_their_start(few_names: Dataset) -> None:
    page = page_for(subject_of(few_names, "layernorm"), "attention", prompt="emma")
    assert figure(page, "layer 1 head 1").rows == tuple(".emma")


def test_foreign_characters_are_named(prose: Dataset) -> None:
    for view in ("attention", "logit-lens"):
        with pytest.raises(PromptError, match="lacks 'ż'"):
            page_for(subject_of(prose, "layernorm"), view, prompt="że")


@pytest.mark.parametrize("option", ["layer", "head", "position"])
def test_a_layer_or_head_that_is_not_there_is_said(option: str, prose: Dataset) -> None:
    for wanted in (-1, 99):
        with pytest.raises(UsageError, match=f"has no {option} {wanted}: it has {option}s 1 to"):
            page_for(subject_of(prose, "layernorm"), "attention", **{option: wanted})


def test_a_character_or_head_size_that_cannot_be_is_said(prose: Dataset) -> None:
    with pytest.raises(UsageError, match="character 'ż' is not in the vocabulary"):
        page_for(subject_of(prose, "mlp"), "embeddings", character="ż")
    with pytest.raises(UsageError, match="head-size=0 must be between"):
        page_for(subject_of(prose, "bigram"), "averaging", head_size=0)


def test_two_runs_stand_side_by_side(prose: Dataset, few_names: Dataset) -> None:
    one, other = subject_of(prose, "residual"), subject_of(prose, "layernorm", seed=2)
    for view in ("attention", "loss-map"):
        page = page_for(replace(one, other=other), view)
        check_whole(page)
        assert len(page.figures) > len(page_for(one, view).figures)
    with pytest.raises(UsageError, match="trained on different texts"):
        page_for(replace(one, other=subject_of(few_names, "residual")), "loss-map")


@pytest.mark.parametrize("stage", ["bigram", "linear", "mlp", "layernorm"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0])
def test_a_model_that_has_diverged_is_shown_without_numbers(stage: str, value: float, prose: Dataset) -> None:
    subject = subject_of(prose, stage)
    set_weights(subject.model, value)
    for view in VIEWS:
        if fits(view, subject.config):
            check_whole(page_for(subject, view.name))
            if view.name == "knock-out":
                check_whole(page_for(subject, view.name, replacement="mean"))


def test_the_least_context_and_a_large_vocabulary(text_file: Callable[..., Path]) -> None:
    alphabet = "".join(chr(0x4E00 + i) for i in range(300))
    large = load_dataset(str(text_file(alphabet * 12, "large.txt")), "stream")
    for stage in ("bigram", "mlp", "layernorm"):
        subject = subject_of(large, stage, context_length=1)
        for view in VIEWS:
            if fits(view, subject.config):
                check_whole(page_for(subject, view.name))
    page = page_for(subject_of(large, "bigram"), "bigram")
    assert len(figure(page, "counted").rows) == 120
    assert "The maps show the 120 most frequent of 300 characters." in page.notes


def test_a_page_of_many_maps_shows_one_layer(prose: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MOST_CELLS", 200)
    page = page_for(subject_of(prose, "layernorm"), "attention")
    assert [each.title for each in page.figures if isinstance(each, Heatmap)] == ["layer 2 head 1", "layer 2 head 2"]
    assert page.notes == ("2 layers of such maps are too many for one page: layer 2 is shown.",)


def test_a_large_model_is_told_of_in_small_parts(prose: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(prose, "layernorm")
    whole = page_for(subject, "knock-out"), page_for(subject, "loss-map"), page_for(subject, "logit-lens")
    monkeypatch.setattr(character_losses, "MOMENT_OF_WORK", 40_000)
    told: dict[str, list[tuple[int, int]]] = {"knock-out": [], "loss-map": [], "logit-lens": []}
    for page, (view, heard) in zip(whole, told.items(), strict=True):
        parts = PAGES[view](subject, InspectOptions(), lambda done, total, heard=heard: heard.append((done, total)))
        assert [each.title for each in parts.figures] == [each.title for each in page.figures]
        assert len(heard) > 5
        assert heard[-1][0] == heard[-1][1]
        assert heard == sorted(heard)
