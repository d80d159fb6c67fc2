"""Which database, and how it is opened: a writer, a durable writer and a reader on one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lab.errors import StoreError, UsageError
from lab.store.location import files_folder
from lab.store.migrations import BUSY_TIMEOUT_SECONDS, migrate
from lab.store.schema import APPLICATION_ID

_SQLITE_HEADER = b"SQLite format 3\0"


class Database:
    """One runs.db, opened: `writer` for metrics and edits, `durable` where a power cut must lose nothing, `reader`.

    Raises `StoreError` where the file is foreign, of a newer lab, corrupt, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _prepare_file(path)
        self.writer = _engine(path, {"synchronous": "NORMAL"}, begin="BEGIN IMMEDIATE")
        self.durable = _engine(path, {"synchronous": "FULL"}, begin="BEGIN IMMEDIATE")
        self.reader = _engine(path, {"query_only": "ON"}, begin="BEGIN")
        try:
            migrate(path, self.writer)
        except sa.exc.OperationalError as error:
            self.close()
            raise StoreError(f"database {path} cannot be opened for writing: {error.orig}") from None
        except sa.exc.DatabaseError as error:
            self.close()
            raise StoreError(f"database {path} is damaged ({error.orig}); see: lab doctor --db {path}") from None
        except StoreError:
            self.close()
            raise

    @property
    def files(self) -> Path:
        """The folder beside the database that holds checkpoints and added datasets."""
        return files_folder(self.path)

    def close(self) -> None:
        """Lets go of every connection."""
        for engine in (self.writer, self.durable, self.reader):
            engine.dispose()


def _prepare_file(path: Path) -> None:
    """Creates the file for its owner alone, or sees that what stands there is a database of lab's."""
    if path.is_dir():
        raise UsageError(f"--db {path} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise UsageError(f"--db {path}: there is no folder {path.parent}")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"database {path} cannot be written: {error.strerror}; choose another with --db") from None
    with os.fdopen(descriptor, "rb") as file:
        header = file.read(100)
    if header and not header.startswith(_SQLITE_HEADER):
        raise StoreError(f"{path} is not a database of lab's; choose another file with --db")
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"database {path}: its folder cannot be written; choose another with --db")
    application_id = int.from_bytes(header[68:72], "big") if header else 0
    if header and application_id != APPLICATION_ID and not _is_blank(path):
        raise StoreError(f"{path} is a database of another program; choose another file with --db")


def _is_blank(path: Path) -> bool:
    """Whether a database holds nothing yet (its maker was interrupted, or its mark is still in the log)."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_SECONDS)
        try:
            marked = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
            return marked or not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"database {path} is damaged ({error}); see: lab doctor --db {path}") from None


def _engine(path: Path, pragmas: Mapping[str, str], *, begin: str) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where `begin_transaction` says, not at the first write
        for pragma, value in {"foreign_keys": "ON", **pragmas}.items():
            connection.execute(f"PRAGMA {pragma} = {value}")

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
