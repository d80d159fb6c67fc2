"""Writing with keys and values kept computes what the whole window through the model does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training_helpers import tiny_config, token_batch

from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.inference import sampling
from lab.inference.sampling import SamplingOptions, sample_texts, stream_logits
from lab.models.build import build_model
from lab.models.cached_transformer import CachedTransformer, can_cache
from lab.training.device import Resources

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES: dict[str, Any] = {"embedding_dim": 16, "context_length": 12, "batch_size": 3}
KINDS: list[dict[str, Any]] = [
    {"stage": "linear"},
    {"stage": "single-head", "head_dim": 6},
    {"stage": "blocks", "layers": 2},
    {"stage": "layernorm", "norm": "post"},
    {"stage": "scaled", "heads": 2, "layers": 2},
    {"stage": "modern", "heads": 2, "layers": 3, "residual_scale": 1.0},
    {"stage": "layernorm", "value_projection": False, "attention_scale": "sqrt(d)"},
]


def config_of(kind: dict[str, Any]) -> RunConfig:
    kind = dict(kind)
    return stage_config(kind.pop("stage"), settings=SIZES | kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["stage"])
@pytest.mark.parametrize("prompt", [1, 5, 12])
def test_logits_are_the_models_own(kind: dict[str, Any], prompt: int) -> None:
    config = config_of(kind)
    model = build_model(config, 27).eval()
    tokens, _ = token_batch(config, 27)
    cached = CachedTransformer(model, config)
    with torch.no_grad():
        logits, _ = model(tokens)
        found = [cached.next_logits(tokens[:, :prompt])]
        found += [cached.next_logits(tokens[:, place : place + 1]) for place in range(prompt, config.context_length)]
    assert cached.length == config.context_length
    assert torch.allclose(torch.stack(found, dim=1), logits[:, prompt - 1 :], atol=1e-5)


def test_some_texts_go_on_alone() -> None:
    config = config_of({"stage": "scaled", "heads": 2, "layers": 2})
    model = build_model(config, 27).eval()
    tokens, _ = token_batch(config, 27)
    cached = CachedTransformer(model, config)
    rows = torch.tensor([True, False, True])
    with torch.no_grad():
        cached.next_logits(tokens[:, :4])
        cached.keep(rows)
        found = cached.next_logits(tokens[rows, 4:5])
        logits, _ = model(tokens[rows, :5])
    assert torch.allclose(found, logits[:, -1], atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    [{"stage": "scaled", "causal_mask": False}, {"stage": "layernorm", "attention": "uniform"}, {"stage": "bigram"}],
    ids=str,
)
def test_what_cannot_be_kept_is_computed_as_a_window(kind: dict[str, Any]) -> None:
    sizes = {} if kind["stage"] == "bigram" else {"heads": 4}
    config = stage_config(kind["stage"], settings={key: kind[key] for key in kind if key != "stage"} | sizes)
    assert not can_cache(build_model(config, 9), config)


@pytest.mark.parametrize("stage", ["layernorm", "scaled", "modern"])
@pytest.mark.parametrize("prompt", ["a", "that question"])
def test_texts_and_logits_are_those_of_the_window(
    prose: Dataset, monkeypatch: pytest.MonkeyPatch, stage: str, prompt: str
) -> None:
    """Before the context is full, at its edge, and beyond, where the window slides."""
    config = tiny_config(stage, prose, **({"residual_scale": 1.0} if stage == "modern" else {}))
    model = build_model(config, prose.vocabulary_size)
    row = prose.tokenizer.encode(prompt)[None]

    def written() -> tuple[list[str], torch.Tensor]:
        stream = list(stream_logits(model, config, torch.as_tensor(row), 30, 0, SamplingOptions(seed=3)))
        texts = sample_texts(model, config, prose.tokenizer, prompt=prompt, tokens=30, count=3)
        return texts, torch.stack([logits for logits, _ in stream])

    texts, logits = written()
    monkeypatch.setattr(sampling, "can_cache", lambda model, config: False)
    plain_texts, plain_logits = written()
    assert texts == plain_texts
    assert torch.allclose(logits, plain_logits, atol=1e-5)


def test_words_that_end_at_their_own_lengths_are_those_of_the_window(
    few_names: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("layernorm", few_names)
    model = build_model(config, few_names.vocabulary_size)
    words = sample_texts(model, config, few_names.tokenizer, tokens=40, count=20)
    monkeypatch.setattr(sampling, "can_cache", lambda model, config: False)
    assert len({len(word) for word in words}) > 3
    assert words == sample_texts(model, config, few_names.tokenizer, tokens=40, count=20)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", ["scaled", "modern"])
def test_logits_on_a_gpu_are_the_models_own(stage: str, precision: str) -> None:
    config = config_of({"stage": stage, "heads": 2, "layers": 2, "residual_scale": 1.0})
    model = build_model(config, 27).to("cuda").eval()
    tokens = token_batch(config, 27)[0].to("cuda")
    cached = CachedTransformer(model, config)
    with torch.no_grad(), Resources("cuda", precision, 1).autocast():
        logits, _ = model(tokens)
        found = [cached.next_logits(tokens[:, :4])]
        found += [cached.next_logits(tokens[:, place : place + 1]) for place in range(4, config.context_length)]
    tolerance = 1e-3 if precision == "fp32" else 0.1
    assert torch.allclose(torch.stack(found, dim=1).float(), logits[:, 3:].float(), atol=tolerance)
