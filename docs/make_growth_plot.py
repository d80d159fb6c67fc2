"""Measures how the cost grows, and draws it: a step by embedding, context and layers; the screen by runs and points.

    python docs/make_growth_plot.py

Writes docs/growth.svg. One thread; each figure is the shortest of several, so that what else the machine does counts
little. Takes about a minute.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks, whose machine and recorder are used here

from lab.config.ladder import stage_config
from lab.datasets.dataset import load_dataset
from lab.queue.requests import dataset_facts
from lab.store.run_store import NewRun, RunStore
from lab.training.device import Resources
from lab.training.loop import TrainingLoop
from lab.tui.chart import Drawer, warm_up
from lab.tui.chart_content import ChartContent, Line, Palette
from lab.tui.chart_frame import render_chart
from tests.benchmarks.measure import machine
from tests.memory_recorder import MemoryRecorder

BASE = {"embedding_dim": 64, "context_length": 64, "layers": 4, "heads": 4, "batch_size": 8}
SIZES = {
    "embedding_dim": (16, 32, 64, 128, 256),
    "context_length": (8, 16, 32, 64, 128, 256),
    "layers": (1, 2, 4, 8),
}
RUNS = (10, 100, 1000, 3000)
POINTS = (100, 1000, 10_000, 100_000)
PATH = Path(__file__).parent / "growth.svg"
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, BOTTOM = 250, 210, 52, 34, 44
INK, GRID, LINE = "#24292f", "#e3e5e8", "#0072b2"


@dataclass(frozen=True)
class Panel:
    """What one quantity costs at several sizes, in milliseconds."""

    title: str
    x_name: str
    sizes: Sequence[int]
    milliseconds: Sequence[float]


def shortest(call: Callable[[], object], *, seconds: float = 0.7, fewest: int = 5) -> float:
    """Milliseconds of the shortest of several calls, after one to warm up."""
    call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < fewest or time.perf_counter() < until:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def of_steps(field: str, sizes: Sequence[int]) -> Panel:
    """A training step of the layernorm rung by one of its sizes, the others staying."""
    dataset = load_dataset("shakespeare")
    found = []
    for size in sizes:
        config = stage_config("layernorm", settings=BASE | {field: size, "diagnostics_every": 0})
        loop = TrainingLoop(config, dataset, MemoryRecorder(), Resources("cpu", "fp32", 1))
        steps = iter(range(1, 1_000_000))
        found.append(shortest(lambda loop=loop, steps=steps: loop._step(next(steps))))  # type: ignore[misc]
    return Panel("a training step", field, sizes, found)


def of_runs(sizes: Sequence[int]) -> Panel:
    """Opening a database and listing its runs."""
    facts = dataset_facts(load_dataset("shakespeare"))
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "runs.db"
            store = RunStore.open(path)
            store.add_runs([NewRun(stage_config("bigram", settings={"seed": seed}), facts) for seed in range(size)])
            store.close()

            def open_and_list(path: Path = path) -> None:
                opened = RunStore.open(path)
                opened.runs()
                opened.close()

            found.append(shortest(open_and_list))
    return Panel("opening and listing", "runs", sizes, found)


def of_points(sizes: Sequence[int]) -> Panel:
    """Drawing five curves anew, as a zoom does."""
    warm_up()
    palette = Palette("#444444", "#888888", "#7fd1c7")
    noise = np.random.default_rng(0)
    found = []
    for size in sizes:
        x = np.arange(float(size))
        lines = [
            Line(x, 2 + noise.normal(0, 0.1, size), f"#{60 + 30 * i:02x}80a0", f"{i}", key=f"{i}") for i in range(5)
        ]
        keys = iter(range(1_000_000))

        def draw(lines: list[Line] = lines, keys: object = keys) -> None:
            content = ChartContent((next(keys),), lines, x_to=len(lines[0].x))  # type: ignore[call-overload]
            render_chart(content, palette, 96, 24, Drawer().draw)

        found.append(shortest(draw))
    return Panel("drawing five curves", "points each", sizes, found)


def drawn(panel: Panel, left: float, top: float) -> list[str]:
    """A panel with both axes logarithmic, its place given by its corner."""
    width, height = PANEL_WIDTH - LEFT - 20, PANEL_HEIGHT - TOP - BOTTOM
    xs = [math.log10(size) for size in panel.sizes]
    ys = [math.log10(value) for value in panel.milliseconds]
    low, high = math.floor(min(ys)), max(math.ceil(max(ys)), math.floor(min(ys)) + 1)
    parts = [f'<g transform="translate({left} {top})">', text(LEFT, 18, f"{panel.title}, ms", "start", bold=True)]

    def x_of(value: float) -> float:
        return LEFT + (value - xs[0]) / (xs[-1] - xs[0]) * width

    def y_of(value: float) -> float:
        return TOP + (high - value) / (high - low) * height

    for decade in range(low, high + 1):
        y = y_of(decade)
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(text(LEFT - 6, y + 4, f"{10.0**decade:g}", "end"))
    places = [(x_of(x), y_of(y)) for x, y in zip(xs, ys, strict=True)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    parts.append(f'<path d="M{path}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    for (x, y), size, value in zip(places, panel.sizes, panel.milliseconds, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{LINE}"><title>{value:.3g} ms</title></circle>')
        parts.append(text(x, TOP + height + 16, f"{size // 1000}k" if size >= 1000 else str(size), "middle"))
    parts.append(text(LEFT + width / 2, TOP + height + 34, panel.x_name, "middle"))
    return [*parts, "</g>"]


def text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    """A line of text."""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def main() -> None:
    """Measures, prints what was found, and writes the picture."""
    torch.set_num_threads(1)
    panels = [of_steps(field, sizes) for field, sizes in SIZES.items()] + [of_runs(RUNS), of_points(POINTS)]
    for panel in panels:
        figures = ", ".join(f"{size}: {value:.3g}" for size, value in zip(panel.sizes, panel.milliseconds, strict=True))
        print(f"{panel.title} (ms) by {panel.x_name}: {figures}")
    width, height = 3 * PANEL_WIDTH, 2 * PANEL_HEIGHT + 48
    base = "C 64, T 64, 4 layers, 4 heads, batch 8"
    notes = [f"The layernorm rung at {base}, one of its sizes changed; one thread.", machine()]
    parts = [
        line for i, panel in enumerate(panels) for line in drawn(panel, i % 3 * PANEL_WIDTH, i // 3 * PANEL_HEIGHT)
    ]
    parts += [text(LEFT, height - 26 + 16 * i, note, "start") for i, note in enumerate(notes)]
    body = "\n".join(parts)
    PATH.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12" fill="{INK}">\n'
        f'<title>How the cost grows</title>\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
