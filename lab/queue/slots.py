"""How many runs train at once: a slot is a thread of the CPU, and a large run takes several."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.config.run_config import RunConfig

_ARITHMETIC_WORTH_ALL_THREADS = 1e10
"""Floating-point operations in a step above which splitting it over threads pays; below, two runs side by side do."""


def cores() -> int:
    """Processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(config: RunConfig, vocabulary_size: int, slots: int) -> int:
    """Threads that a run trains with: one for the small stages, every slot for the large."""
    worth_it = approximate_step_arithmetic(config, vocabulary_size) >= _ARITHMETIC_WORTH_ALL_THREADS
    return max(1, slots) if worth_it else 1


def has_gpu() -> bool:
    """Whether the driver shows a GPU of NVIDIA's; asked without torch, which takes a second to load."""
    return Path("/proc/driver/nvidia/gpus").is_dir() and any(Path("/proc/driver/nvidia/gpus").iterdir())


def approximate_step_arithmetic(config: RunConfig, vocabulary_size: int) -> float:
    """Floating-point operations of a training step: 6 × parameters × tokens."""
    tokens = config.batch_size * (config.context_length if config.predicts_every_position else 1)
    return 6.0 * approximate_parameters(config, vocabulary_size) * tokens


def approximate_parameters(config: RunConfig, vocabulary_size: int) -> int:
    """Weights that take part in a matrix product, without building the model: biases, norms and embeddings left out."""
    v, c = vocabulary_size, config.embedding_dim
    if config.model == "bigram":
        return v * v
    if config.model == "mlp":
        h = config.hidden_dim
        return config.context_length * c * h + (config.layers - 1) * h * h + h * v
    if config.model == "own":  # nobody knows without running it: as if its sizes were a transformer's
        return config.layers * 12 * c * c + c * v
    width = config.attention_width
    projected = (2 * (config.attention == "learned") + config.value_projection + config.output_projection) * c * width
    feed_forward = config.feed_forward_multiple * c * c * (2 if config.output_projection else 1)
    return config.layers * (projected + feed_forward) + config.final_width * v
