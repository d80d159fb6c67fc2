"""The loss map: which characters, words and places the val loss comes from, and what surprised the model most."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from lab.errors import UsageError
from lab.inference.figures import (
    Bars,
    Cell,
    Figure,
    Lines,
    Page,
    Passage,
    Prose,
    Table,
    number,
    numbers,
)
from lab.inference.inspection.character_losses import CharacterLosses, character_losses
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.views import InspectOptions

PASSAGES = 8
CONTEXT_SHOWN = 48
STRETCH = 32
"""Characters of a passage that is worst, or where two runs are furthest apart."""
_WORDS = 20
_FEWEST_OF_A_WORD = 5
_LONGEST_WORD_PLACE = 12
_SPEAKER = re.compile(r"(?m)(?:^|(?<=\n))[A-Z][A-Za-z' ]*:(?=\n|$)")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


def loss_map_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """The loss by target character, by context, by kind of line, by place in the word, and passages to read.

    With another run beside it, what the one gains over the other. Raises `UsageError` where they have other texts.
    """
    other = subject.other
    if other is not None and other.run.dataset_sha256 != subject.run.dataset_sha256:
        raise UsageError(
            f"runs {subject.run.name} and {other.run.name} were trained on different texts: compare runs on one"
        )
    parts = 2 if other else 1
    mine = character_losses(subject, lambda done, total: tell(done, parts * total))
    theirs = None
    if other is not None:
        theirs = character_losses(other, lambda done, total: tell(total + done, parts * total))
    named = [(subject.name, mine)] + ([(other.name, theirs)] if other is not None and theirs is not None else [])
    figures: list[Figure] = [
        _totals(named),
        *_by_character(subject, named),
        _by_context(named),
        *_by_line(subject, named),
        _by_place_in_word(subject, named),
        _words(subject, named),
        *_passages(subject, mine, theirs),
    ]
    return Page(
        view="loss-map",
        title=f"Where the loss of {subject.name} comes from" + (f", against {other.name}" if other else ""),
        look_at="The loss is not spread evenly: it sits at the beginnings of words and lines, where much could follow, "
        "and falls with every character of context. Rare characters cost much each and little together.",
        figures=tuple(figures),
        notes=_notes(subject, mine),
    )


def _notes(subject: Subject, mine: CharacterLosses) -> tuple[str, ...]:
    left_out = len(mine.ids) - len(mine.losses)
    return (
        f"All {len(mine.losses):,} characters of the val split that an evaluation scores (it leaves out {left_out:,}).",
    )


def _totals(named: Sequence[tuple[str, CharacterLosses]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, each in named:
        mean = float(each.losses.mean())
        ordered = np.sort(each.losses)[::-1]
        worst = float(ordered[: max(1, len(ordered) // 10)].sum() / ordered.sum()) if ordered.sum() else math.nan
        rows.append((name, len(each.losses), number(mean), number(float(np.median(each.losses))), number(worst)))
    columns = ("run", "characters", "mean loss", "median", "share of the worst tenth")
    return Table("altogether", columns, tuple(rows))


def _by_character(subject: Subject, named: Sequence[tuple[str, CharacterLosses]]) -> list[Figure]:
    """Mean loss of each target character, and its share of the whole loss; of two runs, the differences."""
    v = len(subject.characters)
    counts = np.bincount(named[0][1].targets, minlength=v)
    sums = [np.bincount(each.targets, weights=each.losses, minlength=v) for _, each in named]
    tallies = [np.bincount(each.targets, minlength=v) for _, each in named]
    means = [np.divide(s, n, out=np.full(v, np.nan), where=n > 0) for s, n in zip(sums, tallies, strict=True)]
    shares = sums[0] / sums[0].sum()
    seen = np.flatnonzero(counts)
    order = seen[np.argsort(-shares[seen], kind="stable")]
    labels = tuple(subject.characters[i] for i in order)
    mean_all = number(float(named[0][1].losses.mean()))
    figures: list[Figure] = [
        Bars("loss by target character", labels, numbers(means[0][order]), reference=mean_all,
             reference_name="mean", unit="nats", group="by character"),
        Bars("its share of the whole loss", labels, numbers(shares[order]), unit="share", group="by character"),
    ]  # fmt: skip
    if len(named) == 2:
        gained = means[0] - means[1]
        together = np.where(np.isfinite(gained), gained, 0.0) * counts / counts.sum()
        best = order[np.argsort(together[order], kind="stable")]
        both = tuple(subject.characters[i] for i in best)
        title = f"loss by target character: {named[0][0]} − {named[1][0]}"
        figures.append(Bars(title, both, numbers(gained[best]), reference=0.0, unit="nats"))
        figures.append(
            Bars(
                "the same, by what it adds to the mean loss", both, numbers(together[best]), reference=0.0, unit="nats"
            )
        )
    return figures


def _by_context(named: Sequence[tuple[str, CharacterLosses]]) -> Lines:
    """Mean loss by how many characters of its window came before."""
    places = [each.context for _, each in named]
    most = max(int(place.max()) for place in places)
    return _by_place("loss by position in the context", "characters of context", named, places, most)


def _by_place(
    title: str, x_name: str, named: Sequence[tuple[str, CharacterLosses]], places: Sequence[np.ndarray], most: int
) -> Lines:
    """Mean loss at each of the places 1 to `most`; nothing where no character stands."""
    values = []
    for (_, each), place in zip(named, places, strict=True):
        kept = place <= most
        sums = np.bincount(place[kept], weights=each.losses[kept], minlength=most + 1)[1:]
        counts = np.bincount(place[kept], minlength=most + 1)[1:]
        values.append(numbers(np.divide(sums, counts, out=np.full(most, np.nan), where=counts > 0)))
    names = tuple(name for name, _ in named)
    return Lines(title, names, tuple(float(i) for i in range(1, most + 1)), tuple(values), x_name=x_name, y_name="nats")


def line_kinds(text: str) -> dict[str, np.ndarray]:
    """Which characters of a text are of a speaker's line, of verse, and blanks between lines, each a mask."""
    speaker = np.zeros(len(text), dtype=bool)
    for match in _SPEAKER.finditer(text):
        speaker[match.start() : match.end()] = True
    newline = np.array([character == "\n" for character in text], dtype=bool)
    return {"speaker": speaker, "verse": ~speaker & ~newline, "line ends": newline & ~speaker}


def _by_line(subject: Subject, named: Sequence[tuple[str, CharacterLosses]]) -> list[Figure]:
    """A stream's speaker lines against its verse; nothing of words."""
    if subject.config.dataset_as == "words":
        return []
    rows: list[tuple[Cell, ...]] = []
    for kind, mask in line_kinds(subject.val_text).items():
        cells: list[Cell] = [kind, int(mask.sum())]
        for _, each in named:
            part = mask[each.first : each.first + len(each.losses)]
            inside = each.losses[part]
            cells += [number(float(inside.mean()) if inside.size else math.nan)]
            cells += [number(float(inside.sum() / each.losses.sum()))]
        rows.append(tuple(cells))
    columns = ["where", "characters"]
    for name, _ in named:
        suffix = f", {name}" if len(named) > 1 else ""
        columns += [f"mean loss{suffix}", f"share of the loss{suffix}"]
    return [Table("by kind of line", tuple(columns), tuple(rows))]


def place_in_word(subject: Subject) -> np.ndarray:
    """Of each character of the val split its place in its word, from 1; 0 for what is in none."""
    ids = subject.dataset.splits["val"]
    letters = np.array([character.isalpha() or character == "'" for character in subject.dataset.tokenizer.vocabulary])
    if subject.config.dataset_as == "words":  # all between two boundaries, and the closing one after it
        boundary = ids == subject.dataset.tokenizer.start_id
        starts = np.maximum.accumulate(np.where(boundary, np.arange(len(ids)), 0))
        before = np.concatenate([[0], starts[:-1]])
        return np.where(np.arange(len(ids)) > 0, np.arange(len(ids)) - before, 0)
    inside = letters[ids]
    last_outside = np.maximum.accumulate(np.where(~inside, np.arange(len(ids)), -1))
    return np.where(inside, np.arange(len(ids)) - last_outside, 0)


def _by_place_in_word(subject: Subject, named: Sequence[tuple[str, CharacterLosses]]) -> Lines:
    place = place_in_word(subject)
    places = [place[each.first : each.first + len(each.losses)] for _, each in named]
    most = min(_LONGEST_WORD_PLACE, int(place.max()))
    return _by_place("loss by place in the word", "character of the word", named, places, most)


def _words(subject: Subject, named: Sequence[tuple[str, CharacterLosses]]) -> Table:
    """What whole words cost: a stream's by kind, those that cost most altogether; of words the dearest ones."""
    words = subject.config.dataset_as == "words"
    matches = list(re.finditer(r"[^\n]+\n" if words else _WORD, subject.val_text))
    said = [match.group().rstrip("\n") for match in matches]
    spans = np.array([match.span() for match in matches], dtype=int).reshape(-1, 2)
    costs: list[dict[str, list[float]]] = []
    for _, each in named:
        running = np.concatenate([[0.0], np.cumsum(np.nan_to_num(each.losses))])
        low, high = (spans - each.first).T
        inside = (low >= 0) & (high < len(running))
        paid_for = np.where(inside, running[np.where(inside, high, 0)] - running[np.where(inside, low, 0)], np.nan)
        by_word: dict[str, list[float]] = defaultdict(list)
        for word, cost in zip(said, paid_for.tolist(), strict=True):
            if cost == cost:  # else it was not scored
                by_word[word].append(cost)
        costs.append(by_word)
    whole = float(named[0][1].losses.sum())
    fewest = 1 if words else _FEWEST_OF_A_WORD
    kept = [(word, paid) for word, paid in costs[0].items() if len(paid) >= fewest]
    kept.sort(key=lambda item: -sum(item[1]))
    rows: list[tuple[Cell, ...]] = []
    for word, paid in kept[:_WORDS]:
        row: list[Cell] = [word, len(paid), number(float(np.mean(paid))), number(sum(paid) / whole)]
        if len(costs) == 2:
            row.append(number(float(np.mean(paid)) - float(np.mean(costs[1].get(word, [math.nan])))))
        rows.append(tuple(row))
    columns = ["word", "times", "nats a word", "share of the loss"] + (["− the other's"] if len(costs) == 2 else [])
    return Table("the words that cost most altogether", tuple(columns), tuple(rows))


def _passages(subject: Subject, mine: CharacterLosses, theirs: CharacterLosses | None) -> list[Figure]:
    """The most surprising single characters, the worst stretches, and where two runs are furthest apart."""
    length = STRETCH
    surprising = spread_out(mine.losses, PASSAGES, length)
    stretches = _means(mine.losses, length)
    worst = [int(i) + length - 1 for i in spread_out(stretches, PASSAGES, 2 * length)]
    high = float(np.quantile(mine.losses, 0.995)) if len(mine.losses) else 1.0
    figures: list[Figure] = [
        Prose(
            "the most surprising characters",
            tuple(_passage(subject, mine, int(i), length, marked=True) for i in surprising),
            0.0,
            high,
            "nats",
        ),
        Prose(
            f"the worst stretches of {length} characters",
            tuple(_passage(subject, mine, i, length, marked=False) for i in worst if i < len(mine.losses)),
            0.0,
            high,
            "nats",
        ),
    ]
    if theirs is not None:
        figures += _apart(subject, mine, theirs, length)
    return figures


def _apart(subject: Subject, mine: CharacterLosses, theirs: CharacterLosses, length: int) -> list[Figure]:
    """Stretches where one run is better, then where the other is: shaded by the difference."""
    other = subject.other
    assert other is not None
    difference = np.nan_to_num(mine.losses - theirs.places(mine.first + np.arange(len(mine.losses))))
    gained = CharacterLosses(mine.ids, mine.first, difference, mine.context)
    means = _means(difference, length)
    high = float(np.quantile(np.abs(difference), 0.99)) or 1.0
    figures: list[Figure] = []
    for better, signed in ((subject.name, -means), (other.name, means)):
        ends = [int(i) + length - 1 for i in spread_out(signed, PASSAGES, 2 * length)]
        passages = tuple(_passage(subject, gained, i, length, marked=False) for i in ends if i < len(difference))
        figures.append(
            Prose(f"where {better} is better ({subject.name} − {other.name})", passages, -high, high, "nats")
        )
    return figures


def _means(losses: np.ndarray, length: int) -> np.ndarray:
    """The mean of every stretch of so many characters, by its first; of the whole where it is shorter."""
    if len(losses) < length:
        return np.array([losses.mean()]) if len(losses) else losses
    running = np.concatenate([[0.0], np.cumsum(np.nan_to_num(losses))])
    return (running[length:] - running[:-length]) / length


def spread_out(values: np.ndarray, count: int, apart: int) -> list[int]:
    """The places of the largest values, none within so many places of a larger one."""
    taken: list[int] = []
    for place in np.argsort(-np.nan_to_num(values), kind="stable")[: 50 * count * apart].tolist():
        if all(abs(place - other) >= apart for other in taken):
            taken.append(place)
        if len(taken) == count:
            break
    return taken


def _passage(subject: Subject, losses: CharacterLosses, i: int, length: int, *, marked: bool) -> Passage:
    """The text up to character i, with as much before it as is shown, shaded by loss; marked, with a little after."""
    end = losses.first + i + 1
    shown_to = min(len(losses.ids), end + (8 if marked else 0))
    start = max(0, end - (CONTEXT_SHOWN if marked else length))
    text = subject.dataset.tokenizer.decode(losses.ids[start:shown_to].tolist())
    shades = numbers(losses.places(np.arange(start, shown_to)))
    if not marked:
        known = [shade for shade in shades if shade is not None]
        return Passage(text, "mean", number(float(np.mean(known)) if known else math.nan), shades)
    character = subject.characters[int(losses.ids[end - 1])]
    return Passage(text, character, number(float(losses.losses[i])), shades, end - 1 - start)
