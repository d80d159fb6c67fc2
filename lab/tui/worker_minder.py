"""The thread that sees that a worker is there while runs wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from lab.errors import LabError
from lab.tui.messages import WorkerChanged

LOOK_SECONDS = 2.0
LONGEST_DELAY = 60.0
SHORT_LIFE = 20.0
"""A worker that is gone sooner than this after its start counts as a failed start."""


class WorkerMinder:
    """Starts the worker when it is needed and missing; after each failure it waits twice as long."""

    def __init__(self, database: Path, post: Callable[[Message], object]) -> None:
        self._database = database
        self._post = post
        self._needed = False
        self._stopping = self._resting = False
        self._wake = threading.Event()
        self._delay = 0.0
        self._next_start = 0.0
        self._started_at: float | None = None
        self._told: tuple[int | None, str] = (None, "")

    def need(self, needed: bool) -> None:
        """Says whether there is work for a worker."""
        if needed and not self._needed:
            self._wake.set()
        self._needed = needed

    def rest(self) -> None:
        """Starts no worker until a person asks for more work: one has just been sent away."""
        self._resting = True

    @property
    def resting(self) -> bool:
        """Whether the worker was sent away."""
        return self._resting

    def retry_now(self) -> None:
        """Forgets past failures: a person has asked for something."""
        self._resting = False
        self._delay = self._next_start = 0.0
        self._wake.set()

    def stop(self) -> None:
        """Ends the thread's work soon; the worker goes on."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Looks after the worker until `stop`."""
        while not self._stopping:
            self._wake.clear()
            self.look()
            self._wake.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Looks once, and starts a worker where one is needed, missing and due."""
        from lab.queue import requests

        try:
            pid = requests.worker_pid(self._database)
            problem = self._told[1] if pid is None and self._needed else ""
            if pid is None and self._needed and not self._resting and self._due():
                pid = requests.start_worker(self._database)
                self._started_at, problem = time.monotonic(), ""
        except (LabError, OSError) as error:
            self._back_off()
            pid, problem = None, str(error)
        if (pid, problem) != self._told and not self._stopping:
            self._told = (pid, problem)
            self._post(WorkerChanged(pid, problem))

    def _due(self) -> bool:
        """Whether a start may be tried now; a worker that went at once counts against the next."""
        if self._started_at is not None:
            lived = time.monotonic() - self._started_at
            self._started_at = None
            if lived < SHORT_LIFE:
                self._back_off()
            else:
                self._delay = 0.0
        return time.monotonic() >= self._next_start

    def _back_off(self) -> None:
        self._delay = min(LONGEST_DELAY, max(LOOK_SECONDS, self._delay * 2))
        self._next_start = time.monotonic() + self._delay
