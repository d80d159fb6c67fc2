"""Where a database and what belongs to it lie. Imports nothing heavy: the first frame needs these."""

from __future__ import annotations

import os
from pathlib import Path

from lab.errors import UsageError

DATABASE_NAME = "runs.db"


def find_database(option: str | Path | None = None) -> Path:
    """The database to use: the option, else LAB_DB, else runs.db here or in the nearest parent, else a new one here.

    Raises `UsageError` where its folder does not exist.
    """
    named = option or os.environ.get("LAB_DB")
    if named:
        path = Path(named).expanduser().absolute()
        if path.is_dir():
            raise UsageError(f"database {path} is a folder; give the path of a file")
        if not path.parent.is_dir():
            raise UsageError(f"database {path}: there is no folder {path.parent}")
        return path
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / DATABASE_NAME).is_file():
            return folder / DATABASE_NAME
    return here / DATABASE_NAME


def files_folder(database: Path) -> Path:
    """The folder beside a database for checkpoints and added datasets."""
    return database.with_name(database.name + ".files")


def run_folder(database: Path, run_id: str) -> Path:
    """The folder of one run's checkpoints."""
    return files_folder(database) / run_id


def dataset_library(database: Path) -> Path:
    """The folder of datasets that were added by name."""
    return files_folder(database) / "datasets"


def worker_lock(database: Path) -> Path:
    """The file that the one worker of a database holds locked."""
    return database.with_name(database.name + ".worker")


def worker_log(database: Path) -> Path:
    """Where a worker that was started in the background writes what it has to say."""
    return database.with_name(database.name + ".worker.log")
