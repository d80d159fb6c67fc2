"""A terminal laboratory for one question: what does each piece of a language model buy?

runs = lab.open("runs.db")                        # for notebooks: runs, configs, metrics as numpy arrays
with lab.run("mine", config={"lr": 1e-3}) as run: # records any training loop beside lab's own runs
    run.log(step, loss=loss)
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_OF_NOTEBOOKS = {"open": "open_runs", "run": "record_run"}


def __getattr__(name: str) -> Any:
    """`lab.open` and `lab.run`, imported when they are asked for."""
    if name not in _OF_NOTEBOOKS:
        raise AttributeError(f"module 'lab' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module("lab.notebook"), _OF_NOTEBOOKS[name])
