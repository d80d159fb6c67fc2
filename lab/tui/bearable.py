"""Runs as the screen can bear them: a row that no lab would have written is shown as another program's."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from lab.errors import ConfigError

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

MOST_CHECKED = 2000
"""Runs whose configs are read for this at once: that takes half a millisecond each."""
_LARGEST_COUNT = 10**15
_COUNTS = frozenset({"step", "steps", "attempt", "failures"})
_LATEST = 32_503_680_000.0
"""The year 3000, in seconds: beyond it no calendar of Python's goes far."""
_TIMES = frozenset({"created_at", "started_at", "ended_at", "trashed_at"})


def bearable(run: RunRow, *, with_config: bool = True) -> RunRow:
    """The same run where lab may have written it, else one with what makes no sense left out."""
    changes: dict[str, Any] = {}
    for name, value in vars(run).items():
        if isinstance(value, float) and not math.isfinite(value):
            changes[name] = 0.0 if name in ("created_at", "seconds") else None
        elif name in _TIMES and isinstance(value, float) and not 0 <= value <= _LATEST:
            changes[name] = 0.0
        elif name in _COUNTS and not 0 <= value <= _LARGEST_COUNT:
            changes[name] = 0
    if with_config:
        try:
            run.written if run.kind == "external" else run.config  # noqa: B018 (kept with the row, and needed later)
        except ConfigError as error:
            changes |= {"kind": "external", "config_json": "{}", "error": run.error or str(error)}
    return dataclasses.replace(run, **changes) if changes else run
