"""What lab remembers between sessions: plain values in small JSON files, read at the start, written on a thread.

A person's own choices (the theme) lie in their config folder. How the screen of one database was left (zoom, marks,
filter, chart) lies beside that database, in `runs.db.files/screen.json`: it speaks of runs by their ids, so it moves,
is copied, and goes with them.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.store.location import files_folder, user_config_folder

LARGEST_FILE = 1_000_000
"""Bytes beyond which a file cannot be ours."""


def settings_path() -> Path:
    """Where a person's own choices about the screen lie."""
    return user_config_folder() / "settings.json"


def screen_path(database: Path) -> Path:
    """Where it lies how the screen of a database was left."""
    return files_folder(database) / "screen.json"


class RememberedFile:
    """Values by name. `get` and `put` are the screen's; `write` is for a thread, and may be called on several."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: dict[str, Any] = {}
        self._written: dict[str, Any] = {}
        self._writing = threading.Lock()

    def read(self) -> None:
        """Reads the file; one that is missing or damaged is as good as empty."""
        try:
            with self.path.open(encoding="utf-8") as file:
                found = json.loads(file.read(LARGEST_FILE))
        except (OSError, ValueError, RecursionError):
            return
        if isinstance(found, dict):
            self._written = found
            self._values = {**found, **self._values}

    def get(self, name: str) -> Any:
        """A value; None where none is known."""
        return self._values.get(name)

    def group(self, name: str) -> Mapping[str, Any]:
        """Values that go together; empty where there are none."""
        found = self._values.get(name)
        return found if isinstance(found, dict) else {}

    def put(self, name: str, value: Any) -> bool:
        """Takes a value over; False where it is the present one, and there is nothing to write."""
        if name in self._values and self._values[name] == value:
            return False
        self._values = {**self._values, name: value}
        return True

    @property
    def unwritten(self) -> bool:
        """Whether there is something that the file does not hold yet."""
        return self._values != self._written

    def write(self) -> None:
        """Writes what is not written yet: whole or not at all. Raises `OSError` where the place cannot be written."""
        with self._writing:
            values = self._values
            if values == self._written:
                return
            self._written = values  # also where it fails: it is said once, and tried again when there is more
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(values, file, ensure_ascii=False, indent=1)
                Path(temporary).replace(self.path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
