"""The LR sweep: the same config trained from its initial weights while the learning rate rises, over several seeds.

Smith 2015, "Cyclical Learning Rates for Training Neural Networks", with more than one seed, and beside the ramp, whose
every loss depends on all rates before it, short runs at fixed rates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from lab.config.lr_sweep import LRSweep, at_rate, sweep_metric
from lab.config.run_config import RunConfig
from lab.config.schedule import learning_rate
from lab.datasets.dataset import Dataset
from lab.models.build import build_model, parameter_count
from lab.models.fused import fused_step
from lab.training.batches import Batches
from lab.training.build_optimizer import build_optimizer
from lab.training.device import Resources
from lab.training.evaluate import Split
from lab.training.loop import FLUSH_SECONDS, Outcome, Status
from lab.training.recording import Recorder

ROSE_TOO_FAR = 1.5
"""A member whose loss is above this many times the larger of ln V and its first loss is masked from there on."""
FIRST_BATCHES = 10
"""Batches whose mean is a member's first loss: one batch's scatters by a tenth where the initial weights are bad."""
SCORED_CHARACTERS = 16_384
"""Of val, after each run of the method `runs`."""


class Member:
    """One seed of a sweep: its model, its batches, and a random state of its own for dropout."""

    def __init__(self, config: RunConfig, dataset: Dataset, resources: Resources, batches: Batches) -> None:
        self.config, self.batches = config, batches
        self.device = torch.device(resources.device)
        self.model = build_model(config, dataset.vocabulary_size).to(self.device)
        self._optimizer = build_optimizer(config, dict(self.model.named_parameters()))
        self._resources = resources
        self._fused = fused_step(self.model, config) if resources.is_plain_cpu else None
        self._random: list[Tensor] | None = None
        self._guessing_evenly = math.log(dataset.vocabulary_size)
        self._first: list[float] = []
        self.masked = False

    def is_too_high(self, loss: float) -> bool:
        """Whether a loss, if it is a number at all, tells only that training has failed."""
        first = sum(self._first) / len(self._first) if self._first else math.inf
        return not math.isfinite(loss) or loss > ROSE_TOO_FAR * max(self._guessing_evenly, first)

    def step(self, step: int, lr: float) -> float:
        """Trains one step; returns the loss before it, NaN from where it is masked on."""
        if self.masked:
            return math.nan
        inputs, targets = self.batches.batch(step)
        if self._fused is not None:
            loss = self._fused.loss_and_gradients(inputs, targets)
        else:
            with self._own_random_state(), self._resources.autocast():
                _, loss = self.model(inputs, targets)
            self._optimizer.zero_grad()
            loss.backward()
        value = float(loss.detach())
        if self.is_too_high(value):
            self.masked = True
            return math.nan
        if len(self._first) < FIRST_BATCHES:
            self._first.append(value)
        if self.config.grad_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self._optimizer.step(lr)
        return value

    @contextmanager
    def _own_random_state(self) -> Iterator[None]:
        """Members take turns: what one draws for its dropout is not to depend on the others."""
        if not self.config.dropout:
            yield
            return
        if self._random is None:
            torch.manual_seed(self.config.seed)
        else:
            _set_random_state(self._random, self.device)
        yield
        self._random = _random_state(self.device)


class LRSweepTraining:
    """Trains an LR sweep and records the loss of each seed, `sweep/loss/SEED`, at the steps of its points.

    A sweep is short: one that was interrupted begins again. The process's own random state is left as it was.
    """

    def __init__(
        self, config: RunConfig, sweep: LRSweep, dataset: Dataset, recorder: Recorder, resources: Resources
    ) -> None:
        self.config, self.sweep, self.dataset = config, sweep, dataset
        self.recorder, self.resources = recorder, resources
        resources.apply()
        self._device = torch.device(resources.device)
        self._configs = [config.replace(seed=seed) for seed in sweep.member_seeds(config)]
        self._batches = [Batches(each, dataset, self._device) for each in self._configs]
        self.losses = np.full((sweep.seeds, sweep.points), np.nan)
        """Of each seed at each point; NaN from where it is masked on, and beyond where the sweep has come."""
        self._rates = sweep.learning_rates
        self._step = self._points = self._recorded = 0
        self._started = self._flushed = time.perf_counter()
        self.parameters = parameter_count(build_model(config, dataset.vocabulary_size))

    def run(self) -> Outcome:
        """Trains until the highest rate, until every member is masked, or until a person's wish."""
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            status = self._ramp() if self.sweep.method == "ramp" else self._runs()
        if status == "finished" and self._step < self.sweep.total_steps:
            last = self._rates[self.sweep.point_of(max(1, self._step))]
            self.recorder.event(self._step, f"every seed had diverged at lr {last:.2g}: the sweep ends there")
        self._flush()
        return Outcome(status, self._step)

    def _ramp(self) -> Status:
        members = self._members(self._configs)
        for point, lr in enumerate(self._rates):
            self.losses[:, point] = [member.step(point + 1, lr) for member in members]
            self._step = self._points = point + 1
            if all(member.masked for member in members):
                break
            if (wish := self._heard()) is not None:
                return wish
        return "finished"

    def _runs(self) -> Status:
        """At each rate every seed from its initial weights; what diverges at one is not spared at the next."""
        steps = self.sweep.steps
        split = Split(self.config, self.dataset, "val", self._device)
        per_example = self.config.context_length if self.config.predicts_every_position else 1
        scored = split.evenly_spaced(max(1, SCORED_CHARACTERS // per_example))
        for point, lr in enumerate(self._rates):
            configs = [config.replace(**at_rate(config, lr), steps=steps) for config in self._configs]
            members = self._members(configs)
            for step in range(1, steps + 1):
                scheduled = learning_rate(configs[0], step)
                for member in members:
                    member.step(step, scheduled)
                self._step = point * steps + step
                if (wish := self._heard()) is not None:
                    return wish
            self.losses[:, point] = [self._score(member, split, scored) for member in members]
            self._points = point + 1
            if not np.isfinite(self.losses[:, point]).any():
                break
        return "finished"

    def _members(self, configs: Sequence[RunConfig]) -> list[Member]:
        return [
            Member(config, self.dataset, self.resources, batches)
            for config, batches in zip(configs, self._batches, strict=True)
        ]

    def _score(self, member: Member, split: Split, places: Tensor) -> float:
        """The loss on val after a member's last step; NaN where it has diverged."""
        if member.masked:
            return math.nan
        with self.resources.autocast():
            loss = split.loss(member.model, places, beat=self.recorder.beat)
        return math.nan if member.is_too_high(loss) else loss

    def _heard(self) -> Status | None:
        """Records what there is, some times a second, and grants a person's wish."""
        if time.perf_counter() - self._flushed < FLUSH_SECONDS or self._step == self.sweep.total_steps:
            return None
        self._flush()
        wishes: dict[str, Status] = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}
        wish = self.recorder.wish
        if wish is None:
            return None
        self.recorder.event(self._step, f"{wishes[wish]} at step {self._step:,}")
        return wishes[wish]

    def _flush(self) -> None:
        self._flushed = time.perf_counter()
        recorder, sweep = self.recorder, self.sweep
        recorder.beat()
        for config, losses in zip(self._configs, self.losses.tolist(), strict=True):
            for point in range(self._recorded, self._points):
                recorder.log(sweep_metric(config.seed), sweep.step_of(point), [losses[point]])
        self._recorded = self._points
        seconds = time.perf_counter() - self._started
        characters = self._step * sweep.seeds * self._batches[0].characters_per_step
        recorder.progress(step=self._step, seconds=seconds, chars_per_second=characters / max(seconds, 1e-9))
        recorder.flush()


def _random_state(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_state(state: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1], device)
