"""What lab does around training: recording it, and starting what waits."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunStore
from lab.training.device import Resources
from lab.training.loop import TrainingLoop
from tests.benchmarks.measure import Comparison, Figure, compare
from tests.memory_recorder import MemoryRecorder

PATIENCE_SECONDS = 60.0


def recording(stage: str, repetitions: int, steps: int | None = None) -> Comparison:
    """A run with its points, histograms and checkpoints written to runs.db, against the same run that keeps nothing.

    Both evaluate and sample, and the same steps are looked into as in the whole run.
    """
    torch.set_num_threads(1)
    dataset = load_dataset("shakespeare")
    whole = stage_config(stage)
    every = whole.evaluation_interval
    config = whole.replace(steps=steps or whole.steps, eval_every=every, diagnostics_every=every)
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore.open(Path(folder) / "runs.db")
        facts = dataset_facts(dataset)

        def recorded() -> None:
            claimed = lifecycle.claim(store, store.add_runs([NewRun(config, facts)])[0].id)
            assert claimed is not None
            recorder = RunRecorder(store, claimed.id, claimed.attempt, config.steps)
            TrainingLoop(config, dataset, recorder, Resources("cpu", "fp32", 1)).run()
            recorder.close()

        def bare() -> None:
            quiet: RunConfig = config.replace(diagnostics_every=0)
            TrainingLoop(quiet, dataset, MemoryRecorder(), Resources("cpu", "fp32", 1)).run()

        note = f"{config.steps:,} steps with points, histograms, checkpoints, against none; one thread"
        return compare(f"recording {stage}", recorded, bare, repetitions=repetitions, target="≥ 0.97×", note=note)


def first_step(repetitions: int) -> list[Figure]:
    """Seconds from a run's being queued until its first step is trained and can be read, its worker warm."""
    dataset = load_dataset("shakespeare")
    scored = stage_config("layernorm").evaluation_examples  # before the first step, as in the whole run
    config = stage_config("layernorm", settings={"eval_every": 1, "eval_examples": scored})
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "runs.db"
        store = RunStore.open(database)
        command = [sys.executable, "-m", "lab", "worker", "--slots", "1", "--db", str(database)]
        worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for seed in range(repetitions + 1):  # the first waits for the worker to have loaded torch
                began = time.perf_counter()
                run = store.add_runs([NewRun(config.replace(seed=seed), dataset_facts(dataset))])[0]
                while store.run(run.id).step < 1:
                    assert time.perf_counter() - began < PATIENCE_SECONDS, "no step was trained"
                    time.sleep(0.002)
                seconds.append(time.perf_counter() - began)
                lifecycle.cancel(store, run.id)
                while store.run(run.id).status == "training":
                    time.sleep(0.02)
        finally:
            worker.terminate()
            worker.wait()
            store.close()
    warm = seconds[1:]
    note = f"from {min(warm):.2f} to {max(warm):.2f} in {len(warm)} runs"
    return [Figure("first step", statistics.median(warm), "s", 0.3, note)]
