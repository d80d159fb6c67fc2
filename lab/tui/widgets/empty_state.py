"""What an empty database shows: the two models that need no training, and what to press."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from lab import text
from lab.tui.snapshot import CountedBigram

SAMPLE_WIDTH = 70


class EmptyState(Static):
    """The first thing a newcomer sees."""

    BORDER_TITLE = "Runs"

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, markup=False)

    def show(self, untrained: CountedBigram | None, colours: dict[str, str], opening: str) -> None:
        """Shows what is known so far; `opening` is what is said while no run was read."""
        self.update(_said(untrained, colours, opening, self.app.size.width))


def _said(untrained: CountedBigram | None, colours: dict[str, str], opening: str, width: int) -> Text:
    muted, strong = colours["text-muted"], f"bold {colours['accent']}"
    said = Text()
    if opening:
        return Text(opening, muted)
    said.append("No runs yet. ", "bold")
    said.append("What does each piece of a language model buy?\n\n", muted)
    keys = (
        ("1", "the ladder: every stage, what it adds, and one key to train them all"),
        ("n", "one run: choose a stage, it trains in the background"),
        ("?", "every key"),
    )
    for key, meaning in keys:
        said.append(f"{key:<5}", strong)
        said.append(f"{meaning}\n")
    if untrained is None:
        said.append("\ncounting pairs of characters…", muted)
        return said
    said.append(f"\nwithout any training, on {text.literal(untrained.dataset)}", muted)
    said.append(f" ({untrained.vocabulary_size} characters)\n\n", muted)
    said.append(f"{'':<20}{'val':>6}{'choices':>9}   a sample\n", muted)
    rows = (
        ("guessing evenly", untrained.guessing_evenly, untrained.even_sample),
        ("bigram by counting", untrained.counting, untrained.counted_sample),
    )
    for name, value, sample in rows:
        said.append(f"{name:<20}")
        said.append(f"{value:>6.3f}{text.choices(value):>9}", "bold")
        said.append(f"   {_one_line(sample, max(10, min(SAMPLE_WIDTH, width - 45)))}\n", colours["secondary"])
    said.append(
        "\nval is the loss on text that was held back; choices is e^loss: guessing evenly is as unsure as choosing "
        "among all characters. A model is worth what it takes off these two.",
        muted,
    )
    return said


def _one_line(sample: str, width: int) -> str:
    return text.clip(text.literal(" ".join(sample.split())), width)
