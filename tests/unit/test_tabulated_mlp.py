"""Writing with a table of the first layer computes what the MLP does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training_helpers import tiny_config

from lab.config.ladder import stage_config
from lab.datasets.dataset import Dataset
from lab.inference import sampling
from lab.inference.sampling import SamplingOptions, sample_texts, stream_logits
from lab.models.build import build_model
from lab.models.tabulated_mlp import FEW, TabulatedMLP, can_tabulate

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS: list[dict[str, Any]] = [
    {},
    {"layers": 3, "dropout": 0.3},
    {"bias": False, "activation": "relu", "context_length": 5},
    {"activation": "gelu", "tied_embeddings": True, "embedding_dim": 24},
]
VOCABULARY = 9


def windows_of(context_length: int, count: int) -> torch.Tensor:
    return torch.randint(VOCABULARY, (count, context_length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("count", [1, FEW - 1, FEW, 5 * FEW])
@torch.no_grad()
def test_logits_are_the_models_own(kind: dict[str, Any], count: int) -> None:
    config = stage_config("mlp", settings={"hidden_dim": 24} | kind)
    model = build_model(config, VOCABULARY).eval()
    windows = windows_of(config.context_length, count)
    found = TabulatedMLP(model, config).next_logits(windows)
    assert torch.allclose(found, model(windows)[0][:, 0], atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_equal_windows_are_computed_once() -> None:
    config = stage_config("mlp", settings={"context_length": 2})
    model = build_model(config, VOCABULARY).eval()
    computed: list[int] = []
    model.head.register_forward_hook(lambda _module, inputs, _output: computed.append(len(inputs[0])))
    TabulatedMLP(model, config).next_logits(windows_of(2, 20 * VOCABULARY**2))
    assert computed == [VOCABULARY**2]


@pytest.mark.parametrize(
    ("stage", "settings"),
    [("mlp", {"layers": 0}), ("mlp", {"hidden_dim": 65_536, "embedding_dim": 512}), ("mlp", {"context_length": 64}),
     ("layernorm", {}), ("bigram", {})],
)  # fmt: skip
def test_what_has_no_table_goes_through_the_model(stage: str, settings: dict[str, Any]) -> None:
    config = stage_config(stage, settings=settings)
    with torch.device("meta"):
        model = build_model(config, VOCABULARY)
    assert not can_tabulate(model, config)


@pytest.mark.parametrize("count", [3, 2 * FEW])
def test_texts_and_logits_are_those_of_the_model(
    few_names: Dataset, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    config = tiny_config("mlp", few_names)
    model = build_model(config, few_names.vocabulary_size)
    assert can_tabulate(model, config)

    def written() -> tuple[list[str], torch.Tensor]:
        prompt = torch.full((count, 1), few_names.tokenizer.start_id)
        stream = list(stream_logits(model, config, prompt, 12, 0, SamplingOptions(seed=3)))
        texts = sample_texts(model, config, few_names.tokenizer, tokens=30, count=count)
        return texts, torch.stack([logits for logits, _ in stream])

    texts, logits = written()
    monkeypatch.setattr(sampling, "can_tabulate", lambda model, config: False)
    plain_texts, plain_logits = written()
    assert len({len(text) for text in texts}) > 1
    assert texts == plain_texts
    assert torch.allclose(logits, plain_logits, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("count", [3, 2 * FEW])
@torch.no_grad()
def test_logits_on_a_gpu_are_the_models_own(count: int) -> None:
    config = stage_config("mlp")
    model = build_model(config, VOCABULARY).to("cuda").eval()
    windows = windows_of(config.context_length, count).to("cuda")
    found = TabulatedMLP(model, config).next_logits(windows)
    assert torch.allclose(found, model(windows)[0][:, 0], atol=1e-2)
