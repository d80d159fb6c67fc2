"""How soon a view of a trained model is there: the helper asked for each view of the demo's small runs."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from queue import SimpleQueue

from lab.inference.client import InferenceClient, Listener
from lab.inference.figures import Page
from lab.inference.protocol import InspectRequest
from lab.inference.views import VIEWS, fits
from lab.store.demo import demo_copy
from lab.store.run_store import RunRow, RunStore
from tests.benchmarks.measure import Figure

RUNS = ("bigram-1", "mlp-1", "layernorm-1")
COUNTED = "knock-out"
"""It scores all of val once for each piece, says how far it is, and can be stopped: no view that is simply there."""


def figures() -> list[Figure]:
    """The slowest view of each run, asked for the first time of a helper that has torch loaded."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        database = demo_copy()
        store = RunStore.open(database)
        runs = [store.resolve(name) for name in RUNS]
        store.close()
        client = InferenceClient()
        try:
            seconds_until_page(client, database, runs[0], "data")  # loads torch
            return [slowest_view(client, database, run) for run in runs]
        finally:
            client.close()


def slowest_view(client: InferenceClient, database: Path, run: RunRow) -> Figure:
    """Of all views that fit the run, those that are computed piece by piece left out."""
    seconds = {
        view.name: seconds_until_page(client, database, run, view.name)
        for view in VIEWS
        if view.name != COUNTED and fits(view, run.config)
    }
    each = ", ".join(f"{name} {1000 * took:.0f}" for name, took in seconds.items())
    return Figure(f"views of {run.stage}", max(seconds.values()), "s", 0.5, f"ms: {each}")


def seconds_until_page(client: InferenceClient, database: Path, run: RunRow, view: str) -> float:
    """From the request until its page has come. Raises `AssertionError` where none comes."""
    answers: SimpleQueue[Page | str] = SimpleQueue()
    began = time.perf_counter()
    client.inspect(InspectRequest(str(database), run.id, view), Listener(page=answers.put, failed=answers.put))
    answer = answers.get()
    assert isinstance(answer, Page), answer
    return time.perf_counter() - began
