"""Speed of the two large rungs: `scaled` by the step, and `modern` by the time it takes to a loss."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset, load_dataset
from lab.models.build import build_model, parameter_count
from lab.queue.slots import cores
from lab.training.device import Resources, resolve
from lab.training.evaluate import Split
from lab.training.loop import TrainingLoop
from tests.benchmarks.baselines import lecture_loop, plain_gpt
from tests.benchmarks.measure import Comparison, Figure, compare, reaching_the_same
from tests.memory_recorder import MemoryRecorder

SCALED_STEPS = 2
REACHED = 1.88
SMALL_MODERN = {
    "embedding_dim": 128,
    "context_length": 64,
    "batch_size": 16,
    "steps": 240,
    "lr": 0.05,
    "adamw_lr": 0.01,
}
"""`modern` at the sizes of `scaled-cpu`, with as many steps as it needs."""
SCORED_CHARACTERS = 32_768
MINUTES = {1.60: 2.5, 1.50: 4.0, 1.477: 6.0, 1.45: 12.0}
STEPS_TO = {1.60: 800, 1.50: 800, 1.477: 1200, 1.45: 2600}
"""Of the run that is timed until it gets there, where the first tenth is held out."""


def _resources(config: RunConfig, dataset: Dataset) -> Resources:
    """What a worker with nothing else to do would train a config with."""

    def build() -> nn.Module:
        return build_model(config, dataset.vocabulary_size)

    return resolve(config, build, parameter_count(build()), cores())


def scaled(repetitions: int) -> Comparison:
    """Steps of `scaled` against the lecture's loop at its sizes, all threads."""
    dataset = load_dataset("shakespeare")
    config = stage_config("scaled", settings={"diagnostics_every": 0})
    resources = _resources(config, dataset)
    loop = TrainingLoop(config, dataset, MemoryRecorder(), resources)
    text, sizes = dataset.path.read_text(), lecture_loop.SCALED
    lecture = lecture_loop.Loop(text, "layernorm", config.lr, sizes=sizes, device=resources.device)
    taken = [0]
    losses: dict[str, float] = {}

    def ours() -> None:
        for _ in range(SCALED_STEPS):
            taken[0] += 1
            loop._step(taken[0])
        losses["ours"] = float(loop._losses[-1])

    def baseline() -> None:
        losses["theirs"] = lecture.train(SCALED_STEPS, evaluate=False)

    rate = config.batch_size * config.context_length * SCALED_STEPS
    note = f"{SCALED_STEPS} steps of {rate // SCALED_STEPS:,} characters, {resources.precision}, all threads"
    compared = compare("train scaled", ours, baseline, repetitions=repetitions, target="≥ 4.5× (bf16)", note=note)
    return reaching_the_same(compared, losses["ours"], losses["theirs"], within=0.3)


def modern(repetitions: int) -> Comparison:
    """Seconds of training until val is at most 1.88: `modern` and a plain GPT loop, both at `scaled-cpu`'s sizes."""
    dataset = load_dataset("shakespeare")
    config = stage_config("modern", settings=SMALL_MODERN | {"diagnostics_every": 0})
    resources = _resources(config, dataset)
    torch.set_num_threads(cores())
    split = Split(config, dataset, "val", torch.device(resources.device))
    places = split.evenly_spaced(SCORED_CHARACTERS // config.context_length)

    def ours() -> float:
        loop = TrainingLoop(config, dataset, MemoryRecorder(), resources)

        def step(number: int) -> float:
            loop._step(number)
            return float(loop._losses[-1])  # waits for the device

        return _until_reached(step, loop.model, config.steps, every=10)

    def theirs() -> float:
        train = torch.from_numpy(dataset.splits["train"])
        loop = plain_gpt.Loop(train, dataset.vocabulary_size, device=resources.device)
        return _until_reached(lambda step: loop.step(), loop.model, 2 * plain_gpt.STEPS, every=50)

    def _until_reached(step: Callable[[int], Any], model: nn.Module, steps: int, *, every: int) -> float:
        seconds = 0.0
        for number in range(1, steps + 1):
            began = time.perf_counter()
            step(number)
            seconds += time.perf_counter() - began
            if (number % every == 0 or number == steps) and split.loss(model, places) <= REACHED:
                return seconds
        raise AssertionError(f"val {split.loss(model, places):.3f} after {steps} steps, above {REACHED}")

    pairs = [(ours(), theirs()) for _ in range(repetitions)]
    note = f"training until val ≤ {REACHED}, scored apart; {resources.precision}, all threads"
    return Comparison("modern to 1.88", *(tuple(side) for side in zip(*pairs, strict=True)), "≥ 5×", note)


def modern_minutes() -> list[Figure]:
    """Minutes of one run of `modern`, evaluations included, until val on a fixed part has come down to each target."""
    return _minutes(load_dataset("shakespeare"), stage_config("modern"), MINUTES)


def modern_minutes_first_tenth() -> list[Figure]:
    """The same where the first tenth of the text is held out, each target by a run that ends soon after it.

    The last tenth, which `shakespeare` holds out, is mostly one play of which nothing else is left to learn from.
    """
    text = load_dataset("shakespeare").path.read_text(encoding="utf-8")
    tenth = len(text) // 10
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first-tenth-last.txt"
        path.write_text(text[tenth:] + text[:tenth], encoding="utf-8")
        dataset = load_dataset(str(path))
    whole = stage_config("modern").replace(dataset=str(path))
    figures: list[Figure] = []
    for steps in dict.fromkeys(STEPS_TO.values()):
        targets = {target: limit for target, limit in MINUTES.items() if STEPS_TO[target] == steps}
        figures += _minutes(dataset, whole.replace(steps=steps), targets)
    return figures


def _minutes(dataset: Dataset, config: RunConfig, targets: Mapping[float, float]) -> list[Figure]:
    recorder = MemoryRecorder()
    began = time.perf_counter()
    reached: dict[float, float] = {}
    log = recorder.log

    def heard(metric: str, step: int, values: Any) -> None:
        log(metric, step, values)
        for target in targets:
            if metric == "val/loss" and values[0] <= target:
                reached.setdefault(target, (time.perf_counter() - began) / 60)

    recorder.log = heard  # type: ignore[method-assign]
    resources = _resources(config, dataset)
    loop = TrainingLoop(config, dataset, recorder, resources)
    loop.run()
    last = loop.whole_split_losses["val_loss"]
    ended = f"{config.steps:,} steps, {resources.precision}, all threads; at its end {last:.3f}"
    never = float("inf")
    return [
        Figure(f"val ≤ {target}", reached.get(target, never), "min", limit, ended) for target, limit in targets.items()
    ]
