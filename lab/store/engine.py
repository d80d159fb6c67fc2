"""Which database, and how it is opened: a writer, a durable writer and a reader on one SQLite file."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lab.errors import StoreError
from lab.store.location import check_path, files_folder
from lab.store.migrations import BUSY_TIMEOUT_SECONDS, migrate, said_plainly
from lab.store.schema import APPLICATION_ID

_SQLITE_HEADER = b"SQLite format 3\0"


class Database:
    """One runs.db, opened: `writer` for metrics and edits, `durable` where a power cut must lose nothing, `reader`.

    Raises `StoreError` where the file is foreign, of a newer lab, corrupt, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path = check_path(path)
        _prepare_file(path)
        self.writer = _engine(path, {"synchronous": "NORMAL"}, begin="BEGIN IMMEDIATE")
        self.durable = _engine(path, {"synchronous": "FULL"}, begin="BEGIN IMMEDIATE")
        self.reader = _engine(path, {"query_only": "ON"}, begin="BEGIN")
        migrator = migration_engine(path)
        try:
            migrate(path, migrator)
        except BaseException:
            self.close()
            raise
        finally:
            migrator.dispose()

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
    try:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass  # made by another process meanwhile
    except OSError as error:
        raise StoreError(f"database {path} cannot be written: {error.strerror}; choose another with --db") from None
    if not os.access(path, os.R_OK | os.W_OK):
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
        why = os.strerror(errno.EROFS if read_only else errno.EACCES)
        raise StoreError(f"database {path} cannot be written: {why}; choose another with --db")
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"database {path}: its folder cannot be written; choose another with --db")
    # Looked at through SQLite: closing a file drops every lock that this process has on it, SQLite's own too.
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_SECONDS)) as connection:
            # In this order: its maker, who adds tables and mark at once, may come between the two questions.
            blank = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            marked = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB and not path.read_bytes().startswith(_SQLITE_HEADER):
            raise StoreError(f"{path} is not a database of lab's; choose another file with --db") from None
        raise said_plainly(path, error) from None
    if not marked and not blank:  # a blank one is whoever's: its maker may have been interrupted
        raise StoreError(f"{path} is a database of another program; choose another file with --db")


def migration_engine(path: Path) -> sa.Engine:
    """What migrations run on: without foreign keys, so that a step may rebuild a table that others refer to."""
    return _engine(path, {"synchronous": "FULL", "foreign_keys": "OFF"}, begin="BEGIN IMMEDIATE")


def _engine(path: Path, pragmas: Mapping[str, str], *, begin: str) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(path))  # as a string, a ? or % in the path would mean something
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where `begin_transaction` says, not at the first write
        for pragma, value in {"foreign_keys": "ON", **pragmas}.items():
            connection.execute(f"PRAGMA {pragma} = {value}")

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    @sa.event.listens_for(engine, "handle_error")
    def explain(context: sa.ExceptionContext) -> None:
        error = context.original_exception
        if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):  # the others are mistakes of lab's
            raise said_plainly(path, error) from error

    return engine
