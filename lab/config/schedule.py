"""How the learning rate moves over a run's steps."""

from __future__ import annotations

import math

from lab.config.run_config import RunConfig


def learning_rate(config: RunConfig, step: int) -> float:
    """The learning rate of a step, counted from 1: warm-up, the plateau, then the schedule's decay."""
    if step <= config.warmup_steps:
        return config.lr * step / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return config.lr
    decay_begins = max(config.decay_start * config.steps, config.warmup_steps)
    if step <= decay_begins:
        return config.lr
    if config.schedule == "step":
        return config.lr * config.decay_to
    progress = (step - decay_begins) / max(1.0, config.steps - decay_begins)
    remaining = 1 - progress if config.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return config.lr * (config.decay_to + (1 - config.decay_to) * remaining)
