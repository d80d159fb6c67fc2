"""The training loop: how runs end, what they record, and that an interruption changes nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor
from training_helpers import (
    CPU,
    TINY,
    WALL_CLOCK_METRICS,
    MemoryRecorder,
    Trained,
    assert_same_weights,
    joined_points,
    set_weights,
    tiny_config,
    train,
)

from lab.config.run_config import RunConfig
from lab.config.schedule import learning_rate
from lab.datasets.dataset import Dataset
from lab.errors import CheckpointError
from lab.models.build import build_model
from lab.models.fused import fused_step
from lab.training import loop as training_loop
from lab.training.device import Resources
from lab.training.evaluate import Split
from lab.training.loop import TrainingLoop

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 40
EVERYTHING: dict[str, Any] = {
    "dropout": 0.2,
    "grad_clip": 0.5,
    "schedule": "cosine",
    "warmup_steps": 5,
    "steps": STEPS,
    "eval_every": 8,
}
"""What makes resuming hard, all at once: dropout's random state, AdamW's memory, a schedule, clipping."""
PAUSES = (1, 2, 7, 8, 9, 13, 16, 27, 39)
"""Evaluations are at 8, 16, …; milestones at 1, 2, 3, 4, 5, 7, 10, 15, 20, 29."""


@pytest.fixture(autouse=True)
def _short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "SAMPLE_CHARACTERS", 12)
    monkeypatch.setattr(training_loop, "FINAL_SAMPLE_CHARACTERS", 20)


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wishes are heard after every step, not five times a second."""
    monkeypatch.setattr(training_loop, "FLUSH_SECONDS", 0.0)


def difficult(dataset: Dataset, **changed: Any) -> RunConfig:
    return tiny_config("scaled", dataset, **EVERYTHING | changed)


def assert_same_end(undisturbed: Trained, first: Trained, step: int, resumed: Trained) -> None:
    """Weights, losses, samples and checkpoints of a run and of the same run that was resumed at a step."""
    assert resumed.outcome == undisturbed.outcome
    assert_same_weights(resumed.weights, undisturbed.weights)
    assert_same_weights(dict(resumed.loop.best_weights), dict(undisturbed.loop.best_weights))
    whole = {m: p for m, p in undisturbed.recorder.points.items() if m not in WALL_CLOCK_METRICS}
    assert joined_points(first.recorder, step, resumed.recorder) == whole
    samples = {at: text for at, text in first.recorder.samples.items() if at <= step} | resumed.recorder.samples
    assert samples == undisturbed.recorder.samples
    for name in ("train_loss", "val_loss", "best_val_loss", "best_step", "step"):
        assert resumed.recorder.facts[name] == undisturbed.recorder.facts[name], name
    milestones = {at for at in first.recorder.steps_of("milestone") if at <= step}
    later = set(resumed.recorder.steps_of("milestone"))
    assert not milestones & later
    assert sorted(milestones | later) == undisturbed.recorder.steps_of("milestone")
    for at in later:
        theirs = undisturbed.recorder.read("milestone", at)
        assert_same_weights(resumed.recorder.read("milestone", at).sections["model"], theirs.sections["model"])


# How a run ends


def test_a_run_finishes_at_its_last_step(prose: Dataset, tmp_path: Path) -> None:
    config = difficult(prose)
    ended = train(config, prose, tmp_path)
    assert ended.outcome.status == "finished"
    assert ended.outcome.step == STEPS
    assert ended.outcome.error is None
    facts = ended.recorder.facts
    assert facts["step"] == STEPS
    assert facts["seconds"] > 0
    assert facts["chars_per_second"] > 0
    assert list(ended.losses) == list(range(1, STEPS + 1))
    assert list(ended.recorder.points["val/loss"]) == [0, 8, 16, 24, 32, 40]
    assert list(ended.recorder.points["train/eval_loss"]) == [0, 8, 16, 24, 32, 40]
    assert list(ended.recorder.samples) == [0, 8, 16, 24, 32, 40]
    assert len(ended.recorder.samples[8]) == 12
    assert len(ended.recorder.samples[40]) == 20
    assert ended.recorder.beats > 0


def test_each_evaluation_after_the_first_tells_what_the_process_takes(prose: Dataset, tmp_path: Path) -> None:
    points = train(difficult(prose), prose, tmp_path).recorder.points
    assert list(points["memory_mb"]) == list(points["cpu_percent"]) == [8, 16, 24, 32, 40]
    resident = psutil.Process().memory_info().rss / 1e6
    assert all(resident / 2 < value < 2 * resident for value in points["memory_mb"].values())
    assert max(points["cpu_percent"].values()) > 0
    assert "gpu_memory_mb" not in points, "it trained on the CPU"


@pytest.mark.gpu
def test_on_a_gpu_its_memory_is_told_too(prose: Dataset, tmp_path: Path) -> None:
    points = train(difficult(prose), prose, tmp_path, resources=Resources("cuda", "fp32", 1)).recorder.points
    assert list(points["gpu_memory_mb"]) == [8, 16, 24, 32, 40]
    assert all(value > 0 for value in points["gpu_memory_mb"].values())


def test_its_final_losses_are_of_the_whole_split(prose: Dataset, tmp_path: Path) -> None:
    config = difficult(prose, eval_examples=3)
    ended = train(config, prose, tmp_path)
    split = Split(config, prose, "val", torch.device("cpu"))
    assert ended.recorder.facts["val_loss"] == split.loss(ended.loop.model)
    best = ended.recorder.read("best", ended.recorder.facts["best_step"]).model()
    assert ended.recorder.facts["best_val_loss"] == split.loss(best)
    assert ended.recorder.points["val/loss"][STEPS] != ended.recorder.facts["val_loss"]


def test_training_lowers_the_loss(prose: Dataset, tmp_path: Path) -> None:
    ended = train(tiny_config("layernorm", prose, steps=150, eval_every=150, lr=1e-2), prose, tmp_path)
    evaluated = ended.recorder.points["val/loss"]
    assert evaluated[0] > math.log(prose.vocabulary_size) - 0.3
    assert evaluated[150] < 2.6


@pytest.mark.parametrize(("wish", "status"), [("pause", "paused"), ("stop", "stopped"), ("cancel", "cancelled")])
@pytest.mark.usefixtures("at_every_step")
def test_a_wish_is_granted_at_the_next_step(prose: Dataset, tmp_path: Path, wish: str, status: str) -> None:
    ended = train(difficult(prose), prose, tmp_path, wishes={13: wish})
    assert (ended.outcome.status, ended.outcome.step) == (status, 13)
    assert list(ended.losses) == list(range(1, 14))
    assert (13, f"{status} at step 13") in ended.recorder.events
    complete = ended.recorder.steps_of("complete")
    assert complete == ([] if wish == "cancel" else [13])
    assert ended.recorder.facts["step"] == 13


@pytest.mark.usefixtures("at_every_step")
def test_a_stopped_run_is_scored_as_a_finished_one_is(prose: Dataset, tmp_path: Path) -> None:
    config = difficult(prose)
    ended = train(config, prose, tmp_path, wishes={13: "stop"})
    whole = Split(config, prose, "val", torch.device("cpu")).loss(ended.loop.model)
    assert ended.recorder.facts["val_loss"] == whole
    assert len(ended.recorder.samples[13]) == 20


def test_a_wish_that_comes_with_the_last_step_is_too_late(prose: Dataset, tmp_path: Path) -> None:
    ended = train(difficult(prose), prose, tmp_path, wishes={STEPS: "pause"})
    assert ended.outcome.status == "finished"


@pytest.mark.parametrize("stage", TINY)
@pytest.mark.parametrize("kind", ["stream", "words"])
def test_every_stage_trains_on_both_kinds_of_dataset(
    prose: Dataset, few_names: Dataset, tmp_path: Path, stage: str, kind: str
) -> None:
    dataset = {"stream": prose, "words": few_names}[kind]
    ended = train(tiny_config(stage, dataset, steps=6, eval_every=3), dataset, tmp_path)
    assert ended.outcome.status == "finished"
    assert all(math.isfinite(loss) for loss in ended.losses.values())
    assert ended.recorder.facts["best_val_loss"] <= ended.recorder.facts["val_loss"]
    if kind == "words":
        assert len(ended.recorder.samples[6].split("\n")) == training_loop.SAMPLE_WORDS


# Divergence


def broken_at(step: int, value: float) -> Callable[[TrainingLoop], None]:
    """Makes the loss of a step, and of those after it, something else."""

    def change(loop: TrainingLoop) -> None:
        usual = loop._forward

        def forward(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
            logits, loss = usual(inputs, targets)
            return logits, loss * value if next(counted) >= step else loss

        counted = itertools.count(1)
        loop._forward = forward

    return change


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("step", [1, 11, 16, 40])
def test_a_loss_that_is_no_number_ends_the_run_there(prose: Dataset, tmp_path: Path, value: float, step: int) -> None:
    ended = train(difficult(prose, grad_clip=0.0), prose, tmp_path, change=broken_at(step, value))
    assert ended.outcome.status == "diverged"
    assert ended.outcome.step == step
    assert ended.outcome.error == f"diverged at step {step}: the loss is {value}"
    assert (step, ended.outcome.error) in ended.recorder.events
    assert ended.recorder.facts["step"] == step
    assert list(ended.losses) == list(range(1, step + 1))
    assert not math.isfinite(ended.losses[step])
    for metric, points in ended.recorder.points.items():
        assert max(points) <= step, metric
    assert max(ended.recorder.steps_of("milestone"), default=0) <= step


def test_the_best_weights_of_a_diverged_run_are_kept(prose: Dataset, tmp_path: Path) -> None:
    ended = train(difficult(prose, lr=1e-2), prose, tmp_path, change=broken_at(20, math.nan))
    usual = train(difficult(prose, lr=1e-2), prose, tmp_path / "usual")
    [best_step] = ended.recorder.steps_of("best")
    assert best_step in (8, 16)
    kept = ended.recorder.read("best", best_step)
    assert kept.state.step == best_step
    assert kept.state.best_val_loss == usual.recorder.points["val/loss"][best_step]
    assert all(weight.isfinite().all() for weight in kept.sections["model"].values())
    assert not ended.recorder.steps_of("complete")


@pytest.mark.parametrize("step", [8, 40])
def test_weights_that_an_update_broke_diverge_where_they_are_evaluated(
    prose: Dataset, tmp_path: Path, step: int
) -> None:
    def change(loop: TrainingLoop) -> None:
        usual = loop.optimizer.step

        def update(lr: float) -> None:
            usual(lr)
            if loop.state.step == step:
                set_weights(loop.model, math.nan)

        loop.optimizer.step = update  # type: ignore[method-assign]

    ended = train(difficult(prose), prose, tmp_path, change=change)
    assert ended.outcome.status == "diverged"
    assert ended.outcome.error == f"diverged at step {step}: the evaluated loss is nan"
    assert math.isnan(ended.recorder.points["val/loss"][step])
    assert step not in ended.recorder.samples
    assert ended.recorder.steps_of("best") != []


def test_weights_that_are_too_large_from_the_first_diverge_at_step_0(prose: Dataset, tmp_path: Path) -> None:
    def change(loop: TrainingLoop) -> None:
        set_weights(loop.model, 1e38)

    ended = train(tiny_config("bigram", prose), prose, tmp_path / "large", change=change)
    assert ended.outcome.status == "finished"  # large, and all alike, which is guessing evenly
    ended = train(difficult(prose), prose, tmp_path, change=change)
    assert (ended.outcome.status, ended.outcome.step) == ("diverged", 0)
    assert "train/loss" not in ended.recorder.points
    assert not ended.recorder.files


def test_a_learning_rate_beyond_reason_diverges_rather_than_fails(prose: Dataset, tmp_path: Path) -> None:
    for stage, optimizer in (("layernorm", "adamw"), ("blocks", "sgd"), ("mlp", "sgd")):
        config = tiny_config(stage, prose, lr=1e6, optimizer=optimizer, eval_every=5, steps=1200, grad_clip=0.0)
        config = config.replace(eval_examples=1, layers=3)
        ended = train(config, prose, tmp_path / stage)
        assert ended.outcome.status == "diverged", stage


@pytest.mark.parametrize("factor", [2.9, 3.1])
def test_a_smoothed_loss_above_three_times_guessing_evenly_has_diverged(
    prose: Dataset, tmp_path: Path, factor: float
) -> None:
    config = tiny_config("bigram", prose, steps=1100, eval_every=1100, lr=1e-9, weight_decay=0.0)
    limit = math.log(prose.vocabulary_size)
    scaled = factor * limit

    def change(loop: TrainingLoop) -> None:
        loop._forward = lambda inputs, targets: (None, loop.model.head.weight[0, 0] * 0 + scaled)

    ended = train(config, prose, tmp_path, change=change)
    if factor < 3:
        assert ended.outcome.status == "finished"
    else:
        assert (ended.outcome.status, ended.outcome.step) == ("diverged", 1001)
        assert ended.outcome.error == (
            f"diverged at step 1,001: the loss is {scaled:.1f}, above {3 * limit:.1f} (3 ln V)"
        )
        assert list(ended.losses) == list(range(1, 1002))


def test_a_single_spike_is_no_divergence(prose: Dataset, tmp_path: Path) -> None:
    config = tiny_config("bigram", prose, steps=1100, eval_every=1100, lr=1e-9, weight_decay=0.0)

    def change(loop: TrainingLoop) -> None:
        losses = (40.0 if step == 1050 else 2.0 for step in itertools.count(1))
        loop._forward = lambda inputs, targets: (None, loop.model.head.weight[0, 0] * 0 + next(losses))

    ended = train(config, prose, tmp_path, change=change)
    assert ended.outcome.status == "finished"
    assert ended.losses[1050] == 40.0


@pytest.mark.usefixtures("at_every_step")
def test_a_resumed_run_diverges_where_the_undisturbed_one_does(prose: Dataset, tmp_path: Path) -> None:
    config = tiny_config("bigram", prose, steps=1200, eval_every=600, lr=1e-9, weight_decay=0.0)
    guessing = math.log(prose.vocabulary_size)

    def growing(loop: TrainingLoop) -> None:
        """A loss that passes the limit, smoothed, some steps after the thousandth."""

        def forward(inputs: Tensor, targets: Tensor) -> tuple[None, Tensor]:
            share = 4.5 if loop.state.step > 1000 else 1.0
            return None, loop.model.head.weight[0, 0] * 0 + share * guessing

        loop._forward = forward

    undisturbed = train(config, prose, tmp_path / "undisturbed", change=growing)
    assert undisturbed.outcome.status == "diverged"
    assert undisturbed.outcome.step > 1010
    first = train(config, prose, tmp_path / "first", change=growing, wishes={1007: "pause"})
    resumed = train(config, prose, tmp_path / "2", resume=first.recorder.read("complete", 1007), change=growing)
    assert resumed.outcome == undisturbed.outcome


# What is recorded


@pytest.mark.parametrize(("steps", "every"), [(40, 1), (500, 1), (501, 2), (1700, 4)])
def test_costly_metrics_are_sampled_and_stand_at_the_same_steps(
    prose: Dataset, tmp_path: Path, steps: int, every: int
) -> None:
    config = tiny_config("bigram", prose, steps=steps, eval_every=steps, schedule="linear")
    points = train(config, prose, tmp_path).recorder.points
    assert list(points["lr"]) == list(points["grad_norm"]) == list(range(every, steps + 1, every))
    assert points["lr"] == {step: learning_rate(config, step) for step in points["lr"]}


def test_the_gradient_norm_is_the_whole_gradients(prose: Dataset, tmp_path: Path) -> None:
    config = difficult(prose, grad_clip=0.0, dropout=0.0)
    points = train(config, prose, tmp_path).recorder.points
    model = build_model(config, prose.vocabulary_size)
    _, loss = model(*_first_batch(config, prose))
    loss.backward()
    norm = math.sqrt(sum(float(parameter.grad.pow(2).sum()) for parameter in model.parameters()))
    assert points["grad_norm"][1] == pytest.approx(norm, rel=1e-5)
    step = fused_step(model, config)  # what the loop computes it by, to the last bit
    assert step is not None
    assert points["train/loss"][1] == step.loss_and_gradients(*_first_batch(config, prose)).item()


def _first_batch(config: RunConfig, dataset: Dataset) -> tuple[Tensor, Tensor]:
    return training_loop.Batches(config, dataset, torch.device("cpu")).batch(1)


def test_the_gradient_is_clipped_to_its_largest_norm(prose: Dataset, tmp_path: Path) -> None:
    """Under SGD without decay, what moves in a step is lr times the clipped gradient."""
    moved: list[float] = []

    def change(loop: TrainingLoop) -> None:
        usual = loop.optimizer.step

        def update(lr: float) -> None:
            before = torch.cat([p.detach().clone().flatten() for p in loop.model.parameters()]).double()
            usual(lr)
            after = torch.cat([p.detach().flatten() for p in loop.model.parameters()]).double()
            moved.append(float((after - before).norm()) / lr)

        loop.optimizer.step = update  # type: ignore[method-assign]

    settings = {"optimizer": "sgd", "weight_decay": 0.0, "lr": 0.5, "schedule": "constant", "warmup_steps": 0}
    config = difficult(prose, grad_clip=0.05, steps=10, **settings)
    points = train(config, prose, tmp_path, change=change).recorder.points
    assert min(points["grad_norm"].values()) > 0.05  # told as it was before
    assert moved == pytest.approx([0.05] * 10, rel=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 40, 5000])
def test_a_small_model_keeps_milestones_evenly_spaced_in_log_step(prose: Dataset, tmp_path: Path, steps: int) -> None:
    config = tiny_config("bigram", prose, steps=steps)
    loop = TrainingLoop(config, prose, MemoryRecorder(tmp_path), CPU)
    milestones = sorted(loop._milestones)
    assert len(milestones) <= 11
    assert set(milestones) <= set(range(1, steps))
    if steps == 5000:
        assert milestones == [1, 2, 5, 10, 22, 48, 104, 226, 490, 1063, 2305]


def test_a_milestone_holds_the_weights_of_its_step(prose: Dataset, tmp_path: Path) -> None:
    config = difficult(prose)
    whole = train(config, prose, tmp_path)
    assert whole.recorder.steps_of("milestone") == [1, 2, 3, 4, 5, 7, 10, 15, 20, 29]
    checkpoint = whole.recorder.read("milestone", 15)
    assert checkpoint.state.step == 15
    assert not checkpoint.sections["optimizer"]
    assert_same_weights(checkpoint.sections["model"], dict(_weights_after(config, prose, tmp_path / "15", 15)))


def _weights_after(config: RunConfig, dataset: Dataset, folder: Path, step: int) -> dict[str, Tensor]:
    """The weights of a run just after a step, caught on the way."""
    caught: dict[str, Tensor] = {}

    def change(loop: TrainingLoop) -> None:
        usual = loop.optimizer.step

        def update(lr: float) -> None:
            usual(lr)
            if loop.state.step == step:
                caught.update({name: p.detach().clone() for name, p in loop.model.named_parameters()})

        loop.optimizer.step = update  # type: ignore[method-assign]

    train(config, dataset, folder, change=change)
    return caught


def test_the_best_checkpoint_is_of_the_lowest_evaluation(prose: Dataset, tmp_path: Path) -> None:
    """A learning rate that grows too large makes the last weights worse than some before."""
    whole_split = len(Split(difficult(prose), prose, "val", torch.device("cpu")))
    settings = {"lr": 3.0, "warmup_steps": 39, "schedule": "constant", "eval_examples": whole_split, "grad_clip": 0.0}
    ended = train(difficult(prose, **settings), prose, tmp_path)
    evaluated = ended.recorder.points["val/loss"]
    best_step = min(evaluated, key=evaluated.__getitem__)
    assert best_step < STEPS
    assert ended.recorder.facts["best_step"] == best_step
    assert ended.recorder.facts["best_val_loss"] == evaluated[best_step]
    assert ended.recorder.facts["val_loss"] == evaluated[STEPS]
    assert ended.recorder.steps_of("best") == [best_step]


def test_the_best_is_never_worse_than_the_last(prose: Dataset, tmp_path: Path) -> None:
    """The part of the split that chose it may have been mistaken; the whole split has the last word."""

    def change(loop: TrainingLoop) -> None:
        usual, scored = loop.val_split.loss, iter([0.5] + [1.0] * 5)

        def loss(model: torch.nn.Module, places: Tensor | None = None, **beat: Any) -> float:
            return next(scored) if places is not None else usual(model, places, **beat)

        loop.val_split.loss = loss  # type: ignore[method-assign]

    ended = train(difficult(prose, lr=1e-2), prose, tmp_path, change=change)
    facts = ended.recorder.facts
    assert facts["best_step"] == STEPS
    assert facts["best_val_loss"] == facts["val_loss"]
    assert_same_weights(ended.recorder.read("best", STEPS).sections["model"], ended.weights)


def test_a_loss_of_nothing_is_the_best_there_is(prose: Dataset, tmp_path: Path) -> None:
    def change(loop: TrainingLoop) -> None:
        scored = iter([3.0, 0.0, 0.5, 0.0, 1.0, 1.0])
        usual = loop.val_split.loss

        def loss(model: torch.nn.Module, places: Tensor | None = None, **beat: Any) -> float:
            return next(scored) if places is not None else usual(model, places, **beat)

        loop.val_split.loss = loss  # type: ignore[method-assign]

    ended = train(difficult(prose, lr=1e-9), prose, tmp_path, change=change)
    assert ended.recorder.points["val/loss"][8] == 0.0
    assert ended.recorder.steps_of("best")[0] == 8


# Evaluation and sampling do not disturb


@pytest.mark.parametrize("stage", ["scaled", "mlp"])
def test_how_often_a_run_is_evaluated_does_not_change_what_it_learns(
    prose: Dataset, tmp_path: Path, stage: str
) -> None:
    settings = EVERYTHING if stage == "scaled" else {"dropout": 0.2}
    seldom = train(tiny_config(stage, prose, **settings | {"eval_every": 40}), prose, tmp_path / "seldom")
    often = train(tiny_config(stage, prose, **settings | {"eval_every": 1}), prose, tmp_path / "often")
    assert_same_weights(seldom.weights, often.weights)
    assert seldom.losses == often.losses
    assert seldom.recorder.facts["val_loss"] == often.recorder.facts["val_loss"]


@pytest.mark.usefixtures("at_every_step")
def test_how_often_losses_are_handed_on_does_not_change_what_it_learns(
    prose: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = train(difficult(prose), prose, tmp_path / "at once")
    monkeypatch.setattr(training_loop, "FLUSH_SECONDS", 1e9)
    later = train(difficult(prose), prose, tmp_path / "later")
    assert_same_weights(at_once.weights, later.weights)
    assert at_once.losses == later.losses
    assert at_once.recorder.points["lr"] == later.recorder.points["lr"]


def test_a_run_repeats_itself_whatever_the_process_drew_before(prose: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = train(difficult(prose), prose, tmp_path / "1")
    torch.manual_seed(2)
    second = train(difficult(prose), prose, tmp_path / "2")
    assert_same_weights(first.weights, second.weights)
    assert first.recorder.samples == second.recorder.samples
    other = train(difficult(prose, seed=1), prose, tmp_path / "3")
    assert other.losses != first.losses


def test_samples_at_all_steps_begin_from_the_same_random_state(prose: Dataset, tmp_path: Path) -> None:
    ended = train(difficult(prose, lr=1e-12, warmup_steps=0, weight_decay=0.0), prose, tmp_path)
    assert len({text[:12] for text in ended.recorder.samples.values()}) == 1


# An interruption changes nothing


@pytest.mark.usefixtures("at_every_step")
@pytest.mark.parametrize("step", PAUSES)
def test_a_paused_run_ends_as_an_undisturbed_one(prose: Dataset, tmp_path: Path, step: int) -> None:
    config = difficult(prose)
    undisturbed = train(config, prose, tmp_path / "undisturbed")
    first = train(config, prose, tmp_path / "first", wishes={step: "pause"})
    assert first.outcome.step == step
    checkpoint = first.recorder.read("complete", step)
    resumed = train(config, prose, tmp_path / "resumed", resume=checkpoint)
    assert_same_end(undisturbed, first, step, resumed)
    assert resumed.recorder.restored_buckets == checkpoint.state.open_buckets
    told = {metric: {"points": len(points)} for metric, points in first.recorder.points.items()}
    assert resumed.recorder.restored_buckets == told


@pytest.mark.usefixtures("at_every_step")
def test_a_run_paused_again_and_again_ends_as_an_undisturbed_one(prose: Dataset, tmp_path: Path) -> None:
    config = difficult(prose)
    undisturbed = train(config, prose, tmp_path / "undisturbed")
    checkpoint, before = None, MemoryRecorder(tmp_path)
    for step in (*PAUSES, STEPS):
        part = train(config, prose, tmp_path / str(step), resume=checkpoint, wishes={step: "pause"})
        joined = joined_points(before, checkpoint.state.step if checkpoint else 0, part.recorder)
        before = replace(before, points=joined)
        checkpoint = part.recorder.read("complete", step)
    assert part.outcome == undisturbed.outcome
    assert_same_weights(part.weights, undisturbed.weights)
    whole = {m: p for m, p in undisturbed.recorder.points.items() if m not in WALL_CLOCK_METRICS}
    assert before.points == whole


@pytest.mark.parametrize(
    ("stage", "kind", "settings"),
    [
        ("bigram", "stream", {}),
        ("mlp", "words", {"schedule": "step", "decay_start": 0.5}),
        ("mlp", "stream", {"dropout": 0.3, "optimizer": "adamw", "activation": "relu"}),
        ("layernorm", "words", {"dropout": 0.3}),
        ("blocks", "stream", {"tied_embeddings": True, "attention": "uniform", "dropout": 0.1}),
        ("layernorm", "stream", {"precision": "bf16"}),
        ("residual", "stream", {"overfit_one_batch": True}),
    ],
)
def test_a_run_that_dies_goes_on_from_any_of_its_checkpoints(
    prose: Dataset,
    few_names: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    kind: str,
    settings: dict[str, Any],
) -> None:
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0.0)
    dataset = {"stream": prose, "words": few_names}[kind]
    config = tiny_config(stage, dataset, **{"steps": 24, "eval_every": 8} | settings)
    resources = Resources("cpu", settings.get("precision", "fp32"), 1)
    undisturbed = train(config, dataset, tmp_path / "undisturbed", resources=resources)
    assert undisturbed.recorder.steps_of("complete") == [8, 16, 24]
    for step in (8, 16, 24):
        checkpoint = undisturbed.recorder.read("complete", step)
        resumed = train(config, dataset, tmp_path / f"from {step}", resume=checkpoint, resources=resources)
        assert_same_end(undisturbed, undisturbed, step, resumed)


@pytest.mark.usefixtures("at_every_step")
def test_a_resumed_run_writes_its_best_again(prose: Dataset, tmp_path: Path) -> None:
    """The checkpoint it goes on from may be an older one, whose best weights were already replaced."""
    settings = {"lr": 3.0, "warmup_steps": 39, "schedule": "constant", "grad_clip": 0.0}
    config = difficult(prose, **settings)
    first = train(config, prose, tmp_path / "first", wishes={39: "pause"})
    resumed = train(config, prose, tmp_path / "resumed", resume=first.recorder.read("complete", 39))
    best_step = resumed.recorder.facts["best_step"]
    assert best_step < 39
    assert best_step in resumed.recorder.steps_of("best")


@pytest.mark.usefixtures("at_every_step")
def test_seconds_go_on_counting(prose: Dataset, tmp_path: Path) -> None:
    config = difficult(prose)
    first = train(config, prose, tmp_path / "first", wishes={20: "pause"})
    checkpoint = first.recorder.read("complete", 20)
    checkpoint.state.seconds += 1000
    checkpoint.state.training_seconds += 500
    resumed = train(config, prose, tmp_path / "resumed", resume=checkpoint)
    assert resumed.recorder.facts["seconds"] > 1000
    characters = STEPS * 4 * 8
    assert resumed.recorder.facts["chars_per_second"] == pytest.approx(characters / 500, rel=0.05)


def test_a_checkpoint_of_another_model_is_refused(prose: Dataset, tmp_path: Path) -> None:
    ended = train(difficult(prose), prose, tmp_path)
    checkpoint = ended.recorder.read("complete", STEPS)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        train(difficult(prose, embedding_dim=4), prose, tmp_path / "other", resume=checkpoint)


# Children


def test_a_child_goes_on_from_its_parents_step(prose: Dataset, tmp_path: Path) -> None:
    parent = train(difficult(prose), prose, tmp_path / "parent")
    checkpoint = parent.recorder.read("complete", STEPS)
    child = train(difficult(prose, steps=STEPS + 10), prose, tmp_path / "child", parent=checkpoint)
    assert child.outcome.step == STEPS + 10
    assert list(child.losses) == list(range(STEPS + 1, STEPS + 11))
    assert list(child.recorder.points["val/loss"]) == [40, 48, 50]
    assert child.recorder.points["val/loss"][40] == parent.recorder.points["val/loss"][40]
    assert list(child.recorder.points["chars_per_second"]) == [48, 50]
    assert child.recorder.restored_buckets is None
    assert child.loop.state.first_step == STEPS


def test_a_child_of_the_same_config_learns_what_its_parent_would_have(prose: Dataset, tmp_path: Path) -> None:
    usual = {"dropout": 0.0, "schedule": "constant", "warmup_steps": 0}
    parent = train(difficult(prose, **usual), prose, tmp_path / "parent")
    longer = difficult(prose, **usual, steps=60)
    child = train(longer, prose, tmp_path / "child", parent=parent.recorder.read("complete", STEPS))
    undisturbed = train(longer, prose, tmp_path / "undisturbed")
    assert_same_weights(child.weights, undisturbed.weights)


@pytest.mark.parametrize(("kind", "changed"), [("complete", {"optimizer": "sgd"}), ("milestone", {}), ("best", {})])
def test_a_child_without_its_parents_optimizer_begins_with_a_fresh_one(
    prose: Dataset, tmp_path: Path, kind: str, changed: dict[str, Any]
) -> None:
    parent = train(difficult(prose), prose, tmp_path / "parent")
    step = parent.recorder.steps_of(kind)[-1]
    checkpoint = parent.recorder.read(kind, step)
    config = difficult(prose, steps=60, **changed)
    recorder = MemoryRecorder(tmp_path)
    loop = TrainingLoop(config, prose, recorder, CPU, parent=checkpoint)
    assert loop.state.step == step
    assert not any(tensor.any() for tensor in loop.optimizer.state().values())
    assert_same_weights(dict(loop.model.named_parameters()), dict(checkpoint.sections["model"]))  # type: ignore[arg-type]


@pytest.mark.usefixtures("at_every_step")
def test_a_child_can_be_paused_and_resumed(prose: Dataset, tmp_path: Path) -> None:
    parent = train(difficult(prose), prose, tmp_path / "parent").recorder.read("complete", STEPS)
    config = difficult(prose, steps=60)
    undisturbed = train(config, prose, tmp_path / "undisturbed", parent=parent)
    first = train(config, prose, tmp_path / "first", parent=parent, wishes={50: "pause"})
    resumed = train(config, prose, tmp_path / "resumed", resume=first.recorder.read("complete", 50))
    assert_same_end(undisturbed, first, 50, resumed)
    assert resumed.loop.state.first_step == STEPS


# Switches of the loop


@pytest.mark.parametrize("stage", ["layernorm", "mlp"])
def test_one_batch_is_learnt_by_heart(prose: Dataset, tmp_path: Path, stage: str) -> None:
    sizes = {"embedding_dim": 32, "init": "torch", "optimizer": "adamw", "lr": 1e-2, "eval_every": 300}
    config = tiny_config(stage, prose, overfit_one_batch=True, steps=300, schedule="constant", **sizes)
    losses = train(config, prose, tmp_path).losses
    assert losses[1] > 2.5
    # A window's first characters do not tell its next one apart from another's: that little cannot be learnt.
    assert losses[300] < 0.3


def test_bf16_trains_nearly_as_fp32_does(prose: Dataset, tmp_path: Path) -> None:
    usual = train(difficult(prose), prose, tmp_path / "fp32")
    coarse = train(difficult(prose), prose, tmp_path / "bf16", resources=Resources("cpu", "bf16", 1))
    assert coarse.outcome.status == "finished"
    assert coarse.losses != usual.losses
    assert coarse.recorder.facts["val_loss"] == pytest.approx(usual.recorder.facts["val_loss"], abs=0.1)
    assert all(weight.dtype == torch.float32 for weight in coarse.weights.values())


def test_the_mlps_fused_step_trains_as_autograd_does(few_names: Dataset, tmp_path: Path) -> None:
    config = tiny_config("mlp", few_names, steps=200, eval_every=100)
    fused = train(config, few_names, tmp_path / "fused")
    assert fused.loop._fused is not None

    def unfuse(loop: TrainingLoop) -> None:
        loop._fused = None

    plain = train(config, few_names, tmp_path / "plain", change=unfuse)
    assert list(fused.losses.values()) == pytest.approx(list(plain.losses.values()), rel=1e-3)


@pytest.mark.full
@pytest.mark.usefixtures("at_every_step")
def test_a_compiled_model_trains_nearly_the_same_and_resumes_exactly(prose: Dataset, tmp_path: Path) -> None:
    usual = train(difficult(prose, dropout=0.0), prose, tmp_path / "usual")
    config = difficult(prose, dropout=0.0, compile=True)
    compiled = train(config, prose, tmp_path / "compiled")
    assert list(compiled.losses.values()) == pytest.approx(list(usual.losses.values()), rel=1e-3)
    first = train(config, prose, tmp_path / "first", wishes={13: "pause"})
    resumed = train(config, prose, tmp_path / "resumed", resume=first.recorder.read("complete", 13))
    assert_same_end(compiled, first, 13, resumed)


# On a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", ["bigram", "mlp", "scaled", "modern"])
def test_a_run_trains_on_a_gpu(prose: Dataset, tmp_path: Path, stage: str, precision: str) -> None:
    resources = Resources("cuda", precision, 1)
    ended = train(tiny_config(stage, prose, steps=100, lr=1e-2), prose, tmp_path, resources=resources)
    assert ended.outcome.status == "finished"
    assert next(ended.loop.model.parameters()).device.type == "cuda"
    evaluated = ended.recorder.points["val/loss"]
    assert evaluated[100] < evaluated[0]


@pytest.mark.gpu
@pytest.mark.usefixtures("at_every_step")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("stage", "sizes"),
    [
        ("mlp", {}),
        ("scaled", {}),
        ("scaled", {"context_length": 256, "embedding_dim": 128, "batch_size": 16}),
        ("modern", {}),
    ],
)
def test_a_run_paused_on_a_gpu_ends_as_an_undisturbed_one(
    prose: Dataset, tmp_path: Path, stage: str, sizes: dict[str, int], precision: str
) -> None:
    resources = Resources("cuda", precision, 1)
    config = tiny_config(stage, prose, **{"dropout": 0.2} | sizes)
    undisturbed = train(config, prose, tmp_path / "undisturbed", resources=resources)
    first = train(config, prose, tmp_path / "first", wishes={13: "pause"}, resources=resources)
    checkpoint = first.recorder.read("complete", 13)
    resumed = train(config, prose, tmp_path / "resumed", resume=checkpoint, resources=resources)
    assert_same_end(undisturbed, first, 13, resumed)
