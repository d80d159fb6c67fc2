"""Bringing a database up to this version of the schema: in one transaction, with a copy kept of what was."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from lab import __version__
from lab.errors import DamagedDatabaseError, DatabaseLockedError, StoreError
from lab.store.migration_steps import MIGRATIONS, Migration
from lab.store.schema import APPLICATION_ID, SCHEMA_VERSION, Base
from lab.store.storage import storage_error
from lab.store.stored_files import seal

BUSY_TIMEOUT_SECONDS = 30
"""How long a connection waits for another's write lock."""


def migrate(
    path: Path,
    writer: sa.Engine,
    *,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    target: int = SCHEMA_VERSION,
) -> None:
    """Makes the tables of a new database, or migrates those of an older one.

    Two programs may open an old database at once: the first migrates it under the write lock, the second then finds
    nothing to do. Raises `StoreError` for a database of a newer lab.
    """
    found = _prepared_version(path)
    if found == target:
        return
    if found > target:
        raise _newer(path, found, target)
    with writer.begin() as connection:
        version = _version(connection)
        if version == target:
            return
        if version > target:
            raise _newer(path, version, target)
        if version == 0:
            Base.metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            _keep_copy(path, version)
            for step in range(version, target):
                migrations[step](connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise StoreError(f"database {path} refers to rows it lacks; see: lab doctor --db {path}")
        connection.exec_driver_sql(f"PRAGMA user_version = {target}")


def said_plainly(path: Path, error: BaseException) -> StoreError:
    """What SQLite says of a database, with the remedy."""
    failing = storage_error(path, error)
    if failing is not None:
        return failing
    said = str(error)
    if isinstance(error, sqlite3.OperationalError):
        if "locked" in said:
            return DatabaseLockedError(
                f"database {path} was locked by another program for {BUSY_TIMEOUT_SECONDS} seconds; end that one first"
            )
        if "no such" not in said:
            return StoreError(f"database {path} cannot be used: {said}")
    return damaged(path, said)


def damaged(path: Path, said: str) -> DamagedDatabaseError:
    """What is said of a database that is not whole, with the remedy."""
    return DamagedDatabaseError(f"database {path} is damaged ({said}); see: lab doctor --repair --db {path}")


def _newer(path: Path, version: int, target: int) -> StoreError:
    return StoreError(
        f"database {path} was made by a newer lab (schema {version}; lab {__version__} knows {target}): "
        "update lab, or choose another with --db"
    )


def _version(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _prepared_version(path: Path) -> int:
    """The version a file says it has, read without the write lock; sets the journal mode, which no transaction can."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS)
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version == 0 or connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that what is deleted can give its space back
            _write_ahead(connection)
        return version
    except sqlite3.DatabaseError as error:
        raise said_plainly(path, error) from None
    finally:
        connection.close()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Sets the journal mode; where another process does the same at this moment, SQLite refuses without waiting."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.005)


def _keep_copy(path: Path, version: int) -> None:
    """Copies the database as it was before a migration to `runs.db.schema-N`, whole or not at all."""
    copy = path.with_name(f"{path.name}.schema-{version}")
    partial = copy.with_name(copy.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))
    source, target = sqlite3.connect(path), sqlite3.connect(partial)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    seal(partial, copy)
