"""Runs written out: every metric, the whole config and the results, readable by any other program."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from lab.config.ladder import stage_config
from lab.errors import UsageError
from lab.reports.run_export import check_target, export_runs
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore

HOSTILE = '=1+1,"\n\x1b[31m'


@pytest.fixture
def runs(store: RunStore, dataset_facts: DatasetFacts) -> list[RunRow]:
    """A run with two metrics, one of its values not a number, and one that waits and has a hostile name."""
    new = NewRun(config=stage_config("bigram", settings={"lr": 0.02}), dataset=dataset_facts, tags=("a", "b"))
    store.add_runs([new, NewRun(config=stage_config("bigram"), dataset=dataset_facts, name=HOSTILE)])
    run = lifecycle.claim(store)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    recorder.log("train/loss", 1, [3.0, math.nan, 1.0])
    recorder.log("val/loss", 2, [2.5])
    recorder.sample(3, "KING:\nso")
    recorder.progress(step=3, val_loss=2.5)
    recorder.close()
    lifecycle.end(store, run.id, run.attempt, "finished")
    return store.runs()


def test_json_lines_hold_everything(store: RunStore, runs: list[RunRow], tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert export_runs(store, runs, path) == path.stat().st_size
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["metrics"]["train/loss"]["steps"] == [1, 2, 3]
    assert first["metrics"]["train/loss"]["values"] == [3.0, None, 1.0]
    assert first["config"]["lr"] == 0.02
    assert first["config"].keys() == runs[0].config.resolved().keys()
    assert (first["results"]["val_loss"], first["results"]["status"]) == (2.5, "finished")
    assert first["samples"] == [{"step": 3, "text": "KING:\nso"}]
    assert first["tags"] == ["a", "b"]
    assert second["name"] == HOSTILE
    assert second["metrics"] == {}


def test_a_csv_has_a_row_for_each_run_and_step(store: RunStore, runs: list[RunRow], tmp_path: Path) -> None:
    path = tmp_path / "runs.CSV"
    export_runs(store, runs, path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["at_step"], row["train/loss"], row["val/loss"]) for row in rows] == [
        ("1", "3.0", ""),
        ("2", "", "2.5"),
        ("3", "1.0", ""),
        ("", "", ""),
    ]
    assert {row["config.lr"] for row in rows[:3]} == {"0.02"}
    assert rows[0]["result.val_loss"] == "2.5"
    assert rows[3]["name"] == f"'{HOSTILE}", "a spreadsheet would take it for a formula"


def test_what_was_there_is_replaced_whole_or_not_at_all(
    store: RunStore, runs: list[RunRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr(store, "points", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export_runs(store, runs, path)
    assert path.read_text() == "before"
    assert not list(tmp_path.glob(".runs.csv*"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("runs.txt", "ends in .csv or .jsonl"), (".csv", "ends in .csv or .jsonl"), ("no/runs.csv", "there is no folder")],
)
def test_a_file_that_does_not_do_is_said(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        check_target(tmp_path / name)
