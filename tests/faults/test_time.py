"""Clocks that jump and machines that sleep: nothing that lives is taken for dead, no time that is shown is absurd."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import Laboratory, assert_same, eventually, lab, left_behind, trainers

from lab.store import lifecycle
from tests.tui.terminals import lab_in_terminal

RUN = {"steps": 800, "eval_every": 50, "dropout": 0.1, "schedule": "cosine", "warmup_steps": 100}
HOURS = 3600.0
STALL_SECONDS = 4.0


@pytest.fixture(scope="module")
def undisturbed(shared: Laboratory) -> dict[str, Any]:
    """What `RUN` leaves behind where no clock jumps."""
    run_id = shared.add(**RUN)
    with shared.worker(stall_seconds=600.0):
        shared.wait_for(run_id, "finished")
    return left_behind(shared.store, run_id)


@pytest.mark.full
@pytest.mark.parametrize("first_awake", [pytest.param("trainer", marks=pytest.mark.full), "worker"])
def test_a_machine_that_slept_takes_no_trainer_for_dead(
    shared: Laboratory, undisturbed: dict[str, Any], first_awake: str
) -> None:
    run_id = shared.add(**RUN)
    with shared.worker(stall_seconds=STALL_SECONDS) as worker:
        shared.wait_for_checkpoint(run_id)
        asleep = [*trainers(worker), worker]
        for process in asleep:
            process.suspend()
        wakes_at = time.monotonic() + 1.5 * STALL_SECONDS
        eventually(lambda: time.monotonic() > wakes_at, "the end of the sleep")
        for process in asleep if first_awake == "trainer" else reversed(asleep):
            process.resume()
            slower_at = time.monotonic() + STALL_SECONDS / 3
            eventually(lambda at=slower_at: time.monotonic() > at, "the other's turn")
        run = shared.wait_for(run_id, "finished")
    assert (run.attempt, run.failures) == (1, 0)
    assert_same(shared.store, run_id, undisturbed)


@pytest.mark.full
@pytest.mark.parametrize(
    "jump", [pytest.param(-5 * HOURS, id="back"), pytest.param(5 * HOURS, id="ahead", marks=pytest.mark.full)]
)
def test_a_clock_that_jumps_changes_nothing(
    shared: Laboratory, undisturbed: dict[str, Any], tmp_path: Path, jump: float
) -> None:
    clock = tmp_path / "clock"
    run_id = shared.add(**RUN)
    with shared.worker(stall_seconds=60.0, LAB_TEST_CLOCK=str(clock)):
        shared.wait_for_checkpoint(run_id)
        clock.write_text(str(jump))
        while_shifted(shared, run_id, str(clock))
        run = shared.wait_for(run_id, "finished")
    assert (run.attempt, run.failures) == (1, 0)
    assert_same(shared.store, run_id, undisturbed)
    status, said, complained = lab(
        "queue", "add", "bigram", "--steps", "20", "--dataset", str(shared.text), "--db", str(shared.path),
        LAB_TEST_CLOCK=str(clock),
    )  # fmt: skip
    assert status == 0, complained
    newest = said.split()[0]
    assert [row.id for row in shared.store.runs()][-1] == newest, "ids go by what was made first, not by the clock"
    lifecycle.cancel(shared.store, newest)


def while_shifted(shared: Laboratory, run_id: str, clock: str) -> None:
    """Looks at a training run with a clock that is wrong, by the commands and on the screen."""
    said = lab("runs", "--db", str(shared.path), LAB_TEST_CLOCK=clock)[1]
    assert not re.search(r"-\d+[smhdy]\b", said), said
    [shown] = [row for row in json.loads(lab("runs", "--json", "--db", str(shared.path))[1]) if row["id"] == run_id]
    assert 0 <= shown["seconds"] < HOURS


@pytest.mark.full
def test_times_on_the_screen_are_of_the_run_and_not_of_the_clock(shared: Laboratory, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    run_id = shared.add(steps=20_000, eval_every=500)
    with shared.worker(stall_seconds=60.0, LAB_TEST_CLOCK=str(clock)) as worker:
        shared.wait_for_checkpoint(run_id)
        variables = {"LAB_DB": str(shared.path), "XDG_STATE_HOME": str(tmp_path / "state")}
        with lab_in_terminal(tmp_path, size=(140, 40), LAB_TEST_CLOCK=str(clock), **variables) as screen:
            screen.until(str.strip)
            screen.press("2")
            screen.shows("training")
            for jump in (-5 * HOURS, 5 * HOURS):
                clock.write_text(str(jump))
                step = shared.store.run(run_id).step
                eventually(lambda step=step: shared.store.run(run_id).step > step, "a later step")
                shown = screen.shows("left")
                assert not re.search(r"-\d+[smhd]\b", shown), shown
                for left in re.findall(r"(\S+(?: \S+)?) left", shown):
                    assert not re.search(r"\d[hd]\b", left), shown
        assert psutil.pid_exists(worker.pid)
        lifecycle.cancel(shared.store, run_id)
        shared.wait_for(run_id, "cancelled")
