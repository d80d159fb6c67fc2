"""The dataset as the model sees it: its vocabulary, its splits, and the first training batch unrolled."""

from __future__ import annotations

import numpy as np
import torch

from lab.datasets.counting import counting_loss, guessing_evenly
from lab.inference.figures import Bars, Cell, Page, Table, number, numbers
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions
from lab.models.layers import PADDING_TARGET
from lab.training.batches import Batches

_ROWS_UNROLLED = 4
"""Examples of the batch that are shown context by context; all of a batch would be a thousand lines."""
_LONGEST_CONTEXT_SHOWN = 40


def data_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """Vocabulary with ids and shares, the splits, the batch of step 1 as ids, and its first examples unrolled."""
    dataset, config = subject.dataset, subject.config
    tokens, targets = Batches(config, dataset, torch.device("cpu")).batch(1)
    figures = (
        _vocabulary(subject),
        _shares(subject),
        _splits(subject),
        _batch(subject, tokens),
        _unrolled(subject, tokens, targets),
    )
    b, t = tokens.shape
    each = "every position is predicted" if config.predicts_every_position else "only what follows the window is"
    shown = min(b, _ROWS_UNROLLED)
    notes = (
        f"The batch of step 1 is B={b} examples of T={t} characters; {each}. The first {shown} are unrolled.",
        f"Guessing evenly costs {guessing_evenly(dataset.vocabulary_size):.4f} nats a character, "
        f"the bigram by counting {counting_loss(dataset):.4f}.",
    )
    return Page(
        view="data",
        title=f"{subject.run.dataset}, as run {subject.run.name} sees it",
        look_at="A character is an id and nothing more: all that the model learns of it comes from what stands around "
        "it. One example of T characters is T questions, each context with the character that follows it.",
        figures=figures,
        notes=notes,
    )


def _counts(subject: Subject) -> np.ndarray:
    v = subject.dataset.vocabulary_size
    return np.bincount(subject.dataset.splits["train"], minlength=v)


def _vocabulary(subject: Subject) -> Table:
    counts = _counts(subject)
    rows: list[tuple[Cell, ...]] = [
        (i, character, int(counts[i]), number(counts[i] / counts.sum()))
        for i, character in enumerate(subject.characters)
    ]
    return Table("the vocabulary", ("id", "character", "in train", "share"), tuple(rows))


def _shares(subject: Subject) -> Bars:
    counts = _counts(subject)
    order = np.argsort(-counts, kind="stable")
    labels = tuple(subject.characters[i] for i in order)
    return Bars("how often each stands in train", labels, numbers(counts[order] / counts.sum()), unit="share")


def _splits(subject: Subject) -> Table:
    whole = sum(len(ids) for ids in subject.dataset.splits.values())
    rows = tuple((split, len(ids), number(len(ids) / whole)) for split, ids in subject.dataset.splits.items())
    return Table("the splits", ("split", "characters", "share"), rows)


def _batch(subject: Subject, tokens: torch.Tensor) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for i, ids in enumerate(tokens[:_ROWS_UNROLLED].tolist(), start=1):
        shown = ids[:_LONGEST_CONTEXT_SHOWN]
        rows.append((i, subject.shown(shown), " ".join(str(token) for token in shown)))
    return Table("the batch as the model gets it (B, T)", ("example", "characters", "ids"), tuple(rows))


def _unrolled(subject: Subject, tokens: torch.Tensor, targets: torch.Tensor) -> Table:
    """A line for each prediction: what stands before, and what is to come."""
    rows: list[tuple[Cell, ...]] = []
    every = subject.config.predicts_every_position
    for example, (ids, wanted) in enumerate(zip(tokens.tolist(), targets.tolist(), strict=True), start=1):
        if example > _ROWS_UNROLLED:
            break
        for place, target in enumerate(wanted):
            if target != PADDING_TARGET:
                context = ids[: place + 1] if every else ids
                shown = subject.shown(context[-_LONGEST_CONTEXT_SHOWN:])
                rows.append((example, place + 1, shown, subject.characters[target], target))
    columns = ("example", "position", "context", "target", "target id")
    return Table("unrolled: context → target", columns, tuple(rows))
