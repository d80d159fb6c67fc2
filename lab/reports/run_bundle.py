"""`.labrun`: one run, complete, in a zip archive that is safe to open from a stranger.

`manifest.json` comes first: the format's version, and of every other file its size and SHA-256. `run.json` holds all
that the database knows of the run, `checkpoints/` its models as safetensors. Nothing in it is ever executed, unpickled,
or used as a path.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from lab import __version__
from lab.errors import CheckpointError, UsageError
from lab.store.run_store import RunRow, RunStore
from lab.store.stored_files import stored_file
from lab.store.whole_run import read_whole_run

SUFFIX = ".labrun"
FORMAT = "labrun"
VERSION = 1
MANIFEST, RUN = "manifest.json", "run.json"
_UNDER_WAY = ("queued", "training")


def write_bundle(store: RunStore, run: RunRow, path: Path) -> int:
    """Writes a run to a `.labrun` file, whole or not at all; returns its bytes.

    Raises `UsageError` where the run is under way or the file cannot be written, and `CheckpointError` where one of its
    checkpoints is gone or damaged.
    """
    if run.status in _UNDER_WAY:
        raise UsageError(f"run {run.name} is {run.status}: stop or pause it first, or wait until it has ended")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(store, run, partial)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}; write elsewhere") from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path.stat().st_size


def checkpoint_member(place: int) -> str:
    """The name in the archive of a run's checkpoint, by its place among them."""
    return f"checkpoints/{place:04d}.safetensors"


def _write(store: RunStore, run: RunRow, path: Path) -> None:
    whole = read_whole_run(store, run.id)
    rows = store.checkpoints(run.id)
    files = {checkpoint_member(place): stored_file(store.database.files, row.path) for place, row in enumerate(rows)}
    try:
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise UsageError(
            f"run {run.name} holds an infinite number, which lab never stores: it is not passed on"
        ) from None
    listed: dict[str, Any] = {RUN: {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}}
    for (name, file), row in zip(files.items(), rows, strict=True):
        listed[name] = {"size": row.size, "sha256": row.sha256}
        if not file.is_file() or file.stat().st_size != row.size:
            raise CheckpointError(f"checkpoint {file} is gone or cut short; see: lab doctor")
    manifest = {"format": FORMAT, "version": VERSION, "lab": __version__, "files": listed}
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
        archive.writestr(RUN, text)
        for name, file in files.items():
            digest = hashlib.sha256()
            with file.open("rb") as source, archive.open(zipfile.ZipInfo(name), "w", force_zip64=False) as target:
                while piece := source.read(1 << 20):
                    digest.update(piece)
                    target.write(piece)
            if digest.hexdigest() != listed[name]["sha256"]:
                raise CheckpointError(f"checkpoint {file} is damaged: its SHA-256 is not the one recorded")
