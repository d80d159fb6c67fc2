"""What the LR finder suggests for the ladder's stages, against training at eleven rates: long, so with --full only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lab.analysis.lr_suggestion import read_sweep
from lab.config.ladder import stage_config
from lab.config.lr_sweep import at_rate, sweep_for
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset, load_dataset
from lab.training.device import Resources
from lab.training.loop import TrainingLoop
from lab.training.lr_sweep import LRSweepTraining
from tests.memory_recorder import MemoryRecorder
from tests.unit.training_helpers import CPU

LONG = ("mlp", "single-head", "multi-head", "feed-forward", "blocks", "residual", "layernorm", "scaled-cpu")
STAGES = (
    *("bigram", "linear"),
    *(pytest.param(stage, marks=pytest.mark.longest) for stage in LONG),
    pytest.param("modern", marks=pytest.mark.longest),
    pytest.param("scaled", marks=[pytest.mark.longest, pytest.mark.gpu]),
)
SHARE_OF_STEPS = {"mlp": 1}
"""One step in so many of a stage's own is trained at each rate; in five, where none is named.

The schedule of `mlp` divides lr by ten half-way: a run cut short could use a rate that no whole one survives.
"""

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("one_thread")]


def val_loss(config: RunConfig, dataset: Dataset, lr: float, resources: Resources) -> float:
    steps = config.steps // SHARE_OF_STEPS.get(config.stage, 5)
    short = config.replace(**at_rate(config, lr), steps=steps, eval_every=steps, eval_examples=64)
    loop = TrainingLoop(short, dataset, MemoryRecorder(), resources)
    loop.run()
    return loop.whole_split_losses.get("val_loss", math.inf)


@pytest.mark.parametrize("stage", STAGES)
def test_the_suggestion_stands_firm_and_is_as_good_as_the_best_of_eleven_rates(stage: str) -> None:
    config = stage_config(stage)
    dataset = load_dataset(config.dataset)
    resources = CPU if stage != "scaled" else Resources("cuda", "fp32", 1)
    spec = sweep_for(config)
    training = LRSweepTraining(config, spec, dataset, MemoryRecorder(), resources)
    training.run()
    reading = read_sweep(spec.learning_rates, training.losses, math.log(dataset.vocabulary_size), method="ramp")
    assert reading.suggestion is not None, reading.reason
    print(f"{stage}: suggested {reading.suggestion:.2g}, by seed {reading.spread['minimum/3']}", flush=True)
    low, high = reading.spread["minimum/3"]
    assert high / low < 2
    losses: dict[float, float] = {}
    lowest = 1e-3 if config.optimizer == "sgd" else 1e-4
    for lr in np.geomspace(lowest, 10_000 * lowest, 11).tolist():
        losses[lr] = val_loss(config, dataset, lr, resources)
        print(f"  {lr:.2g}: {losses[lr]:.3f}", flush=True)
    best = min(losses, key=lambda lr: losses[lr])
    suggested = val_loss(config, dataset, reading.suggestion, resources)
    print(f"{stage}: best of eleven {losses[best]:.3f} at {best:.2g}; at {reading.suggestion:.2g} {suggested:.3f}")
    assert suggested < losses[best] + 0.05
