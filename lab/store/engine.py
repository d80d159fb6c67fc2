"""Which database, and how it is opened: a writer, a durable writer and a reader on one SQLite file."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from lab.errors import DatabaseLockedError, NotADatabaseError, StoreError
from lab.store.location import check_path, files_folder
from lab.store.migrations import BUSY_TIMEOUT_SECONDS, damaged, migrate, said_plainly
from lab.store.schema import APPLICATION_ID

_DAMAGED_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SQLITE_HEADER = b"SQLite format 3\0"
LARGEST_CHECKED = 4 * 2**20
"""Bytes of a database that is looked through whole whenever it is opened; that takes some hundredths of a second."""
LARGEST_VALUE = 64 * 2**20
"""Bytes of a text in a database; none of lab's comes near it, and a stranger's would fill the memory."""
_Answer = TypeVar("_Answer")


class Database:
    """One runs.db, opened: `writer` for metrics and edits, `durable` where a power cut must lose nothing, `reader`.

    Raises `StoreError` where the file is foreign, of a newer lab, corrupt, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path = check_path(path)
        _prepare_file(path)
        self._damage = damage = _Damage()
        self.writer = _engine(path, {"synchronous": "NORMAL"}, begin="BEGIN IMMEDIATE", damage=damage)
        self.durable = _engine(path, {"synchronous": "FULL"}, begin="BEGIN IMMEDIATE", damage=damage)
        self.reader = _engine(path, {"query_only": "ON"}, begin="BEGIN", damage=damage)
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

    def said(self, error: sqlite3.Error) -> StoreError:
        """What SQLite's driver says of the database where it is asked directly; after damage nothing is written."""
        return self._damage.said(self.path, error)

    def close(self) -> None:
        """Lets go of every connection."""
        for engine in (self.writer, self.durable, self.reader):
            engine.dispose()


def once_unlocked(write: Callable[[], _Answer], while_locked: Callable[[], object] = lambda: None) -> _Answer:
    """Does what writes, however long another program holds the database: what trains has nobody to tell, and can wait.

    Every so often, as long as a connection waits by itself, `while_locked` is called.
    """
    while True:
        try:
            return write()
        except DatabaseLockedError:
            while_locked()


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
            if marked:
                check_whole(path, connection)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB and not path.read_bytes().startswith(_SQLITE_HEADER):
            raise NotADatabaseError(f"{path} is not a database of lab's; choose another file with --db") from None
        raise said_plainly(path, error) from None
    if not marked and not blank:  # a blank one is whoever's: its maker may have been interrupted
        raise StoreError(f"{path} is a database of another program; choose another file with --db")


def check_whole(path: Path, connection: sqlite3.Connection) -> None:
    """Raises `StoreError` where a database is seen to be damaged: in a small one anywhere, in a large one at the roots;
    and where there is more in it than tables and indexes, as those of lab's have.

    The connection reads only, so that nothing is written to a damaged file: no log is taken in, and none is deleted.
    """
    connection.execute("BEGIN")  # while it lasts nobody makes the file shorter
    connection.execute("PRAGMA trusted_schema = OFF")
    tables: list[str] = []
    for kind, name, sql in connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall():
        if kind not in ("table", "index") or str(sql).upper().startswith("CREATE VIRTUAL"):
            raise StoreError(
                f"database {path} holds a {kind} {str(name)[:50]!a}, which lab never makes: it is not used"
            )
        tables += [str(name)] if kind == "table" else []
    pages, page_size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    log = path.with_name(path.name + "-wal")
    if path.stat().st_size < pages * page_size and not (log.exists() and log.stat().st_size):
        raise damaged(path, "it is cut short")
    if pages * page_size <= LARGEST_CHECKED:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise damaged(path, str(found).splitlines()[-1])
    for table in tables:
        name = table.replace('"', '""')
        connection.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchall()


def migration_engine(path: Path) -> sa.Engine:
    """What migrations run on: without foreign keys, so that a step may rebuild a table that others refer to."""
    return _engine(path, {"synchronous": "FULL", "foreign_keys": "OFF"}, begin="BEGIN IMMEDIATE")


@dataclass
class _Damage:
    """What was once seen to be wrong with a database: from then on this process writes no more to it."""

    seen: StoreError | None = None

    def said(self, path: Path, error: BaseException) -> StoreError:
        """What is said of an error of SQLite's, kept where it tells of damage."""
        said = said_plainly(path, error)
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED_CODES:
            self.seen = said
        return said


def _engine(path: Path, pragmas: Mapping[str, str], *, begin: str, damage: _Damage | None = None) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(path))  # as a string, a ? or % in the path would mean something
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        connection.isolation_level = None  # transactions begin where `begin_transaction` says, not at the first write
        for pragma, value in {"foreign_keys": "ON", **pragmas}.items():
            connection.execute(f"PRAGMA {pragma} = {value}")

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        if damage is not None and damage.seen is not None and begin != "BEGIN":
            raise damage.seen
        connection.exec_driver_sql(begin)

    @sa.event.listens_for(engine, "handle_error")
    def explain(context: sa.ExceptionContext) -> None:
        error = context.original_exception
        if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):  # the others are mistakes of lab's
            raise (damage or _Damage()).said(path, error) from error
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_TOOBIG:
            raise damaged(path, f"it holds a value of more than {LARGEST_VALUE >> 20} MB") from error

    return engine
