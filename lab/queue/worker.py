"""The worker: takes waiting runs, has each trained by a process of its own, and sees that none is lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from lab.errors import ConfigError, DatabaseLockedError, StorageError, StoreError, WorkerError
from lab.queue.attempt import Failure, train
from lab.queue.file_lock import FileLock
from lab.queue.orphans import pause_orphans
from lab.queue.slots import cores, threads_for
from lab.queue.storage_watch import StorageWatch
from lab.store import lifecycle
from lab.store.location import worker_lock
from lab.store.run_store import RunRow, RunStore
from lab.store.storage import hold_reserve, release_reserve

STALL_SECONDS = 60.0
"""How long a trainer's counter may stand still before the trainer is taken for hung and killed."""
FIRST_BEAT_SECONDS = 300.0
"""The same before its first beat, as torch may come from a cold disk, and where a model is compiled in mid-run."""
_POLL_SECONDS = 0.1
_IDLE_POLL_SECONDS = 0.03
"""Between looks while nothing is trained: what a run that is queued waits for its trainer, at most."""
_LONGEST_LOOK = 1.0
"""Seconds without a beat that one look may count: where more have passed, the worker itself stood still, or slept."""
_LONGEST_DELAY = 60.0
"""Before a trainer is started again where starting one failed."""
_LOST = 255
"""What multiprocessing has for an exit status where the fork server, which alone would know it, has died."""
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PRELOADED = ["torch", "torch._dynamo", "safetensors.torch", "lab.queue.attempt", "lab.queue.trainer_process"]


@dataclass
class Trainer:
    """A trainer at work, as its worker sees it."""

    run: RunRow
    threads: int
    process: BaseProcess
    pipe: Connection
    beats: Any
    last_beat: int = 0
    last_look: float = field(default_factory=time.monotonic)
    still: float = 0.0
    """Seconds since its last beat, as its worker has seen them pass."""
    stalled: bool = False
    told_to_end: bool = False
    failure: Failure | None = None
    server: int | None = None
    """The process id of the fork server that it comes from."""


class Worker:
    """Trains the queue of one database, as many runs at once as there are slots."""

    def __init__(
        self,
        store: RunStore,
        *,
        slots: int | None = None,
        stall_seconds: float = STALL_SECONDS,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._store = store
        self._slots = slots or cores()
        self._stall_seconds = stall_seconds
        self._say = say
        self._trainers: list[Trainer] = []
        self._unfiled: list[Trainer] = []
        """Those that have ended, and how is not written down yet."""
        self._recovered = False
        self._storage = StorageWatch(store)
        self._ending = False
        self._context = _context()
        self._last_version: int | None = None
        self._delay = self._next_start = 0.0
        self._file = _identity(store.database.path)
        store.data_version()  # its connection keeps the file, so that no other takes its number when it is deleted

    def run(self, *, until_empty: bool = False, idle_seconds: float | None = None) -> None:
        """Trains what waits, until told to end by a signal, the queue is empty, or nothing came for a while.

        Raises `WorkerError` where another worker trains this database.
        """
        lock = FileLock(worker_lock(self._store.database.path))
        if not lock.acquire():
            raise WorkerError(
                f"a worker (process {lock.holder()}) already trains {self._store.database.path}; "
                "stop it with: lab worker --stop"
            )
        # An ignored SIGHUP stays ignored: that is how nohup, and who starts a worker in the background, ask for it.
        heard = [number for number in _ENDING_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        previous = {number: signal.signal(number, self._end) for number in heard}
        try:
            self._start_fork_server()
            hold_reserve(self._store.database.path)
            self._serve(until_empty, idle_seconds)
        except StoreError:
            if not self._database_is_gone():
                raise
        finally:
            for trainer in self._trainers:
                trainer.process.kill()
            for number, handler in previous.items():
                signal.signal(number, handler)
            release_reserve(self._store.database.path)
            lock.release()

    def _serve(self, until_empty: bool, idle_seconds: float | None) -> None:
        last_busy = time.monotonic()
        while True:
            try:
                self._reap()
                if self._database_is_gone():
                    return
                if self._ending:
                    self._tell_to_end()
                if self._storage.due():
                    self._turn()
            except StorageError as error:
                self._hold(str(error))
            except DatabaseLockedError as error:  # it is asked again, with the next look
                self._say(f"{error}; what is trained waits until then")
            if self._trainers or self._storage.held:
                last_busy = time.monotonic()
            if not self._trainers:
                idle = idle_seconds is not None and time.monotonic() - last_busy > idle_seconds
                if self._ending or (not self._owes_anything() and (until_empty or idle)):
                    return
            pipes: list[Any] = [trainer.process.sentinel for trainer in self._trainers]
            if pipes:
                wait(pipes, timeout=_POLL_SECONDS)
            else:
                time.sleep(_IDLE_POLL_SECONDS)

    def _owes_anything(self) -> bool:
        """Whether something is still to be done that could not be done yet."""
        held = self._storage.held or time.monotonic() < self._next_start
        return held or bool(self._unfiled) or not self._recovered

    def _turn(self) -> None:
        """Files what has ended, and starts what waits. Raises `StorageError` where the disk does not take it."""
        if not self._recovered:
            self._recover()
            self._recovered = True
        while self._unfiled:
            self._conclude(self._unfiled[0])
            del self._unfiled[0]
        if self._storage.held and self._storage.due():
            if lifecycle.waiting_runs(self._store):
                self._storage.check()
                self._say("there is room again; training goes on")
            else:
                self._storage.give_up()
            self._last_version = None
        if not self._ending and not self._storage.held:
            self._start_waiting()

    def _hold(self, reason: str, run: RunRow | None = None) -> None:
        """Starts nothing until the disk takes what is recorded."""
        if reason != self._storage.reason:
            self._say(f"training waits: {reason}")
        self._storage.fail(reason, run)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        """On a signal: every trainer keeps a checkpoint, its run waits again, and then the worker ends."""
        self._ending = True

    def _tell_to_end(self) -> None:
        for trainer in self._trainers:
            if not trainer.told_to_end:
                trainer.told_to_end = True
                trainer.process.terminate()

    def _recover(self) -> None:
        """Takes up what a worker that died, or a `lab train` that died, left marked as training."""
        for run in reversed(lifecycle.training_runs(self._store, "worker")):  # each comes to the head of the queue
            lifecycle.requeue(self._store, run.id, run.attempt, "its worker ended; the run goes on from its checkpoint")
        pause_orphans(self._store)

    def _start_fork_server(self) -> None:
        """Starts it now, to load torch meanwhile, and deaf to a closing terminal: its trainers end when told to."""
        if not isinstance(self._context, ForkServerContext):
            return
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is ignored stays so in programs that are started
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGHUP, before)

    def _database_is_gone(self) -> bool:
        """Whether the file was deleted, or another has taken its place: nobody would see what is recorded in it."""
        try:
            if self._file == _identity(self._store.database.path):
                return False
        except FileNotFoundError:
            pass
        self._say(f"{self._store.database.path} is gone; its worker ends")
        return True

    def _start_waiting(self) -> None:
        """Starts runs in the order of the queue while slots are free; a large one waits until it has its threads."""
        version = self._store.data_version()
        if version == self._last_version or self._free() <= 0 or time.monotonic() < self._next_start:
            return
        waiting = [] if lifecycle.queue_paused(self._store) else lifecycle.waiting_runs(self._store)
        for run in waiting:
            try:
                threads = min(self._threads(run), self._slots)
            except (ConfigError, ValueError) as error:  # what is stored of it makes no sense: that run alone fails
                self._refuse(run, str(error))
                continue
            if threads > self._free() or self._ending:
                break
            claimed = lifecycle.claim(self._store, run.id)
            if claimed is not None and not self._start(claimed, threads):
                break
        else:
            self._last_version = version

    def _free(self) -> int:
        return self._slots - sum(trainer.threads for trainer in self._trainers)

    def _threads(self, run: RunRow) -> int:
        facts = self._store.dataset(run.dataset_sha256, run.dataset_kind)
        return run.threads or threads_for(run.config, len(facts.vocabulary) if facts else 1, self._slots)

    def _refuse(self, run: RunRow, reason: str) -> None:
        claimed = lifecycle.claim(self._store, run.id)
        if claimed is not None:
            lifecycle.attempt_failed(self._store, run.id, claimed.attempt, reason, for_good=True)
            self._say(f"{run.name} ({run.id}): failed: {reason}")

    def _start(self, run: RunRow, threads: int) -> bool:
        """Starts a trainer; where there is none to be had, its run waits again, and the worker for a while."""
        ours, theirs = self._context.Pipe()
        beats = self._context.Value("Q", 0, lock=False)
        process = self._context.Process(
            target=train,
            args=(self._store.database.path, run.id, run.attempt, threads, beats, theirs),
            name=f"lab trainer {run.name}",
            daemon=True,
        )
        try:
            process.start()
        except (OSError, EOFError) as error:  # no memory for a process, or the fork server has just been killed
            self._delay = min(_LONGEST_DELAY, max(_POLL_SECONDS, 2 * self._delay))
            self._next_start = time.monotonic() + self._delay
            reason = f"no trainer could be started ({type(error).__name__}: {error}); it is tried again"
            lifecycle.requeue(self._store, run.id, run.attempt, reason)
            self._say(f"{run.name} ({run.id}): {reason}")
            return False
        finally:
            theirs.close()
        self._delay = 0.0
        self._trainers.append(Trainer(run, threads, process, ours, beats, server=_fork_server_pid()))
        self._say(f"{run.name} ({run.id}): training, {run.steps:,} steps")
        return True

    def _reap(self) -> None:
        """Hears what trainers say, kills those that stand still, and takes in those that have ended."""
        for trainer in list(self._trainers):
            if trainer.process.is_alive():
                self._watch(trainer)
                continue
            trainer.process.join()
            self._hear(trainer)
            self._trainers.remove(trainer)
            trainer.pipe.close()
            self._last_version = None
            self._unfiled.append(trainer)

    def _watch(self, trainer: Trainer) -> None:
        self._hear(trainer)
        now = time.monotonic()
        passed, trainer.last_look = min(now - trainer.last_look, _LONGEST_LOOK), now
        if trainer.beats.value != trainer.last_beat:
            trainer.last_beat, trainer.still = trainer.beats.value, 0.0
            return
        trainer.still += passed
        if trainer.still > self._patience(trainer):
            trainer.stalled = True
            trainer.process.kill()

    def _patience(self, trainer: Trainer) -> float:
        if trainer.last_beat and not trainer.run.config.compile:
            return self._stall_seconds
        return max(self._stall_seconds, FIRST_BEAT_SECONDS)

    def _hear(self, trainer: Trainer) -> None:
        try:
            while trainer.pipe.poll():
                trainer.failure = trainer.pipe.recv()
        except (EOFError, OSError):
            return  # its end is closed: the process has ended, and `_reap` says how

    def _conclude(self, trainer: Trainer) -> None:
        """Files an ended attempt. A trainer files its own end where it can; this is for those that could not."""
        run, exit_code = trainer.run, trainer.process.exitcode
        if trainer.failure is not None and trainer.failure.storage:
            self._hold(trainer.failure.reason, self._store.run(run.id))  # first: it gives back the room in reserve
            lifecycle.hold_for_storage(self._store, run.id, run.attempt, trainer.failure.reason)
            return
        # A signal to the whole group may end a trainer, or the fork server, before this process has passed it on.
        if (trainer.told_to_end or self._ending) and trainer.failure is None:
            lifecycle.requeue(self._store, run.id, run.attempt, "its worker was stopped; it goes on with the next")
            self._say(f"{run.name} ({run.id}): {self._store.run(run.id).status}")
            return
        if trainer.failure is None and exit_code == _LOST and _is_dead(trainer.server):
            lifecycle.requeue(self._store, run.id, run.attempt, "its fork server was killed; it goes on with the next")
            return
        if trainer.failure is not None:
            reason, for_good = trainer.failure.reason, trainer.failure.for_good
        elif trainer.stalled:
            reason, for_good = f"the trainer stood still for {self._patience(trainer):.0f} s and was killed", False
        elif exit_code:
            reason, for_good = f"the trainer died ({_said_of_exit(exit_code)})", False
        else:
            reason, for_good = "the trainer ended without a word", False
        status = lifecycle.attempt_failed(self._store, run.id, run.attempt, reason, for_good=for_good)
        if status is None:
            self._say(f"{run.name} ({run.id}): {self._store.run(run.id).status}")
        else:
            self._say(f"{run.name} ({run.id}): {reason}; {'it is tried again' if status == 'queued' else status}")


def _identity(path: Path) -> tuple[int, int]:
    """What tells a file from another that takes its name."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _fork_server_pid() -> int | None:
    return getattr(forkserver._forkserver, "_forkserver_pid", None)


def _is_dead(pid: int | None) -> bool:
    """Whether a child is; one that is just dying, whose files are closed already, is waited for, but not reaped."""
    if pid is None:
        return False
    give_up_at = time.monotonic() + 1.0
    while time.monotonic() < give_up_at:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def _said_of_exit(exit_code: int) -> str:
    if exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit status {exit_code}"


def _context() -> ForkServerContext | SpawnContext:
    """A fork server that has imported torch and computed nothing, so that a trainer is up in milliseconds."""
    if sys.platform == "darwin":
        return multiprocessing.get_context("spawn")  # forking is unsafe once Apple's frameworks are loaded
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch would otherwise size its pool before a run's own is set
    return context
