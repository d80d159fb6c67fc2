"""A log file of each run for what its trainers, and the libraries in them, write: warnings, tracebacks, crashes."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from collections.abc import Iterator
from pathlib import Path

LARGEST_LOG = 2**20
"""Bytes that the trainers of a run may have written before the next one begins the file anew."""


@contextlib.contextmanager
def output_kept(log: Path) -> Iterator[None]:
    """Whatever this process writes goes to the log; where a signal such as SIGSEGV ends it, also where it was."""
    try:
        descriptor = _opened(log)
    except OSError:  # a full disk, say: the run is trained all the same
        yield
        return
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    faulthandler.enable()
    yield
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        if not os.fstat(descriptor).st_size:
            log.unlink()


def _opened(log: Path) -> int:
    for folder in (log.parent.parent, log.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(log, flags, 0o600)
    if os.fstat(descriptor).st_size > LARGEST_LOG:
        os.ftruncate(descriptor, 0)
    return descriptor
