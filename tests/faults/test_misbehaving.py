"""Runs that misbehave in every way a run can: each fails alone, with its reason and its log, and the others go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from processes import Laboratory, eventually, lab, trainers

from lab.queue.requests import worker_pid
from lab.store import lifecycle
from lab.store.location import run_log
from lab.store.run_store import run_table

RUN = {"steps": 200, "eval_every": 25}
"""Has checkpoints at 25 and 50, before it misbehaves at 60 and, as often as it is tried again, at 60 again."""


@pytest.fixture(scope="module")
def worker(shared: Laboratory) -> Iterator[psutil.Process]:
    """The worker that has to bear it all; one that hangs would have to hang for a minute."""
    with shared.worker("misbehaving", stall_seconds=60.0) as process:
        yield process


@pytest.mark.parametrize(
    ("seed", "reason", "written"),
    [
        pytest.param(
            101, "RuntimeError: [enforce fail", "can't allocate memory", id="out of memory", marks=pytest.mark.full
        ),
        pytest.param(102, "the trainer died (signal SIGKILL)", "", id="killed by the kernel", marks=pytest.mark.full),
        pytest.param(
            103, "the trainer died (signal SIGSEGV)", "misbehaving.py", id="segmentation fault", marks=pytest.mark.full
        ),
        pytest.param(106, "ValueError: the model has had enough", "and says so in two lines", id="exception"),
        pytest.param(107, "the trainer died (exit status 7)", "", id="exit", marks=pytest.mark.full),
    ],
)
def test_a_run_that_breaks_fails_alone_with_its_reason(
    shared: Laboratory, worker: psutil.Process, seed: int, reason: str, written: str
) -> None:
    misbehaves, beside = shared.add("bigram", seed=seed, **RUN), shared.add("bigram", **RUN)
    run = shared.wait_for(misbehaves, "failed")
    assert str(run.error).startswith(reason)
    assert run.failures == lifecycle.FAILURES_ALLOWED
    assert shared.log(misbehaves).count(reason) >= lifecycle.FAILURES_ALLOWED
    assert any(row.kind == "complete" and row.step == 50 for row in shared.store.checkpoints(misbehaves))
    assert shared.wait_for(beside, "finished").attempt == 1
    assert worker.is_running()
    _, said, _ = lab("show", misbehaves, "--db", str(shared.path))
    assert f"failed at step {run.step} of 200, {run.error}" in said
    if written:
        log = run_log(shared.path, misbehaves)
        assert str(log) in said
        assert written in log.read_text()
        assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.full
def test_runs_that_hang_are_killed_and_fail_alone(alone: Laboratory) -> None:
    with alone.worker("misbehaving") as worker:
        stopped, asleep, beside = (alone.add("bigram", seed=seed, **RUN) for seed in (104, 105, 1))
        for run_id in (stopped, asleep):
            run = alone.wait_for(run_id, "failed")
            assert run.error == "the trainer stood still for 3 s and was killed"
        alone.wait_for(beside, "finished")
        eventually(lambda: not trainers(worker), "the last trainer's end")


def test_a_run_that_gives_no_more_numbers_has_diverged_and_is_kept(shared: Laboratory, worker: psutil.Process) -> None:
    run_id = shared.add("bigram", lr=1e6, **RUN)
    run = shared.wait_for(run_id, "diverged")
    assert run.attempt == 1
    assert "diverged at step" in str(run.error)
    assert len(shared.store.points(run_id, "train/loss")) == run.step
    assert any(row.kind == "best" for row in shared.store.checkpoints(run_id))
    _, said, _ = lab("runs", "--json", "--db", str(shared.path))
    assert {"id": run_id, "status": "diverged"}.items() <= {row["id"]: row for row in json.loads(said)}[run_id].items()


def test_a_run_whose_config_makes_no_sense_fails_alone(shared: Laboratory, worker: psutil.Process) -> None:
    lifecycle.pause_queue(shared.store)
    broken, beside = shared.add("bigram", **RUN), shared.add("bigram", **RUN)
    with shared.store.database.writer.begin() as connection:
        update = run_table.update().where(run_table.c.id == broken)
        connection.execute(update.values(config_json='{"stage": "of another lab"}'))
    lifecycle.resume_queue(shared.store)
    assert shared.wait_for(beside, "finished").attempt == 1
    failed = shared.wait_for(broken, "failed")
    assert failed.attempt == 1
    assert failed.error
    assert worker_pid(shared.path) == worker.pid


@pytest.mark.full
def test_a_new_checkpoint_between_forgives_what_failed_before(shared: Laboratory, worker: psutil.Process) -> None:
    run_id = shared.add("single-head", steps=800, eval_every=20)
    for deaths in range(1, 5):
        reached = shared.store.run(run_id).step

        def further(reached: int = reached, deaths: int = deaths) -> bool:
            run = shared.store.run(run_id)
            steps = [row.step for row in shared.store.checkpoints(run_id) if row.kind == "complete"]
            return run.attempt == deaths and run.failures == 0 and max(steps, default=0) > reached

        eventually(further, "a new checkpoint")
        trainers(worker)[0].kill()
    assert shared.wait_for(run_id, "finished").attempt == 5


def test_output_of_a_run_that_ends_well_leaves_no_log(shared: Laboratory, worker: psutil.Process) -> None:
    run_id = shared.add("bigram", **RUN)
    shared.wait_for(run_id, "finished")
    log: Path = run_log(shared.path, run_id)
    eventually(lambda: not log.exists(), "the log's end")
