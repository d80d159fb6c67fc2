"""The finished ladder that comes with lab: where it lies, and the copy of it that a person looks at."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from lab.errors import StoreError
from lab.packaged import packaged_folder
from lab.store.location import files_folder

DEMO_TAG = "demo"
"""Of every run that comes with the demo: it was not trained here, and never stands for a run that was."""
_NAME = "demo.db"


def shipped_demo() -> Path:
    """The demo's database as it comes with lab; its checkpoints lie beside it. Never to be opened itself."""
    return packaged_folder("data") / "demo" / _NAME


def demo_copy(*, anew: bool = False) -> Path:
    """The person's own copy of the demo, made at first use; with `anew` what was done in the last one is thrown away.

    It lies in their state folder (by the XDG base directories), under a name that changes with the demo that comes with
    lab. Raises `StoreError` where it cannot be made.
    """
    shipped = shipped_demo()
    try:
        folder = _state_folder() / f"demo-{hashlib.sha256(shipped.read_bytes()).hexdigest()[:8]}"
        if anew and folder.exists():
            shutil.rmtree(folder)
        if not (folder / _NAME).exists():
            _copy(shipped, folder)
    except OSError as error:
        raise StoreError(f"the demo cannot be copied: {error.filename or shipped}: {error.strerror}") from None
    return folder / _NAME


def _state_folder() -> Path:
    configured = os.environ.get("XDG_STATE_HOME", "")
    base = Path(configured) if configured.startswith("/") else Path.home() / ".local" / "state"
    return base / "lab"


def _copy(shipped: Path, folder: Path) -> None:
    """Copies the demo whole or not at all, for its owner alone."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:  # its owner's alone
        partial = Path(made) / "copy"
        partial.mkdir(mode=0o700)
        shutil.copyfile(shipped, partial / _NAME)
        (partial / _NAME).chmod(0o600)
        shutil.copytree(files_folder(shipped), files_folder(partial / _NAME), copy_function=shutil.copyfile)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
