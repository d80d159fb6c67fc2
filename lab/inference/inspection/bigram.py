"""The table of pairs: what the dataset's counts say comes next, and what the model has learned to say."""

from __future__ import annotations

import numpy as np

from lab.datasets.counting import counted_bigram, pair_counts
from lab.inference.figures import Cell, Figure, Heatmap, Page, Table, grid, number
from lab.inference.inspection.single_characters import next_character_table
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions

_DISAGREEMENTS = 20


def bigram_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """Both tables as heat maps, the cross-entropy of each on train and val, and where they disagree most."""
    dataset = subject.dataset
    counted = counted_bigram(dataset)
    learned = next_character_table(
        subject.model, subject.config, dataset.vocabulary_size, dataset.tokenizer.start_id
    ).numpy()
    known = np.where(np.isfinite(learned), learned, 0.0)
    high = float(max(counted.max(), known.max()))
    counts = pair_counts(dataset.splits["train"], dataset.vocabulary_size)
    figures: tuple[Figure, ...] = (
        _heatmap(subject, "counted", counted, high),
        _heatmap(subject, "learned", learned, high),
        _losses(subject, counted, learned),
        _disagreements(subject, counted, learned, counts),
        _heatmap(subject, "learned − counted, by how often the pair's first character stands in train",
                 (learned - counted) * (counts.sum(axis=1) / counts.sum())[:, None], None),
        _count_map(subject, counts),
    )  # fmt: skip
    notes = ["Counted are the train split's pairs plus one, so that no pair is impossible."]
    if subject.config.model != "bigram":
        alone = "alone" if subject.config.predicts_every_position else "after start tokens alone"
        notes.append(f"The model can read more than one character; here it has read each one {alone}.")
    return Page(
        view="bigram",
        title=f"Pairs: counted, and learned by {subject.name}",
        look_at="The two maps should look alike: a table of logits can learn nothing else than the counts. Where a "
        "deeper model differs, it has learned to wait for what else it could read.",
        figures=figures,
        notes=tuple(notes),
    )


def pair_loss(table: np.ndarray, counts: np.ndarray) -> float:
    """The cross-entropy, in nats a character, of probabilities (V, V) on pairs counted (V, V)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = np.where(counts > 0, -np.log(table) * counts, 0.0)
    return float(surprise.sum() / counts.sum())


def _heatmap(subject: Subject, title: str, table: np.ndarray, high: float | None) -> Heatmap:
    """Probabilities from 0 to the largest, or differences around zero where no `high` is given."""
    finite = np.abs(table[np.isfinite(table)])
    bound = float(finite.max()) if high is None and finite.size else high or 1.0
    return Heatmap(
        title,
        subject.characters,
        subject.characters,
        grid(table.tolist()),
        -bound if high is None else 0.0,
        bound,
        row_name="after",
        column_name="comes",
        unit="difference" if high is None else "probability",
        diverging=high is None,
        group="" if high is None else "tables",
    )


def _count_map(subject: Subject, counts: np.ndarray) -> Heatmap:
    return Heatmap(
        "pairs in train",
        subject.characters,
        subject.characters,
        grid(counts.tolist()),
        0.0,
        float(counts.max()),
        row_name="after",
        column_name="comes",
        unit="pairs",
    )


def _losses(subject: Subject, counted: np.ndarray, learned: np.ndarray) -> Table:
    dataset = subject.dataset
    rows: list[tuple[Cell, ...]] = []
    for split in [name for name in ("train", "val") if name in dataset.splits]:
        counts = pair_counts(dataset.splits[split], dataset.vocabulary_size)
        there, here = pair_loss(counted, counts), pair_loss(learned, counts)
        rows.append((split, int(counts.sum()), number(there), number(here), number(here - there)))
    columns = ("split", "pairs", "counted", "learned", "learned − counted")
    return Table("cross-entropy of each table, nats a character", columns, tuple(rows))


def _disagreements(subject: Subject, counted: np.ndarray, learned: np.ndarray, counts: np.ndarray) -> Table:
    """Pairs by how far the two tables' joint probabilities are apart."""
    before = counts.sum(axis=1) / counts.sum()
    apart = np.nan_to_num(np.abs(learned - counted) * before[:, None])
    v = len(subject.characters)
    rows: list[tuple[Cell, ...]] = []
    for place in np.argsort(-apart, axis=None, kind="stable")[:_DISAGREEMENTS].tolist():
        i, j = divmod(place, v)
        rows.append(
            (
                subject.characters[i] + subject.characters[j],
                int(counts[i, j]),
                number(counted[i, j]),
                number(learned[i, j]),
                number(before[i] * (learned[i, j] - counted[i, j])),
            )
        )
    columns = ("pair", "in train", "counted", "learned", "difference × share of the first")
    return Table("where they disagree most", columns, tuple(rows))
