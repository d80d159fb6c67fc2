"""Text from a model: one character at a time, each drawn from what the model thinks comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.run_config import RunConfig
from lab.datasets.tokenizer import CharacterTokenizer
from lab.errors import LabError, UsageError
from lab.models.cached_transformer import CachedTransformer, can_cache

_NONE = -1
"""No token's number."""


@dataclass(frozen=True)
class SamplingOptions:
    """How the next character is drawn. Raises `UsageError` on values that leave nothing to draw from."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 1337

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise UsageError(f"temperature={self.temperature} must be between 0 (always the likeliest) and 100")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top-k={self.top_k} must be at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top-p={self.top_p} must be above 0 and at most 1")


def next_probabilities(logits: Tensor, options: SamplingOptions) -> Tensor:
    """What is drawn from, after temperature and truncation: (B, V) from logits (B, V).

    top-k keeps the likeliest k; top-p the likeliest that together reach p (Holtzman et al. 2019).
    """
    if options.temperature < torch.finfo(logits.dtype).tiny:  # 0, or what cannot be divided by
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    if options.temperature != 1:
        logits = (logits - logits.amax(dim=-1, keepdim=True)) / options.temperature
    if options.top_k is not None and options.top_k < logits.shape[-1]:
        likeliest = logits.topk(options.top_k, dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, likeliest.indices, likeliest.values)
    probabilities = F.softmax(logits, dim=-1)
    if options.top_p is not None and options.top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered  # what the likelier ones hold already
        kept = torch.zeros_like(ordered).scatter(-1, order, ordered.masked_fill(before >= options.top_p, 0.0))
        probabilities = kept / kept.sum(dim=-1, keepdim=True)
    return probabilities


def stream_tokens(
    model: nn.Module, config: RunConfig, prompt: Tensor, count: int, start_id: int, options: SamplingOptions
) -> Iterator[Tensor]:
    """The next tokens of each row of a prompt (N, t), one (N,) tensor at a time, on the CPU; as `stream_logits`."""
    for _, drawn in stream_logits(model, config, prompt, count, start_id, options):
        yield drawn


def stream_logits(
    model: nn.Module, config: RunConfig, prompt: Tensor, count: int, start_id: int, options: SamplingOptions
) -> Iterator[tuple[Tensor, Tensor]]:
    """What the model says of each next token, (N, V), and the tokens drawn, (N,), on the CPU, for a prompt (N, t).

    The model sees the last T characters; the MLP, which needs T, has the start token before what there is.
    Raises `LabError` where the model's weights have become NaN or infinite.
    """
    for _, logits, drawn in _stream(model, config, prompt, count, start_id, options):
        yield logits, drawn


@torch.inference_mode()
def _stream(
    model: nn.Module,
    config: RunConfig,
    prompt: Tensor,
    count: int,
    start_id: int,
    options: SamplingOptions,
    *,
    end_id: int = _NONE,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Places of the rows that go on, (n,), their logits (n, V) and the tokens drawn for them, (n,).

    A row that has drawn `end_id` is at its end, and nothing more is computed for it.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(options.seed)
    t = config.context_length
    length = prompt.shape[1]
    padding = 0 if config.predicts_every_position else max(0, t - length)
    tokens = torch.full((prompt.shape[0], padding + length + count), start_id, device=device)
    tokens[:, padding : padding + length] = prompt
    rows = torch.arange(prompt.shape[0])
    cached = CachedTransformer(model, config) if can_cache(model, config) else None
    was_training = model.training
    model.eval()
    try:
        for end in range(padding + length, tokens.shape[1]):
            if cached is not None and end <= t:
                last = cached.next_logits(tokens[:, cached.length : end])
            else:  # every position's surroundings have changed with the window, and so what it offers to later ones
                last = model(tokens[:, max(0, end - t) : end])[0][:, -1]  # (n, P, V) -> (n, V)
            last = last.float().cpu()
            if not last.isfinite().all():
                raise LabError("the model's predictions are no numbers: it has diverged; take an earlier checkpoint")
            drawn = torch.multinomial(next_probabilities(last, options), 1, generator=generator)[:, 0]
            tokens[:, end] = drawn
            yield rows, last, drawn
            going_on = drawn != end_id
            if not going_on.all():
                rows, tokens = rows[going_on], tokens[going_on.to(device)]
                if cached is not None:
                    cached.keep(going_on.to(device))
            if not len(rows):
                break
    finally:
        model.train(was_training)


def sample_texts(
    model: nn.Module,
    config: RunConfig,
    tokenizer: CharacterTokenizer,
    *,
    prompt: str = "",
    tokens: int,
    count: int = 1,
    options: SamplingOptions | None = None,
) -> list[str]:
    """Texts that go on from a prompt; of words, each up to its end.

    An empty prompt starts as the lecture does: with the newline, which is also what stands before a word.
    """
    words = config.dataset_as == "words"
    shown = tokenizer.encode(prompt)
    start = [tokenizer.start_id] if words or not prompt else []
    row = torch.tensor([*start, *shown.tolist()]).repeat(count, 1)  # (N, t)
    ids: list[list[int]] = [[] for _ in range(count)]
    end_id = tokenizer.start_id if words else _NONE
    stream = _stream(model, config, row, tokens, tokenizer.start_id, options or SamplingOptions(), end_id=end_id)
    for places, _, drawn in stream:
        for place, token in zip(places.tolist(), drawn.tolist(), strict=True):
            if token != end_id:
                ids[place].append(token)
    return [prompt + tokenizer.decode(row_ids) for row_ids in ids]
