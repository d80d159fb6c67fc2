"""What is done while nobody presses a key, so that no key waits for it.

Among it Python's garbage collector: a look at all that a screen with many runs holds takes up to 0.1 s. Objects that
have just been made are looked at as always, which takes no time that one sees.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable

PAUSE_SECONDS = 1.0
"""After the last key: whoever reads for so long is about to read on."""
LONGEST_SECONDS = 60.0
"""Without a pause for so long, garbage is looked for all the same."""
_YOUNG, _OLDER = 5_000, 10
_NEVER = 1_000_000_000


class Chores:
    """Does one chore in a pause, then the next; when all are done, looks for garbage after each stretch of keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._chores: deque[Callable[[], object]] = deque()
        self._touched_at: float | None = None
        """The last key since garbage was looked for."""
        self._looked_at = clock()

    def add(self, chore: Callable[[], object]) -> None:
        """Has something done in a pause, after what was added before."""
        self._chores.append(chore)

    def take_over_garbage(self) -> None:
        """From now on garbage is looked for here. What was imported by now is left out for good."""
        gc.freeze()
        gc.set_threshold(_YOUNG, _OLDER, _NEVER)
        gc.enable()

    def touched(self) -> None:
        """A key was pressed, or the mouse moved."""
        self._touched_at = self._clock()

    def tick(self) -> None:
        """To be called a few times a second: does what is next, if this is a pause."""
        now = self._clock()
        in_pause = self._touched_at is None or now - self._touched_at >= PAUSE_SECONDS
        if in_pause and self._chores:
            self._chores.popleft()()
        elif self._touched_at is not None and (in_pause or now - self._looked_at >= LONGEST_SECONDS):
            self._touched_at, self._looked_at = None, now
            gc.collect()
