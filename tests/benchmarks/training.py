"""Speed of training: one run against the lecture's loop, and the whole small ladder through the queue."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from lab.analysis.lr_suggestion import read_sweep
from lab.config.ladder import stage_config
from lab.config.lr_sweep import sweep_for
from lab.config.run_config import RunConfig
from lab.datasets.counting import guessing_evenly
from lab.datasets.dataset import load_dataset
from lab.training.device import Resources
from lab.training.loop import TrainingLoop
from lab.training.lr_sweep import LRSweepTraining
from tests.benchmarks.baselines import lecture_loop, lecture_lr_sweep, lecture_mlp
from tests.benchmarks.measure import Comparison, compare, reaching_the_same
from tests.memory_recorder import MemoryRecorder
from tests.unit.test_ladder_fidelity import REFERENCE, SCATTER, USUAL_SCATTER


def one_run(stage: str, steps: int, target: str, repetitions: int, *, within: float) -> Comparison:
    """A run of one stage, evaluations left out on both sides, on one thread; then both are scored on all of val."""
    torch.set_num_threads(1)
    dataset = load_dataset("names" if stage == "mlp" else "shakespeare")
    settings = {"steps": steps, "eval_every": steps, "eval_examples": 64}
    config = stage_config(stage, dataset=dataset.name, dataset_as=dataset.kind, settings=settings)
    text = dataset.path.read_text()
    scored: dict[str, float] = {}

    def ours() -> None:
        loop = TrainingLoop(config, dataset, MemoryRecorder(), Resources("cpu", "fp32", 1))
        loop.run()
        scored["ours"] = loop.whole_split_losses["val_loss"]

    def baseline() -> None:
        if stage == "mlp":
            scored["theirs"] = lecture_mlp.train(text.split(), steps)
        else:
            loop = lecture_loop.Loop(text, stage, config.lr)
            loop.train(steps, evaluate=False)
            scored["theirs"] = loop.estimate_loss()["val"]

    note = f"{steps:,} steps, one thread"
    compared = compare(f"train {stage}", ours, baseline, repetitions=repetitions, target=target, note=note)
    return reaching_the_same(compared, scored["ours"], scored["theirs"], within=within)


def diagnostics(stage: str, repetitions: int) -> Comparison:
    """A run of one stage with and without its diagnostics, which look on as often a step as in the whole run."""
    torch.set_num_threads(1)
    dataset = load_dataset("shakespeare")
    whole = stage_config(stage)
    interval = whole.diagnostics_interval
    settings = {"steps": 3 * interval, "eval_every": 3 * interval, "eval_examples": 1}
    config = whole.replace(**settings, diagnostics_every=interval)

    def train(config: RunConfig) -> None:
        TrainingLoop(config, dataset, MemoryRecorder(), Resources("cpu", "fp32", 1)).run()

    return compare(
        f"diagnostics {stage}",
        lambda: train(config),
        lambda: train(config.replace(diagnostics_every=0)),
        repetitions=repetitions,
        target="≥ 0.97×",
        note=f"{config.steps} steps, every {interval}, against none; one thread",
    )


def lr_find(repetitions: int) -> Comparison:
    """Four seeds of the LR finder against the notebook's one, both from data that is ready, on one thread."""
    torch.set_num_threads(1)
    dataset = load_dataset("names")
    config = stage_config("mlp", dataset=dataset.name, dataset_as=dataset.kind)
    spec = sweep_for(config)
    ids = {character: i for i, character in enumerate(dataset.tokenizer.vocabulary)}
    end = dataset.tokenizer.vocabulary[0]
    words = [word for word in dataset.path.read_text().split() if end not in word]
    inputs, targets = lecture_mlp.examples(words, ids | {".": 0})

    def ours() -> None:
        training = LRSweepTraining(config, spec, dataset, MemoryRecorder(), Resources("cpu", "fp32", 1))
        training.run()
        read_sweep(spec.learning_rates, training.losses, guessing_evenly(dataset.vocabulary_size), method="ramp")

    def baseline() -> None:
        lecture_lr_sweep.sweep(inputs, targets, dataset.vocabulary_size)

    note = f"{spec.seeds} seeds of {spec.steps} steps against one of {lecture_lr_sweep.STEPS:,}"
    return compare("lr-find mlp", ours, baseline, repetitions=repetitions, target="≥ 0.5×", note=note)


def small_ladder(part: int) -> Comparison:
    """The eight small Shakespeare stages at their full steps: `lab ladder` against the lecture's loop, one by one.

    The lecture's steps are alike, evaluations included: it takes one in `part`, and its time is multiplied. That it
    ends at the same losses is known from full runs of it, the reference of the ladder's own test.
    """
    text = load_dataset("shakespeare").path.read_text()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder) / "runs.db")
        command = [sys.executable, "-m", "lab", "ladder", "--stages", ",".join(REFERENCE), "--json", "--db", database]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        ours = time.perf_counter() - began
        subprocess.run([sys.executable, "-m", "lab", "worker", "--stop", "--db", database], check=True)
    for entry in json.loads(done.stdout)["stages"]:
        stage, loss = entry["stage"], entry["val_loss"]
        assert abs(loss - REFERENCE[stage]) <= SCATTER.get(stage, USUAL_SCATTER), f"{stage}: {loss:.3f}"
    baseline = 0.0
    for stage in REFERENCE:
        config = stage_config(stage)
        began = time.perf_counter()
        lecture_loop.Loop(text, stage, config.lr).train(config.steps // part)
        baseline += part * (time.perf_counter() - began)
    note = f"wall clock, all cores; the lecture's from one step in {part}; every stage at its reference loss"
    return Comparison("small ladder", (ours,), (baseline,), "≥ 7×", note)
