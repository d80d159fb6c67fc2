"""Measuring how long a config trains: what it counts, and that it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lab.config.ladder import stage_config
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.training import speed
from lab.training.speed import measure_speed


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """A moment that is as short as can be."""
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.setattr(speed, "WARM_UP_SECONDS", 0.002)
    monkeypatch.setattr(speed, "MEASURED_SECONDS", 0.005)


def config_of(stage: str, dataset: Dataset, **settings: object) -> RunConfig:
    return stage_config(stage, dataset=str(dataset.path), dataset_as=dataset.kind, settings=settings)


@pytest.mark.parametrize("stage", ["bigram", "mlp", "layernorm"])
def test_a_run_takes_its_steps_and_its_evaluations(stage: str, prose: Dataset) -> None:
    config = config_of(stage, prose, steps=200)
    measured = measure_speed(config, prose, 1)
    assert measured.seconds > 200 * measured.seconds_per_step > 0
    assert (measured.device, measured.precision, measured.threads) == ("cpu", "fp32", 1)
    per_step = config.batch_size * (config.context_length if config.predicts_every_position else 1)
    assert measured.chars_per_second * measured.seconds_per_step == pytest.approx(per_step)


def test_more_steps_and_more_evaluations_take_longer(
    prose: Dataset, monkeypatch: pytest.MonkeyPatch, clock: Iterator[float]
) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    plain = measure_speed(config_of("bigram", prose, steps=1000, eval_every=100, eval_examples=20), prose, 1)
    longer = measure_speed(config_of("bigram", prose, steps=2000, eval_every=200, eval_examples=20), prose, 1)
    assert longer.seconds - plain.seconds == pytest.approx(1000 * plain.seconds_per_step, rel=0.01)
    oftener = measure_speed(config_of("bigram", prose, steps=1000, eval_every=10, eval_examples=20), prose, 1)
    assert oftener.seconds > plain.seconds


@pytest.fixture
def clock() -> Iterator[float]:
    """A clock that moves on by a millisecond whenever it is looked at."""
    return iter(i / 1000 for i in range(10**9))


def test_nothing_is_left_behind(prose: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before, state = set(tmp_path.rglob("*")), torch.get_rng_state()
    measure_speed(config_of("layernorm", prose, steps=100, dropout=0.1), prose, 2)
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert set(tmp_path.rglob("*")) == before


def test_a_run_that_diverges_is_measured_all_the_same(prose: Dataset) -> None:
    assert measure_speed(config_of("bigram", prose, steps=100, lr=1e6, optimizer="sgd"), prose, 1).seconds > 0
