"""Sampling: what is drawn from, from which context, and the same text again from the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from training_helpers import TINY, set_weights, tiny_config

from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.errors import LabError, PromptError, UsageError
from lab.inference.sampling import SamplingOptions, drawn_from, next_probabilities, sample_texts, stream_tokens
from lab.models.build import build_model

pytestmark = pytest.mark.usefixtures("one_thread")

ARGMAX = SamplingOptions(temperature=0)
rows_of_logits = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=12)


class Scripted(nn.Module):
    """A model whose prediction is a function of the tokens it sees; keeps what it saw."""

    def __init__(self, next_token: Callable[[list[int]], int], vocabulary_size: int) -> None:
        super().__init__()
        self.device_marker = nn.Parameter(torch.zeros(1))
        self.next_token, self.vocabulary_size = next_token, vocabulary_size
        self.seen: list[list[list[int]]] = []

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, None]:
        self.seen.append(tokens.tolist())
        logits = torch.full((len(tokens), 1, self.vocabulary_size), -50.0)
        for row, ids in enumerate(tokens.tolist()):
            logits[row, 0, self.next_token(ids)] = 50.0
        return logits, None


def written(dataset: Dataset, stage: str = "layernorm", **how: Any) -> list[str]:
    config = tiny_config(stage, dataset)
    model = build_model(config, dataset.vocabulary_size)
    return sample_texts(model, config, dataset.tokenizer, **{"tokens": 30} | how)


# What is drawn from


def brute_force(logits: list[float], options: SamplingOptions) -> list[float]:
    """The same by sorting and adding up, in double precision."""
    weights = torch.tensor(logits, dtype=torch.float64)
    weights = torch.exp((weights - weights.max()) / options.temperature)
    order = sorted(range(len(logits)), key=lambda i: -logits[i])
    if options.top_k is not None:
        for i in order[options.top_k :]:
            weights[i] = 0
    weights /= weights.sum()
    if options.top_p is not None:
        before = 0.0
        for i in order:
            share = float(weights[i])
            if before >= options.top_p:
                weights[i] = 0
            before += share
    return (weights / weights.sum()).tolist()


@given(
    st.lists(st.integers(-60, 60), min_size=1, max_size=12, unique=True),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([None, 1, 2, 5, 100]),
    st.sampled_from([None, 0.013, 0.31, 0.77, 0.9431, 1.0]),
)
def test_temperature_top_k_and_top_p_keep_the_right_characters(
    tenths: list[int], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = [tenth / 10 for tenth in tenths]
    options = SamplingOptions(temperature=temperature, top_k=top_k, top_p=top_p)
    found = next_probabilities(torch.tensor([logits]), options)[0].tolist()
    assert found == pytest.approx(brute_force(logits, options), abs=1e-5)


@given(st.lists(rows_of_logits, min_size=1, max_size=4).filter(lambda rows: len({len(row) for row in rows}) == 1))
def test_rows_do_not_know_each_other(rows: list[list[float]]) -> None:
    options = SamplingOptions(temperature=0.7, top_k=3, top_p=0.8)
    together = next_probabilities(torch.tensor(rows), options)
    for row, found in zip(rows, together, strict=True):
        assert torch.allclose(next_probabilities(torch.tensor([row]), options)[0], found, atol=1e-6)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_top_k_keeps_k_even_of_equals(top_k: int) -> None:
    found = next_probabilities(torch.zeros(1, 6), SamplingOptions(top_k=top_k))
    assert sorted(found[0].tolist(), reverse=True) == pytest.approx([1 / top_k] * top_k + [0.0] * (6 - top_k))


@given(rows_of_logits, st.sampled_from([0.0, 1e-320, 1e-44, 1e-30, 1e-9]))
def test_a_temperature_of_nothing_or_nearly_takes_the_likeliest(logits: list[float], temperature: float) -> None:
    found = next_probabilities(torch.tensor([logits]), SamplingOptions(temperature=temperature))[0]
    assert found.isfinite().all()
    assert float(found.sum()) == pytest.approx(1)
    likeliest = torch.tensor(logits)[found > 0]
    assert (likeliest >= max(logits) - 1e-6).all()


def test_without_options_it_is_the_models_own_probabilities() -> None:
    logits = torch.randn(5, 9, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(next_probabilities(logits, SamplingOptions()), logits.softmax(dim=-1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature=-0.1 must be between 0"),
        ({"temperature": 101}, "temperature=101 must be between 0"),
        ({"temperature": float("nan")}, "temperature=nan must be between 0"),
        ({"top_k": 0}, "top-k=0 must be at least 1"),
        ({"top_p": 0}, "top-p=0 must be above 0"),
        ({"top_p": 1.1}, "top-p=1.1 must be above 0"),
        ({"top_p": float("nan")}, "top-p=nan must be above 0"),
    ],
)
def test_options_that_leave_nothing_to_draw_from_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SamplingOptions(**options)


def test_characters_are_drawn_as_often_as_they_are_likely(prose: Dataset) -> None:
    config = tiny_config("bigram", prose)
    model = build_model(config, prose.vocabulary_size)
    start = torch.full((4000, 1), 3)
    [drawn] = stream_tokens(model, config, start, 1, 0, SamplingOptions(seed=4))
    expected = model.head.weight[3].softmax(dim=-1).detach()
    counts = Counter(drawn.tolist())
    for token, probability in enumerate(expected.tolist()):
        spread = (4000 * probability * (1 - probability)) ** 0.5
        assert abs(counts[token] - 4000 * probability) <= 4.5 * spread + 1


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 2), (0.25, 3), (1 - 2**-53, 6)])
def test_what_has_no_probability_is_never_drawn(monkeypatch: pytest.MonkeyPatch, uniform: float, token: int) -> None:
    """Not even by the lowest or the highest number that there is."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, uniform, dtype=torch.float64))
    probabilities = torch.tensor([0.0, 0.0, 0.25, 0.25, 0.0, 0.25, 0.25, 0.0])
    scales = torch.linspace(0.9, 1.1, 1000)[:, None]  # sums of many roundings
    drawn = drawn_from(probabilities * scales, torch.Generator())
    assert set(drawn.tolist()) == {token}


# The same again


@pytest.mark.parametrize("stage", TINY)
@pytest.mark.parametrize("kind", ["stream", "words"])
def test_the_same_seed_writes_the_same(prose: Dataset, few_names: Dataset, stage: str, kind: str) -> None:
    dataset = {"stream": prose, "words": few_names}[kind]
    torch.manual_seed(1)
    first = written(dataset, stage, count=3, options=SamplingOptions(seed=7))
    torch.manual_seed(2)
    assert written(dataset, stage, count=3, options=SamplingOptions(seed=7)) == first
    assert written(dataset, stage, count=3, options=SamplingOptions(seed=8)) != first


def test_sampling_disturbs_neither_model_nor_random_state(prose: Dataset) -> None:
    config = tiny_config("scaled", prose, dropout=0.5)
    model = build_model(config, prose.vocabulary_size).train()
    before = torch.get_rng_state()
    first = sample_texts(model, config, prose.tokenizer, tokens=20)
    assert sample_texts(model, config, prose.tokenizer, tokens=20) == first  # without dropout
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_sample_that_is_broken_off_leaves_the_model_in_training(prose: Dataset) -> None:
    config = tiny_config("layernorm", prose)
    model = build_model(config, prose.vocabulary_size).train()
    stream = stream_tokens(model, config, torch.zeros(1, 1, dtype=torch.long), 50, 0, SamplingOptions())
    next(stream)
    assert not model.training
    stream.close()  # type: ignore[attr-defined]
    assert model.training


@pytest.mark.parametrize("stage", ["bigram", "mlp", "layernorm"])
@pytest.mark.parametrize("kind", ["stream", "words"])
def test_rows_sampled_together_are_as_rows_sampled_alone(
    prose: Dataset, few_names: Dataset, stage: str, kind: str
) -> None:
    dataset = {"stream": prose, "words": few_names}[kind]
    config = tiny_config(stage, dataset)
    model = build_model(config, dataset.vocabulary_size)
    prompts = torch.arange(5)[:, None] % dataset.vocabulary_size
    together = list(stream_tokens(model, config, prompts, 25, 0, ARGMAX))
    for row, prompt in enumerate(prompts):
        alone = list(stream_tokens(model, config, prompt[None], 25, 0, ARGMAX))
        assert [int(drawn[0]) for drawn in alone] == [int(drawn[row]) for drawn in together]
    assert len(set(sample_texts(model, config, dataset.tokenizer, tokens=9, count=4, options=ARGMAX))) == 1


# From which context


def scripted(dataset: Dataset, config: RunConfig, **how: Any) -> tuple[Scripted, list[str]]:
    """A model that always writes the next character of the vocabulary after the last it sees."""
    v = dataset.vocabulary_size
    model = Scripted(lambda ids: (ids[-1] + 1) % v, v)
    return model, sample_texts(model, config, dataset.tokenizer, options=ARGMAX, **how)


def test_the_window_slides_beyond_the_context(prose: Dataset) -> None:
    model, [text] = scripted(prose, tiny_config("layernorm", prose, context_length=4), prompt="abd", tokens=6)
    a = prose.tokenizer.ids["a"]
    assert [seen[0] for seen in model.seen] == [
        [a, a + 1, a + 2],
        *[[a + i, a + i + 1, a + i + 2, a + i + 3] for i in range(5)],
    ]
    assert text == prose.tokenizer.decode(list(range(a, a + 9)))


def test_a_prompt_longer_than_the_context_is_seen_from_its_end(prose: Dataset) -> None:
    model, [text] = scripted(prose, tiny_config("layernorm", prose, context_length=4), prompt="question", tokens=1)
    assert prose.tokenizer.decode(model.seen[0][0]) == "tion"
    assert text.startswith("question")
    assert len(text) == 9


def test_the_mlp_sees_the_start_before_a_short_prompt(prose: Dataset) -> None:
    model, _ = scripted(prose, tiny_config("mlp", prose, context_length=3), prompt="b", tokens=4)
    start, b = prose.tokenizer.start_id, prose.tokenizer.ids["b"]
    assert [seen[0] for seen in model.seen] == [
        [start, start, b],
        [start, b, b + 1],
        [b, b + 1, b + 2],
        [b + 1, b + 2, b + 3],
    ]


def test_the_mlp_begins_a_word_from_boundaries_alone(few_names: Dataset) -> None:
    config = tiny_config("mlp", few_names, context_length=3)
    model, _ = scripted(few_names, config, tokens=2)
    start = few_names.tokenizer.start_id
    assert model.seen[0] == [[start, start, start]]
    assert model.seen[1] == [[start, start, start + 1]]
    model, _ = scripted(few_names, config, prompt="av", tokens=1)
    ids = few_names.tokenizer.ids
    assert model.seen[0] == [[start, ids["a"], ids["v"]]]


def test_an_empty_prompt_begins_with_a_newline_that_is_not_shown(prose: Dataset) -> None:
    model, [text] = scripted(prose, tiny_config("layernorm", prose), tokens=3)
    assert model.seen[0] == [[prose.tokenizer.start_id]]
    assert len(text) == 3


def test_a_text_without_newlines_begins_with_its_first_character(text_file: Callable[..., Any]) -> None:
    from lab.datasets.dataset import load_dataset

    dataset = load_dataset(str(text_file("abcdefgh" * 100)), "stream")
    model, [text] = scripted(dataset, tiny_config("layernorm", dataset), tokens=3)
    assert model.seen[0] == [[0]]
    assert text == "bcd"


def test_a_word_ends_at_its_boundary(few_names: Dataset) -> None:
    """Each word ends where its own boundary is drawn; the others go on."""
    config = tiny_config("layernorm", few_names)
    v, boundary = few_names.vocabulary_size, few_names.tokenizer.start_id
    model = Scripted(lambda ids: boundary if len(ids) == 4 else 1 + len(ids) % 3, v)
    texts = sample_texts(model, config, few_names.tokenizer, tokens=40, count=2, options=ARGMAX)
    assert texts == [few_names.tokenizer.decode([2, 3, 1])] * 2
    assert len(model.seen) == 4  # nothing is computed after the last word has ended


def test_a_word_that_does_not_end_is_cut(few_names: Dataset) -> None:
    model = Scripted(lambda ids: 1, few_names.vocabulary_size)
    config = tiny_config("layernorm", few_names)
    [text] = sample_texts(model, config, few_names.tokenizer, tokens=40, options=ARGMAX)
    assert len(text) == 40
    assert max(len(seen[0]) for seen in model.seen) == config.context_length


def test_words_drawn_together_end_at_lengths_of_their_own(few_names: Dataset) -> None:
    texts = written(few_names, count=12, tokens=60)
    assert len({len(text) for text in texts}) > 3
    assert not any("\n" in text for text in texts)


def test_foreign_characters_in_a_prompt_are_named(prose: Dataset) -> None:
    with pytest.raises(PromptError, match=r"lacks '#', 'é'"):
        written(prose, prompt="é#")


def test_a_model_whose_weights_are_no_numbers_says_so(prose: Dataset) -> None:
    config = tiny_config("layernorm", prose)
    model = build_model(config, prose.vocabulary_size)
    set_weights(model, float("nan"))
    with pytest.raises(LabError, match="has diverged"):
        sample_texts(model, config, prose.tokenizer, tokens=3)
    with pytest.raises(LabError, match="has diverged"):
        sample_texts(model, config, prose.tokenizer, tokens=3, options=ARGMAX)


@pytest.mark.parametrize("count", [0, 1])
def test_no_tokens_is_the_prompt_itself(prose: Dataset, count: int) -> None:
    assert written(prose, prompt="abd", tokens=0, count=count) == ["abd"] * count
