"""Python's garbage collector, kept from running while a key waits to be seen.

A look at all that a screen with many runs holds takes up to 0.1 s. It is taken in pauses instead; objects that have
just been made are looked at as always, which takes no time that one sees.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

PAUSE_SECONDS = 1.0
"""After the last key: whoever reads for so long is about to read on."""
LONGEST_SECONDS = 60.0
"""Without a pause for so long, it is done all the same."""
_YOUNG, _OLDER = 5_000, 10
_NEVER = 1_000_000_000


class GarbageCollection:
    """When to look at everything: `touched` is told of each key, `tick` comes every second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._touched_at: float | None = None
        """The last key since all was looked at."""
        self._looked_at = clock()

    def take_over(self) -> None:
        """From now on all is looked at in pauses only. What was imported by now is left out for good."""
        gc.freeze()
        gc.set_threshold(_YOUNG, _OLDER, _NEVER)
        gc.enable()

    def touched(self) -> None:
        """A key was pressed, or the mouse moved."""
        self._touched_at = self._clock()

    def tick(self) -> None:
        """Looks at all where something was done since it was last looked at, and this is a pause."""
        if self._touched_at is None:
            return
        now = self._clock()
        if now - self._touched_at >= PAUSE_SECONDS or now - self._looked_at >= LONGEST_SECONDS:
            self._touched_at, self._looked_at = None, now
            gc.collect()
