"""The commands as a person and a script use them: what they do, print and answer on tiny runs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.cli import output
from lab.cli.app import run
from lab.queue.requests import stop_worker, worker_pid
from lab.store.run_store import RunRow, RunStore

PROSE = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 40
RUN_KEYS = {
    *("id", "name", "stage", "dataset", "status", "step", "steps", "parameters", "train_loss", "val_loss"),
    *("best_val_loss", "best_step", "seconds", "chars_per_second", "device", "threads", "config"),
}
RUNG_KEYS = {
    *("stage", "adds", "also_changed", "published_val_loss", "runs", "val_loss", "choices", "parameters", "seconds"),
    "delta",
}

Lab = Callable[..., str]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of the commands in these tests, through LAB_DB; nothing is there yet."""
    monkeypatch.setenv("LAB_DB", str(tmp_path / "runs.db"))
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prose.txt").write_text(PROSE)
    return tmp_path / "runs.db"


@pytest.fixture
def lab(capsys: pytest.CaptureFixture[str]) -> Lab:
    """Runs a command in this process and returns what it wrote; fails on another exit status than expected."""

    def command(*arguments: str, status: int = 0) -> str:
        capsys.readouterr()
        assert run(list(arguments)) == status, capsys.readouterr().err
        return capsys.readouterr().out

    return command


@pytest.fixture
def trained(lab: Lab) -> RunRow:
    """A tiny finished run, bigram-1."""
    lab("train", "bigram", "--dataset", "prose.txt", "--steps", "20", "--set", "eval_every=10")
    return stored("bigram-1")


def stored(name: str) -> RunRow:
    store = RunStore.open(Path(os.environ["LAB_DB"]))
    try:
        return store.resolve(name)
    finally:
        store.close()


def strict(text: str) -> Any:
    """A JSON document, which may hold no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


# train and continue


def test_train_trains_a_run_and_says_how_it_ended(lab: Lab) -> None:
    said = lab("train", "bigram", "--dataset", "prose.txt", "--steps", "20", "--name", "first")
    run_ = stored("first")
    assert (run_.status, run_.step, run_.trained_by) == ("finished", 20, "command")
    began, _, losses = said.partition(" in ")
    assert began == f"first ({run_.id}): finished at step 20"
    assert f"s: val {run_.val_loss:.3f} (" in losses


def test_trains_json_is_the_run(lab: Lab) -> None:
    document = strict(
        lab(
            *("train", "multi-head", "--dataset", "prose.txt", "--steps", "20", "--seed", "7"),
            *("--set", "heads=2", "--set", "lr=1e-2", "--json"),
        )
    )
    assert document.keys() >= RUN_KEYS
    assert (document["stage"], document["status"], document["step"], document["steps"]) == (
        *("multi-head", "finished"),
        *(20, 20),
    )
    assert document["dataset"] == str(Path("prose.txt").resolve())
    config = document["config"]
    assert (config["heads"], config["lr"], config["seed"], document["seed"]) == (2, 0.01, 7, 7)
    assert document["val_loss"] == stored("multi-head-1").val_loss


def test_words_are_trained_on_as_words(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("\n".join(["emma", "olivia", "ava", "mia"] * 30))
    document = strict(lab("train", "mlp", "--dataset", "few.txt", "--as", "words", "--steps", "20", "--json"))
    assert (document["config"]["dataset_as"], document["config"]["context_length"]) == ("words", 3)
    assert len(lab("sample", "mlp-1", "--count", "4").splitlines()) == 4


def test_a_run_that_diverges_is_kept_and_the_command_fails(lab: Lab) -> None:
    said = ("train", "bigram", "--dataset", "prose.txt", "--steps", "40", "--set", "lr=1e6")
    document = strict(lab(*said, "--json", status=1))
    assert document["status"] == "diverged"
    assert document["error"].startswith("diverged at step ")


def test_continue_makes_a_child_whose_curve_starts_at_the_parents_step(lab: Lab, trained: RunRow) -> None:
    document = strict(lab("continue", "bigram-1", "--steps", "10", "--set", "lr=1e-3", "--name", "child", "--json"))
    assert (document["parent"], document["parent_step"], document["step"], document["steps"]) == (
        *(trained.id, 20),
        *(30, 30),
    )
    assert document["config"]["lr"] == 1e-3
    store = RunStore.open(Path(os.environ["LAB_DB"]))
    assert store.points(document["id"], "train/loss").steps.tolist() == list(range(21, 31))
    assert store.points(document["id"], "val/loss").steps.min() == 20
    assert store.run(trained.id).step == 20
    store.close()


def test_continue_goes_on_for_as_many_steps_again_from_any_checkpoint(lab: Lab, trained: RunRow) -> None:
    document = strict(lab("continue", "bigram-1", "--checkpoint", "2", "--json"))
    assert (document["parent_step"], document["steps"]) == (2, 22)


# sample


def test_sample_writes_on_from_the_lectures_start_or_from_a_prompt(lab: Lab, trained: RunRow) -> None:
    assert len(lab("sample", "bigram-1", "--tokens", "40")) == 41
    assert lab("sample", "bigram-1", "--tokens", "5", "--prompt", "To be").startswith("To be")
    assert lab("sample", "bigram-1", "--count", "3", "--tokens", "5").count("─" * 40) == 2


def test_samples_json_counts_what_was_written(lab: Lab, trained: RunRow) -> None:
    said = lab("sample", trained.id, "--prompt", "To ", "--tokens", "12", "--count", "2", "--json")
    document = strict(said)
    assert document.keys() == {"run", "step", "samples", "tokens_per_second"}
    assert (document["run"], document["step"]) == (trained.id, 20)
    assert [(len(each["text"]), each["tokens"]) for each in document["samples"]] == [(15, 12)] * 2
    assert document["tokens_per_second"] > 0


def test_the_same_seed_writes_the_same(lab: Lab, trained: RunRow) -> None:
    def written(seed: int) -> str:
        return lab("sample", "bigram-1", "--tokens", "60", "--seed", str(seed))

    assert written(1) == written(1) != written(2)


@pytest.mark.parametrize(("which", "step"), [("best", 20), ("last", 20), ("1", 1), ("20", 20)])
def test_any_checkpoint_can_be_sampled(lab: Lab, trained: RunRow, which: str, step: int) -> None:
    said = lab("sample", "bigram-1", "--tokens", "5", "--checkpoint", which, "--json")
    assert strict(said)["step"] == step


# runs and show


def test_runs_lists_filters_and_sorts(lab: Lab, trained: RunRow) -> None:
    lab("train", "linear", "--dataset", "prose.txt", "--steps", "30")
    lab("queue", "add", "single-head", "--dataset", "prose.txt")

    def listed(*arguments: str) -> list[str]:
        return [each["name"] for each in strict(lab("runs", *arguments, "--json"))]

    assert listed() == ["bigram-1", "linear-1", "single-head-1"]
    assert listed("stage:linear") == ["linear-1"]
    assert listed("status:done -linear") == ["bigram-1"]
    assert listed("--sort", "-steps") == ["single-head-1", "linear-1", "bigram-1"]
    by_val = listed("--sort", "val_loss")
    assert (set(by_val[:2]), by_val[2]) == ({"bigram-1", "linear-1"}, "single-head-1")
    table = lab("runs").splitlines()
    assert [line.split()[1] for line in table] == ["name", "bigram-1", "linear-1", "single-head-1"]
    assert lab("runs", "stage:mlp") == ""


def test_show_tells_all_of_a_run(lab: Lab, trained: RunRow) -> None:
    said = lab("show", "bigram-1")
    for part in (
        "status: finished at step 20 of 20",
        "  lr = 0.01",
        "complete at 20",
        "sample at step 20",
        "attempt 1",
    ):
        assert part in said
    document = strict(lab("show", trained.id[:6], "--json"))
    assert document.keys() >= RUN_KEYS | {"metrics", "checkpoints", "samples", "log", "findings"}
    assert {"train/loss", "val/loss"} <= set(document["metrics"])
    assert {each["kind"] for each in document["checkpoints"]} >= {"complete", "best"}


# ladder


@pytest.fixture
def worker_ends(database: Path) -> Iterator[None]:
    """Ends the worker that a test's commands have started."""
    yield
    stop_worker(database)


@pytest.mark.usefixtures("worker_ends")
def test_ladder_trains_rungs_in_the_background_and_trains_none_again(
    lab: Lab, capsys: pytest.CaptureFixture[str], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("ladder", "--quick", "--stages", "bigram,linear", "--dataset", "prose.txt")
    document = strict(lab(*arguments, "--json"))
    assert document.keys() == {"seconds", "stages"}
    bigram, linear = document["stages"]
    assert bigram.keys() >= RUNG_KEYS
    assert (bigram["stage"], linear["stage"]) == ("bigram", "linear")
    assert bigram["delta"] is None
    assert linear["delta"] == pytest.approx(linear["val_loss"] - bigram["val_loss"])
    assert bigram["choices"] == pytest.approx(math.exp(bigram["val_loss"]))
    [first] = bigram["runs"]
    assert (stored(first).steps, stored(first).tags, stored(first).trained_by) == (300, ("quick",), "worker")
    assert worker_pid(database) is not None

    again = strict(lab(*arguments, "--json"))
    assert [rung["runs"] for rung in again["stages"]] == [rung["runs"] for rung in document["stages"]]

    for width, shown in ((200, "parameters"), (120, "parameters"), (80, "published")):
        monkeypatch.setattr(output, "console", lambda width=width: Console(width=width, highlight=False, markup=False))
        table = lab(*arguments).splitlines()
        assert max(map(len, table[:3])) <= width
        assert shown in "\n".join(table)
        assert "linear" in table[2]
        assert f"{linear['val_loss']:.3f}" in table[2]

    assert lab("worker", "--stop") == ""
    assert worker_pid(database) is None


@pytest.mark.full
def test_ladder_takes_up_what_was_paused(lab: Lab, database: Path, worker_ends: None) -> None:
    lab("queue", "add", "bigram", "--dataset", "prose.txt", "--steps", "300")
    lab("queue", "pause", "bigram-1")
    document = strict(
        lab("ladder", "--quick", "--stages", "bigram", "--seeds", "2", "--dataset", "prose.txt", "--json")
    )
    assert document["stages"][0]["runs"][0] == stored("bigram-1").id
    assert len(document["stages"][0]["runs"]) == 2


# queue and worker


def test_the_queue_is_added_to_listed_and_put_in_another_order(lab: Lab) -> None:
    said = lab("queue", "add", "bigram", "linear", "--dataset", "prose.txt", "--seeds", "2", "--steps", "20")
    assert [line.split()[1] for line in said.splitlines()] == ["bigram-1", "bigram-2", "linear-1", "linear-2"]
    assert [stored(name).seed for name in ("linear-1", "linear-2")] == [1337, 1338]
    lab("queue", "move", "linear-2", "1")
    lab("queue", "pause", "bigram-1", "bigram-2")
    lab("queue", "resume", "bigram-2")
    lab("queue", "cancel", "linear-1")
    assert [each["name"] for each in strict(lab("queue", "list", "--json"))] == ["bigram-2", "linear-2"]
    assert [stored(name).status for name in ("bigram-1", "linear-1")] == ["paused", "cancelled"]
    lab("queue", "retry", "linear-1")
    listed = lab("queue", "list").splitlines()
    assert [line.split()[:3:2] for line in listed[1:]] == [["1", "bigram-2"], ["2", "linear-2"], ["3", "linear-1"]]
    lab("queue", "stop", "linear-1")
    assert stored("linear-1").status == "cancelled"


@pytest.mark.full
def test_the_whole_queue_is_paused_and_goes_on(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab("queue", "add", "bigram", "--dataset", "prose.txt", "--steps", "20")
    lab("queue", "pause")
    lab("worker", "--until-empty", "--slots", "1")
    assert stored("bigram-1").status == "queued"
    capsys.readouterr()
    assert run(["queue", "list"]) == 0
    assert "the queue is paused; let it go on with: lab queue resume" in capsys.readouterr().err
    lab("queue", "resume")
    lab("worker", "--until-empty", "--slots", "1")
    assert stored("bigram-1").status == "finished"


def test_a_dry_run_queues_nothing(lab: Lab, database: Path) -> None:
    added = ("queue", "add", "bigram", "--dataset", "prose.txt", "--seeds", "2", "--dry-run")
    assert lab(*added).splitlines()[1].startswith("bigram: 3,000 steps, seed 1338, on ")
    document = strict(lab(*added, "--json"))
    assert [each["config"]["seed"] for each in document] == [1337, 1338]
    assert not database.exists()


def test_a_worker_empties_the_queue_in_the_foreground(lab: Lab) -> None:
    document = strict(lab("queue", "add", "bigram", "--dataset", "prose.txt", "--steps", "20", "--json"))
    assert document[0].keys() >= RUN_KEYS
    lab("worker", "--until-empty", "--slots", "1")
    assert stored("bigram-1").status == "finished"
    assert strict(lab("queue", "list", "--json")) == []


# dataset and doctor


def test_datasets_are_listed_added_and_shown(lab: Lab, tmp_path: Path) -> None:
    assert [each["name"] for each in strict(lab("dataset", "list", "--json"))] == ["shakespeare", "names"]
    assert lab("dataset", "add", "prose.txt", "--name", "mine").startswith("mine: 3,400 characters, ")
    assert "mine" in lab("dataset", "list")
    document = strict(lab("dataset", "show", "mine", "--json"))
    assert (document["characters"], document["as"]) == (3400, "stream")
    assert sum(document["splits"].values()) == 3400
    assert sum(each["count"] for each in document["vocabulary"]) == 3400
    assert document["batch"][0] == {"context": "T", "target": "o"}
    said = lab("dataset", "show", "names")
    assert " → " in said
    assert "bigram by counting 2.4629" in said


def test_doctor_finds_nothing_wrong_and_then_what_is(lab: Lab, trained: RunRow, database: Path) -> None:
    document = strict(lab("doctor", "--json"))
    assert document["database"]["problems"] == []
    assert document["database"]["runs"] == 1
    assert document["machine"]["device"] == "cpu"
    assert "no problems found" in lab("doctor")
    next((database.parent / "runs.db.files" / trained.id).glob("complete*")).unlink()
    assert "is gone or cut short: train the run again" in lab("doctor", status=1)


def test_doctor_tells_of_a_database_that_cannot_be_opened(lab: Lab, database: Path) -> None:
    database.write_text("a letter to my aunt, longer than a hundred characters so that it might be a database" * 3)
    [problem] = strict(lab("doctor", "--json", status=1))["database"]["problems"]
    assert "is not a database of lab's" in problem


# The command itself


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert done.stdout.startswith("lab 0.")


def test_without_a_terminal_lab_says_what_to_do() -> None:
    done = subprocess.run([sys.executable, "-m", "lab"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lab: the screen needs a terminal; for commands that need none see: lab --help\n"


@pytest.mark.parametrize("command", [(), ("train",), ("ladder",), ("queue",), ("queue", "add"), ("sample",), ("runs",)])
def test_every_command_has_help_that_fits_the_line(lab: Lab, command: tuple[str, ...]) -> None:
    said = lab(*command, "--help")
    assert said.startswith(f"Usage: lab {' '.join(command)}".rstrip())
    assert max(map(len, said.splitlines())) <= 80
    assert "..." not in said.partition("\n")[2]  # no help is cut off


def test_help_comes_at_once() -> None:
    """The best of three, so that other work on the machine does not count."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lab", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.8


def test_a_reader_that_has_read_enough_is_no_error(trained: RunRow) -> None:
    command = f"{sys.executable} -m lab show bigram-1 | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("bigram-1 (")
    assert done.stderr == ""
