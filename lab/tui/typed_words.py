"""What a person types of tags, seeds and notes, and what it means for each of several runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.text import literal, plural

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

MOST_SEEDS = 100
LONGEST_TAG = 40
MOST_TAGS = 20
LONGEST_NOTES = 10_000


@dataclass(frozen=True)
class TagWords:
    """Tags to add and to take away."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def of(self, run: RunRow) -> tuple[str, ...]:
        """The tags that a run then has. Raises `UsageError` where they are too many."""
        tags = dict.fromkeys((*run.tags, *self.added))
        kept = tuple(tag for tag in tags if tag not in self.removed)
        if len(kept) > MOST_TAGS:
            raise UsageError(f"{literal(run.name)} would have {len(kept)} tags; {MOST_TAGS} are enough")
        return kept


def parse_tags(text: str) -> TagWords:
    """Tags from words; a word behind `-` is taken away. Raises `UsageError` on what cannot be a tag."""
    added: list[str] = []
    removed: list[str] = []
    for word in text.replace(",", " ").split():
        tag = word.removeprefix("-").removeprefix("#")
        if not tag or not tag.isprintable() or '"' in tag or tag.startswith("-"):
            raise UsageError(f"'{literal(word)}' is no tag; write words such as: base quick")
        if len(tag) > LONGEST_TAG:
            raise UsageError(f"'{tag[:12]}…' is too long; a tag has at most {LONGEST_TAG} characters")
        (removed if word.startswith("-") else added).append(tag)
    return TagWords(tuple(added), tuple(removed))


def said_of_tags(words: TagWords, runs: Sequence[RunRow]) -> str:
    """What typing these tags comes to, for several runs."""
    parts = [f"adds {' '.join(words.added)}" if words.added else ""]
    parts += [f"takes {' '.join(words.removed)} away" if words.removed else ""]
    said = " and ".join(part for part in parts if part)
    for run in runs:
        words.of(run)
    return f"{said or 'changes nothing'}, of {plural(len(runs), 'run')}"


def check_notes(notes: str) -> str:
    """Notes as they are kept. Raises `UsageError` where they are endless, or cannot be written down."""
    notes = notes.rstrip()
    if len(notes) > LONGEST_NOTES:
        raise UsageError(f"notes have at most {LONGEST_NOTES:,} characters, these {len(notes):,}")
    try:
        notes.encode()
    except UnicodeEncodeError:
        raise UsageError("the notes hold something that is not UTF-8: take it out") from None
    return notes


def seeds_by_group(runs: Iterable[RunRow]) -> dict[str, set[int]]:
    """The seeds that there are of each group."""
    seeds: dict[str, set[int]] = {}
    for run in runs:
        seeds.setdefault(run.group_hash, set()).add(run.seed)
    return seeds


def new_seeds(text: str, runs: Sequence[RunRow], taken: Mapping[str, set[int]]) -> dict[str, tuple[int, ...]]:
    """The seeds that each run is to be queued again with, by its id: `+3` means three that are new, else those named.

    Of several runs of one group only the first gets any. Raises `LabError` where there is none, or one is not new.
    """
    if not text.strip():
        raise UsageError("no seeds; write +2 for two new ones, or 1 2 3, or 1..5")
    count = re.fullmatch(r"\s*\+\s*(\d{1,3})\s*", text)
    named = () if count else _named_seeds(text)
    if count and not 1 <= int(count[1]) <= MOST_SEEDS:
        raise UsageError(f"{count[0].strip()}: from +1 to +{MOST_SEEDS} new seeds")
    wanted: dict[str, tuple[int, ...]] = {}
    groups: set[str] = set()
    for run in runs:
        if run.group_hash in groups:
            continue
        groups.add(run.group_hash)
        known = taken.get(run.group_hash, set()) | {run.seed}
        if not count and (twice := known.intersection(named)):
            raise UsageError(f"seed {min(twice)} of {literal(run.name)} is there already; +2 means two new ones")
        wanted[run.id] = _next_seeds(run.seed, int(count[1]), known) if count else named
    return wanted


def _named_seeds(text: str) -> tuple[int, ...]:
    """The seeds that a line names, with or without commas. Raises `UsageError`, or `ConfigError` on what is none."""
    from lab.config.value_list import values_from_text

    values = values_from_text("seed", re.sub(r"(?<=\d)\s+(?=\d)", ", ", text.strip()))
    if len(values) > MOST_SEEDS:
        raise UsageError(f"{len(values):,} seeds are too many: at most {MOST_SEEDS} at once")
    return tuple(int(str(seed)) for seed in values)


def _next_seeds(first: int, count: int, taken: set[int]) -> tuple[int, ...]:
    found: list[int] = []
    seed = first
    while len(found) < count:
        seed += 1
        if seed not in taken:
            found.append(seed)
    return tuple(found)
