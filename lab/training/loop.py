"""The training loop: batches in, metrics, samples and checkpoints out, the same every time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from lab.config.diagnostics import Reading
from lab.config.run_config import RunConfig
from lab.config.schedule import learning_rate
from lab.datasets.dataset import Dataset
from lab.inference.sampling import SamplingOptions, sample_texts
from lab.models.build import build_model, parameter_count
from lab.models.fused import fused_step
from lab.training.batches import Batches
from lab.training.build_optimizer import build_optimizer
from lab.training.checkpoint import Checkpoint, LoopState, checkpoint_writer, load_weights, weights_of
from lab.training.device import SMALL_MODEL, Resources
from lab.training.diagnostics import Diagnostics
from lab.training.evaluate import Split, least_loss
from lab.training.recording import Recorder
from lab.training.usage import Usage

FLUSH_SECONDS = 0.4
"""How often what was trained is handed to the recorder, and a person's wishes are heard."""
LARGEST_FLUSH = 1000
"""Steps whose losses may stay on the device."""
CHECKPOINT_SECONDS = float(os.environ.get("LAB_CHECKPOINT_SECONDS") or 10.0)
"""A complete checkpoint is kept at the first evaluation so long after the last; LAB_CHECKPOINT_SECONDS sets it."""
MILESTONES = 12
SAMPLED_METRICS = 500
"""Points in a run of metrics that cost something, such as the gradient norm."""
SAMPLE_CHARACTERS = 80
FEWEST_SAMPLE_CHARACTERS = 20
SAMPLES_SHARE = 0.02
"""Of a run's arithmetic, what its samples may take; a large model writes less at each evaluation."""
FINAL_SAMPLE_CHARACTERS = 500
SAMPLE_WORDS = 10
DIVERGED_OVER_GUESSING = 3.0
"""A smoothed loss above this many times ln V, after the first steps, is a run that has diverged."""
_SMOOTHING = 0.98

Status = Literal["finished", "stopped", "paused", "diverged", "cancelled"]


@dataclass(frozen=True)
class Outcome:
    """How a stretch of training ended, and where."""

    status: Status
    step: int
    error: str | None = None


class _DivergedError(Exception):
    """The loss has left the range in which training means anything."""


def sample_characters(config: RunConfig) -> int:
    """Characters written at each evaluation.

    A training step costs three passes over its batch; a character costs one over a window.
    """
    evaluations = math.ceil(config.steps / config.evaluation_interval)
    affordable = SAMPLES_SHARE * 3 * config.steps * config.batch_size / evaluations
    return round(min(max(affordable, FEWEST_SAMPLE_CHARACTERS), SAMPLE_CHARACTERS))


class Stopwatch:
    """Seconds of what happens between `start` and `stop`, added up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started: float | None = None

    def start(self) -> None:
        """Goes on counting."""
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Counts no further."""
        self._seconds, self._started = self.seconds, None

    @property
    def seconds(self) -> float:
        """Counted so far."""
        return self._seconds + (time.perf_counter() - self._started if self._started is not None else 0.0)


class TrainingLoop:
    """Trains one config: from its beginning, from a complete checkpoint of its own, or from a parent's checkpoint.

    On the same resources and torch version a run that was interrupted and resumed ends with the same weights, losses
    and samples as one that was not.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: Dataset,
        recorder: Recorder,
        resources: Resources,
        *,
        resume: Checkpoint | None = None,
        parent: Checkpoint | None = None,
    ) -> None:
        self.config, self.dataset, self.recorder, self.resources = config, dataset, recorder, resources
        self.device = torch.device(resources.device)
        resources.apply()
        self.model = build_model(config, dataset.vocabulary_size)
        self.parameters = parameter_count(self.model)
        self.model.to(self.device)
        trained = {name: each for name, each in self.model.named_parameters() if each.requires_grad}
        self._trained = tuple(trained.values())
        self.optimizer = build_optimizer(config, trained)
        self.batches = Batches(config, dataset, self.device)
        self.train_split = Split(config, dataset, "train", self.device)
        self.val_split = Split(config, dataset, "val", self.device)
        self.state = LoopState()
        self.best_weights: Mapping[str, Tensor] = {}
        self.whole_split_losses: dict[str, float] = {}
        torch.manual_seed(config.seed)  # of dropout; the initial weights have their own
        if resume is not None:
            self._resume(resume)
        elif parent is not None:
            self._start_from(parent)
        self._first_evaluated = resume is not None
        self._best_written_at: int | None = None  # written again after a resume: the file may be lost with a later one
        self._forward = torch.compile(self.model) if config.compile else self.model
        self._fused = fused_step(self.model, config) if resources.is_plain_cpu else None
        self._diagnostics = Diagnostics(config, self.model, resources)
        self._losses: list[Tensor] = []  # of the steps since the last flush, on the device
        self._gradient_norms: list[tuple[int, Tensor]] = []  # of the sampled steps among them
        self._snapshots: list[tuple[int, Sequence[Reading]]] = []  # of the steps that diagnostics looked at
        self._whole_clock = Stopwatch(self.state.seconds)
        self._training_clock = Stopwatch(self.state.training_seconds)
        self._usage = Usage(self.device)
        self._milestones = self._milestone_steps()
        self._sample_characters = sample_characters(config)
        self._sampled_every = math.ceil(config.steps / SAMPLED_METRICS)

    def run(self) -> Outcome:
        """Trains to the last step, or until a person's wish or divergence ends it."""
        self._whole_clock.start()
        self._usage.start()
        try:
            if not self._first_evaluated:
                if self.config.overfit_one_batch:
                    least = least_loss(self.config, *self.batches.batch(1))
                    self.recorder.log("one_batch_least_loss", self.state.step, [least])
                self._evaluate()
            outcome = self._train()
        except _DivergedError as diverged:
            self.recorder.event(self.state.step, str(diverged), "warning")
            self._write_best()
            outcome = Outcome("diverged", self.state.step, str(diverged))
        if outcome.status in ("finished", "stopped"):
            self._conclude()
        elif outcome.status == "paused":
            self._write_complete()
        self._log_progress()
        return outcome

    def _train(self) -> Outcome:
        config, state = self.config, self.state
        interval = config.evaluation_interval
        last_checkpoint = last_flush = time.perf_counter()
        self._training_clock.start()
        while state.step < config.steps:
            state.step += 1
            self._step(state.step)
            if state.step in self._milestones:
                self._flush_losses()  # which tells whether training still means anything
                self._write("milestone", {"model": weights_of(self.model)})
            if state.step % interval == 0 or state.step == config.steps:
                self._flush_losses()
                self._training_clock.stop()
                self._evaluate()
                if time.perf_counter() - last_checkpoint > CHECKPOINT_SECONDS and state.step < config.steps:
                    self._write_complete()
                    last_checkpoint = time.perf_counter()
                self._training_clock.start()
            elif time.perf_counter() - last_flush < FLUSH_SECONDS and len(self._losses) < LARGEST_FLUSH:
                continue
            else:
                self._flush_losses()
            last_flush = time.perf_counter()
            wish = self.recorder.wish
            if wish is not None and state.step < config.steps:
                self._training_clock.stop()
                return self._granted(wish)
        self._training_clock.stop()
        return Outcome("finished", state.step)

    def _step(self, step: int) -> None:
        config = self.config
        inputs, targets = self.batches.batch(step)
        looked_at = self._diagnostics.due(step)
        if looked_at:
            self._diagnostics.before(inputs, targets)
        if self._fused is not None:
            loss = self._fused.loss_and_gradients(inputs, targets)
        else:
            with self.resources.autocast():
                _, loss = self._forward(inputs, targets)
            self.optimizer.zero_grad()
            loss.backward()
        self._losses.append(loss.detach())
        sampled = step % self._sampled_every == 0
        if config.grad_clip:
            norm = nn.utils.clip_grad_norm_(self._trained, config.grad_clip)
        elif sampled:
            norm = nn.utils.get_total_norm([weight.grad for weight in self._trained if weight.grad is not None])
        self.optimizer.step(learning_rate(config, step))
        if sampled:
            self._gradient_norms.append((step, norm))
        if looked_at:
            self._snapshots.append((step, self._diagnostics.after()))

    def _granted(self, wish: str) -> Outcome:
        status: dict[str, Status] = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}
        self.recorder.event(self.state.step, f"{status[wish]} at step {self.state.step:,}")
        return Outcome(status[wish], self.state.step)

    def _flush_losses(self) -> None:
        """Hands the losses since the last flush to the recorder; the only place where training waits for the device."""
        state, recorder = self.state, self.recorder
        recorder.beat()
        reason = None
        if self._losses:
            losses = torch.stack(self._losses).tolist()
            first = state.step - len(losses) + 1
            for step, loss in enumerate(losses, first):
                reason = self._divergence(step, loss)
                if reason:
                    state.step = step  # what was computed after it means nothing
                    break
            recorder.log("train/loss", first, losses[: state.step - first + 1])
        for step, norm in self._gradient_norms:
            if step <= state.step:
                recorder.log("grad_norm", step, [float(norm)])
                recorder.log("lr", step, [learning_rate(self.config, step)])
        for step, readings in self._snapshots:
            if step <= state.step:
                recorder.snapshot(step, readings)
        for told in (self._losses, self._gradient_norms, self._snapshots):
            told.clear()
        self._log_progress()
        if reason:
            raise _DivergedError(reason)

    def _divergence(self, step: int, loss: float) -> str | None:
        """Why the run has diverged at a step, if it has."""
        state, config = self.state, self.config
        if not math.isfinite(loss):
            return f"diverged at step {step:,}: the loss is {loss}"
        state.smoothed_loss = _SMOOTHING * state.smoothed_loss + (1 - _SMOOTHING) * loss
        state.smoothed_count += 1
        smoothed = state.smoothed_loss / (1 - _SMOOTHING**state.smoothed_count)
        limit = DIVERGED_OVER_GUESSING * math.log(self.dataset.vocabulary_size)
        if step > max(1000, config.steps / 10) and smoothed > limit:
            return f"diverged at step {step:,}: the loss is {smoothed:.1f}, above {limit:.1f} (3 ln V)"
        return None

    def _evaluate(self) -> None:
        """Scores a fixed part of both splits, keeps the best weights so far, and lets the model write.

        Raises `_DivergedError` where there is no score.
        """
        state, recorder, config = self.state, self.recorder, self.config
        count = config.evaluation_examples
        with self.resources.autocast():
            state.train_loss = self.train_split.loss(
                self.model, self.train_split.evenly_spaced(count), beat=recorder.beat
            )
            state.val_loss = self.val_split.loss(self.model, self.val_split.evenly_spaced(count), beat=recorder.beat)
        recorder.log("train/eval_loss", state.step, [state.train_loss])
        recorder.log("val/loss", state.step, [state.val_loss])
        if state.step > state.first_step:
            recorder.log("chars_per_second", state.step, [self._characters_per_second()])
            for metric, value in self._usage.metrics().items():
                recorder.log(metric, state.step, [value])
        if not math.isfinite(state.train_loss + state.val_loss):  # the last update has broken the weights
            broken = state.train_loss if math.isfinite(state.val_loss) else state.val_loss
            raise _DivergedError(f"diverged at step {state.step:,}: the evaluated loss is {broken}")
        if state.best_val_loss is None or state.val_loss < state.best_val_loss:
            state.best_val_loss, state.best_step = state.val_loss, state.step
            self.best_weights = weights_of(self.model)
        recorder.sample(state.step, self._sample(self._sample_characters))
        self._log_progress()

    def _sample(self, characters: int) -> str:
        """What the model writes now, always from the same start and the same random state, so that steps compare."""
        words = self.dataset.kind == "words"
        with self.resources.autocast():
            texts = sample_texts(
                self.model,
                self.config,
                self.dataset.tokenizer,
                tokens=characters,
                count=SAMPLE_WORDS if words else 1,
                options=SamplingOptions(seed=self.config.seed),
            )
        self.recorder.beat()
        return "\n".join(texts)

    def _conclude(self) -> None:
        """Keeps the last and the best weights, and scores both on the whole val split."""
        state, recorder = self.state, self.recorder
        self._write_complete()
        recorder.sample(state.step, self._sample(FINAL_SAMPLE_CHARACTERS))
        with self.resources.autocast():
            last = best = self.val_split.loss(self.model, beat=recorder.beat)
            if state.best_step != state.step:
                best_model = build_model(self.config, self.dataset.vocabulary_size).to(self.device)
                load_weights(best_model, self.best_weights)
                best = self.val_split.loss(best_model, beat=recorder.beat)
        if last < best:  # the part of the split that chose the best was mistaken
            self.best_weights, state.best_step, best = weights_of(self.model), state.step, last
            self._write_best()
        self.whole_split_losses = {"val_loss": last, "best_val_loss": best}

    def _log_progress(self) -> None:
        """Tells what lists show; the losses are of a part of the splits until the run has ended."""
        state = self.state
        state.seconds, state.training_seconds = self._whole_clock.seconds, self._training_clock.seconds
        facts: dict[str, object] = {
            "step": state.step,
            "train_loss": state.train_loss,
            "val_loss": state.val_loss,
            "best_val_loss": state.best_val_loss,
            "best_step": state.best_step,
            "seconds": state.seconds,
            "chars_per_second": self._characters_per_second() if state.training_seconds else None,
        }
        self.recorder.progress(**(facts | self.whole_split_losses))
        self.recorder.flush()

    def _characters_per_second(self) -> float:
        """Of training alone, evaluation, sampling and checkpoints left out."""
        steps = self.state.step - self.state.first_step
        return steps * self.batches.characters_per_step / max(self._training_clock.seconds, 1e-9)

    def _milestone_steps(self) -> frozenset[int]:
        """Steps at which a small model's weights are kept: evenly spaced in log step, the last left to the end."""
        steps = self.config.steps
        if self.parameters >= SMALL_MODEL:
            return frozenset()
        return frozenset(round(steps ** (i / (MILESTONES - 1))) for i in range(MILESTONES - 1)) - {steps}

    def _write_complete(self) -> None:
        self._write_best()
        self.state.open_buckets = self.recorder.open_buckets()
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        optimizer = {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.optimizer.state().items()}
        sections = {"model": weights_of(self.model), "best": self.best_weights, "optimizer": optimizer}
        self._write("complete", {**sections, "random": random})

    def _write_best(self) -> None:
        if self.best_weights and self._best_written_at != self.state.best_step:
            self._best_written_at = self.state.best_step
            best_state = replace(self.state, step=self.state.best_step or 0)
            self._write("best", {"model": self.best_weights}, best_state)

    def _write(
        self,
        kind: Literal["complete", "best", "milestone"],
        sections: Mapping[str, Mapping[str, Tensor]],
        state: LoopState | None = None,
    ) -> None:
        state = state or self.state
        if kind != "complete":  # no other one is resumed from
            state = replace(state, open_buckets={})
        write = checkpoint_writer(self.config, self.dataset.tokenizer.vocabulary, state, sections)
        self.recorder.checkpoint(kind, state.step, write)

    def _resume(self, checkpoint: Checkpoint) -> None:
        load_weights(self.model, checkpoint.sections["model"])
        self.optimizer.restore(checkpoint.sections["optimizer"])
        self.best_weights = checkpoint.sections["best"]
        self.state = replace(checkpoint.state)
        torch.set_rng_state(checkpoint.sections["random"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(checkpoint.sections["random"]["cuda"], self.device)
        self.recorder.restore_buckets(self.state.open_buckets)

    def _start_from(self, parent: Checkpoint) -> None:
        """Takes a parent's weights, and where the optimiser is the same its state, and counts steps on from there."""
        load_weights(self.model, parent.sections["model"])
        if parent.sections["optimizer"] and parent.config.optimizer == self.config.optimizer:
            self.optimizer.restore(parent.sections["optimizer"])
        self.state.step = self.state.first_step = parent.state.step
