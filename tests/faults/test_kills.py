"""Trainers, workers and commands that are killed, hung or interrupted in the middle: no run is lost, none differs."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import (
    ENVIRONMENT,
    Laboratory,
    assert_same,
    eventually,
    lab,
    left_behind,
    start_lab,
    the_trainer,
    trainers,
)

from lab.queue.requests import start_worker, stop_worker, worker_pid
from lab.store import lifecycle
from tests.conftest import PROSE

# Some seconds, with everything in it that must be kept for a run to go on exactly: dropout, momentum, a schedule.
RUN = {"steps": 800, "eval_every": 50, "dropout": 0.1, "schedule": "cosine", "warmup_steps": 100}
# As long, but without an evaluation, and so without a checkpoint, before its end.
BARE_RUN = RUN | {"eval_every": 800, "seed": 2}


# A trainer


@pytest.mark.full
def test_a_trainer_killed_in_mid_run_is_replaced_and_nothing_differs(
    shared: Laboratory, worker: psutil.Process, undisturbed: dict[str, Any]
) -> None:
    run_id = shared.add(**RUN)
    shared.wait_for_checkpoint(run_id)
    the_trainer(worker).kill()
    run = shared.wait_for(run_id, "finished")
    assert run.attempt == 2
    assert "the trainer died (signal SIGKILL)" in shared.log(run_id)
    assert "attempt 2 goes on from step" in shared.log(run_id)
    assert_same(shared.store, run_id, undisturbed)


@pytest.mark.full
def test_a_trainer_killed_before_its_first_checkpoint_starts_over(shared: Laboratory, worker: psutil.Process) -> None:
    first = shared.add(**BARE_RUN)
    shared.wait_for(first, "finished")
    killed = shared.add(**BARE_RUN)
    eventually(lambda: shared.store.run(killed).step > 100, "step 100")
    the_trainer(worker).kill()
    run = shared.wait_for(killed, "finished")
    assert (run.attempt, run.failures) == (2, 0)
    assert "attempt 2 starts" in shared.log(killed)
    assert_same(shared.store, killed, left_behind(shared.store, first))


@pytest.mark.full
def test_a_trainer_that_hangs_is_killed_and_replaced(
    shared: Laboratory, worker: psutil.Process, undisturbed: dict[str, Any]
) -> None:
    run_id = shared.add(**RUN)
    shared.wait_for_checkpoint(run_id)
    the_trainer(worker).suspend()
    shared.wait_for(run_id, "finished")
    assert "the trainer stood still for 3 s and was killed" in shared.log(run_id)
    assert_same(shared.store, run_id, undisturbed)


def test_a_run_fails_after_three_failures_without_a_checkpoint_between(
    shared: Laboratory, worker: psutil.Process
) -> None:
    run_id = shared.add(**BARE_RUN | {"steps": 100_000, "eval_every": 100_000})
    for attempt in (1, 2, 3):
        eventually(lambda attempt=attempt: shared.store.run(run_id).attempt == attempt, f"attempt {attempt}")
        the_trainer(worker).kill()
    run = shared.wait_for(run_id, "failed")
    assert (run.attempt, run.error) == (3, "the trainer died (signal SIGKILL)")
    eventually(lambda: not trainers(worker), "the last trainer's end")


def test_a_run_whose_text_has_changed_fails_for_good_with_the_reason(
    shared: Laboratory, worker: psutil.Process, tmp_path: Path
) -> None:
    own = Laboratory(shared.store, tmp_path / "own.txt")
    own.text.write_text(PROSE)
    runs = [own.add("bigram", steps=100) for _ in range(2)]
    for run_id in runs:
        lifecycle.pause(own.store, run_id)
    changed, gone = [run_id for run_id in runs if own.status(run_id) == "paused"]
    own.text.write_text(PROSE + "more")
    lifecycle.resume(own.store, changed)
    run = own.wait_for(changed, "failed")
    assert run.attempt == 1
    assert run.error is not None
    assert "has changed since run bigram-1 was made: put the old text back" in run.error
    own.text.unlink()
    lifecycle.resume(own.store, gone)
    assert f"no dataset '{own.text}'" in str(own.wait_for(gone, "failed").error)


def test_a_second_worker_is_refused_in_one_line(shared: Laboratory, worker: psutil.Process) -> None:
    eventually(lambda: worker_pid(shared.path) == worker.pid, "the worker's lock")
    status, said, complained = lab("worker", "--db", str(shared.path))
    assert (status, said) == (1, "")
    assert complained == (
        f"lab: a worker (process {worker.pid}) already trains {shared.path}; stop it with: lab worker --stop\n"
    )


# The worker


@pytest.mark.full
def test_a_killed_workers_trainers_die_and_its_runs_go_on_with_the_next(
    alone: Laboratory, undisturbed: dict[str, Any]
) -> None:
    first, second = alone.add(**RUN), alone.add(**RUN)
    with alone.worker() as worker:
        alone.wait_for_checkpoint(first)
        alone.wait_for_checkpoint(second)
        orphans = trainers(worker)
        worker.kill()
        eventually(lambda: not any(orphan.is_running() for orphan in orphans), "the trainers' end")
        assert len(orphans) == 2
    assert (alone.status(first), alone.status(second)) == ("training", "training")
    status, _, _ = lab("worker", "--until-empty", "--db", str(alone.path))
    assert status == 0
    for run_id in (first, second):
        run = alone.store.run(run_id)
        assert (run.status, run.attempt, run.failures) == ("finished", 2, 0)
        assert "its worker ended; the run goes on from its checkpoint" in alone.log(run_id)
        assert_same(alone.store, run_id, undisturbed)


@pytest.mark.full
def test_a_killed_fork_server_is_no_failure_of_its_runs(alone: Laboratory) -> None:
    run_id = alone.add(**BARE_RUN)
    with alone.worker() as worker:
        for attempt in range(1, 5):

            def trains(attempt: int = attempt) -> bool:
                run = alone.store.run(run_id)
                return run.attempt == attempt and run.step > 0

            eventually(trains, f"attempt {attempt}")
            the_trainer(worker).parent().kill()
        run = alone.wait_for(run_id, "finished")
    assert (run.attempt, run.failures) == (5, 0)
    assert "its fork server was killed" in alone.log(run_id)


@pytest.mark.full
def test_a_worker_told_to_end_puts_its_runs_back_at_the_head_of_the_queue(
    alone: Laboratory, undisturbed: dict[str, Any]
) -> None:
    training, waits = alone.add(**RUN), alone.add("bigram", steps=20)
    start_worker(alone.path, slots=1)
    eventually(lambda: alone.store.run(training).step > 100, "step 100")
    assert stop_worker(alone.path)
    run = alone.store.run(training)
    assert [each.id for each in lifecycle.waiting_runs(alone.store)] == [training, waits]
    assert f"interrupted at step {run.step:,}; it goes on from there" in alone.log(training)
    assert any(row.kind == "complete" and row.step == run.step for row in alone.store.checkpoints(training))
    start_worker(alone.path, slots=1)
    assert alone.wait_for(training, "finished").failures == 0
    assert_same(alone.store, training, undisturbed)
    alone.wait_for(waits, "finished")


@pytest.mark.full
def test_a_worker_in_a_terminal_that_closes_ends_orderly(alone: Laboratory) -> None:
    run_id = alone.add(**RUN | {"steps": 100_000})
    process, terminal = in_a_terminal("worker", "--db", str(alone.path))
    alone.wait_for_checkpoint(run_id)
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    run = alone.store.run(run_id)
    assert (run.status, run.failures) == ("queued", 0)
    assert any(row.kind == "complete" and row.step == run.step for row in alone.store.checkpoints(run_id))


def test_a_worker_whose_database_is_deleted_ends(alone: Laboratory) -> None:
    with alone.worker() as worker:
        eventually(lambda: worker_pid(alone.path) == worker.pid, "the worker's lock")
        alone.path.unlink()
        assert worker.wait(timeout=30) == 0


# `lab train`


def train_in_foreground(alone: Laboratory) -> list[str]:
    settings = [word for key, value in RUN.items() for word in ("--set", f"{key}={value}")]
    return ["train", "single-head", "--dataset", str(alone.text), "--db", str(alone.path), *settings]


def started_in_foreground(shared: Laboratory) -> tuple[subprocess.Popen[str], str]:
    """Starts `lab train`; returns its process and the id of its run."""
    before = {run.id for run in shared.store.runs()}
    process = start_lab(*train_in_foreground(shared))
    return process, eventually(lambda: {run.id for run in shared.store.runs()} - before, "a run").pop()


def the_run(alone: Laboratory) -> str:
    [run] = eventually(alone.store.runs, "a run")
    return run.id


def assert_resumed(status: int, said: str, run: str) -> None:
    """What `lab queue resume` said; the worker may have taken the run by then."""
    assert status == 0, said
    assert said in (f"{run}: queued\n", f"{run}: training\n")


@pytest.mark.full
def test_an_interrupted_command_pauses_its_run_and_the_worker_finishes_it(
    shared: Laboratory, worker: psutil.Process, undisturbed: dict[str, Any]
) -> None:
    process, run_id = started_in_foreground(shared)
    eventually(lambda: shared.store.run(run_id).step > 100, "step 100")
    process.send_signal(signal.SIGINT)
    _, complained = process.communicate(timeout=60)
    run = shared.store.run(run_id)
    assert (process.returncode, run.status) == (130, "paused")
    remedy = f"go on with: lab queue resume {run_id} && lab worker --until-empty"
    assert complained.splitlines()[-1] == f"paused at step {run.step:,}; {remedy}"
    status, _, complained = lab("queue", "resume", run_id, "--db", str(shared.path))
    assert_resumed(status, complained, f"{run.name} ({run_id})")
    shared.wait_for(run_id, "finished")
    assert_same(shared.store, run_id, undisturbed)


@pytest.mark.full
def test_a_killed_commands_run_is_paused_and_can_be_resumed(
    shared: Laboratory, worker: psutil.Process, undisturbed: dict[str, Any]
) -> None:
    process, run_id = started_in_foreground(shared)
    shared.wait_for_checkpoint(run_id)
    process.kill()
    process.communicate(timeout=60)
    assert shared.status(run_id) == "training"
    status, _, complained = lab("queue", "resume", run_id, "--db", str(shared.path))
    assert_resumed(status, complained, f"{shared.store.run(run_id).name} ({run_id})")
    shared.wait_for(run_id, "finished")
    assert_same(shared.store, run_id, undisturbed)


@pytest.mark.full
def test_closing_the_terminal_pauses_the_foreground_run(alone: Laboratory) -> None:
    process, terminal = in_a_terminal(*train_in_foreground(alone))
    run_id = the_run(alone)
    eventually(lambda: alone.store.run(run_id).step > 100, "step 100")
    os.close(terminal)
    assert process.wait(timeout=60) == 130
    assert alone.status(run_id) == "paused"
    assert any(row.step == alone.store.run(run_id).step for row in alone.store.checkpoints(run_id))


@pytest.mark.full
def test_closing_the_terminal_leaves_the_background_worker_at_work(alone: Laboratory) -> None:
    arguments = ["ladder", "--quick", "--stages", "single-head", "--dataset", str(alone.text), "--db", str(alone.path)]
    process, terminal = in_a_terminal(*arguments)
    pid = eventually(lambda: worker_pid(alone.path), "a worker")
    os.close(terminal)
    process.wait(timeout=60)
    run_id = the_run(alone)
    os.kill(pid, signal.SIGHUP)
    alone.wait_for(run_id, "finished")
    assert worker_pid(alone.path) == pid


def in_a_terminal(*arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """Starts a command in a terminal of its own; returns its process and the terminal's other end."""
    ours, its = pty.openpty()

    def as_a_shell_would() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests themselves run under nohup

    process = subprocess.Popen(
        [sys.executable, "-m", "lab", *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=as_a_shell_would,
    )
    os.close(its)
    return process, ours
