"""`lab queue add -f`: an experiment from a file, what of it is there already, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cli.app import run
from lab.inference.client import InferenceClient
from lab.inference.protocol import Speed
from lab.queue.slots import cores

PROSE = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 40
Lab = Callable[..., tuple[str, str]]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of the commands, through LAB_DB; nothing is there yet."""
    monkeypatch.setenv("LAB_DB", str(tmp_path / "runs.db"))
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prose.txt").write_text(PROSE)
    return tmp_path / "runs.db"


@pytest.fixture
def lab(capsys: pytest.CaptureFixture[str], database: Path) -> Lab:
    """Runs a command in this process and returns what it wrote and said."""

    def command(*arguments: str, status: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        ended = run(list(arguments))
        captured = capsys.readouterr()
        assert ended == status, captured.err
        return captured.out, captured.err

    return command


EXPERIMENT = """
title = "Two rates"
seeds = [1, 2]
[base]
stage = "bigram"
dataset = "prose.txt"
steps = 20
[grid]
lr = "1e-2, 1e-3"
"""


def test_an_experiment_is_queued_but_for_what_is_there_already(
    lab: Lab, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = Speed(30.0, 0.01, 1e5, 100, "cpu", "fp32", 1)
    monkeypatch.setattr(InferenceClient, "measured", lambda client, request: speed)
    Path("experiments").mkdir()
    Path("experiments/rates.toml").write_text(EXPERIMENT)
    dry = ("queue", "add", "-f", "rates", "--dry-run")
    planned = json.loads(lab(*dry, "--json")[0])
    assert [run["name"] for run in planned["runs"]][:2] == ["bigram/lr=0.01/seed=1", "bigram/lr=1e-3/seed=1"]
    assert planned["to_queue"] == 4
    assert planned["seconds"] == 30 * -(-4 // cores())
    assert not database.exists()
    lab("queue", "add", "bigram", "--dataset", "prose.txt", "--steps", "20", "--seed", "2", "--set", "lr=1e-3")
    listed, said = lab(*dry)
    assert "waits already: bigram-1" in listed
    assert "4 runs, 1 of them trained already, 3 to queue, about" in said
    queued, said = lab("queue", "add", "-f", "experiments/rates.toml")
    assert len(queued.splitlines()) == 3
    assert "to train those again too: --again" in said
    assert lab("queue", "add", "-f", "rates")[0] == ""
    assert len(json.loads(lab("queue", "add", "-f", "rates", "--again", "--json")[0])) == 4
    stored = json.loads(lab("queue", "list", "--json")[0])
    assert [run["experiment"] for run in stored] == [None] + 7 * ["rates"]


def test_a_budget_of_seconds_becomes_steps_by_measured_speed(lab: Lab) -> None:
    Path("quick.toml").write_text(EXPERIMENT.replace("steps = 20\n", "") + "[budget]\nseconds = 2\n")
    planned = json.loads(lab("queue", "add", "-f", "quick.toml", "--dry-run", "--json")[0])
    (steps,) = {run["steps"] for run in planned["runs"]}
    assert steps > 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title = "x', "wrong.toml:1:11: unterminated string"),
        ('title = "x"\n[base]\nstage = "bigrm"', "wrong.toml:3:1: unknown stage 'bigrm': did you mean 'bigram'?"),
        ('title = "x"\nseeds = "1..1000000"\n[base]\nstage = "bigram"', "the grid comes to 1,000,000 runs"),
        ('title = "x"\nexclude = "lr > 0"\n[base]\nstage = "bigram"', "wrong.toml:2:1: `lr > 0` leaves none of 1"),
    ],
)
def test_a_wrong_experiment_is_refused(lab: Lab, database: Path, text: str, said: str) -> None:
    Path("wrong.toml").write_text(text)
    assert said in lab("queue", "add", "-f", "wrong.toml", status=2)[1]
    assert not database.exists()


def test_an_experiment_says_everything(lab: Lab, database: Path) -> None:
    assert "-f FILE says everything" in lab("queue", "add", "-f", "heads", "bigram", status=2)[1]
    assert "-f FILE says everything" in lab("queue", "add", "-f", "heads", "--seed", "0", status=2)[1]
    assert "name a stage, or an experiment" in lab("queue", "add", status=2)[1]
    assert "did you mean 'heads'?" in lab("queue", "add", "-f", "head", status=2)[1]
    assert not database.exists()
