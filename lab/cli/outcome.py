"""How a command ends: its exit status, and what is said where it went wrong."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

from lab.errors import LabError

INTERRUPTED = 130
LONGEST_COMPLAINT = 4000
"""Characters of one line on what is wrong."""


def outcome(command: Callable[[], int]) -> int:
    """Runs a command; returns the exit status: 0 done, 1 the work failed, 2 bad usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character shows its number
    try:
        return command()
    except LabError as error:
        complain(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.EIO):
            raise
        # Nobody reads any more: a pipe's reader has what it wanted, or the terminal was closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or flushing at exit would complain again
        return 0 if error.errno == errno.EPIPE else INTERRUPTED


def complain(message: str) -> None:
    """Says what went wrong, in one line that is cut where it quotes too much of somebody's file."""
    from lab.text import literal

    said = literal(message)
    if len(said) > LONGEST_COMPLAINT:
        said = f"{said[: LONGEST_COMPLAINT // 2]} … {said[-LONGEST_COMPLAINT // 2 :]}"
    print(f"lab: {said}", file=sys.stderr)
