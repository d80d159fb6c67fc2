"""From averaging to attention: the lecture's four versions of one idea, why scores are scaled, and the first loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.config.own_model import OWN
from lab.config.run_config import RunConfig
from lab.errors import ConfigError, DatasetError, UsageError
from lab.inference.figures import Bars, Cell, Choice, Figure, Heatmap, Lines, Page, Table, grid, number, numbers
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions
from lab.models.build import build_model
from lab.models.layers import PADDING_TARGET
from lab.training.batches import Batches

B, T, C = 4, 8, 32
"""The lecture's sizes: examples, positions, numbers per character."""
HEAD_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
CHARACTERS_OF_A_FIRST_LOSS = 2048
"""Of the first batch, at most: a whole one takes a large model half a minute for each initialisation."""
_ROWS_OF_SCORES = 500
_REPEATS = 200
_SECONDS_OF_TIMING = 0.03
_SEED = 1337
_INITS: Mapping[str, dict[str, object]] = {
    "torch's defaults": {"init": "torch", "last_layer_scale": 1.0, "activation_gain": None},
    "N(0, 1)": {"init": "normal", "last_layer_scale": 1.0, "activation_gain": None},
    "N(0, 1), last layer × 0.01": {"init": "normal", "last_layer_scale": 0.01, "activation_gain": None},
    "Kaiming": {"init": "kaiming", "last_layer_scale": 1.0, "activation_gain": None},
    "Kaiming, last layer × 0.1": {"init": "kaiming", "last_layer_scale": 0.1, "activation_gain": None},
}


def averaging_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """The four versions with their times, the variance of q·k and its softmax by head size, and first losses.

    Raises `UsageError` on a head size that cannot be one.
    """
    size = options.head_size
    if not 1 <= size <= 4096:
        raise UsageError(f"head-size={size} must be between 1 and 4096")
    notes = []
    figures: list[Figure] = [*_four_versions(size), *_variances(size), *_softmax(size)]
    try:
        figures.append(first_losses(subject, tell))
    except (ConfigError, DatasetError, UsageError) as error:
        notes.append(f"No first losses: {error}.")
    return Page(
        view="averaging",
        title=f"From averaging to attention, head size {size}",
        look_at="The first three versions are one average: a matrix product does at once what the loops do one by "
        "one, and the fourth lets the data choose the weights. Without 1/√d the scores grow with the head size until "
        "softmax picks one character.",
        figures=tuple(figures),
        notes=tuple(notes),
        choices=(Choice("head_size", tuple(str(each) for each in HEAD_SIZES), str(size)),),
    )


def by_loops(x: Tensor) -> Tensor:
    """Version 1: each position the mean of those up to it, x (B, T, C), one at a time."""
    means = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            means[b, t] = x[b, : t + 1].mean(dim=0)
    return means


def by_matrix(x: Tensor) -> Tensor:
    """Version 2: the same as one product with a lower-triangular matrix whose rows sum to 1."""
    t = x.shape[1]
    weights = torch.ones(t, t).tril()
    return weights / weights.sum(dim=1, keepdim=True) @ x  # (T, T) @ (B, T, C) -> (B, T, C)


def by_softmax(x: Tensor) -> Tensor:
    """Version 3: the same weights as the softmax of zeros, with −∞ where a position must not look."""
    return softmax_weights(torch.zeros(x.shape[1], x.shape[1])) @ x


def softmax_weights(scores: Tensor) -> Tensor:
    """Masked scores (…, T, T) as weights: rows sum to 1, nothing from ahead."""
    visible = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~visible, -math.inf).softmax(dim=-1)


def by_attention(x: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Version 4: the scores are q·k/√d, so that each position chooses; x (B, T, C), matrices (C, hs)."""
    return attention_scores(x, query, key) @ (x @ value)  # (B, T, T) @ (B, T, hs) -> (B, T, hs)


def attention_scores(x: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """The weights (B, T, T) of version 4."""
    scores = (x @ query) @ (x @ key).transpose(1, 2) * query.shape[1] ** -0.5
    return softmax_weights(scores)


def _four_versions(size: int) -> list[Figure]:
    generator = torch.Generator().manual_seed(_SEED)
    x = torch.randn(B, T, C, generator=generator)
    query, key, value = (torch.randn(C, size, generator=generator) * C**-0.5 for _ in range(3))
    loops = by_loops(x)
    rows: list[tuple[Cell, ...]] = []
    versions: tuple[tuple[str, Callable[[], Tensor]], ...] = (
        ("1 loops", lambda: by_loops(x)),
        ("2 lower-triangular matrix product", lambda: by_matrix(x)),
        ("3 masked softmax of zeros", lambda: by_softmax(x)),
        ("4 learned scores", lambda: by_attention(x, query, key, value)),
    )
    for name, compute in versions:
        out = compute()
        comparable = out.shape == loops.shape and not name.startswith("4")
        apart = float((out - loops).abs().max()) if comparable else None
        same = bool(torch.allclose(out, loops, atol=1e-6)) if comparable else None
        said = "yes" if same else "no: it chooses" if same is None else "NO"
        rows.append((name, _shape(out), number(_microseconds(compute)), None if apart is None else number(apart), said))
    columns = ("version", "shape", "microseconds", "largest difference to 1", "equal")
    positions = tuple(str(i) for i in range(1, T + 1))
    visible = torch.ones(T, T, dtype=torch.bool).tril()

    def heatmap(title: str, weights: Tensor) -> Heatmap:
        shown = grid(weights.masked_fill(~visible, torch.nan).tolist())
        return Heatmap(title, positions, positions, shown, 0.0, 1.0, "asks", "is read", "weight",
                       lower_triangular=True, group="weights")  # fmt: skip

    return [
        Table(f"one idea four times, on x of (B={B}, T={T}, C={C})", columns, tuple(rows)),
        heatmap("versions 1 to 3: an even average", softmax_weights(torch.zeros(T, T))),
        heatmap("version 4: learned scores (random here)", attention_scores(x, query, key)[0]),
    ]


def _shape(x: Tensor) -> str:
    return "(" + ", ".join(str(size) for size in x.shape) + ")"


def _microseconds(compute: Callable[[], Tensor]) -> float:
    """The shortest of as many runs as a moment allows, on one thread: several would wait for each other."""
    best = math.inf
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    give_up_at = time.perf_counter() + _SECONDS_OF_TIMING
    for _ in range(_REPEATS):
        began = time.perf_counter()
        compute()
        ended = time.perf_counter()
        best = min(best, ended - began)
        if ended > give_up_at:
            break
    torch.set_num_threads(threads)
    return best * 1e6


def score_samples(sizes: Sequence[int]) -> list[Tensor]:
    """Unscaled scores q·k (N, T) of queries and keys from N(0, 1), for each head size, from one draw of the largest."""
    generator = torch.Generator().manual_seed(_SEED)
    query = torch.randn(_ROWS_OF_SCORES, 1, max(sizes), generator=generator)
    key = torch.randn(_ROWS_OF_SCORES, T, max(sizes), generator=generator)
    running = (query * key).cumsum(dim=-1)  # (N, 1, hs) * (N, T, hs): the scores of every smaller size too
    return [running[..., size - 1] for size in sizes]


def _variances(size: int) -> list[Figure]:
    sizes = tuple(sorted({*HEAD_SIZES, size}))
    plain, scaled, largest, largest_scaled = [], [], [], []
    for each, scores in zip(sizes, score_samples(sizes), strict=True):
        plain.append(float(scores.var()))
        scaled.append(float((scores * each**-0.5).var()))
        largest.append(float(scores.softmax(-1).amax(-1).mean()))
        largest_scaled.append(float((scores * each**-0.5).softmax(-1).amax(-1).mean()))
    names = ("q·k", "q·k / √d")
    x = tuple(float(each) for each in sizes)
    return [
        Lines("variance of the scores", names, x, (numbers(plain), numbers(scaled)), "head size d", "variance",
              log_x=True, log_y=True, reference=1.0, reference_name="1", group="scores"),
        Lines("the largest weight after softmax, on average", names, x, (numbers(largest), numbers(largest_scaled)),
              "head size d", "weight", log_x=True, reference=1 / T, reference_name=f"even, 1/{T}", group="scores"),
    ]  # fmt: skip


def _softmax(size: int) -> list[Figure]:
    """One row of scores as weights, with and without the factor."""
    scores = score_samples([size])[0][0]
    positions = tuple(str(i) for i in range(1, T + 1))
    return [
        Bars(f"softmax of q·k, d = {size}", positions, numbers(scores.softmax(-1).tolist()),
             reference=1 / T, reference_name="even", unit="weight", group="softmax"),
        Bars(f"softmax of q·k / √d, d = {size}", positions, numbers((scores * size**-0.5).softmax(-1).tolist()),
             reference=1 / T, reference_name="even", unit="weight", group="softmax"),
    ]  # fmt: skip


def first_losses(subject: Subject, tell: Progress) -> Bars:
    """The loss of the run's model on its first batch before any training, for each initialisation, against ln V."""
    v = subject.dataset.vocabulary_size
    tokens, targets = Batches(subject.config, subject.dataset, torch.device("cpu")).batch(1)  # whatever the init
    first = max(1, CHARACTERS_OF_A_FIRST_LOSS // tokens.shape[1])
    inits: dict[str, dict[str, object]] = {"this run's own": {}}
    if subject.config.model != OWN:  # whose constructor draws its weights
        inits |= _INITS
    values = []
    for settings in inits.values():
        values.append(first_loss(subject.config.replace(**settings), v, (tokens[:first], targets[:first])))
        tell(len(values), len(inits))
    return Bars(
        f"first loss of a {subject.config.stage} by initialisation",
        tuple(inits),
        numbers(values),
        reference=number(math.log(v)),
        reference_name=f"guessing evenly, ln {v}",
        unit="nats",
    )


@torch.no_grad()
def first_loss(config: RunConfig, vocabulary_size: int, batch: tuple[Tensor, Tensor]) -> float:
    """The mean loss on a batch, tokens (B, T) and targets (B, P), of a model that was just built."""
    tokens, targets = batch
    logits, _ = build_model(config, vocabulary_size).eval()(tokens)
    return float(F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PADDING_TARGET))
