"""Disks that are full, read-only or failing: training waits with the reason, goes on, and nothing stored is damaged."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from processes import (
    ENVIRONMENT,
    Laboratory,
    assert_same,
    eventually,
    lab,
    laboratory,
    the_trainer,
    trainers,
)

from lab.config.ladder import stage_config
from lab.errors import CheckpointError
from lab.queue.child_requests import ChildRequest, compose_child
from lab.store import lifecycle
from lab.store.checkpoints import sound_checkpoint
from lab.store.health import examine
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunStore, run_table
from lab.store.stored_files import is_whole

RUN = {"steps": 400, "eval_every": 50, "dropout": 0.1, "schedule": "cosine", "warmup_steps": 100}
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
NOTHING_MORE = (4096, resource.RLIM_INFINITY)
"""No file may grow, or be written to, beyond its first page."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can make a disk; the tests with a limit on file sizes show the same")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is on a disk."""
    path = disk / "something large"
    with path.open("ab", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            while True:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    break
    return path


def limit(limits: tuple[int, int], *processes: psutil.Process) -> None:
    """Sets how large a file these processes may write, as a full disk would keep them from it."""
    for process in processes:
        process.rlimit(psutil.RLIMIT_FSIZE, limits)


def assert_sound(store: RunStore) -> None:
    assert examine(store).problems == []
    with closing(sqlite3.connect(store.database.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# By a limit on file sizes: what SQLite and the writing of checkpoints then meet are real errors of the system's


@pytest.mark.full
def test_a_trainer_that_cannot_write_pauses_with_the_reason_and_its_run_goes_on(
    shared: Laboratory, worker: psutil.Process, undisturbed: dict[str, Any]
) -> None:
    run_id = shared.add(**RUN)
    shared.wait_for_checkpoint(run_id)
    limit(NOTHING_MORE, the_trainer(worker))
    run = shared.wait_for(run_id, "finished")
    assert (run.attempt, run.failures) == (2, 0)
    log, said = shared.log(run_id), "training pauses: the disk of {} {}; it goes on when there is room"
    # By SQLite or by the checkpoint, whichever is written first.
    failures = ("fails (disk I/O error)", "takes no larger file (see: ulimit -f)")
    assert any(said.format(shared.path, failure) in log for failure in failures), log
    assert lifecycle.storage_problem(shared.store) == ""
    assert_same(shared.store, run_id, undisturbed)
    assert_sound(shared.store)


@pytest.mark.full
def test_where_not_even_the_reason_can_be_written_the_worker_waits_until_it_can(
    alone: Laboratory, undisturbed: dict[str, Any]
) -> None:
    run_id = alone.add(**RUN)
    with alone.worker() as worker:
        alone.wait_for_checkpoint(run_id)
        everyone = [worker, *worker.children(recursive=True)]
        limit(NOTHING_MORE, *everyone)
        eventually(lambda: not trainers(worker), "the trainer's end")
        assert alone.status(run_id) == "training"  # nothing can be written: it stands as it stood
        assert_sound(alone.store)
        assert worker.is_running()
        limit(UNLIMITED, *[process for process in everyone if process.is_running()])
        run = alone.wait_for(run_id, "finished")
    assert (run.attempt, run.failures) == (2, 0)
    assert "training pauses: the disk of" in alone.log(run_id)
    assert_same(alone.store, run_id, undisturbed)
    assert_sound(alone.store)


@pytest.mark.full
def test_a_checkpoint_that_does_not_fit_pauses_a_foreground_run_in_one_line(alone: Laboratory) -> None:
    arguments = ["train", "residual", "--dataset", str(alone.text), "--db", str(alone.path), "--steps", "40"]
    arguments += ["--set", "eval_every=20", "--set", "embedding_dim=192", "--set", "batch_size=2"]
    process = subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY)),
    )
    [run] = alone.store.runs()
    said = process.stderr.splitlines()[-1]
    reason = f"the disk of {alone.path} takes no larger file (see: ulimit -f)"
    assert process.returncode == 1
    assert said == (
        f"lab: {reason}; run {run.name} is paused: make room, then: "
        f"lab queue resume {run.id} && lab worker --until-empty"
    )
    assert (run.status, run.error, run.failures) == ("paused", reason, 0)
    assert f"training pauses: {reason}" in alone.log(run.id)
    assert [path.name for path in (alone.store.database.files / run.id).iterdir()] == ["trainer.lock"]
    assert_sound(alone.store)


# On a disk that is really full


@pytest.mark.full
def test_on_a_full_disk_a_queued_run_waits_with_the_reason_and_goes_on_when_there_is_room(
    small_disk: Path, undisturbed: dict[str, Any]
) -> None:
    with laboratory(small_disk) as alone:
        run_id = alone.add(**RUN)
        with alone.worker() as worker:
            alone.wait_for_checkpoint(run_id)
            full = fill(small_disk)
            run = alone.wait_for(run_id, "queued")
            reason = f"the disk of {alone.path} is full"
            assert (run.error, run.failures) == (reason, 0)
            assert f"training pauses: {reason}; it goes on when there is room" in alone.log(run_id)
            assert lifecycle.storage_problem(alone.store) == reason
            status, listed, said = lab("queue", "list", "--db", str(alone.path))
            assert status == 0
            assert run.name in listed
            assert f"training waits: {reason}; it goes on when there is room" in said
            assert_sound(alone.store)
            assert worker.is_running()
            full.unlink()
            run = alone.wait_for(run_id, "finished")
        assert run.failures == 0
        assert lifecycle.storage_problem(alone.store) == ""
        assert_same(alone.store, run_id, undisturbed)
        assert_sound(alone.store)


@pytest.mark.full
def test_a_full_disk_ends_a_foreground_run_in_one_line_and_it_is_paused(small_disk: Path) -> None:
    with laboratory(small_disk) as alone:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", "train", "single-head", "--dataset", str(alone.text), "--db", str(alone.path),
             *[word for key, value in RUN.items() for word in ("--set", f"{key}={value}")]],
            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        run_id = eventually(alone.store.runs, "a run")[0].id
        alone.wait_for_checkpoint(run_id)
        full = fill(small_disk)
        said, complained = process.communicate(timeout=60)
        run = alone.store.run(run_id)
        assert (process.returncode, said) == (1, "")
        assert complained.splitlines()[-1].startswith(
            f"lab: the disk of {alone.path} is full; run {run.name} is paused"
        )
        assert (run.status, run.error) == ("paused", f"the disk of {alone.path} is full")
        assert_sound(alone.store)
        full.unlink()


@pytest.mark.full
@pytest.mark.parametrize(("call", "errno"), [("pwrite64", "ENOSPC"), ("fdatasync", "EIO"), ("fsync", "EROFS")])
def test_a_system_call_that_fails_pauses_the_run_and_it_goes_on(
    call: str, errno: str, shared: Laboratory, worker: psutil.Process, undisturbed: dict[str, Any]
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace; the tests with a limit on file sizes show the same of pwrite64")
    run_id = shared.add(**RUN)
    shared.wait_for_checkpoint(run_id)
    trainer = the_trainer(worker)
    injection = ["strace", "-f", "-q", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:error={errno}"]
    tracer = subprocess.Popen([*injection, "-p", str(trainer.pid)])
    run = shared.wait_for(run_id, "finished")
    tracer.wait(timeout=30)
    assert (run.attempt, run.failures) == (2, 0)
    assert f"training pauses: the disk of {shared.path}" in shared.log(run_id)
    assert_same(shared.store, run_id, undisturbed)
    assert_sound(shared.store)


@pytest.mark.full
def test_a_disk_that_is_read_only_is_said_and_left_alone(small_disk: Path) -> None:
    with laboratory(small_disk) as alone:
        run_id = alone.add("bigram", steps=20)
        path = alone.path
    before = path.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for words in (["queue", "add", "bigram"], ["train", "bigram"], ["queue", "pause", run_id], ["worker"]):
        status, said, complained = lab(*words, "--db", str(path))
        assert (status, said, len(complained.splitlines())) == (1, "", 1), words
        assert (
            complained == f"lab: database {path} cannot be written: Read-only file system; choose another with --db\n"
        )
    assert path.read_bytes() == before


@pytest.mark.full
def test_a_command_on_a_full_disk_says_so_in_one_line(small_disk: Path) -> None:
    fill(small_disk)
    for words in (["runs"], ["queue", "list"], ["train", "bigram"], ["queue", "add", "bigram"], ["doctor"]):
        status, _, complained = lab(*words, "--db", str(small_disk / "runs.db"))
        assert len(complained.splitlines()) <= 1, words
        assert "Traceback" not in complained
        assert status in (0, 1), words


def test_files_that_may_not_be_written_are_said_and_left_alone(alone: Laboratory) -> None:
    # Root without the right to pass over permissions, which it would have back with `exec`, but for the bounding set.
    dropped = "-dac_override,-dac_read_search"
    command = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"] if os.geteuid() == 0 else []
    alone.path.chmod(0o444)
    before = alone.path.read_bytes()
    process = subprocess.run(
        [*command, sys.executable, "-m", "lab", "queue", "add", "bigram", "--db", str(alone.path)],
        env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode in (1, 2)
    assert len(process.stderr.splitlines()) == 1
    assert alone.path.read_bytes() == before


# A power cut


def files_and_commits(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is made durable, renamed, deleted and committed from now on, in order; files by their names."""
    seen: list[str] = []
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def name(descriptor: int) -> str:
        return Path(f"/dev/fd/{descriptor}").readlink().name

    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(f"sync {name(fd)}"), fsync(fd))[1])
    monkeypatch.setattr(
        os, "replace", lambda old, new: (seen.append(f"rename {Path(old).name} {Path(new).name}"), replace(old, new))[1]
    )
    monkeypatch.setattr(
        os, "unlink", lambda path, **more: (seen.append(f"delete {Path(path).name}"), unlink(path, **more))[1]
    )
    sa.event.listen(store.database.durable, "commit", lambda _connection: seen.append("commit"))
    return seen


def test_a_checkpoint_is_durable_before_it_is_named_and_only_then_is_the_old_one_deleted(
    store: RunStore, dataset_facts: DatasetFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    run = lifecycle.claim(store)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    seen = files_and_commits(store, monkeypatch)
    for step in (1, 2, 3):
        recorder.checkpoint("complete", step, lambda partial: partial.write_bytes(b"weights") and None)
    recorder.close()
    folders = ["sync " + store.database.path.parent.name, "sync runs.db.files"]  # where the new folders' names stand
    files = [f"complete-{step:09d}-1" for step in (1, 2, 3)]
    written = [
        [f"sync {file}.partial", f"rename {file}.partial {file}.safetensors", f"sync {run.id}", "commit"]
        for file in files
    ]
    assert seen == [*folders, *written[0], *written[1], *written[2], f"delete {files[0]}.safetensors"]
    with store.database.durable.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL: a commit is on the disk


def test_a_checkpoint_written_again_at_its_step_is_never_written_over(
    store: RunStore, dataset_facts: DatasetFacts
) -> None:
    store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    run = lifecycle.claim(store)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    for content in (b"first", b"second"):
        recorder.checkpoint("complete", 5, lambda partial, content=content: partial.write_bytes(content) and None)
    recorder.close()
    [row] = store.checkpoints(run.id)
    assert row.path == f"{run.id}/complete-000000005-1-2.safetensors"
    assert is_whole(store.database.files, row.path, row.sha256, row.size)
    assert [path.name for path in (store.database.files / run.id).iterdir()] == [Path(row.path).name]


@pytest.mark.full
def test_the_system_is_asked_to_make_a_checkpoint_durable_in_that_order(alone: Laboratory, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace; the order is asserted above within the process")
    trace = tmp_path / "trace"
    calls = "trace=rename,renameat,renameat2,fsync,fdatasync,unlink,unlinkat,pwrite64"
    train = [sys.executable, "-m", "lab", "train", "bigram", "--dataset", str(alone.text), "--db", str(alone.path)]
    train += ["--steps", "200", "--set", "eval_every=50"]
    subprocess.run(["strace", "-f", "-y", "-qq", "-o", str(trace), "-e", calls, *train], env=ENVIRONMENT, check=True)
    [run] = alone.store.runs()
    lines = trace.read_text().splitlines()

    def after(start: int, *needed: str) -> int:
        """The first line from one on with all these words."""
        return next(place for place in range(start, len(lines)) if all(word in lines[place] for word in needed))

    named = alone.store.checkpoints(run.id)
    assert [row.step for row in named if row.kind == "complete"]
    for row in named:
        name = Path(row.path).stem
        synced = after(0, "fsync(", f"{name}.partial")
        renamed = after(synced, "rename", f"{name}.safetensors")
        folder_synced = after(renamed, "fsync(", f"runs.db.files/{run.id}>")
        committed = after(folder_synced, "fdatasync(", "runs.db-wal")
        assert not any("unlink" in line and "complete-" in line and ".safetensors" in line
                       for line in lines[synced:committed])  # fmt: skip


# Half-written and tampered checkpoints


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "tampered":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()


@pytest.mark.parametrize(
    "how", ["tampered", *(pytest.param(how, marks=pytest.mark.full) for how in ("cut short", "gone"))]
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    how: str, shared: Laboratory, worker: psutil.Process, undisturbed: dict[str, Any]
) -> None:
    store = shared.store
    run_id = shared.add(**RUN)
    run = shared.wait_for(run_id, "finished")
    before, last = [row for row in store.checkpoints(run_id) if row.kind == "complete"]
    damaged(store.database.files / last.path, how)
    said = f"the complete checkpoint at step {last.step:,} is damaged or gone ({last.path}): the one at step"
    # sampling
    row, told = sound_checkpoint(store, run, "last")
    assert row.step < last.step or row.kind == "best"
    assert told.startswith(said)
    assert shared.log(run_id).count(said) == 1
    # going on, as a run of its own
    child = compose_child(ChildRequest(run, "last", 10), store)
    assert child.parent_step == row.step
    # resuming: as if the machine had gone down before the last checkpoint was whole
    with store.database.writer.begin() as connection:
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(status="paused"))
    lifecycle.resume(store, run_id)
    shared.wait_for(run_id, "finished")
    assert f"{said} {before.step:,} is used" in shared.log(run_id)
    assert f"attempt 2 goes on from step {before.step:,}" in shared.log(run_id)
    assert_same(store, run_id, undisturbed)


def test_every_checkpoint_damaged_is_said_in_one_line(store: RunStore, dataset_facts: DatasetFacts) -> None:
    store.add_runs([NewRun(config=stage_config("bigram"), dataset=dataset_facts)])
    run = lifecycle.claim(store)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    for step in (1, 2):
        recorder.checkpoint("complete", step, lambda partial: partial.write_bytes(b"weights") and None)
    recorder.close()
    first, second = store.checkpoints(run.id)
    (store.database.files / second.path).write_bytes(b"weightS")
    assert sound_checkpoint(store, run)[0] == first
    said = "is damaged or gone, and so is every one before it; see: lab doctor"
    with pytest.raises(CheckpointError, match=said):
        sound_checkpoint(store, run, "2")
    (store.database.files / first.path).unlink()
    with pytest.raises(CheckpointError, match=said):
        sound_checkpoint(store, run)
