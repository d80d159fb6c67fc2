"""Bringing a database up to this version of the schema: in one transaction, with a copy kept of what was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import sqlalchemy as sa

from lab import __version__
from lab.errors import StoreError
from lab.store.schema import APPLICATION_ID, SCHEMA_VERSION, Base

BUSY_TIMEOUT_SECONDS = 30
"""How long a connection waits for another's write lock."""

Migration = Callable[[sa.Connection], None]

# A database of version n is brought to n + 1 by MIGRATIONS[n]. A step, once released, is never edited.
MIGRATIONS: Mapping[int, Migration] = {}


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
    if _prepared_version(path) == target:
        return
    with writer.begin() as connection:
        version = _version(connection)
        if version == target:
            return
        if version > target:
            raise StoreError(
                f"database {path} was made by a newer lab (schema {version}; lab {__version__} knows {target}): "
                "update lab, or choose another with --db"
            )
        if version == 0:
            Base.metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            _keep_copy(path, version)
            for step in range(version, target):
                migrations[step](connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {target}")


def _version(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _prepared_version(path: Path) -> int:
    """The version a file says it has, read without the write lock; sets the journal mode, which no transaction can."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS)
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            connection.execute("PRAGMA journal_mode = WAL")
        return version
    except sqlite3.DatabaseError as error:
        raise StoreError(f"database {path} cannot be used ({error}); see: lab doctor --db {path}") from None
    finally:
        connection.close()


def _keep_copy(path: Path, version: int) -> None:
    """Copies the database as it was before a migration to `runs.db.schema-N`, whole or not at all."""
    copy = path.with_name(f"{path.name}.schema-{version}")
    if copy.exists():
        return
    partial = copy.with_name(copy.name + ".partial")
    os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))
    source, target = sqlite3.connect(path), sqlite3.connect(partial)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    partial.replace(copy)
