"""Databases with LR sweeps for the screen's tests, and the way to the LR finder."""

from __future__ import annotations

from typing import Any

import numpy as np
from tui_helpers import until

from lab.analysis.lr_suggestion import read_sweep
from lab.config.ladder import stage_config
from lab.config.lr_sweep import LRSweep, sweep_metric
from lab.datasets.counting import guessing_evenly
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.store import lifecycle
from lab.store.lr_sweeps import keep_result
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunRow, RunStore
from lab.tui.screens.lr_finder import LRFinderScreen


def valley(lr: np.ndarray) -> np.ndarray:
    x = np.log10(lr)
    return 2.5 + 1.7 / (1 + np.exp(6 * (x + 3))) + 4 * np.maximum(0, x + 1) ** 2


def add_sweep(
    store: RunStore, stage: str = "layernorm", *, status: str = "finished", flat: bool = False, **spec: Any
) -> RunRow:
    """A sweep as a trainer would have recorded it."""
    dataset = load_dataset("shakespeare")
    config = stage_config(stage)
    sweep = LRSweep(**({"lowest": 1e-5, "highest": 10.0, "seeds": 2, "steps": 200} | spec))
    first = "queued" if status == "queued" else "paused"
    (run,) = store.add_runs([NewRun(config, dataset_facts(dataset), status=first, sweep=sweep)])
    if status == "queued":
        return run
    lifecycle.resume(store, run.id)
    run = lifecycle.claim(store, run.id) or run
    rates = np.array(sweep.learning_rates)
    loss = np.full(len(rates), 4.2) if flat else valley(rates)
    losses = loss + 0.02 * np.random.default_rng(1).standard_normal((sweep.seeds, len(rates)))
    done = sweep.points if status == "finished" else sweep.points // 2
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    for row, seed in enumerate(sweep.member_seeds(config)):
        for point in range(done):
            recorder.log(sweep_metric(seed), sweep.step_of(point), [losses[row, point]])
    recorder.progress(step=sweep.step_of(done - 1), seconds=2.0)
    recorder.close()
    if status == "finished":
        reading = read_sweep(rates, losses, guessing_evenly(dataset.vocabulary_size), method=sweep.method)
        keep_result(store, run.id, run.attempt, reading.document())
    if status != "training":
        error = "the trainer died" if status == "failed" else None
        lifecycle.end(store, run.id, run.attempt, status, error)
    return store.run(run.id)


async def in_finder(pilot: Any) -> LRFinderScreen:
    """Goes to the LR finder and waits until the sweeps are read."""
    app = pilot.app
    await until(pilot, lambda: app.loaded)
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen, LRFinderScreen) and app.screen.is_whole)
    return app.screen
