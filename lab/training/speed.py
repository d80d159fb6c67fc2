"""How long a config will train on this machine: measured by training it for a moment, never guessed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lab.config.diagnostics import Reading
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.inference.protocol import Speed
from lab.models.build import build_model, parameter_count
from lab.training.device import resolve
from lab.training.loop import FINAL_SAMPLE_CHARACTERS, TrainingLoop
from lab.training.recording import CheckpointKind, Wish

WARM_UP_SECONDS = 0.1
MEASURED_SECONDS = 0.25
_SAMPLE_CHARACTERS = 20
_MEASURED_EVALUATION_SECONDS = 0.02


class _NoRecorder:
    """Keeps nothing of what a loop says."""

    wish: Wish | None = None

    def beat(self) -> None:
        """Nobody watches."""

    def log(self, metric: str, step: int, values: Sequence[float]) -> None:
        """Forgotten."""

    def snapshot(self, step: int, readings: Sequence[Reading]) -> None:
        """Forgotten."""

    def sample(self, step: int, text: str) -> None:
        """Forgotten."""

    def event(self, step: int, text: str, level: str = "info") -> None:
        """Forgotten."""

    def progress(self, **facts: object) -> None:
        """Forgotten."""

    def flush(self) -> None:
        """Nothing waits."""

    def checkpoint(self, kind: CheckpointKind, step: int, write: Callable[[Path], None]) -> None:
        """Not written."""

    def open_buckets(self) -> Mapping[str, Any]:
        """There are none."""
        return {}

    def restore_buckets(self, open_buckets: Mapping[str, Any]) -> None:
        """There are none."""


class _Rehearsal(TrainingLoop):
    """A training loop whose parts are timed, and which records nothing."""

    def seconds_per_step(self) -> float:
        """Of training alone, after a moment of warming up; a step that takes longer than that is timed as it is."""
        seconds, steps = self._timed_steps(WARM_UP_SECONDS)
        if seconds / steps < MEASURED_SECONDS:
            seconds, steps = self._timed_steps(MEASURED_SECONDS)
        return seconds / steps

    def _timed_steps(self, at_least: float) -> tuple[float, int]:
        began, first = time.perf_counter(), self.state.step
        while (seconds := time.perf_counter() - began) < at_least:
            self.state.step += 1
            self._step(self.state.step)
            if self.device.type != "cpu":
                self._losses[-1].item()  # waits for the device
        self._losses.clear()
        self._gradient_norms.clear()
        return seconds, self.state.step - first

    def seconds_per_example_scored(self) -> float:
        """Of an evaluation, by one that is large enough to be timed."""
        split = self.val_split
        count, most = min(self.config.batch_size, len(split)), min(self.config.evaluation_examples, len(split))
        while True:
            seconds = _seconds_of(lambda count=count: split.loss(self.model, split.evenly_spaced(count)))  # type: ignore[misc]
            if seconds > _MEASURED_EVALUATION_SECONDS or count >= most:
                return seconds / count
            count = min(8 * count, most)

    def seconds_per_character(self) -> float:
        """Of writing a sample."""
        return _seconds_of(lambda: self._sample(_SAMPLE_CHARACTERS)) / _SAMPLE_CHARACTERS

    def seconds_beside_steps(self) -> float:
        """Of a whole run's evaluations with their samples, and the last scoring.

        To be measured before there was a step: what a diverging config makes of its model cannot write.
        """
        config = self.config
        with self.resources.autocast():
            scored, character = self.seconds_per_example_scored(), self.seconds_per_character()
        evaluations = math.ceil(config.steps / config.evaluation_interval) + 1  # one before the first step
        evaluated = min(config.evaluation_examples, len(self.train_split)) * scored
        evaluated += min(config.evaluation_examples, len(self.val_split)) * scored
        last = len(self.val_split) * scored + FINAL_SAMPLE_CHARACTERS * character
        return evaluations * (evaluated + self._sample_characters * character) + last


def measure_speed(config: RunConfig, dataset: Dataset, threads: int) -> Speed:
    """How long a run of a config takes here alone, found by training its own model on its own data for a moment.

    Takes about half a second, and four steps' time at most where a step takes longer than that. Nothing is recorded,
    and what torch holds for the process stays as it was. Raises `UsageError` where LAB_DEVICE is not here.
    """
    before, random = torch.get_num_threads(), torch.get_rng_state()
    try:
        parameters = parameter_count(build_model(config, dataset.vocabulary_size))
        resources = resolve(config, lambda: build_model(config, dataset.vocabulary_size), parameters, threads)
        rehearsal = _Rehearsal(config.replace(diagnostics_every=0), dataset, _NoRecorder(), resources)
        beside, per_step = rehearsal.seconds_beside_steps(), rehearsal.seconds_per_step()
        return Speed(
            seconds=config.steps * per_step + beside,
            seconds_per_step=per_step,
            chars_per_second=rehearsal.batches.characters_per_step / per_step,
            parameters=parameters,
            device=resources.device,
            precision=resources.precision,
            threads=resources.threads,
        )
    finally:
        torch.set_num_threads(before)
        torch.set_rng_state(random)


def _seconds_of(call: Callable[[], object]) -> float:
    """The shorter of two calls: the first may have to warm up."""
    shortest = math.inf
    for _ in range(2):
        began = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - began)
        if shortest > MEASURED_SECONDS:
            break
    return shortest
