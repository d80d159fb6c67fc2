"""Speed of the database: opening it when much is stored, and logging."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunStore
from tests.benchmarks.measure import Comparison, compare

RUNS, POINTS = 1000, 1000
STEPS, METRICS = 5000, 2
_COUNT = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT COUNT(*) FROM point').fetchone())"


def _claimed(store: RunStore, steps: int) -> Callable[[], RunRecorder]:
    dataset = load_dataset("shakespeare")
    facts = dataset_facts(dataset)
    config = stage_config("bigram", settings={"steps": steps})

    def recorder() -> RunRecorder:
        run = store.add_runs([NewRun(config, facts)])[0]
        claimed = lifecycle.claim(store, run.id)
        assert claimed is not None
        return RunRecorder(store, claimed.id, claimed.attempt, steps)

    return recorder


def open_large_database(repetitions: int) -> Comparison:
    """Opening and listing a thousand runs with a million points, against parsing as many points from JSON lines."""
    folder = Path(tempfile.mkdtemp())
    store = RunStore.open(folder / "runs.db")
    new_recorder = _claimed(store, POINTS)
    for _ in range(RUNS):
        recorder = new_recorder()
        recorder.log("train/loss", 1, [2.5] * POINTS)
        recorder.close()
    store.close()
    lines = folder / "points.jsonl"
    with lines.open("w") as file:
        for run in range(RUNS):
            file.writelines(json.dumps({"run": run, "step": i, "loss": 2.5}) + "\n" for i in range(POINTS))

    def ours() -> None:
        opened = RunStore.open(folder / "runs.db")
        assert len(opened.runs()) == RUNS
        opened.close()

    def baseline() -> None:
        with lines.open() as file:
            assert sum(1 for line in file if json.loads(line)) == RUNS * POINTS

    note = f"{RUNS:,} runs, {RUNS * POINTS:,} points; the baseline reads JSON lines"
    return compare("open and list", ours, baseline, repetitions=repetitions, target="quick", note=note)


def log_points(repetitions: int) -> Comparison:
    """Logging 5,000 steps of 2 metrics until another process could read them, against JSON lines flushed each step."""
    folder = Path(tempfile.mkdtemp())
    store = RunStore.open(folder / "runs.db")
    new_recorder = _claimed(store, STEPS)

    def ours() -> None:
        recorder = new_recorder()
        for step in range(1, STEPS + 1):
            for metric in range(METRICS):
                recorder.log(f"metric {metric}", step, [2.5])
        recorder.close()

    def baseline() -> None:
        with (folder / "points.jsonl").open("a") as file:
            for step in range(1, STEPS + 1):
                for metric in range(METRICS):
                    file.write(json.dumps({"metric": metric, "step": step, "value": 2.5}) + "\n")
                file.flush()

    compared = compare("log points", ours, baseline, repetitions=repetitions, target="≥ 100,000 points/s")
    read = subprocess.run(
        [sys.executable, "-c", _COUNT, str(folder / "runs.db")], check=True, capture_output=True, text=True
    )
    assert int(read.stdout) == len(compared.ours) * STEPS * METRICS, "another process does not see all points"
    rate = STEPS * METRICS / statistics.median(compared.ours)
    return replace(compared, note=f"{STEPS * METRICS:,} points, {rate:,.0f} a second, read by another process")
