"""The worker's lock, between real processes: one holder at a time, and free the moment its holder dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.errors import WorkerError
from lab.queue.file_lock import FileLock

HOLD = """
import sys
from pathlib import Path
from lab.queue.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held" if lock.acquire(patience=float(sys.argv[2])) else "refused", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The lock's file; its folder is not there yet."""
    return tmp_path / "folder" / "runs.db.worker"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Starts a process that takes the lock, says whether it got it, and holds it until it reads a line."""
    started: list[subprocess.Popen[str]] = []

    def run(patience: float = 0) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(path), str(patience)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_lock_that_nobody_took_is_free(path: Path) -> None:
    assert FileLock(path).holder() is None
    assert not path.exists()


def test_another_process_cannot_take_a_lock_that_is_held(path: Path, start: Start) -> None:
    holder = start()
    assert said(holder) == "held"
    assert FileLock(path).holder() == holder.pid
    assert not FileLock(path).acquire(patience=0)
    assert said(start()) == "refused"


def test_a_released_lock_is_free_at_once(path: Path, start: Start) -> None:
    holder = start()
    assert said(holder) == "held"
    tell(holder)
    assert said(holder) == "released"
    assert FileLock(path).holder() is None
    with FileLock(path) as lock:
        assert lock.holder() == os.getpid()


def test_a_killed_process_holds_nothing(path: Path, start: Start) -> None:
    holder = start()
    assert said(holder) == "held"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert FileLock(path).holder() is None
    assert said(start()) == "held"


def test_of_many_that_want_it_one_has_it(path: Path, start: Start) -> None:
    answers = [said(process) for process in [start() for _ in range(5)]]
    assert sorted(answers) == ["held", *["refused"] * 4]


def test_who_is_patient_gets_it_when_it_is_released(path: Path, start: Start) -> None:
    first = start()
    assert said(first) == "held"
    second = start(patience=60)
    tell(first)
    assert said(second) == "held"
    assert FileLock(path).holder() == second.pid


def test_looking_at_a_lock_does_not_take_it(path: Path, start: Start) -> None:
    holder = start()
    assert said(holder) == "held"
    for _ in range(100):
        assert FileLock(path).holder() == holder.pid
    tell(holder)
    assert said(holder) == "released"
    for _ in range(100):
        assert FileLock(path).holder() is None
    assert said(start()) == "held"


def test_a_child_process_does_not_inherit_the_lock(path: Path) -> None:
    lock = FileLock(path)
    assert lock.acquire()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    lock.release()
    assert FileLock(path).holder() is None
    child.communicate(b"\n", timeout=60)


def test_entering_a_lock_that_is_held_names_the_holder(path: Path, start: Start) -> None:
    holder = start()
    assert said(holder) == "held"
    with pytest.raises(WorkerError, match=f"is locked by process {holder.pid}"), FileLock(path):
        pass


def test_the_lock_file_is_for_its_owner_alone(path: Path) -> None:
    with FileLock(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text() == str(os.getpid())


def test_a_lock_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(WorkerError, match="cannot be written"):
        FileLock(in_the_way / "runs.db.worker").acquire()
