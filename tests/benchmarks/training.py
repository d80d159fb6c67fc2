"""Speed of training: one run against the lecture's loop, and the whole small ladder through the queue."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
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
from tests.benchmarks.measure import Comparison, compare
from tests.memory_recorder import MemoryRecorder

SMALL_STAGES = ("bigram", "linear", "single-head", "multi-head", "feed-forward", "blocks", "residual", "layernorm")


def one_run(stage: str, steps: int, target: str, repetitions: int) -> Comparison:
    """A run of one stage, evaluations left out on both sides, on one thread."""
    torch.set_num_threads(1)
    dataset = load_dataset("names" if stage == "mlp" else "shakespeare")
    settings = {"steps": steps, "eval_every": steps, "eval_examples": 64}
    config = stage_config(stage, dataset=dataset.name, dataset_as=dataset.kind, settings=settings)
    text = dataset.path.read_text()

    def ours() -> None:
        TrainingLoop(config, dataset, MemoryRecorder(), Resources("cpu", "fp32", 1)).run()

    def baseline() -> None:
        if stage == "mlp":
            lecture_mlp.train(text.split(), steps)
        else:
            lecture_loop.train(text, stage, steps, config.lr, evaluate=False)

    note = f"{steps:,} steps, one thread"
    return compare(f"train {stage}", ours, baseline, repetitions=repetitions, target=target, note=note)


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


def small_ladder(repetitions: int) -> Comparison:
    """The eight small Shakespeare stages at their full steps: `lab ladder` against the lecture's loop, one by one."""
    text = load_dataset("shakespeare").path.read_text()
    found: list[dict[str, float]] = []

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "lab", "ladder", "--stages", ",".join(SMALL_STAGES), "--json"]
            database = str(Path(folder) / "runs.db")
            done = subprocess.run([*command, "--db", database], check=True, capture_output=True, text=True)
            found.append({stage["stage"]: stage["val_loss"] for stage in json.loads(done.stdout)["stages"]})
            subprocess.run([sys.executable, "-m", "lab", "worker", "--stop", "--db", database], check=True)

    def baseline() -> None:
        torch.set_num_threads(2)
        for stage in SMALL_STAGES:
            config = stage_config(stage)
            lecture_loop.train(text, stage, config.steps, config.lr)

    note = "wall clock, all cores"
    return compare("small ladder", ours, baseline, repetitions=repetitions, target="≥ 7×", note=note)
