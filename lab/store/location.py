"""Where a database and what belongs to it lie. Imports nothing heavy: the first frame needs these."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lab.errors import StoreError, UsageError

DATABASE_NAME = "runs.db"
_RUN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def find_database(option: str | Path | None = None) -> Path:
    """The database to use: the option, else LAB_DB, else runs.db here or in the nearest parent, else a new one here.

    Raises `UsageError` where its folder does not exist.
    """
    named = option or os.environ.get("LAB_DB")
    if named:
        return check_path(Path(named))
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / DATABASE_NAME).is_file():
            return check_path(folder / DATABASE_NAME)
    return here / DATABASE_NAME


def check_path(path: Path) -> Path:
    """A database's one true path: absolute and through links, as its lock and its files lie beside it.

    Raises `UsageError` where no file can be at that path.
    """
    try:
        real = path.expanduser().resolve()
        if real.is_dir():
            raise UsageError(f"database {path} is a folder; give the path of a file")
        if not real.parent.is_dir():
            raise UsageError(f"database {path}: there is no folder {real.parent}")
        if real.exists() and not real.is_file():
            raise UsageError(f"database {path} is not a file; choose another with --db")
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"database {path}: {getattr(error, 'strerror', None) or error}") from None
    return real


def user_config_folder() -> Path:
    """Where a person's own choices lie, by the XDG base directories."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if configured.startswith("/") else Path.home() / ".config"
    return base / "lab"


def files_folder(database: Path) -> Path:
    """The folder beside a database for checkpoints and added datasets."""
    return database.with_name(database.name + ".files")


def run_folder(database: Path, run_id: str) -> Path:
    """The folder of one run's checkpoints. Raises `StoreError` where the id is none: it would lead elsewhere."""
    if not _RUN_ID.fullmatch(run_id):
        raise StoreError(f"{run_id[:100]!a} is no run's id: database {database} was not made by lab alone")
    return files_folder(database) / run_id


def run_lock(database: Path, run_id: str) -> Path:
    """The file that a foreground `lab train` holds locked while it trains a run."""
    return run_folder(database, run_id) / "trainer.lock"


def run_log(database: Path, run_id: str) -> Path:
    """Where the trainers of a run leave what they, and the libraries in them, write: warnings, and crashes."""
    return run_folder(database, run_id) / "trainer.log"


def dataset_library(database: Path) -> Path:
    """The folder of datasets that were added by name."""
    return files_folder(database) / "datasets"


def worker_lock(database: Path) -> Path:
    """The file that the one worker of a database holds locked."""
    return database.with_name(database.name + ".worker")


def worker_log(database: Path) -> Path:
    """Where a worker that was started in the background writes what it has to say."""
    return database.with_name(database.name + ".worker.log")
