"""Reports and their charts: all that matters is in one file, readable by itself, and data stays data."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lab.analysis.alignment import band
from lab.analysis.intervals import mean_interval
from lab.cli.app import run as command
from lab.config.ladder import stage_config
from lab.errors import UsageError
from lab.reports.report import report, write_report
from lab.reports.svg import Curve, curves, intervals
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore

HOSTILE = "<script>alert(1)</script> | *x* \x1b[31m"
SVG = "{http://www.w3.org/2000/svg}"

Finish = Callable[..., RunRow]


@pytest.fixture
def finish(store: RunStore, dataset_facts: DatasetFacts) -> Finish:
    """Stores a finished run with a curve that falls to a loss, and a sample."""

    def store_one(loss: float, seed: int, name: str = "", experiment: str | None = None, **settings: Any) -> RunRow:
        config = stage_config("residual", settings={"steps": 100, "seed": seed, **settings})
        new = NewRun(config, dataset_facts, name=name, experiment=experiment)
        added = store.add_runs([new])[0]
        claimed = lifecycle.claim(store, added.id)
        assert claimed is not None
        recorder = RunRecorder(store, added.id, claimed.attempt, claimed.steps)
        for step in (20, 60, 100):
            recorder.log("val/loss", step, [loss + (100 - step) / 100])
        recorder.sample(100, "KING:\n```<b>so</b>```\n")
        recorder.progress(step=100, val_loss=loss, best_val_loss=loss, parameters=1000, seconds=9.0)
        recorder.close()
        lifecycle.end(store, added.id, claimed.attempt, "finished")
        return store.run(added.id)

    return store_one


@pytest.fixture
def depths(store: RunStore, finish: Finish) -> list[RunRow]:
    """The runs of the shipped experiment on residuals by depth, two seeds each."""
    for layers, gain in ((2, 0.1), (8, 0.4)):
        for seed in (1337, 1338):
            wide = {"experiment": "residual-depth", "layers": layers}
            finish(2.3 + seed / 1e6, seed, residual=False, **wide)
            finish(2.3 + seed / 1e6 - gain + 0.001 * (seed - 1337), seed, **wide)
    return store.runs()


def svgs(path: Path) -> list[ElementTree.Element]:
    """The charts of a report, parsed."""
    text = path.read_text()
    if path.suffix == ".md":
        found = [base64.b64decode(each).decode() for each in re.findall(r"base64,(\S+)", text)]
    else:
        found = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    return [ElementTree.fromstring(each) for each in found]


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_an_experiment_is_reported_part_by_part(
    store: RunStore, depths: list[RunRow], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"report{suffix}"
    assert write_report(store, depths, path) == path.stat().st_size
    text = path.read_text()
    assert "What residuals buy, by depth" in text
    assert "Does a skip connection matter more the deeper the model is?" in text
    headings = re.findall(r"(?:^## |<h2>)(.*?)(?:</h2>|$)", text, re.MULTILINE)
    assert headings[:4] == ["layers=2", "layers=8", "From part to part", "What all runs have in common"]
    assert headings[4:] == ["What they write", "The runs"]
    assert [float(size) for size in re.findall(r"better by ([\d.]+) ± 0.006", text)] == pytest.approx(
        [0.0995, 0.3995], abs=6e-4
    )
    assert "KING:" in text
    assert all(run.id in text for run in depths)
    charts = svgs(path)
    assert len(charts) == 4
    assert all(float(chart.get("width", "0")) > 500 for chart in charts)
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), "it needs nothing from elsewhere"


def test_what_is_data_stays_data(store: RunStore, finish: Finish, tmp_path: Path) -> None:
    runs = [finish(2.0, 1, HOSTILE), finish(2.1, 1, f"{HOSTILE}2", layers=2)]
    for suffix in (".html", ".md"):
        path = tmp_path / f"report{suffix}"
        write_report(store, runs, path)
        text = path.read_text()
        assert "\x1b" not in text
        assert "<script>" not in text.replace("\\<script\\>", "")
        assert len(svgs(path)) == 2
    assert "\n````text\n" in (tmp_path / "report.md").read_text(), "a longer fence than any in the sample"
    assert "<b>so" not in (tmp_path / "report.html").read_text()


def test_one_run_and_one_that_waits_are_reported_too(
    store: RunStore, finish: Finish, dataset_facts: DatasetFacts
) -> None:
    title, blocks = report(store, [finish(2.0, 1)])
    assert title == "A comparison of 1 run"
    assert "the baseline" in repr(blocks)
    waiting = store.add_runs([NewRun(stage_config("linear"), dataset_facts)])
    assert "nothing to compare yet" in repr(report(store, waiting)[1])


def test_a_report_is_written_by_a_command(
    store: RunStore, depths: list[RunRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("LAB_DB", str(store.database.path))
    path = tmp_path / "report.html"
    assert command(["report", "residual-depth", "--to", str(path)]) == 0
    assert capsys.readouterr().out.startswith("a report on 8 runs in ")
    assert "layers=8" in path.read_text()
    assert command(["report", "residual-depth", "--to", str(tmp_path / "report.pdf")]) == 2
    assert "ends in .md or .html" in capsys.readouterr().err
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(store, depths, tmp_path / "no" / "report.md")


def test_curves_are_drawn_with_their_bands_and_gaps() -> None:
    x = np.arange(5.0)
    whole = Curve("a & b", band([(x, 3 - x / 4), (x, 3.1 - x / 4)]))
    broken = Curve("gap", band([(x, np.array([3.0, math.nan, 2, 2, 2]))]))
    root = ElementTree.fromstring(curves([whole, broken], "step", "val"))
    lines = [path.get("d", "") for path in root.iter(f"{SVG}path")]
    assert [line.count("M") for line in lines] == [1, 2], "a gap lifts the pen"
    assert len(list(root.iter(f"{SVG}polygon"))) == 1, "a single run has no band"
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "a & b 2.050" in texts
    assert {"step", "val"} <= set(texts)
    heights = [float(text.get("y", "0")) for text in root.iter(f"{SVG}text") if " 2.0" in (text.text or "")]
    assert abs(heights[0] - heights[1]) >= 14, "labels do not stand on each other"
    assert curves([Curve("none", band([(x, np.full(5, math.nan))]))], "step", "val") == ""
    assert curves([Curve("empty", band([]))], "step", "val") == ""


def test_means_are_drawn_with_their_intervals() -> None:
    root = ElementTree.fromstring(
        intervals([("a", mean_interval([2.0, 2.1])), ("b", None), ("c", mean_interval([2.0]))], "val")
    )
    dots = [circle.get("fill") for circle in root.iter(f"{SVG}circle")]
    assert len(dots) == 2
    assert len(set(dots)) == 2
    assert intervals([("a", None)], "val") == ""
