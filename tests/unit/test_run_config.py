"""The config of a run: validation, what its errors say, JSON both ways, and hashes that stay what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.config import run_config
from lab.config.ladder import STAGES_BY_NAME, stage_config
from lab.config.run_config import (
    SYNONYMS,
    RunConfig,
    check_keys,
    from_json,
    from_mapping,
    models_that_read,
    parse_settings,
)
from lab.errors import ConfigError, UsageError

SHA256 = "5" * 64


def refusal(stage: str = "multi-head", **settings: Any) -> str:
    """What is said of a stage's config with some fields set otherwise."""
    with pytest.raises(ConfigError) as caught:
        stage_config(stage, settings=settings)
    message = str(caught.value)
    assert "\n" not in message
    assert "pydantic" not in message
    return message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 5}, "heads=5 must divide embedding_dim=32"),
        ({"steps": 0}, "steps=0 must be greater than or equal to 1"),
        ({"steps": "0"}, "steps=0 must be greater than or equal to 1"),
        ({"lr": -0.5}, "lr=-0.5 must be greater than 0"),
        ({"lr": 0}, "lr=0 must be greater than 0"),
        ({"lr": float("nan")}, "lr=nan must be a finite number"),
        ({"lr": "nan"}, "lr=nan must be a finite number"),
        ({"lr": "inf"}, "lr=inf must be a finite number"),
        ({"dropout": 1}, "dropout=1 must be less than 1"),
        ({"norm": "batch"}, "norm=batch must be 'none', 'pre' or 'post'"),
        ({"seed": 2**31}, f"seed={2**31} must be less than {2**31}"),
        ({"activation_gain": 2.0}, "activation_gain=2.0 needs init=kaiming, not init=torch"),
        ({"warmup_steps": 5000}, "warmup_steps=5000 must be below steps=5000"),
        ({"hidden_dim": 100}, "hidden_dim=100 does not apply to a transformer model"),
        ({"layers": 2, "head_dim": 3}, "layers=2 needs heads × head_dim = embedding_dim=32, or output_projection"),
        ({"residual": True, "head_dim": 3}, "residual=true needs heads × head_dim = embedding_dim=32"),
        ({"feed_forward_multiple": 4}, "feed_forward_multiple=4 needs output_projection=true to return to C=32"),
        (
            {"tied_embeddings": True, "head_dim": 3},
            "tied_embeddings=true needs a last layer of embedding_dim=32, not 12",
        ),
        ({"value_projection": False, "head_dim": 3}, "value_projection=false needs heads × head_dim = embedding_dim"),
    ],
)
def test_an_error_names_the_field_the_value_and_the_rule(settings: dict[str, Any], message: str) -> None:
    assert message in refusal(**settings)


def test_a_value_of_the_wrong_kind_is_named() -> None:
    assert refusal(steps="many").startswith("steps=many must be a valid integer")
    assert refusal(residual="maybe").startswith("residual=maybe must be a valid boolean")


def test_every_wrong_field_is_named_at_once() -> None:
    message = refusal(steps=0, lr=-1)
    assert "steps=0" in message
    assert "lr=-1" in message


def test_a_transformers_switch_on_a_bigram_is_refused() -> None:
    assert refusal("bigram", layers=3) == "layers=3 does not apply to a bigram model"


def test_tied_embeddings_of_an_mlp_need_equal_widths() -> None:
    assert refusal("mlp", tied_embeddings=True) == "tied_embeddings=true needs hidden_dim=200 equal to embedding_dim=10"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("learning_rate", "unknown key 'learning_rate': did you mean 'lr'?"),
        ("Block_Size", "unknown key 'Block_Size': did you mean 'context_length'?"),
        ("droput", "unknown key 'droput': did you mean 'dropout'?"),
        ("learning_rat", "unknown key 'learning_rat': did you mean 'lr'?"),
    ],
)
def test_an_unknown_key_is_met_with_the_near_miss(key: str, hint: str) -> None:
    assert refusal(**{key: 1}) == hint


def test_a_key_that_resembles_nothing_is_met_with_the_known_ones() -> None:
    assert refusal(zzzz=1).startswith("unknown key 'zzzz'; known keys: stage, model, dataset")


def test_every_synonym_stands_for_a_field_and_is_none_itself() -> None:
    assert set(SYNONYMS.values()) <= RunConfig.model_fields.keys()
    assert not SYNONYMS.keys() & RunConfig.model_fields.keys()


def test_config_errors_end_a_command_as_bad_usage() -> None:
    assert issubclass(ConfigError, UsageError)
    assert ConfigError.exit_status == 2


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ConfigError, match="model is missing"):
        from_mapping({"stage": "bigram"})


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', '{"stage": "bigram", "model": "bigram", "lr": NaN}'])
def test_broken_json_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json(text)
    assert "\n" not in str(caught.value)


def test_settings_are_parsed_from_words() -> None:
    settings = parse_settings(["lr=3e-4", "residual = true", "head_dim=none", "norm=none"])
    config = stage_config("multi-head", settings=settings)
    assert (config.lr, config.residual, config.head_dim, config.norm) == (3e-4, True, None, "none")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lr", "'lr' is not KEY=VALUE; write for example lr=3e-4"),
        ("n_head=4", "unknown key 'n_head': did you mean 'heads'?"),
    ],
)
def test_a_word_that_is_no_setting_is_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings([word])
    assert str(caught.value) == message


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_settings(["dataset=/texts/a=b.txt"]) == {"dataset": "/texts/a=b.txt"}


def test_a_config_cannot_be_changed() -> None:
    config = stage_config("bigram")
    with pytest.raises(ValueError, match="frozen"):
        config.lr = 1.0  # type: ignore[misc]


def test_replace_makes_another_config_and_validates_it() -> None:
    config = stage_config("multi-head")
    assert config.replace(seed=1).seed == 1
    assert config.seed == 1337
    with pytest.raises(ConfigError, match="heads=5 must divide"):
        config.replace(heads=5)
    with pytest.raises(ConfigError, match="did you mean 'heads'"):
        config.replace(n_head=4)


@pytest.mark.parametrize("stage", STAGES_BY_NAME)
def test_json_gives_back_the_same_config(stage: str) -> None:
    config = stage_config(stage)
    assert from_json(config.to_json()) == config
    assert from_json(config.to_json()).hash(SHA256) == config.hash(SHA256)


@given(
    lr=st.floats(min_value=1e-12, max_value=1e6),
    dropout=st.floats(min_value=0, max_value=1, exclude_max=True),
    seed=st.integers(0, 2**31 - 1),
    steps=st.integers(1, 10**9),
    dataset=st.text(min_size=1, max_size=20),
)
def test_json_gives_back_any_numbers_and_any_path(
    lr: float, dropout: float, seed: int, steps: int, dataset: str
) -> None:
    config = stage_config("layernorm", dataset=dataset).replace(lr=lr, dropout=dropout, seed=seed, steps=steps)
    again = from_json(config.to_json())
    assert again == config
    assert again.hash(SHA256) == config.hash(SHA256)


def test_resolved_fills_in_what_is_derived() -> None:
    values = stage_config("multi-head").resolved()
    assert values["head_dim"] == 8
    assert values["eval_every"] == 200
    assert values["eval_examples"] == 960
    assert values.keys() == RunConfig.model_fields.keys()
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize("stage", STAGES_BY_NAME)
def test_evaluations_take_a_tenth_of_the_training_at_most(stage: str) -> None:
    config = stage_config(stage)
    evaluations = -(-config.steps // config.evaluation_interval)
    forward_passes = 2 * evaluations * config.evaluation_examples
    assert 20 <= evaluations <= 30
    assert forward_passes <= 0.101 * 3 * config.steps * config.batch_size


def test_a_given_evaluation_interval_is_kept() -> None:
    config = stage_config("bigram", settings={"eval_every": 7, "eval_examples": 5})
    assert (config.evaluation_interval, config.evaluation_examples) == (7, 5)


# The hashes of two stages as they were first released. Where one of these tests fails, runs that people have stored
# would no longer be recognised: give a new field its neutral value in NEUTRAL_VALUES_OF_LATER_FIELDS instead.


def test_the_hash_of_the_bigram_stays_what_it_was() -> None:
    config = stage_config("bigram")
    assert config.hash(SHA256) == "6a98610b74f2aaba99862bfd0a32d0496865f38da0c87f34212d809842afcdaf"
    assert config.group_hash(SHA256) == "fc6bf9ee50ef69f9bc1bcc7a114bec8edb85e797c6611adbdc2a542e9a3ee6d9"


def test_the_hash_of_the_layernorm_stage_stays_what_it_was() -> None:
    config = stage_config("layernorm")
    assert config.hash(SHA256) == "1c64cf2e52d49503cc93a888d6b8648a119f941bc9a9d12a8ac300990688c771"
    assert config.group_hash(SHA256) == "42abdd84957b7d545c36e172cbc926fde639b0d3a9cb83b3add35c2483b3d630"


def test_the_hash_knows_the_text_and_not_its_place() -> None:
    config = stage_config("bigram")
    assert config.hash(SHA256) != config.hash("6" * 64)
    assert config.hash(SHA256) == config.replace(dataset="/elsewhere/shakespeare.txt").hash(SHA256)


def test_how_often_diagnostics_look_on_is_no_part_of_what_a_run_is() -> None:
    config = stage_config("bigram")
    for every in (0, 1, 500):
        looked_at = config.replace(diagnostics_every=every)
        assert looked_at.hash(SHA256) == config.hash(SHA256)
        assert looked_at.group_hash(SHA256) == config.group_hash(SHA256)
        assert looked_at.diagnostics_interval == looked_at.resolved()["diagnostics_every"] == every
    assert config.diagnostics_interval == config.evaluation_interval
    with pytest.raises(ConfigError, match="diagnostics_every=-1 must be greater than or equal to 0"):
        config.replace(diagnostics_every=-1)


def test_the_hash_is_the_same_for_a_derived_value_that_is_given() -> None:
    assert stage_config("multi-head").hash(SHA256) == stage_config("multi-head", settings={"head_dim": 8}).hash(SHA256)


def test_the_group_hash_leaves_out_the_seed_alone() -> None:
    config = stage_config("bigram")
    other_seed, other_lr = config.replace(seed=1), config.replace(lr=0.5)
    assert config.hash(SHA256) != other_seed.hash(SHA256)
    assert config.group_hash(SHA256) == other_seed.group_hash(SHA256)
    assert config.group_hash(SHA256) != other_lr.group_hash(SHA256)


def test_a_later_field_at_its_neutral_value_leaves_the_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    config = stage_config("layernorm")
    older = {name: value for name, value in config._hashed_values().items() if name != "grad_clip"}
    neutral = run_config.NEUTRAL_VALUES_OF_LATER_FIELDS
    monkeypatch.setattr(run_config, "NEUTRAL_VALUES_OF_LATER_FIELDS", neutral | {"grad_clip": 0.0})
    assert config._hashed_values() == older
    assert "grad_clip" in config.replace(grad_clip=1.0)._hashed_values()


def test_the_hash_of_a_config_of_the_first_release_is_what_it_was() -> None:
    assert stage_config("layernorm").hash(SHA256).startswith("1c64cf2e52d49503")
    for name, neutral in run_config.NEUTRAL_VALUES_OF_LATER_FIELDS.items():
        assert RunConfig.model_fields[name].default == neutral, name


def test_every_field_says_what_it_is_and_who_reads_it() -> None:
    for name, field in RunConfig.model_fields.items():
        assert field.description, name
        assert models_that_read(field), name


def test_a_field_that_a_model_does_not_read_stays_at_its_default_in_every_stage() -> None:
    for stage in STAGES_BY_NAME:
        config = stage_config(stage)
        for name, field in RunConfig.model_fields.items():
            if config.model not in models_that_read(field):
                assert getattr(config, name) == field.default


def test_only_a_transformer_without_its_mask_sees_the_answer() -> None:
    assert stage_config("multi-head", settings={"causal_mask": False}).sees_the_answer
    assert not stage_config("linear", settings={"causal_mask": False}).sees_the_answer
    assert not stage_config("multi-head").sees_the_answer


def test_known_keys_pass() -> None:
    check_keys(dict.fromkeys(RunConfig.model_fields))


def test_a_scale_of_output_projections_needs_some() -> None:
    with pytest.raises(ConfigError, match=r"residual_scale=0\.5 needs output_projection=true"):
        stage_config("blocks", settings={"residual_scale": 0.5})
