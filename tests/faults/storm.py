"""A storm of kills over a queue at work: the same plan for the same seed, and what must be true when it is over."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from processes import (
    Laboratory,
    eventually,
    left_behind,
    left_by_sweep,
    stored_files,
    trainers,
    with_injected,
)

from lab.config.lr_sweep import LR_SWEEP
from lab.queue.child_requests import ChildRequest, compose_child
from lab.queue.requests import RunRequest, compose, worker_pid
from lab.queue.sweep_requests import SweepRequest, compose_sweep
from lab.store import lifecycle
from lab.store.location import run_folder
from lab.store.run_store import NewRun, RunRow
from tests.tui.terminals import Terminal, lab_in_terminal

ANY_MOMENT = "any moment"
IN_A_TRANSACTION = ("in a transaction", "before commit", "after commit")
OF_A_FILE = (
    "half written", "before fsync", "after fsync", "before replace", "after replace", "before unlink", "after unlink",
)  # fmt: skip
OF_A_LOCK = ("before pwrite", "after pwrite")
BOUNDARIES = {
    "trainer": (*IN_A_TRANSACTION, *OF_A_FILE),
    "worker": (*IN_A_TRANSACTION, *OF_A_LOCK),
    "screen": IN_A_TRANSACTION,
}
TARGETS = {"trainer": 64, "worker": 13, "fork server": 4, "screen": 8, "everything": 11}
AT_A_BOUNDARY = {"trainer": 0.65, "worker": 0.6, "screen": 0.5, "everything": 0.5}
LONGEST_DELAY = 1.0
BOUNDARY_PATIENCE = 8.0
STUCK_SECONDS = 120.0
RUNS_AT_ONCE = 2


@dataclass(frozen=True)
class Fault:
    """One kill: of what, when, and what else happens about it."""

    target: str
    when: str
    role: str
    """The process that comes to the boundary; with `everything` the others die right after it."""
    passes: int
    delay: float
    """Seconds before a kill at any moment: the moment."""
    told: bool
    """Whether the worker was asked to end right before."""
    after_checkpoint: bool
    """Whether it is only after some run has kept a new checkpoint."""
    paused: bool
    """Whether a person pauses a run right before."""


def storm(seed: int, count: int, targets: Sequence[str] = tuple(TARGETS)) -> Iterator[Fault]:
    """What is killed and when, the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        target = chance.choices(targets, [TARGETS[name] for name in targets])[0]
        role = chance.choice(("trainer", "worker")) if target == "everything" else target
        bounded = chance.random() < AT_A_BOUNDARY.get(target, 0.0)
        when = chance.choice(BOUNDARIES[role]) if bounded else ANY_MOMENT
        passes = chance.randint(1, 12 if role == "trainer" and when in IN_A_TRANSACTION else 2)
        delay = chance.uniform(0.0, LONGEST_DELAY)
        told = target == "worker" and when == ANY_MOMENT and chance.random() < 0.4
        after_checkpoint, paused = chance.random() < 0.5, chance.random() < 0.1
        yield Fault(target, when, role, passes, delay, told, after_checkpoint, paused)


# What is trained


def menu(laboratory: Laboratory, words: Path) -> dict[str, Callable[[str], NewRun]]:
    """Tiny runs of every kind, each with something that must be kept for it to go on exactly; made under a name."""
    path, prose = laboratory.path, str(laboratory.text)

    def run(stage: str, dataset: str = prose, **settings: Any) -> Callable[[str], NewRun]:
        return lambda name: compose(RunRequest(stage, dataset=dataset, settings=settings, name=name), path)[0]

    def sweep(name: str) -> NewRun:
        request = RunRequest("bigram", dataset=prose, settings={"batch_size": 8}, name=name)
        return compose_sweep(SweepRequest(request, seeds=2, steps=60), path)

    return {
        "dropout": run("single-head", steps=300, eval_every=30, dropout=0.1, schedule="cosine", warmup_steps=50),
        "mlp": run("mlp", str(words), steps=1500, eval_every=150, batch_size=16, embedding_dim=4, hidden_dim=32),
        "sweep": sweep,
        "diagnostics": run(
            "layernorm", steps=100, eval_every=10, diagnostics_every=5, embedding_dim=16, heads=2, layers=1,
            dropout=0.1,
        ),
        "buckets": run("bigram", steps=5200, eval_every=520, batch_size=1),
        "muon": run(
            "modern", steps=80, eval_every=8, embedding_dim=16, heads=2, layers=1, context_length=16, batch_size=4,
        ),
    }  # fmt: skip


def child_of(laboratory: Laboratory, parent: RunRow) -> Callable[[str], NewRun]:
    """What goes on from a finished run's last checkpoint."""
    settings = {"lr": 1e-3}
    return lambda name: compose_child(ChildRequest(parent, "last", 150, settings, name), laboratory.store)


def left(laboratory: Laboratory, run_id: str) -> dict[str, Any]:
    """All that a run's training determines, of whatever kind it is."""
    of_kind = left_by_sweep if laboratory.store.run(run_id).kind == LR_SWEEP else left_behind
    return of_kind(laboratory.store, run_id)


# What happens


@dataclass
class Storm:
    """A queue at work, the worker and the screen beside it, and the faults that come over them."""

    laboratory: Laboratory
    folder: Path
    kinds: dict[str, Callable[[str], NewRun]]
    with_screen: bool = True
    runs: dict[str, str] = field(default_factory=dict)
    """The kind of each run that was queued, by its id."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many kills there were, by target and moment."""
    retried: int = 0
    _worker: subprocess.Popen[bytes] | None = None
    _screen: Terminal | None = None
    _held: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.deaths = self.folder / "deaths"
        self.deaths.mkdir()
        self.environment = with_injected({"LAB_TEST_DEATHS": str(self.deaths)})

    def blow(self, faults: Iterator[Fault]) -> None:
        """Lets each fault happen, brings back what it killed, and in the end lets every run finish."""
        try:
            for number, fault in enumerate(faults):
                self._bring_back()
                if fault.paused:
                    lifecycle.pause(self.laboratory.store, self._active()[0].id)
                when = self._happen(fault, number)
                print(f"{number + 1}: {fault.target}, {when}", flush=True)
                self.outcomes[fault.target, when] += 1
            self._let_finish()
        finally:
            self.close()

    def close(self) -> None:
        """Kills what is left."""
        self._close_screen()
        pid = worker_pid(self.laboratory.path)
        if pid:
            psutil.Process(pid).kill()
        if self._worker is not None:
            self._worker.wait()

    # Keeping it all going

    def _bring_back(self) -> None:
        """What a person does after a crash: starts what is missing, lets go on what is paused, tries what failed."""
        store = self.laboratory.store
        for run in store.runs():
            if run.id in self.runs and run.status == "paused":
                lifecycle.resume(store, run.id)
            if run.id in self.runs and run.status == "failed":
                assert run.failures == lifecycle.FAILURES_ALLOWED, f"{run.name}: {run.error}"
                assert str(run.error).startswith("the trainer died"), f"{run.name}: {run.error}"
                self.retried += 1
                lifecycle.retry(store, run.id)
        while len(self._active()) < RUNS_AT_ONCE + 1:
            kinds = list(self.kinds)
            kind = kinds[len(self.runs) % len(kinds)]
            [run] = store.add_runs([self.kinds[kind](f"{kind} {len(self.runs)}")])
            self.runs[run.id] = kind
        self._start_what_is_missing()

    def _start_what_is_missing(self) -> None:
        if self.with_screen and (self._screen is None or not self._screen.running):
            self._close_screen()
            variables = {name: self.environment[name] for name in ("PYTHONPATH", "LAB_TEST_DEATHS")}
            variables |= {"LAB_DB": str(self.laboratory.path), "XDG_STATE_HOME": str(self.folder / "state")}
            variables |= {"LAB_CHECKPOINT_SECONDS": self.environment["LAB_CHECKPOINT_SECONDS"]}
            self._screen = self._held.enter_context(lab_in_terminal(self.folder, size=(80, 24), **variables))
            self._screen.until(lambda shown: shown.strip())
            self._screen.press("2")
        if self._worker is not None:  # one that was started while the screen's was at work may take its place now
            eventually(lambda: self._worker_has_ended() or worker_pid(self.laboratory.path), "the last worker's end")
        if worker_pid(self.laboratory.path) is None:
            command = [sys.executable, "-m", "lab", "worker", "--idle-seconds", "300", "--slots", str(RUNS_AT_ONCE)]
            log = (self.folder / "worker.log").open("ab")
            self._worker = subprocess.Popen(
                [*command, "--db", str(self.laboratory.path)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            eventually(lambda: worker_pid(self.laboratory.path), "a worker")

    def _worker_has_ended(self) -> bool:
        return self._worker is None or self._worker.poll() is not None

    def _close_screen(self) -> None:
        self._held.close()
        self._screen = None

    def _active(self) -> list[RunRow]:
        store = self.laboratory.store
        return [run for run in store.runs() if run.id in self.runs and run.status not in lifecycle.ENDED]

    def _let_finish(self) -> None:
        """Goes on until every run has finished; fails where nothing gets on any more."""
        last: Any = None
        since = time.monotonic()
        while active := self._active():
            self._start_what_is_missing()
            for run in self.laboratory.store.runs():
                if run.id in self.runs and run.status == "paused":
                    lifecycle.resume(self.laboratory.store, run.id)
                if run.id in self.runs and run.status == "failed":
                    self.retried += 1
                    lifecycle.retry(self.laboratory.store, run.id)
            state = [(run.id, run.status, run.attempt, run.step) for run in active]
            if state != last:
                last, since = state, time.monotonic()
            assert time.monotonic() - since < STUCK_SECONDS, f"nothing gets on: {state}"
            time.sleep(0.05)

    # Faults

    def _happen(self, fault: Fault, number: int) -> str:
        """Kills what a fault names; returns when that was, as a boundary may never be come to."""
        if fault.after_checkpoint:
            self._wait_for_a_checkpoint()
        if fault.when != ANY_MOMENT and self._die_at_boundary(fault, number):
            if fault.target == "everything":
                self._kill(fault.target)
            return fault.when
        while not self._kill_at_any_moment(fault):  # it has just ended by itself
            self._bring_back()
        return ANY_MOMENT

    def _wait_for_a_checkpoint(self) -> None:
        """Waits until a run has kept another checkpoint, or has finished."""

        def kept() -> list[object]:
            store = self.laboratory.store
            newest = [max((row.id for row in store.checkpoints(run.id)), default=0) for run in self._active()]
            return [newest, len(self._active())]

        before = kept()
        eventually(lambda: self._bring_back() or kept() != before, "a checkpoint")

    def _kill_at_any_moment(self, fault: Fault) -> bool:
        """Waits for the moment; false where what was to be killed is not there just then."""
        time.sleep(fault.delay)  # no condition tells the moment
        if fault.told and (pid := worker_pid(self.laboratory.path)):
            os.kill(pid, signal.SIGTERM)
            time.sleep(fault.delay / 4)
        if fault.target == "worker" and worker_pid(self.laboratory.path) is None:
            return fault.told  # it has ended as it was told to
        return self._kill(fault.target)

    def _die_at_boundary(self, fault: Fault, number: int) -> bool:
        """Has a process die at a boundary, and gives it a reason to go there; False where it does not."""
        armed, fired = self.deaths / "armed", self.deaths / "fired"
        order = {"number": number, "role": fault.role, "boundary": fault.when, "passes": fault.passes}
        written = armed.with_suffix(".new")
        written.write_text(json.dumps(order))
        written.rename(armed)
        give_up_at = time.monotonic() + BOUNDARY_PATIENCE
        provoked = 0
        while not fired.exists() and time.monotonic() < give_up_at:
            self._bring_back()
            time.sleep(0.05)
            provoked += 1
            if provoked % 10 == 0:
                self._provoke(fault)
        try:
            armed.unlink()
        except FileNotFoundError:
            eventually(fired.exists, "the death that was claimed")
            fired.unlink()
            return True
        return False

    def _provoke(self, fault: Fault) -> None:
        if fault.role == "screen" and self._screen is not None and self._screen.running:
            self._screen.press("p")
        elif fault.role == "worker" and fault.when in OF_A_LOCK:
            self._kill("worker")
            self._start_what_is_missing()
        elif fault.role == "worker":
            self._kill("trainer")

    def _kill(self, target: str) -> bool:
        """SIGKILL to whatever of the target is there, if anything is."""
        pid = worker_pid(self.laboratory.path)
        worker = _process(pid) if pid else None
        victims: list[psutil.Process] = []
        if worker is not None and target in ("trainer", "everything"):
            victims += _trainers(worker)[: None if target == "everything" else 1]
        if worker is not None and target in ("fork server", "everything"):
            victims += [child for child in _children(worker) if "forkserver" in _command(child)]
        if worker is not None and target in ("worker", "everything"):
            victims.append(worker)
        for victim in victims:
            _kill_quietly(victim)
        screen = target in ("screen", "everything") and self._screen is not None
        if screen:
            self._close_screen()
        if worker in victims:
            eventually(lambda: worker_pid(self.laboratory.path) != pid, "the worker's end")
        return bool(victims) or screen


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _trainers(worker: psutil.Process) -> list[psutil.Process]:
    try:
        return trainers(worker)
    except psutil.NoSuchProcess:
        return []


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _kill_quietly(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


# What must be true when it is over


def check(over: Storm, undisturbed: dict[str, dict[str, Any]]) -> None:
    """Fails, naming what is wrong, unless every run of a storm has ended as the undisturbed one of its kind."""
    laboratory = over.laboratory
    for run_id, kind in over.runs.items():
        run = laboratory.store.run(run_id)
        assert (run.status, run.step, run.wish) == ("finished", run.steps, None), f"{run.name} is {run.status}"
        mine, expected = left(laboratory, run_id), undisturbed[kind]
        assert mine.keys() == expected.keys(), run.name
        differs = [name for name in mine if mine[name] != expected[name]]
        assert differs == [], f"{run.name} differs from the undisturbed run"
        named, found = stored_files(laboratory.store, run_id)
        assert found == named, f"{run.name} has left files over"
        assert not list(run_folder(laboratory.path, run_id).glob("*.partial"))
    assert lifecycle.waiting_runs(laboratory.store) == []
    assert_never_two_at_once(over.deaths / "commits")


def assert_never_two_at_once(commits: Path) -> None:
    """Fails where one trainer of a run wrote after the next one had begun to."""
    last: dict[str, str] = {}
    ended: set[tuple[str, str]] = set()
    for line in sorted(commits.read_text().splitlines(), key=lambda line: float(line.split("\t")[0])):
        _, run, pid = line.split("\t")
        if last.get(run, pid) != pid:
            ended.add((run, last[run]))
        assert (run, pid) not in ended, f"{run}: process {pid} wrote after another had taken over"
        last[run] = pid


def table(over: Storm) -> str:
    """How many kills there were of what and when, and what became of the runs."""
    lines = ["| killed | when | kills |", "|---|---|---|"]
    lines += [f"| {target} | {when} | {count} |" for (target, when), count in sorted(over.outcomes.items())]
    rows = [over.laboratory.store.run(run_id) for run_id in over.runs]
    attempts = sum(run.attempt for run in rows)
    logs = "\n".join(over.laboratory.log(run.id) for run in rows)
    went_on = logs.count("goes on from step")
    return "\n".join(
        [
            *lines,
            "",
            f"{sum(over.outcomes.values())} kills; {len(rows)} runs, all equal to the undisturbed ones; "
            f"{attempts} attempts, {went_on} of them from a checkpoint; {over.retried} times a run had failed after "
            "three deaths without a checkpoint between and was tried again",
        ]
    )
