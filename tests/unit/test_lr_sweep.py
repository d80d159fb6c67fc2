"""LR sweeps: their spec, their training, and how they are stored, queued and shown by the commands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lab.cli.app import run as run_command
from lab.config.lr_sweep import LRSweep, sweep_for, sweep_from_json
from lab.config.run_config import RunConfig
from lab.datasets.dataset import Dataset
from lab.errors import AttemptLostError, ConfigError, RunNotFoundError
from lab.models.build import build_model
from lab.queue.requests import RunRequest, compose
from lab.queue.sweep_requests import SweepRequest, compose_sweep
from lab.queue.trainer_process import train_claimed_run
from lab.queue.worker import Worker
from lab.store import lifecycle
from lab.store.lr_sweeps import keep_result, latest_sweep, stored_sweep, stored_sweeps, sweep_losses
from lab.store.run_store import RunStore
from lab.training.lr_sweep import LRSweepTraining, Member
from tests.memory_recorder import MemoryRecorder
from tests.unit.training_helpers import CPU, tiny_config

pytestmark = pytest.mark.usefixtures("one_thread")

Refused = Callable[..., str]


def ramp(**values: Any) -> LRSweep:
    return LRSweep(**({"lowest": 1e-4, "highest": 10.0, "seeds": 2, "steps": 40} | values))


def swept(config: RunConfig, sweep: LRSweep, dataset: Dataset) -> tuple[LRSweepTraining, MemoryRecorder, str]:
    recorder = MemoryRecorder()
    training = LRSweepTraining(config, sweep, dataset, recorder, CPU)
    return training, recorder, training.run().status


# The spec


def test_the_rate_of_a_step_is_a_function_of_the_spec() -> None:
    sweep = ramp(lowest=1e-3, highest=1.0, steps=31)
    assert sweep.learning_rates[0] == pytest.approx(1e-3)
    assert sweep.learning_rates[10] == pytest.approx(1e-2)
    assert sweep.learning_rates[-1] == pytest.approx(1.0)
    assert [sweep.point_of(sweep.step_of(point)) for point in range(sweep.points)] == list(range(31))
    fixed = ramp(method="runs", steps=7, rates=5)
    assert fixed.total_steps == 35
    assert [fixed.point_of(step) for step in (1, 7, 8, 35)] == [0, 0, 1, 4]
    assert fixed.step_of(0) == 7


@pytest.mark.parametrize(
    ("optimizer", "lowest", "steps"), [("adamw", 1e-5, 990), ("sgd", 1e-3, 660)], ids=["adamw", "sgd"]
)
def test_the_default_range_and_steps_suit_the_optimiser(
    prose: Dataset, optimizer: str, lowest: float, steps: int
) -> None:
    sweep = sweep_for(tiny_config("bigram", prose, optimizer=optimizer))
    assert (sweep.lowest, sweep.highest, sweep.steps, sweep.seeds) == (lowest, 10.0, steps, 4)


def test_a_short_range_takes_fewer_steps_but_no_fewer_than_200(prose: Dataset) -> None:
    config = tiny_config("bigram", prose)
    assert sweep_for(config, lowest=1e-3, highest=1.0).steps == 495
    assert sweep_for(config, lowest=1e-3, highest=4e-3).steps == 200
    assert sweep_for(config, lowest=1e-10, highest=1.0).steps == 1000


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"lowest": 1.0, "highest": 1e-3}, "does not rise"),
        ({"lowest": 1e-2, "highest": 1e-2}, "does not rise"),
        ({"lowest": 1e-2, "highest": 2e-2}, "too narrow"),
        ({"lowest": 0.0}, "--from 0.0"),
        ({"lowest": -1.0}, "--from -1.0"),
        ({"highest": math.inf}, "--to inf"),
        ({"lowest": math.nan}, "--from nan"),
        ({"highest": 1e9}, "--to 1000000000.0"),
        ({"steps": 0}, "steps 0"),
        ({"steps": 5}, "from 20 to 5,000"),
        ({"steps": 10**7}, "steps 10000000"),
        ({"seeds": 0}, "seeds 0"),
        ({"seeds": 1000}, "seeds 1000"),
        ({"method": "both"}, "method both"),
    ],
)
def test_a_spec_that_means_nothing_is_refused_in_one_line(prose: Dataset, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        sweep_for(tiny_config("bigram", prose), **asked)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_seed_past_the_last_is_refused_before_training(prose: Dataset) -> None:
    with pytest.raises(ConfigError, match="seed=2147483649"):
        sweep_for(tiny_config("bigram", prose, seed=2**31 - 2))


def test_a_spec_comes_back_from_its_json() -> None:
    assert sweep_from_json(ramp().to_json()) == ramp()
    with pytest.raises(ConfigError, match="not JSON"):
        sweep_from_json("{")


# Training


@pytest.mark.parametrize("stage", ["bigram", "mlp", "layernorm"])
def test_a_ramp_begins_at_the_initial_loss_falls_and_ends_when_all_are_masked(prose: Dataset, stage: str) -> None:
    config = tiny_config(stage, prose, batch_size=16)
    training, recorder, status = swept(config, ramp(highest=1e4, steps=300), prose)
    assert status == "finished"
    losses = training.losses
    for row, seed in enumerate((config.seed, config.seed + 1)):
        with torch.no_grad():
            model = build_model(config.replace(seed=seed), prose.vocabulary_size)
            _, initial = model(*training._batches[row].batch(1))
        assert losses[row, 0] == pytest.approx(float(initial), rel=1e-5)
        assert np.nanmin(losses[row]) < losses[row, 0] - 0.2
    ended = np.isnan(losses)
    assert ended[:, -1].all(), "no member is trained past its divergence"
    assert (np.diff(ended.astype(int), axis=1) >= 0).all(), "masked from there on"
    recorded = recorder.metrics[f"sweep/loss/{config.seed}"]
    assert list(recorded) == list(range(1, len(recorded) + 1))
    assert len(recorded) < 300
    assert any("diverged" in line for _, _, line in recorder.events)


def test_a_member_is_trained_as_a_run_of_its_seed_is(prose: Dataset) -> None:
    """At a constant rate a sweep's member sees the losses of a run."""
    from lab.training.loop import TrainingLoop

    config = tiny_config("layernorm", prose, steps=20, lr=1e-2)
    recorder = MemoryRecorder()
    TrainingLoop(config, prose, recorder, CPU).run()
    training = LRSweepTraining(config, ramp(seeds=1), prose, MemoryRecorder(), CPU)
    member = Member(config, prose, CPU, training._batches[0])
    assert [member.step(step, 1e-2) for step in range(1, 21)] == list(recorder.metrics["train/loss"].values())


@pytest.mark.parametrize("stage", ["bigram", "scaled-cpu"])
def test_seeds_do_not_depend_on_each_other(prose: Dataset, stage: str) -> None:
    config = tiny_config(stage, prose, **({"dropout": 0.3} if stage == "scaled-cpu" else {}))
    together, _, _ = swept(config, ramp(seeds=3, highest=1.0), prose)
    alone, _, _ = swept(config.replace(seed=config.seed + 2), ramp(seeds=1, highest=1.0), prose)
    np.testing.assert_array_equal(together.losses[2], alone.losses[0])


def test_the_random_state_of_the_process_is_left_alone(prose: Dataset) -> None:
    before = torch.get_rng_state()
    swept(tiny_config("scaled-cpu", prose, dropout=0.3), ramp(), prose)
    assert torch.equal(torch.get_rng_state(), before)


def test_fixed_rates_are_trained_from_the_initial_weights_each(prose: Dataset) -> None:
    config = tiny_config("bigram", prose, batch_size=16)
    sweep = ramp(method="runs", rates=4, steps=30, highest=1.0)
    training, recorder, status = swept(config, sweep, prose)
    assert status == "finished"
    assert np.isfinite(training.losses).all()
    assert list(recorder.metrics[f"sweep/loss/{config.seed}"]) == [30, 60, 90, 120]
    last = ramp(method="runs", rates=3, steps=30, lowest=sweep.learning_rates[1], highest=1.0)
    again, _, _ = swept(config, last, prose)
    np.testing.assert_allclose(training.losses[:, 1], again.losses[:, 0], rtol=1e-5)


def test_fixed_rates_above_one_at_which_every_seed_diverges_are_left_out(prose: Dataset) -> None:
    config = tiny_config("linear", prose, optimizer="sgd", weight_decay=0.0)
    training, recorder, _ = swept(config, ramp(method="runs", rates=6, steps=40, lowest=1e-1, highest=1e4), prose)
    assert np.isfinite(training.losses[:, 0]).all()
    assert np.isnan(training.losses[:, -1]).all()
    assert max(recorder.metrics[f"sweep/loss/{config.seed}"]) < 240


@pytest.mark.parametrize(("wish", "status"), [("pause", "paused"), ("stop", "stopped"), ("cancel", "cancelled")])
def test_a_wish_ends_a_sweep(prose: Dataset, monkeypatch: pytest.MonkeyPatch, wish: str, status: str) -> None:
    monkeypatch.setattr("lab.training.lr_sweep.FLUSH_SECONDS", 0.0)
    recorder = MemoryRecorder()
    recorder.wish = wish
    training = LRSweepTraining(tiny_config("bigram", prose), ramp(), prose, recorder, CPU)
    outcome = training.run()
    assert outcome.status == status
    assert outcome.step == 1
    assert np.isfinite(training.losses[:, 0]).all()


# Stored, and through the queue


@pytest.fixture
def request_sweep(prose_file: Path) -> SweepRequest:
    run = RunRequest("bigram", dataset=str(prose_file), settings={"batch_size": 16})
    return SweepRequest(run, seeds=2, lowest=1e-3, highest=10.0, steps=60)


def trained(store: RunStore, request: SweepRequest) -> str:
    run = store.add_runs([compose_sweep(request, store.database.path)])[0]
    Worker(store, slots=1).run(until_empty=True)
    return run.id


@pytest.mark.full
def test_a_sweep_goes_through_the_queue_and_is_kept_with_its_reading(
    store: RunStore, request_sweep: SweepRequest
) -> None:
    sweep = stored_sweep(store, store.run(trained(store, request_sweep)))
    run, result = sweep.run, sweep.result
    assert (run.kind, run.name, run.status, run.steps) == ("lr-sweep", "bigram-lr-1", "finished", 60)
    assert run.parameters
    assert result is not None
    assert result["suggestion"] == result["suggestions"]["minimum/3"]
    assert len(result["curve"]["lr"]) == len(result["curve"]["loss"]) == 60
    losses = sweep_losses(store, sweep)
    assert losses.shape == (2, 60)
    assert np.isfinite(losses[:, 0]).all()
    assert store.checkpoints(run.id) == []
    assert latest_sweep(store, "bigram", run.dataset_sha256) == sweep
    assert latest_sweep(store, "bigram", run.dataset_sha256, method="runs") is None
    assert latest_sweep(store, "linear", run.dataset_sha256) is None
    assert [each.run.id for each in stored_sweeps(store)] == [run.id]
    store.trash([run.id])
    assert stored_sweeps(store) == []
    assert latest_sweep(store, "bigram", run.dataset_sha256) is None


def test_a_sweep_is_never_taken_for_the_run_of_its_config(store: RunStore, request_sweep: SweepRequest) -> None:
    path = store.database.path
    plain = compose(request_sweep.run, path)[0]
    rows = store.add_runs(
        [plain, compose_sweep(request_sweep, path), compose_sweep(replace(request_sweep, seeds=3), path)]
    )
    assert len({row.config_hash for row in rows}) == 3
    assert len({row.group_hash for row in rows}) == 3
    assert [row.id for row in store.find_by_config(plain.config.hash(plain.dataset.sha256))] == [rows[0].id]
    with pytest.raises(RunNotFoundError, match="no LR sweep"):
        stored_sweep(store, rows[0])


def test_an_interrupted_sweep_begins_again_without_doubled_points(
    store: RunStore, request_sweep: SweepRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.add_runs([compose_sweep(request_sweep, store.database.path)])[0]
    monkeypatch.setattr("lab.training.lr_sweep.FLUSH_SECONDS", 0.0)
    claimed = lifecycle.claim(store)
    assert claimed is not None
    outcome = train_claimed_run(store, claimed, 1, on_recorder=lambda recorder: recorder.ask("pause"))
    assert outcome.status == "paused"
    lifecycle.end(store, run.id, claimed.attempt, "paused")
    assert stored_sweep(store, store.run(run.id)).result is None
    assert lifecycle.resume(store, run.id)
    again = lifecycle.claim(store)
    assert again is not None
    train_claimed_run(store, again, 1)
    points = store.points(run.id, f"sweep/loss/{again.config.seed}")
    assert points.steps.tolist() == list(range(1, len(points) + 1))
    with pytest.raises(AttemptLostError):
        keep_result(store, run.id, claimed.attempt, {})


# The command


@pytest.fixture
def lab(tmp_path: Path, prose_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Any]:
    """Runs `lab lr-find`; returns its exit status and what it wrote."""
    monkeypatch.setenv("LAB_DB", str(tmp_path / "runs.db"))
    monkeypatch.setenv("LAB_DEVICE", "cpu")

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run_command(["lr-find", *arguments])
        written = capsys.readouterr()
        return status, written.out, written.err

    return command


def test_the_command_prints_one_document(lab: Callable[..., Any], prose_file: Path) -> None:
    status, out, _ = lab("bigram", "--dataset", str(prose_file), "--seeds", "2", "--steps", "80", "--json")
    assert status == 0
    document = json.loads(out)
    assert {"run", "seeds", "suggestion", "suggestions", "useful", "curve"} <= document.keys()
    assert document["seeds"] == 2
    assert set(document["curve"]) == {"lr", "loss", "low", "high"}
    low, high = document["useful"]
    assert low < document["suggestion"] < high


def test_the_command_says_what_it_found_and_how_to_use_it(lab: Callable[..., Any], prose_file: Path) -> None:
    status, out, err = lab("bigram", "--dataset", str(prose_file), "--seeds", "2", "--steps", "80")
    assert status == 0
    assert "minimum/3" in out
    assert "the edge of stability" in out
    assert "lab train bigram" in err


def test_a_flat_sweep_says_why_there_is_no_suggestion(lab: Callable[..., Any], prose_file: Path) -> None:
    flat = ("--from", "1e-9", "--to", "1e-7", "--steps", "60", "--seeds", "2")
    status, out, _ = lab("bigram", "--dataset", str(prose_file), *flat)
    assert status == 0
    assert "no suggestion: the loss falls by no more than" in out
    status, out, _ = lab("bigram", "--dataset", str(prose_file), *flat, "--json")
    document = json.loads(out)
    assert document["suggestion"] is None
    assert document["useful"] is None
    assert "raise the range" in document["reason"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bigram", "--from", "1", "--to", "1e-3"), "does not rise"),
        (("bigram", "--from", "1e-3", "--to", "1e-3"), "does not rise"),
        (("bigram", "--from", "-1"), "--from -1.0"),
        (("bigram", "--to", "1e12"), "--to 1000000000000.0"),
        (("bigram", "--steps", "0"), "steps 0"),
        (("bigram", "--seeds", "0"), "seeds 0"),
        (("bigram", "--method", "guess"), "--method guess: must be 'ramp' or 'runs'"),
        (("bigrm",), "did you mean 'bigram'"),
        (("guessing-evenly",), "'guessing-evenly' does not train"),
        (("bigram", "--set", "lr=0.1"), "--from and --to"),
        (("bigram", "--set", "steps=100"), "--steps"),
        (("bigram", "--set", "warmup_steps=500", "--method", "runs"), "warmup_steps=500 must be below steps=200"),
    ],
)
def test_bad_input_is_one_clear_line_and_writes_nothing(
    lab: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = lab(*arguments)
    assert status == 2
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs.db").exists()
