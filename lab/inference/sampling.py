"""Text from a model: one character at a time, each drawn from what the model thinks comes next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.run_config import RunConfig
from lab.datasets.tokenizer import CharacterTokenizer
from lab.errors import LabError, UsageError
from lab.models.cached_transformer import CachedTransformer, can_cache
from lab.models.tabulated_mlp import TabulatedMLP, can_tabulate

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


def drawn_from(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """A token of each row, (B,) from probabilities (B, V): the first with which their sum exceeds a uniform number.

    `torch.multinomial` draws a number for each token of the vocabulary, and takes ten times as long.
    """
    sums = probabilities.cumsum(dim=-1, dtype=torch.float64)
    uniform = torch.rand(len(sums), 1, dtype=torch.float64, generator=generator)  # below 1: the last sum exceeds it
    return torch.searchsorted(sums, uniform * sums[:, -1:], right=True)[:, 0]


def stream_tokens(
    model: nn.Module, config: RunConfig, prompt: Tensor, count: int, start_id: int, options: SamplingOptions
) -> Iterator[Tensor]:
    """The next tokens of each row of a prompt (N, t), one (N,) tensor at a time, on the CPU; as `stream_logits`."""
    for _, drawn in stream_logits(model, config, prompt, count, start_id, options):
        yield drawn


@torch.inference_mode()
def stream_logits(
    model: nn.Module, config: RunConfig, prompt: Tensor, count: int, start_id: int, options: SamplingOptions
) -> Iterator[tuple[Tensor, Tensor]]:
    """What the model says of each next token, (N, V), and the tokens drawn, (N,), on the CPU, for a prompt (N, t).

    The model sees the last T characters; the MLP, which needs T, has the start token before what there is.
    Raises `LabError` where the model's weights have become NaN or infinite.
    """
    tokens, first = _with_room(config, prompt, count, start_id, next(model.parameters()).device)
    yield from _stream(model, config, tokens, first, options)


def _with_room(
    config: RunConfig, prompt: Tensor, count: int, start_id: int, device: torch.device
) -> tuple[Tensor, int]:
    """Prompts (N, t) with places for `count` more tokens behind them, and the first of those places."""
    n, length = prompt.shape
    padding = 0 if config.predicts_every_position else max(0, config.context_length - length)
    first = padding + length
    tokens = torch.full((n, first + count), start_id, device=device)
    tokens[:, padding:first] = prompt
    return tokens, first


def _stream(
    model: nn.Module, config: RunConfig, tokens: Tensor, first: int, options: SamplingOptions, end_id: int = _NONE
) -> Iterator[tuple[Tensor, Tensor]]:
    """Fills tokens (N, L) from the place `first` on; gives the logits (n, V) and tokens (n,) of the rows that go on.

    A row that has drawn `end_id` is at its end, and nothing more is computed for it.
    """
    generator = torch.Generator().manual_seed(options.seed)
    t = config.context_length
    rows = torch.arange(len(tokens), device=tokens.device)
    cached = CachedTransformer(model, config) if can_cache(model, config) else None
    tabulated = TabulatedMLP(model, config) if can_tabulate(model, config) else None
    was_training = model.training
    model.eval()
    try:
        for end in range(first, tokens.shape[1]):
            window = tokens[:, max(0, end - t) : end].index_select(0, rows)  # (n, up to T)
            if cached is not None and end <= t:
                last = cached.next_logits(window[:, cached.length :])
            elif tabulated is not None:
                last = tabulated.next_logits(window)
            else:  # every position's surroundings have changed with the window, and so what it offers to later ones
                last = model(window)[0][:, -1]  # (n, P, V) -> (n, V)
            last = last.float().cpu()
            if not _are_finite(last):
                raise LabError("the model's predictions are no numbers: it has diverged; take an earlier checkpoint")
            drawn = drawn_from(next_probabilities(last, options), generator)
            on_device = drawn.to(tokens.device)
            tokens[:, end].index_copy_(0, rows, on_device)
            yield last, drawn
            going_on = on_device != end_id
            if not going_on.all():
                rows = rows.masked_select(going_on)
                if cached is not None:
                    cached.keep(going_on)
            if not len(rows):
                break
    finally:
        model.train(was_training)


def _are_finite(numbers: Tensor) -> bool:
    """Whether all of them are: those of a finite sum, which is sooner told, or one by one where it overflows."""
    return math.isfinite(float(numbers.sum())) or bool(numbers.isfinite().all())


@torch.inference_mode()
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
    prompts = torch.tensor([*start, *shown.tolist()]).repeat(count, 1)  # (N, t)
    end_id = tokenizer.start_id if words else _NONE
    device = next(model.parameters()).device
    ids, first = _with_room(config, prompts, tokens, tokenizer.start_id, device)  # a word that ends early is filled up
    for _ in _stream(model, config, ids, first, options or SamplingOptions(), end_id):
        pass
    texts = tokenizer.decode_rows(ids[:, first:].cpu().numpy(), end_id)
    return [prompt + text for text in texts] if prompt else texts
