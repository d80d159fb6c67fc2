"""Many programs on one database, and one that holds it: nothing is refused, lost or doubled; all wait their turn."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from processes import (
    ENVIRONMENT,
    PATIENCE_SECONDS,
    Laboratory,
    assert_same,
    eventually,
    lab,
    left_behind,
    start_lab,
    the_trainer,
)

from lab.queue.requests import start_worker, worker_pid
from lab.store import lifecycle
from tests.tui.terminals import Terminal, lab_in_terminal

WRITERS, READERS = 8, 4
HAMMER = Path(__file__).with_name("hammer.py")
RUN = {"steps": 600, "eval_every": 50, "dropout": 0.1}


# Many at once


def test_eight_writers_and_four_readers_get_on_for_a_moment(alone: Laboratory) -> None:
    hammered(alone, seconds=2.0)


@pytest.mark.full
def test_eight_writers_and_four_readers_get_on_for_a_minute(alone: Laboratory) -> None:
    hammered(alone, seconds=60.0)


def hammered(alone: Laboratory, seconds: float) -> None:
    """Has many programs write and read at once, and looks at what they leave."""
    runs = [alone.add("bigram", steps=5000, seed=number) for number in range(WRITERS)]
    waiting = [alone.add("bigram", seed=number) for number in range(WRITERS)]
    writers = [hammer("write", alone, seconds, run, waits) for run, waits in zip(runs, waiting, strict=True)]
    readers = [hammer("read", alone, seconds, *runs) for _ in range(READERS)]
    answers = [process.communicate(timeout=seconds + 120) for process in (*writers, *readers)]
    assert [complained for _, complained in answers] == [""] * len(answers)
    for run_id, (said, _) in zip(runs, answers[:WRITERS], strict=True):
        did = json.loads(said)
        run = alone.store.run(run_id)
        assert (run.status, run.step, run.notes.startswith("at ")) == ("finished", did["steps"], True)
        for metric in ("train/loss", "grad_norm"):
            points = alone.store.points(run_id, metric)
            assert points.steps.tolist() == list(range(did["steps"])) == points.values.astype(int).tolist()
        assert len(alone.store.samples(run_id)) == did["samples"]
        for row in alone.store.checkpoints(run_id):
            assert (alone.store.database.files / row.path).read_text() == f"{row.step}"
    assert sum(json.loads(said)["reads"] for said, _ in answers[WRITERS:]) > 0
    queue = lifecycle.waiting_runs(alone.store)
    assert sorted(run.id for run in queue) == sorted(waiting)
    assert len({run.queue_position for run in queue}) == len(waiting)
    with sqlite3.connect(alone.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def hammer(what: str, alone: Laboratory, seconds: float, *run_ids: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HAMMER), what, str(alone.path), str(seconds), *run_ids]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


# Screens and commands


@pytest.mark.full
def test_two_screens_and_commands_on_one_database_agree(alone: Laboratory) -> None:
    first, second = (alone.add("bigram", seed=seed, steps=200_000, eval_every=1000) for seed in (1, 2))
    lifecycle.pause_queue(alone.store)
    variables = {"LAB_DB": str(alone.path), "XDG_STATE_HOME": str(alone.path.parent / "state")}
    with (
        lab_in_terminal(alone.path.parent, size=(140, 30), **variables) as here,
        lab_in_terminal(alone.path.parent, size=(140, 30), **variables) as there,
    ):
        screens = (here, there)
        for screen in screens:
            screen.until(str.strip)
            screen.press("2")
        both_show(screens, {"waiting": 2})
        assert lab("queue", "pause", first, "--db", str(alone.path))[0] == 0
        both_show(screens, {"paused": 1, "waiting": 1})
        assert lab("queue", "resume", "--db", str(alone.path))[0] == 0
        both_show(screens, {"paused": 1, "training": 1})
        pid = eventually(lambda: worker_pid(alone.path), "a worker")
        assert start_worker(alone.path) == pid, "the screens have started one between them"
        eventually(lambda: [process.pid for process in workers_of(alone.path)] == [pid], "the other's end")
        assert lab("queue", "cancel", first, second, "--db", str(alone.path))[0] == 0
        both_show(screens, {"cancelled": 2})
        said = json.loads(lab("runs", "--json", "--db", str(alone.path))[1])
        assert [run["status"] for run in said] == ["cancelled", "cancelled"]


def both_show(screens: tuple[Terminal, ...], statuses: dict[str, int]) -> None:
    """Waits until every screen shows so many rows of each status, and no more."""
    for screen in screens:
        screen.until(lambda shown: all(len(re.findall(rf"{word}\b", shown)) >= n for word, n in statuses.items()))


def workers_of(database: Path) -> list[psutil.Process]:
    """The workers of a database that are alive."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "worker" in command and str(database) in command and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


# A lock that another program holds

_HOLDER = (
    "import sqlite3, sys\n"
    "connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n"
    "connection.execute('BEGIN EXCLUSIVE')\n"
    "print('held', flush=True)\n"
    "sys.stdin.readline()\n"
)


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Another program holds the write lock meanwhile."""
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-c", _HOLDER, str(database)], stdin=pipe, stdout=pipe, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    try:
        yield
    finally:
        other.communicate("go on\n", timeout=60)


@pytest.mark.full
def test_a_lock_that_outlasts_every_patience_is_waited_for(alone: Laboratory) -> None:
    """Connections give up after a moment here; who trains asks again, for ten times as long."""
    trained_beside_a_lock(alone, seconds=2.0, LAB_TEST_BUSY_SECONDS="0.2")


@pytest.mark.full
def test_a_lock_that_is_held_for_twenty_seconds_is_waited_for(alone: Laboratory) -> None:
    trained_beside_a_lock(alone, seconds=20.0, on_screen=True)


@pytest.mark.full
def test_a_lock_that_is_held_for_longer_than_a_connection_waits_is_waited_for(alone: Laboratory) -> None:
    trained_beside_a_lock(alone, seconds=45.0, commands_wait=False)


def trained_beside_a_lock(
    alone: Laboratory, seconds: float, *, on_screen: bool = False, commands_wait: bool = True, **environment: str
) -> None:
    """Trains while another program holds the lock: it waits, and goes on as if nothing had been."""
    first, ends = alone.add(**RUN), alone.add("bigram", steps=1_000_000)
    with alone.worker(stall_seconds=60.0, **environment) as worker:
        alone.wait_for(first, "finished")
        eventually(lambda: alone.store.run(ends).step > 0, "the other's first step")
        victim = the_trainer(worker)
        with ExitStack() as held_open:
            screen = held_open.enter_context(on_a_screen(alone)) if on_screen else None
            run_id, waits = alone.add(**RUN), alone.add("bigram", seed=5)
            alone.wait_for_checkpoint(run_id)
            lock = held_open.enter_context(ExitStack())
            lock.enter_context(held(alone.path))
            before = [alone.store.run(each) for each in (run_id, ends, waits)]
            assert [run.status for run in before] == ["training", "training", "queued"], "one was over too soon"
            victim.kill()  # whose end the worker has to write down
            command = start_lab("queue", "pause", waits, "--db", str(alone.path))
            if screen is not None:
                screen.press("t")
                screen.shows("tags of")
                screen.press("waited", "enter")
            give_back_at = time.monotonic() + seconds
            while time.monotonic() < give_back_at:
                assert worker.is_running()
                assert command.poll() is None or not commands_wait
                time.sleep(0.05)
            assert [alone.store.run(each) for each in (run_id, ends, waits)] == before
            lock.close()
            _, complained = command.communicate(timeout=PATIENCE_SECONDS)
            if commands_wait:
                assert command.returncode == 0, complained
                alone.wait_for(waits, "paused")  # at once, or by its trainer where the worker was first at the lock
            else:
                assert (command.returncode, len(complained.splitlines())) == (1, 1)
                assert "was locked by another program for 30 seconds; end that one first" in complained
            run = alone.wait_for(run_id, "finished")
            assert run.failures == 0
            eventually(lambda: alone.store.run(ends).attempt == 2, "the killed run's next attempt")
            assert worker.is_running()
            if screen is not None:
                eventually(lambda: any("waited" in row.tags for row in alone.store.runs()), "the tag")
        lifecycle.cancel(alone.store, ends)
        assert_same(alone.store, run_id, left_behind(alone.store, first))


@contextmanager
def on_a_screen(alone: Laboratory) -> Iterator[Terminal]:
    """The screen, on the runs."""
    variables = {"LAB_DB": str(alone.path), "XDG_STATE_HOME": str(alone.path.parent / "state")}
    with lab_in_terminal(alone.path.parent, size=(140, 30), **variables) as screen:
        screen.until(str.strip)
        screen.press("2")
        screen.shows("training")
        yield screen
