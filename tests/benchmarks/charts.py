"""Speed of the chart: drawing twenty metrics of 5,000 points, and drawing them again when a few points have come."""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import plotext

from lab.analysis.smoothing import smooth
from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.store import lifecycle
from lab.store.recorder import RunRecorder
from lab.store.run_store import NewRun, RunStore
from lab.tui.chart import Drawer, warm_up
from lab.tui.chart_content import ChartContent, Line, Palette
from lab.tui.chart_frame import render_chart
from tests.benchmarks.measure import Comparison, compare

METRICS, POINTS = 20, 5000
NEW_POINTS = 10
WIDTH, HEIGHT = 96, 24
PALETTE = Palette("#444444", "#888888", "#7fd1c7")


def _losses(seed: int) -> np.ndarray:
    """A noisy loss."""
    noise = np.random.default_rng(seed).normal(0, 0.05, POINTS)
    return 2 + 0.03 * seed + 2 * np.exp(-np.arange(POINTS) / 700) + noise


def _content(metrics: list[np.ndarray], key: object, points: int = POINTS, **options: object) -> ChartContent:
    steps = np.arange(float(points))
    lines = [
        Line(steps, y[:points], f"#{40 + 10 * i:02x}80a0", f"run-{i} {y[points - 1]:.3f}", key=str(i))
        for i, y in enumerate(metrics)
    ]
    return ChartContent((key,), lines, x_to=POINTS, **options)  # type: ignore[arg-type]


def _plainly(metrics: list[np.ndarray]) -> str:
    """The baseline: every point handed to plotext."""
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(WIDTH, HEIGHT)
    for y in metrics:
        figure.draw(figure.signal(list(range(len(y))), y.tolist(), marker="braille").lines())
    return str(figure.build().string())


def draw_again(repetitions: int) -> Comparison:
    """Twenty live metrics, each with ten new points, against handing all points to plotext."""
    metrics = [smooth(_losses(i), 0.97) for i in range(METRICS)]
    drawer = Drawer()
    # As many points as the longest will have: so the x-axis stays, as it does for a run that trains.
    lengths = itertools.count(POINTS - 100 * NEW_POINTS, NEW_POINTS)
    render_chart(_content(metrics, 0, next(lengths)), PALETTE, WIDTH, HEIGHT, drawer.draw)

    def ours() -> None:
        points = next(lengths)
        render_chart(_content(metrics, points, points), PALETTE, WIDTH, HEIGHT, drawer.draw)

    note = f"{METRICS} metrics, {POINTS:,} points, {NEW_POINTS} new in each; the baseline hands all to plotext"
    baseline = lambda: _plainly(metrics)  # noqa: E731
    return compare("draw again", ours, baseline, repetitions=repetitions, target="≤ 0.015 s", note=note)


def zoom(repetitions: int) -> Comparison:
    """The same twenty zoomed to another part, so that every line is drawn anew."""
    metrics = [smooth(_losses(i), 0.97) for i in range(METRICS)]
    drawer, starts = Drawer(), itertools.count(100)

    def ours() -> None:
        start = next(starts)
        render_chart(_content(metrics, start, zoom=(start, start + 2000)), PALETTE, WIDTH, HEIGHT, drawer.draw)

    note = f"{METRICS} metrics, {POINTS:,} points, to another part of the x-axis"
    baseline = lambda: _plainly(metrics)  # noqa: E731
    return compare("zoom", ours, baseline, repetitions=repetitions, target="≤ 0.05 s", note=note)


def load_and_draw(repetitions: int) -> Comparison:
    """Reading twenty metrics from the database and drawing them for the first time, against drawing all points."""
    folder = Path(tempfile.mkdtemp())
    store = RunStore.open(folder / "runs.db")
    recorded = _recorded(store)
    metrics = [_losses(i) for i in range(METRICS)]
    warm_up()

    def ours() -> None:
        read = [smooth(store.points(run, "train/loss").values, 0.97) for run in recorded]
        render_chart(_content(read, time.perf_counter()), PALETTE, WIDTH, HEIGHT)

    def baseline() -> None:
        _plainly([smooth(y, 0.97) for y in metrics])

    note = f"{METRICS} runs' {POINTS:,} points from runs.db"
    return compare("load and draw", ours, baseline, repetitions=repetitions, target="≤ 0.2 s", note=note)


def _recorded(store: RunStore) -> list[str]:
    facts = dataset_facts(load_dataset("shakespeare"))
    config = stage_config("bigram", settings={"steps": POINTS})
    ids = []
    for seed in range(METRICS):
        claimed = lifecycle.claim(store, store.add_runs([NewRun(config, facts)])[0].id)
        assert claimed is not None
        recorder = RunRecorder(store, claimed.id, claimed.attempt, POINTS)
        recorder.log("train/loss", 0, _losses(seed).tolist())
        recorder.close()
        ids.append(claimed.id)
    return ids
