"""The table of pairs: what the dataset's counts say comes next, and what the model has learned to say."""

from __future__ import annotations

import numpy as np

from lab.datasets.counting import counted_bigram, pair_counts
from lab.inference.figures import Cell, Figure, Heatmap, Page, Table, grid, number
from lab.inference.inspection.single_characters import next_character_table
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions

MOST_CHARACTERS = 120
"""Of a map: more could neither be read nor be sent in a moment."""
_DISAGREEMENTS = 20
_DIFFERENCE = "learned − counted, by how often the pair's first character stands in train"


def bigram_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """Both tables as heat maps, the cross-entropy of each on train and val, and where they disagree most."""
    dataset = subject.dataset
    counted = counted_bigram(dataset)
    learned = next_character_table(
        subject.model, subject.config, dataset.vocabulary_size, dataset.tokenizer.start_id
    ).numpy()
    counts = pair_counts(dataset.splits["train"], dataset.vocabulary_size)
    before = counts.sum(axis=1) / counts.sum()  # how often each character stands first in a pair
    shown = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:MOST_CHARACTERS])
    high = float(max(counted.max(), np.nan_to_num(learned).max()))
    figures: tuple[Figure, ...] = (
        _map(subject, "counted", counted, shown, "probability", high),
        _map(subject, "learned", learned, shown, "probability", high),
        _losses(subject, counted, learned),
        _disagreements(subject, counted, learned, counts),
        _map(subject, _DIFFERENCE, (learned - counted) * before[:, None], shown, "difference"),
        _map(subject, "pairs in train", counts, shown, "pairs", float(counts.max())),
    )
    notes = ["Counted are the train split's pairs plus one, so that no pair is impossible."]
    if len(shown) < len(counts):
        notes.append(f"The maps show the {len(shown)} most frequent of {len(counts):,} characters.")
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


def _map(
    subject: Subject, title: str, table: np.ndarray, shown: np.ndarray, unit: str, high: float | None = None
) -> Heatmap:
    """The table of the characters that are shown, from 0 to `high`; without it, around zero."""
    part = table[np.ix_(shown, shown)]
    bound = high or float(np.nan_to_num(np.abs(part)).max()) or 1.0
    characters = tuple(subject.characters[i] for i in shown)
    return Heatmap(
        title,
        characters,
        characters,
        grid(part.tolist()),
        0.0 if high else -bound,
        bound,
        row_name="after",
        column_name="comes",
        unit=unit,
        diverging=not high,
        group="tables" if unit == "probability" else "",
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
