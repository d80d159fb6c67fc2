"""How much of the held-out splits stands in the train split too."""

from __future__ import annotations

from lab.datasets.dataset import Dataset


def overlaps(dataset: Dataset) -> list[str]:
    """One line a held-out split: the share of its words, or of a stream's lines, that train has too."""
    unit = "words" if dataset.kind == "words" else "lines"
    known = set(_lines(dataset, "train"))
    said = []
    for split in dataset.splits:
        if split != "train":
            lines = _lines(dataset, split)
            shared = sum(line in known for line in lines)
            said.append(
                f"{shared:,} of {len(lines):,} {split} {unit} ({shared / max(1, len(lines)):.1%}) stand in train too"
            )
    return said


def train_words(dataset: Dataset) -> frozenset[str]:
    """The words, or of a stream the lines, that a model has been trained on."""
    return frozenset(_lines(dataset, "train"))


def _lines(dataset: Dataset, split: str) -> list[str]:
    text = dataset.tokenizer.decode(dataset.splits[split].tolist())
    return [line for line in text.split("\n") if line]
