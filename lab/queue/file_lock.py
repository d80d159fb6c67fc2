"""One worker a database: an exclusive lock on a file beside it, held by the process for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from lab.errors import WorkerError

_PATIENCE_SECONDS = 1.0
"""`worker_pid` holds the lock for an instant when it looks; whoever wants to keep it tries for this long."""


class FileLock:
    """An exclusive lock on a file; the operating system frees it when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, patience: float = _PATIENCE_SECONDS) -> bool:
        """Takes the lock and writes this process's id into the file; False where another process keeps it.

        Raises `WorkerError` where the file cannot be written.
        """
        try:
            for folder in (self.path.parent.parent, self.path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise WorkerError(f"lock {self.path} cannot be written: {error.strerror}") from None
        give_up_at = time.monotonic() + patience
        while not _locked(descriptor):
            if time.monotonic() >= give_up_at:
                os.close(descriptor)
                return False
            time.sleep(0.02)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise WorkerError(f"lock {self.path} cannot be written: {error.strerror}") from None
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Frees the lock."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """The id of the process that holds the lock now; None where it is free, 0 where it does not say."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            give_up_at = time.monotonic() + _PATIENCE_SECONDS
            while not _locked(descriptor):
                text = os.pread(descriptor, 20, 0).decode("ascii", "replace")
                if text.isdecimal():
                    return int(text)
                if time.monotonic() >= give_up_at:
                    return 0
                time.sleep(0.01)  # it has just taken the lock, and is about to write its id
            return None
        finally:
            os.close(descriptor)

    def __enter__(self) -> FileLock:
        if not self.acquire():
            raise WorkerError(f"{self.path} is locked by process {self.holder()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
