"""The files that a database names: none is ever looked for, written or deleted outside the folder beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from lab.errors import CheckpointError, StoreError

CHECKPOINT_SUFFIXES = (".safetensors", ".partial")


def stored_file(files: Path, name: str) -> Path:
    """The file of that name in the folder beside a database. Raises `CheckpointError` where it would lie elsewhere."""
    try:
        path = files / name
        inside = path.resolve().is_relative_to(files.resolve()) and path != files and ".." not in path.parts
    except (OSError, RuntimeError, ValueError):
        inside = False
    if not inside:
        raise CheckpointError(f"the database names a file outside its folder ({name[:100]!a}): it is not touched")
    return path


def is_whole(files: Path, name: str, sha256: str, size: int) -> bool:
    """Whether a stored file is there as it was written."""
    try:
        path = stored_file(files, name)
        if not path.is_file() or path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except (CheckpointError, OSError):
        return False


def make_folder(files: Path, run_id: str) -> Path:
    """The folder of a run's checkpoints, made durably where it is new. Raises `StoreError` where it lies elsewhere."""
    folder = files / run_id
    for made in (files, folder):
        if not made.is_dir():
            made.mkdir(mode=0o700, exist_ok=True)
            sync_folder(made.parent)
    if folder.resolve().parent != files.resolve():
        raise StoreError(f"{folder} is a link to elsewhere: put a folder in its place")
    return folder


def new_checkpoint(folder: Path, name: str) -> Path:
    """A path for a new checkpoint that no file has: one that the database names is never written over."""
    path, number = folder / f"{name}.safetensors", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{name}-{number}.safetensors"
    return path


def remove_checkpoint(files: Path, run_id: str, name: str) -> None:
    """Deletes a run's checkpoint that the database names no more; nothing else, whatever the name says."""
    path = files / name
    if path.parent == files / run_id and path.suffix in CHECKPOINT_SUFFIXES:
        remove_quietly(path)


def remove_quietly(path: Path) -> None:
    """Deletes a file where that is possible."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def seal(partial: Path, path: Path) -> tuple[str, int]:
    """Makes a written file durable under its final name; returns its SHA-256 and size."""
    partial.chmod(0o600)
    with partial.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = os.fstat(file.fileno()).st_size
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
    return sha256, size


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
