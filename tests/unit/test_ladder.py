"""The ladder: which stages there are, what they stand on, and the sizes that the lectures gave them."""

from __future__ import annotations

import pytest

from lab.config.ladder import STAGES, STAGES_BY_NAME, find_stage, ladder_stages, stage_changes, stage_config
from lab.errors import ConfigError

RUNGS = (
    "bigram",
    "linear",
    "mlp",
    "single-head",
    "multi-head",
    "feed-forward",
    "blocks",
    "residual",
    "layernorm",
)


def test_the_rungs_are_in_the_lectures_order() -> None:
    assert tuple(stage.name for stage in STAGES) == (*RUNGS, "scaled", "scaled-cpu", "modern")


def test_each_stage_stands_on_one_below_it() -> None:
    below: set[str] = set()
    for stage in STAGES:
        assert stage.stands_on in below if stage.stands_on else stage.name == "bigram"
        below.add(stage.name)


def test_each_stage_changes_something_against_the_one_it_stands_on() -> None:
    for stage in STAGES:
        under = stage_changes(find_stage(stage.stands_on)) if stage.stands_on else {}
        for key, value in stage.changes.items():
            assert under.get(key, "nothing") != value, f"{stage.name} repeats {key}"


@pytest.mark.parametrize(
    ("stage", "sizes"),
    [
        # embedding, context, heads, layers, batch, steps, lr
        ("linear", (32, 8, 1, 0, 32, 3000, 1e-2)),
        ("single-head", (32, 8, 1, 1, 32, 5000, 1e-3)),
        ("multi-head", (32, 8, 4, 1, 32, 5000, 1e-3)),
        ("feed-forward", (32, 8, 4, 1, 32, 5000, 1e-3)),
        ("blocks", (32, 8, 4, 3, 32, 5000, 1e-3)),
        ("residual", (32, 8, 4, 3, 32, 5000, 1e-3)),
        ("layernorm", (32, 8, 4, 3, 32, 5000, 1e-3)),
        ("scaled", (384, 256, 6, 6, 64, 5000, 3e-4)),
        ("scaled-cpu", (128, 64, 4, 4, 12, 2000, 1e-3)),
    ],
)
def test_a_transformer_stage_has_the_lectures_sizes(stage: str, sizes: tuple[float, ...]) -> None:
    c = stage_config(stage)
    assert (c.embedding_dim, c.context_length, c.heads, c.layers, c.batch_size, c.steps, c.lr) == sizes
    assert (c.optimizer, c.schedule) == ("adamw", "constant")


def test_the_single_head_is_sixteen_wide() -> None:
    assert stage_config("single-head").attention_width == 16
    assert stage_config("multi-head").attention_width == 32


def test_the_mlp_is_bengios() -> None:
    config = stage_config("mlp", dataset_as="words")
    assert (config.dataset, config.context_length, config.embedding_dim, config.hidden_dim) == ("names", 3, 10, 200)
    assert (config.optimizer, config.schedule, config.lr, config.decay_start, config.decay_to) == (
        "sgd",
        "step",
        0.1,
        0.5,
        0.1,
    )
    assert (config.steps, config.activation, config.init, config.weight_decay) == (200_000, "tanh", "normal", 0.0)
    assert not config.predicts_every_position


def test_every_stage_has_a_config_on_both_kinds_of_dataset() -> None:
    for stage in STAGES_BY_NAME:
        stream = stage_config(stage, dataset="shakespeare", dataset_as="stream")
        words = stage_config(stage, dataset="names", dataset_as="words")
        assert (stream.dataset, words.dataset) == ("shakespeare", "names")
        assert words.context_length == (3 if stage == "mlp" else 16)


def test_a_given_context_wins_over_that_of_words() -> None:
    config = stage_config("bigram", dataset="names", dataset_as="words", settings={"context_length": 20})
    assert config.context_length == 20


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bigrm", "unknown stage 'bigrm': did you mean 'bigram'?"),
        ("layer-norm", "unknown stage 'layer-norm': did you mean 'layernorm'?"),
        ("qqq", "unknown stage 'qqq': one of: bigram, linear, mlp,"),
    ],
)
def test_an_unknown_stage_is_met_with_the_near_miss(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        stage_config(name)
    assert str(caught.value).startswith(hint)


def test_a_stage_cannot_be_turned_into_another_by_a_setting() -> None:
    with pytest.raises(ConfigError, match="stage=mlp cannot be set on the stage 'bigram'"):
        stage_config("bigram", settings={"stage": "mlp"})


def test_without_a_gpu_the_scaled_stage_has_its_stand_in() -> None:
    assert ladder_stages(gpu=False) == (*RUNGS, "scaled-cpu")
    assert ladder_stages(gpu=True) == (*RUNGS, "scaled")


def test_the_modern_rung_is_trained_where_it_is_asked_for() -> None:
    assert ladder_stages(gpu=False, modern=True) == (*RUNGS, "scaled-cpu", "modern")
    assert ladder_stages(gpu=True, modern=True) == (*RUNGS, "scaled", "modern")


def test_published_figures_are_the_lectures() -> None:
    published = {stage.name: stage.published_val_loss for stage in STAGES}
    assert published == {
        "bigram": 2.4919,
        "linear": 2.5165,
        "mlp": 2.17,
        "single-head": 2.4176,
        "multi-head": 2.2609,
        "feed-forward": 2.2291,
        "blocks": 2.3403,
        "residual": 2.0681,
        "layernorm": 2.0590,
        "scaled": 1.477,
        "scaled-cpu": 1.88,
        "modern": None,
    }


def test_every_stage_says_what_it_teaches_and_what_to_look_at() -> None:
    for stage in STAGES:
        assert stage.adds
        assert stage.lesson.endswith(".")
        assert stage.look_at
