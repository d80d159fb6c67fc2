"""What a model has written, each character shaded by how much it surprised the model itself; names as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.text import Text

from lab import text
from lab.inference.protocol import Token
from lab.tui.theme import blend
from lab.tui.writing import Writing, texts_of

SURPRISES = (1.2, 2.3, 3.5)
"""Nats from which on a character is a little, rather, and very surprising: one chance in 3, 10 and 33."""
SURPRISE_WORDS = ("likely", "so so", "unlikely", "a surprise")
NEW, KNOWN = "new", "in the training set"
_NAME_WIDTH = 20


def surprise_styles(colours: Mapping[str, str]) -> tuple[str, ...]:
    """How characters of each surprise are shown: by colour, weight and line, so without colour too."""
    front, hot = colours["foreground"], colours["error"]
    return (front, blend(colours["warning"], front, 0.55), f"bold {colours['accent']}", f"bold underline {hot}")


def surprise_class(surprise: float) -> int:
    """Which of `SURPRISE_WORDS` a surprise in nats is."""
    return sum(surprise >= limit for limit in SURPRISES)


def written_stream(writing: Writing, colours: Mapping[str, str]) -> Text:
    """Prompt and text, several under each other; the character that is looked at is marked."""
    said, place = Text(), 0
    for number, tokens in enumerate(texts_of(writing.tokens[: writing.shown]) or [[]]):
        if number:
            seed = writing.request.seed + number
            said.append(f"\n── {number + 1} of {writing.request.count} · seed {seed} ──\n", colours["text-muted"])
        said.append(text.literal(writing.request.prompt, lines=True), f"italic {colours['secondary']}")
        at = writing.looked_at - place if writing.looked_at is not None else None
        said.append_text(_shaded(tokens, at, colours))
        place += len(tokens)
    if writing.active and writing.revealed is None:
        said.append("▌", colours["primary"])
    return said


def written_names(writing: Writing, known: frozenset[str] | None, colours: Mapping[str, str]) -> Text:
    """A name a line, each complete one marked as new or not, where the training set is known."""
    said = Text()
    looked_at, place = writing.looked_at, 0
    prompt = writing.request.prompt
    for tokens in texts_of(writing.tokens[: writing.shown]):
        ended = tokens[-1].character == "\n" if tokens else False
        letters = tokens[:-1] if ended else tokens
        at = looked_at - place if looked_at is not None else None
        line = Text(text.literal(prompt), f"italic {colours['secondary']}")
        line.append_text(_shaded(letters, at, colours))
        if ended:
            chosen = at == len(letters)
            line.append("⏎" if chosen else " ", f"reverse {colours['text-muted']}" if chosen else "")
            name = prompt + "".join(token.character for token in letters)
            _mark(line, name, known, colours)
        said.append_text(line)
        said.append("\n")
        place += len(tokens)
    return said


def counted_names(writing: Writing, known: frozenset[str] | None) -> str:
    """How many of the names are new."""
    if known is None:
        return ""
    words = [tokens for tokens in texts_of(writing.tokens[: writing.shown]) if tokens and tokens[-1].character == "\n"]
    new = sum(
        writing.request.prompt + "".join(token.character for token in tokens[:-1]) not in known for tokens in words
    )
    return f"{new} of {text.plural(len(words), 'name')} new" if words else ""


def _mark(line: Text, name: str, known: frozenset[str] | None, colours: Mapping[str, str]) -> None:
    if known is None:
        return
    line.append(" " * max(1, _NAME_WIDTH - line.cell_len))
    if name in known:
        line.append(f"= {KNOWN}", colours["text-muted"])
    else:
        line.append(f"+ {NEW}", f"bold {colours['success']}")


def _shaded(tokens: Sequence[Token], looked_at: int | None, colours: Mapping[str, str]) -> Text:
    """Characters of one surprise together, since a span each would be slow to draw."""
    styles = surprise_styles(colours)
    said = Text()
    classes = (
        (len(styles) if place == looked_at else surprise_class(token.surprise), token.character)
        for place, token in enumerate(tokens)
    )
    for kind, group in groupby(classes, key=lambda pair: pair[0]):
        characters = "".join(character for _, character in group)
        if kind == len(styles):  # looked at: a newline must be seen, and still be one
            shown = "⏎\n" if characters == "\n" else text.literal(characters)
            said.append(shown, f"reverse {colours['primary']}")
        else:
            said.append(text.literal(characters, lines=True), styles[kind])
    return said
