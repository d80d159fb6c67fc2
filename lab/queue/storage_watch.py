"""Whether the disk takes what is recorded: while it does not, nothing starts, and it is looked at again."""

from __future__ import annotations

import time

from lab.store import lifecycle
from lab.store.run_store import RunRow, RunStore
from lab.store.storage import check_room, hold_reserve, release_reserve, room_for

FIRST_LOOK_SECONDS = 0.5
LONGEST_DELAY = 10.0
_QUIET_SECONDS = 60.0
"""After so long without a failure the next one counts as the first again."""


class StorageWatch:
    """A worker's view of its disk. A database that says so itself is held from the start, and looked at first."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self.reason = lifecycle.storage_problem(store)
        self._room = room_for(None)
        self._delay = 0.0
        self._next_look = self._failed_at = time.monotonic()

    @property
    def held(self) -> bool:
        """Whether nothing may start."""
        return bool(self.reason)

    def due(self) -> bool:
        """Whether the disk may be written to now."""
        return not self.held or time.monotonic() >= self._next_look

    def fail(self, reason: str, run: RunRow | None = None) -> None:
        """Something could not be written, by a run's trainer or by the worker itself."""
        now = time.monotonic()
        if now - self._failed_at > _QUIET_SECONDS:
            self._delay, self._room = 0.0, room_for(None)
        self.reason, self._failed_at = reason, now
        self._room = max(self._room, room_for(run.parameters if run else None))
        self._delay = min(LONGEST_DELAY, max(FIRST_LOOK_SECONDS, self._delay * 2))
        self._next_look = now + self._delay
        release_reserve(self._store.database.path)

    def check(self) -> None:
        """Lets training go on. Raises `StorageError` where there is no room for it yet."""
        check_room(self._store.database.path, self._room)
        lifecycle.storage_works(self._store)
        hold_reserve(self._store.database.path)
        self.reason = ""

    def give_up(self) -> None:
        """Nothing is left that would have to be written."""
        self.reason = ""
