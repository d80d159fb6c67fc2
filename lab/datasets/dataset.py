"""A dataset: a text, how it is cut, its vocabulary and its splits; known by the SHA-256 of its file."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lab.datasets import splits
from lab.datasets.tokenizer import WORD_BOUNDARY, CharacterTokenizer
from lab.errors import DatasetError
from lab.packaged import packaged_folder

DatasetKind = Literal["stream", "words"]

SHIPPED: dict[str, DatasetKind] = {"shakespeare": "stream", "names": "words"}
FEWEST_WORDS = 10
"""With fewer, train, val or test would be left without one."""
LARGEST_FILE = 512 * 2**20
"""Bytes; a text is held in memory whole, as 8 bytes a character on the device."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A text in memory, encoded. `splits` has train and val, and test for words; each an int64 array of ids."""

    name: str
    kind: DatasetKind
    path: Path
    sha256: str
    tokenizer: CharacterTokenizer
    splits: dict[str, np.ndarray]
    characters: int

    @property
    def vocabulary_size(self) -> int:
        """Distinct tokens (V), the word boundary included."""
        return len(self.tokenizer.vocabulary)

    def examples(self, split: str, context_length: int, *, every_position: bool) -> np.ndarray:
        """What training draws from: windows or rows of T inputs and the character after, shape (N, T+1).

        With `every_position` each position is predicted; without, only the character after the window.
        """
        ids = self.splits[split]
        if self.kind == "stream":
            return splits.stream_windows(ids, context_length)
        boundary = self.tokenizer.start_id
        cut = splits.word_rows if every_position else splits.word_windows
        return cut(ids, boundary, context_length)

    def evaluation_examples(self, split: str, context_length: int, *, every_position: bool) -> np.ndarray:
        """What a split is scored on, shape (N, T+1): each character once (but a last partial window)."""
        if self.kind == "stream" and every_position:
            return splits.consecutive_windows(self.splits[split], context_length)
        return self.examples(split, context_length, every_position=every_position)

    def check_fits(self, context_length: int, *, every_position: bool) -> None:
        """Raises `DatasetError` where a split is shorter than a window, or a word longer than a row."""
        for split, ids in self.splits.items():
            if self.kind == "stream":
                if len(ids) <= context_length:
                    raise DatasetError(
                        f"dataset '{self.name}': its {split} split has {len(ids)} characters, too few for "
                        f"context_length={context_length}; set context_length below {len(ids)}"
                    )
            elif every_position:
                longest = splits.longest_word(ids, self.tokenizer.start_id)
                if longest >= context_length:
                    raise DatasetError(
                        f"dataset '{self.name}': a word of {longest} characters does not fit "
                        f"context_length={context_length}; set context_length={longest + 1} or more"
                    )


def load_dataset(name_or_path: str, kind: DatasetKind | None = None, *, library: Path | None = None) -> Dataset:
    """Reads a dataset: a shipped one, one added to a library folder, or any UTF-8 file by its path.

    A file by path is a stream unless said otherwise. Raises `DatasetError` where it is missing, empty, not UTF-8, or
    too short or uniform to learn from.
    """
    path, found_kind = _find(name_or_path, library)
    if kind and found_kind and kind != found_kind and name_or_path in SHIPPED:
        raise DatasetError(f"dataset '{name_or_path}' is cut as {found_kind}; to cut it as {kind}, give its path")
    kind = kind or found_kind or "stream"
    text, sha256 = _read(path)
    name = name_or_path if found_kind else str(path)
    return _cut(name, kind, path, text, sha256)


def added_datasets(library: Path) -> Iterator[tuple[str, DatasetKind, Path]]:
    """Name, kind and path of each dataset in a library folder."""
    for path in sorted(library.glob("*.txt")) if library.is_dir() else ():
        name, _, kind = path.stem.rpartition(".")
        if name and kind in ("stream", "words"):
            yield name, kind, path  # type: ignore[misc]


def add_dataset(path: Path, kind: DatasetKind, library: Path, name: str | None = None) -> Dataset:
    """Copies a text into a library folder, so that it is known by name from then on.

    Raises `DatasetError` as `load_dataset` does, and where the name is taken or no plain word.
    """
    name = name or path.stem
    if not name.replace("-", "").replace("_", "").isalnum():
        raise DatasetError(f"dataset name '{name}': use letters, digits, - and _ (--name NAME)")
    if name in SHIPPED or any(name == known for known, _, _ in added_datasets(library)):
        raise DatasetError(f"there is already a dataset '{name}'; choose another name (--name NAME)")
    load_dataset(str(path.resolve()), kind)
    copy = library / f"{name}.{kind}.txt"
    partial = copy.with_suffix(".partial")
    try:
        library.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        shutil.copyfile(path, partial)
        partial.replace(copy)
    except OSError as error:
        raise DatasetError(f"dataset '{name}' cannot be kept in {library}: {error.strerror}") from None
    return load_dataset(name, library=library)


def _find(name_or_path: str, library: Path | None) -> tuple[Path, DatasetKind | None]:
    if name_or_path in SHIPPED:
        return packaged_folder("data") / f"{name_or_path}.txt", SHIPPED[name_or_path]
    added = {name: (path, kind) for name, kind, path in added_datasets(library)} if library else {}
    if name_or_path in added:
        return added[name_or_path]
    try:
        path = Path(name_or_path).expanduser().resolve()
        if path.is_file():
            return path, None
        if path.exists():
            what = "a folder" if path.is_dir() else "no plain file"
            raise DatasetError(f"dataset '{name_or_path}' is {what}; give the path of a text file")
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetError(f"dataset '{name_or_path}': {getattr(error, 'strerror', None) or error}") from None
    near = difflib.get_close_matches(name_or_path, [*SHIPPED, *added], n=1)
    hint = f"did you mean '{near[0]}'?" if near else "give the path of a text file, or see: lab dataset list"
    raise DatasetError(f"no dataset '{name_or_path}': {hint}")


def _read(path: Path) -> tuple[str, str]:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise DatasetError(f"dataset '{path}' has {size / 2**20:,.0f} MB; lab reads up to {LARGEST_FILE >> 20} MB")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"dataset '{path}' cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"dataset '{path}' is not UTF-8 (byte {error.start}); convert it, for example with iconv -t utf-8"
        ) from None
    return text.replace("\r\n", "\n"), hashlib.sha256(data).hexdigest()


def _cut(name: str, kind: DatasetKind, path: Path, text: str, sha256: str) -> Dataset:
    if not text.strip():
        raise DatasetError(f"dataset '{name}' is empty; give a text of at least a few hundred characters")
    if kind == "stream":
        tokenizer = CharacterTokenizer.of_text(text)
        parts = splits.split_stream(tokenizer.encode(text))
        if not all(len(ids) >= 2 for ids in parts.values()):
            raise DatasetError(f"dataset '{name}' has {len(text)} characters, too few to train on and to validate")
    else:
        words = [word for line in text.splitlines() if (word := line.strip())]
        tokenizer = CharacterTokenizer((WORD_BOUNDARY, *sorted(set("".join(words)))))
        parts = {
            split: tokenizer.encode(WORD_BOUNDARY.join(["", *some, ""]))
            for split, some in splits.split_words(words).items()
        }
        if len(words) < FEWEST_WORDS:
            raise DatasetError(f"dataset '{name}' has {len(words)} words; give at least {FEWEST_WORDS}")
    if len(tokenizer.vocabulary) - (kind == "words") < 2:  # the boundary of words is no character of theirs
        raise DatasetError(f"dataset '{name}' is made of one character; there is nothing to learn")
    return Dataset(name, kind, path, sha256, tokenizer, parts, len(text))
