"""`lab compare`, `lab diff` and `lab test` as a person and a script use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.cli.app import run
from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.reports.compared_runs import runs_meant
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunStore
from tests.conftest import NAMES

Lab = Callable[..., str]


@pytest.fixture(autouse=True)
def database(database_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of the commands in these tests."""
    monkeypatch.setenv("LAB_DB", str(database_path))
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.chdir(database_path.parent)
    return database_path


@pytest.fixture
def lab(capsys: pytest.CaptureFixture[str]) -> Lab:
    """Runs a command in this process and returns what it wrote, stderr with it where it fails as expected."""

    def command(*arguments: str, status: int = 0) -> str:
        capsys.readouterr()
        assert run(list(arguments)) == status, capsys.readouterr().err
        captured = capsys.readouterr()
        return captured.err if status else captured.out

    return command


def finished(
    store: RunStore,
    facts: DatasetFacts,
    stage: str,
    losses: dict[int, float],
    experiment: str = "depth",
    **settings: Any,
) -> None:
    """Stores finished runs of a config, by seed, each with a curve that falls to its loss."""
    config = stage_config(stage, settings={"steps": 100, **settings})
    runs = [NewRun(config.replace(seed=seed), facts, experiment=experiment) for seed in losses]
    for row, loss in zip(store.add_runs(runs), losses.values(), strict=True):
        claimed = lifecycle.claim(store, row.id)
        assert claimed is not None
        recorder = RunRecorder(store, row.id, claimed.attempt, claimed.steps)
        for step in (20, 60, 100):
            recorder.log("val/loss", step, [loss + (100 - step) / 100])
            recorder.log("chars_per_second", step, [1000.0])
        recorder.progress(step=100, val_loss=loss, best_val_loss=loss, parameters=1000, seconds=9.0)
        recorder.close()
        lifecycle.end(store, row.id, claimed.attempt, "finished")


@pytest.fixture
def depths(store: RunStore, dataset_facts: DatasetFacts) -> RunStore:
    """Two depths with and without skips, three seeds each."""
    for layers, gain in ((2, 0.1), (4, 0.3)):
        finished(store, dataset_facts, "residual", {1: 2.3, 2: 2.31, 3: 2.32}, layers=layers, residual=False)
        with_skips = {seed: 2.3 + 0.01 * seed - gain + 0.002 * seed for seed in (1, 2, 3)}
        finished(store, dataset_facts, "residual", with_skips, layers=layers)
    return store


def test_an_experiment_is_compared_part_by_part(lab: Lab, depths: RunStore) -> None:
    parts = json.loads(lab("compare", "depth", "--within", "layers", "--reach", "2.4", "--json"))
    assert [part["part"] for part in parts] == ["layers=2", "layers=4"]
    sentences = [[group["sentence"] for group in part["groups"]] for part in parts]
    assert sentences[0][0] == sentences[1][0] == "the baseline"
    assert sentences[0][1].startswith("better by 0.0")
    assert sentences[1][1].startswith("better by 0.2")
    second = parts[1]["groups"][1]
    assert (second["n"], second["paired"], second["group"]) == (3, True, "residual=on")
    assert parts[0]["differences"] == {"residual": [False, True]}
    assert parts[0]["groups"][0]["reached"]["characters"] == pytest.approx(91 * 32 * 8, rel=0.02)


GRID = """
title = "Skips by depth"
seeds = "1..3"

[base]
stage = "residual"
steps = 100

[grid]
layers = [2, 4]
residual = [false, true]
"""


def test_an_experiment_s_file_says_its_parts_and_which_runs_stand_for_it(
    lab: Lab, store: RunStore, database: Path
) -> None:
    facts = dataset_facts(load_dataset("shakespeare"))
    folder = database.parent / "experiments"
    folder.mkdir()
    (folder / "depth.toml").write_text(GRID)
    finished(store, facts, "residual", {1: 2.2, 2: 2.21, 3: 2.22}, layers=2)
    finished(store, facts, "residual", {1: 2.3, 2: 2.31, 3: 2.32}, "another", layers=2, residual=False)
    finished(store, facts, "residual", {1: 2.3, 2: 2.311, 3: 2.32}, "another", layers=4, residual=False)
    finished(store, facts, "residual", {1: 2.0, 2: 2.012, 3: 2.02}, layers=4)
    finished(store, facts, "residual", {1: 1.0}, "another", layers=8)
    parts = json.loads(lab("compare", "depth", "--json"))
    assert [part["part"] for part in parts] == ["layers=2", "layers=4"]
    assert [[group["group"] for group in part["groups"]] for part in parts] == [["residual=off", "residual=on"]] * 2
    gained = [part["groups"][1]["across_parts"] for part in parts]
    assert gained[0]["difference"]["mean"] == pytest.approx(-0.1)
    assert gained[1]["sentence"].startswith("lower by 0.2")
    assert "across_parts" not in parts[0]["groups"][0]
    assert "from part to part" in lab("compare", "depth")
    lab("report", "depth", "--to", "report.md")
    said = (database.parent / "report.md").read_text()
    assert "# Skips by depth" in said
    assert "From part to part" in said


def test_a_part_with_one_group_is_shown_without_a_verdict(
    lab: Lab, depths: RunStore, dataset_facts: DatasetFacts
) -> None:
    finished(depths, dataset_facts, "residual", {1: 2.0, 2: 2.1}, layers=6)
    parts = json.loads(lab("compare", "depth", "--within", "layers", "--json"))
    assert [[group["outcome"] for group in part["groups"]] for part in parts] == [
        ["baseline", "better"],
        ["baseline", "better"],
        ["baseline"],
    ]


def test_a_run_stands_for_its_seeds_unless_alone(lab: Lab, depths: RunStore) -> None:
    said = lab("compare", "residual-1", "residual-4")
    assert "better by" in said
    assert "only what differs" in said
    assert "too few seeds" in lab("compare", "residual-1", "residual-4", "--alone")
    worse = json.loads(lab("compare", "residual-1", "residual-4", "--baseline", "residual-5", "--json"))
    assert [group["outcome"] for group in worse["groups"]] == ["worse", "baseline"]


def test_a_run_of_an_experiment_is_known_by_its_name_though_that_looks_like_a_filter(
    depths: RunStore, dataset_facts: DatasetFacts
) -> None:
    config = stage_config("bigram")
    depths.add_runs([NewRun(config, dataset_facts, name="bigram/lr=0.01/seed=1")])
    assert [run.name for run in runs_meant(depths, ["bigram/lr=0.01/seed=1"])] == ["bigram/lr=0.01/seed=1"]
    assert len(runs_meant(depths, ["layers=2"])) == 6, "what is no name is a filter"


def test_runs_are_grouped_by_any_setting(lab: Lab, depths: RunStore) -> None:
    found = json.loads(lab("compare", "depth", "--by", "residual", "--json"))
    assert [(group["group"], group["n"], group["paired"]) for group in found["groups"]] == [
        ("residual=off", 6, False),  # the baseline, a pair of nothing
        ("residual=on", 6, True),
    ]


def test_only_what_differs_between_two_runs(lab: Lab, depths: RunStore) -> None:
    said = json.loads(lab("diff", "residual-1", "residual-4", "--json"))
    assert said["differences"] == {"residual": [False, True]}
    assert lab("diff", "residual-1", "residual-1") == "their configs are the same\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "residual-1"], "these 3 runs are one group (one config): name another run"),
        (["compare", "residual-1", "--alone"], "residual-1 is alone: name another run"),
        (["compare", "dept"], "did you mean 'depth'?"),
        (["compare", "depth", "--by", "layer"], "did you mean 'layers'"),
        (["compare", "depth", "--metric", "accuracy"], "has no accuracy; all of them have chars_per_second, val/loss"),
        (["compare", "stage:nothing"], "no run matches 'stage:nothing'"),
        (["test", "residual-1", "--yes"], "run residual-1 has no checkpoint yet"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(lab: Lab, depths: RunStore, arguments: list[str], said: str) -> None:
    complaint = lab(*arguments, status=1 if arguments[0] == "test" else 2)
    assert said in complaint
    assert complaint.count("\n") == 1


def test_runs_without_a_common_metric_are_not_compared(
    lab: Lab, store: RunStore, dataset_facts: DatasetFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(store, dataset_facts, "bigram", {1: 2.3})
    bare = store.add_runs([NewRun(stage_config("linear"), dataset_facts)])[0]
    claimed = lifecycle.claim(store, bare.id)
    assert claimed is not None
    lifecycle.end(store, bare.id, claimed.attempt, "finished")
    said = lab("compare", "bigram", "linear", status=2)
    assert "linear has no val, and these runs have no metric in common" in said


def test_looks_at_the_test_split_are_asked_for_and_counted(lab: Lab, database: Path) -> None:
    (database.parent / "few-names.txt").write_text("\n".join(NAMES) + "\n")
    lab("train", "bigram", "--dataset", "few-names.txt", "--as", "words", "--steps", "20")
    refused = lab("test", "bigram-1", status=2)
    assert "Say so with --yes" in refused
    assert "test_looks" not in refused
    first = json.loads(lab("test", "bigram-1", "--yes", "--json"))
    assert 0 < first["test_loss"] < 5
    assert first["looks"] == 1
    assert "2 looks so far" in lab("test", "bigram-1", "--yes")
    assert "(2 looks) at step 20" in lab("show", "bigram-1")
    assert [look["step"] for look in json.loads(lab("show", "bigram-1", "--json"))["test_looks"]] == [20, 20]


def test_a_stream_has_no_test_split(lab: Lab, database: Path, prose_file: Path) -> None:
    lab("train", "bigram", "--dataset", str(prose_file), "--steps", "10")
    assert "has no test split" in lab("test", "bigram-1", "--yes", status=2)
