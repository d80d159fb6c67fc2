"""What fails of a disk, said plainly, and whether there is room again: a full disk is no mistake of lab's.

A little room is held in reserve while a run is trained, so that a full disk can still be written down as what it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from pathlib import Path

from lab.errors import StorageError
from lab.store.location import files_folder

RESERVE_BYTES = 2**18
LEAST_ROOM = 2**23
"""Bytes that must be free before training goes on: the log of SQLite's grows to half of it between two checkpoints."""
_BYTES_PER_PARAMETER = 20
"""Of a complete checkpoint: the weights, the best weights, up to two states of the optimiser, and one to spare."""
_SAID = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full: your quota is used up",
    errno.EFBIG: "takes no larger file (see: ulimit -f)",
    errno.EIO: "fails (input/output error)",
    errno.EROFS: "is read-only",
    errno.EACCES: "cannot be written (permission denied)",
    errno.EPERM: "cannot be written (not permitted)",
}
_SAID_BY_SQLITE = {
    sqlite3.SQLITE_FULL: _SAID[errno.ENOSPC],
    sqlite3.SQLITE_READONLY: _SAID[errno.EROFS],
    sqlite3.SQLITE_IOERR: "fails (disk I/O error)",
    sqlite3.SQLITE_CANTOPEN: "lets no file be opened",
}


def storage_error(path: Path, error: BaseException) -> StorageError | None:
    """An error as the failing of a disk, where it is one; None where it is something else."""
    said = None
    if isinstance(error, OSError):
        said = _SAID.get(error.errno or 0)
    elif isinstance(error, sqlite3.OperationalError):
        said = _SAID_BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)  # the rest tells where in the file
        if said is not None and is_full(path):
            said = _SAID[errno.ENOSPC]
    return StorageError(f"the disk of {path} {said}") if said is not None else None


def is_full(path: Path) -> bool:
    """Whether the disk that a path is on has no room at all."""
    try:
        return shutil.disk_usage(path.parent).free == 0
    except OSError:
        return False


def problem_seen(database: Path) -> str:
    """What can be seen to be wrong with the disk of a database without writing to it; empty where nothing is."""
    try:
        status = os.statvfs(database.parent)
    except OSError:
        return ""
    if status.f_flag & os.ST_RDONLY:
        return f"the disk of {database} {_SAID[errno.EROFS]}"
    return f"the disk of {database} {_SAID[errno.ENOSPC]}" if status.f_bavail == 0 < status.f_blocks else ""


def room_for(parameters: int | None) -> int:
    """Bytes that a run needs to go on until its next checkpoint."""
    return LEAST_ROOM + _BYTES_PER_PARAMETER * (parameters or 0)


def check_room(database: Path, size: int) -> None:
    """Writes so many bytes beside a database and takes them away again. Raises `StorageError` where that fails."""
    path = files_folder(database) / ".room"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _fill(path, size)
    except OSError as error:
        raise storage_error(database, error) or StorageError(f"the disk of {database} fails ({error})") from None
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def hold_reserve(database: Path) -> None:
    """Takes a little room, to be given back when there is none; where there is none already, nothing happens."""
    path = _reserve(database)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            _fill(path, RESERVE_BYTES)


def release_reserve(database: Path) -> None:
    """Gives the room back."""
    with contextlib.suppress(OSError):
        _reserve(database).unlink(missing_ok=True)


def _reserve(database: Path) -> Path:
    return files_folder(database) / ".reserve"


def _fill(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, b"\0")
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.pwrite(descriptor, b"\0" * size, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
