"""The pane that looks inside a model: each view, at two sizes, at any step, and where there is nothing to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult
from tui_helpers import until

from lab.config.diagnostics import BINS, Reading
from lab.config.ladder import stage_config
from lab.store import lifecycle
from lab.store.histograms import read_histograms
from lab.store.recorder import RunRecorder
from lab.store.run_store import DatasetFacts, NewRun, RunRow, RunStore
from lab.tui.inside import CHARTED, VIEWS, InsideFacts, place_at, shown_name, view_chart, view_text
from lab.tui.widgets.inside_pane import InsidePane
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.text_pane import TextPane

FACTS = DatasetFacts("5" * 64, "stream", "shakespeare", "/texts/s.txt", 1000, ("a", "b"), 1.25)
SIZES = [(66, 20), (120, 40)]


def readings(step: int) -> list[Reading]:
    """Of an MLP whose tanh saturates more and more."""
    spread, ends = np.zeros(BINS, int), np.zeros(BINS, int)
    spread[20:43] = 30
    ends[[0, BINS - 2]] = step
    ends[BINS - 1] = 3 if step == 40 else 0
    share = 0.2 + step / 100
    return [
        Reading("hidden.0", "activations", "log2-20", tuple(spread.tolist()), 0.0, 690.0, low=-2, high=2),
        Reading("hidden.1", "activations", "linear", tuple(ends.tolist()), 0.0, 2.0 * step, saturated=share),
        Reading("hidden.1", "gradients", "log2-30", tuple(spread.tolist()), 0.0, 1e-6, low=-1, high=1),
        Reading("head", "gradients", "log2-30", tuple(spread.tolist()), 0.0, 1e-4, low=-1, high=1),
        Reading("head.weight", "updates", "log2-30", tuple(spread.tolist()), 0.0, 1e-4, log10_ratio=-3 + step / 100),
    ]  # fmt: skip


def recorded(store: RunStore, steps: tuple[int, ...], more: Sequence[Reading] = (), **settings: Any) -> RunRow:
    config = stage_config("mlp", settings={"steps": 40, **settings})
    [added] = store.add_runs([NewRun(config=config, dataset=FACTS)])
    run = lifecycle.claim(store, added.id)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    for step in steps:
        recorder.snapshot(step, [*readings(step), *more])
    recorder.progress(step=40)
    recorder.close()
    lifecycle.end(store, run.id, run.attempt, "finished")
    return store.run(run.id)


class PaneApp(App[None]):
    """The pane alone."""

    ascii_charts = False

    def __init__(self, store: RunStore) -> None:
        super().__init__()
        self.reader = SimpleNamespace(store=lambda: store)

    def compose(self) -> ComposeResult:
        yield InsidePane(id="inside")


def said(app: App[None]) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def shown(pilot: Any, run: RunRow, step: int) -> InsidePane:
    pane = pilot.app.query_one(InsidePane)
    pane.show_step(run, step, Look())
    await until(pilot, lambda: pane.facts is not None)
    await pilot.pause()
    return pane


@pytest.mark.parametrize("size", SIZES)
async def test_every_view_shows_what_was_recorded(store: RunStore, size: tuple[int, int], tmp_path: Path) -> None:
    run = recorded(store, (1, 20, 40))
    app = PaneApp(store)
    async with app.run_test(size=size) as pilot:
        pane = await shown(pilot, run, 20)
        expected = {
            "layers": "40% saturated",
            "over time": "1 · nonlinearity",
            "saturated": "tanh",
            "updates": "1e-3",
            "gradients": "3.8e-04",
            "findings": "layer 1 tanh 60% saturated",
        }
        assert expected.keys() == set(VIEWS)
        for view in VIEWS:
            assert pane.view == view
            charted = view in CHARTED
            assert (pane.query_one(LossChart).display, pane.query_one(TextPane).display) == (charted, not charted)
            await until(pilot, lambda view=view: expected[view] in said(app))
            pane.turn_view(1)
        assert pane.view == VIEWS[0]
        pane.turn_view(-1)
        assert pane.view == VIEWS[-1]
        assert "findings (1)" in said(app)


async def test_over_time_the_axis_is_told_and_the_step_stands_out(store: RunStore) -> None:
    run = recorded(store, (1, 20, 40))
    app = PaneApp(store)
    async with app.run_test(size=(66, 30)) as pilot:
        pane = await shown(pilot, run, 40)
        facts = pane.facts
        assert facts is not None
        lines = view_text("over time", facts, 40, 60, Look()).plain.splitlines()
        ends = [line.split()[0] for line in lines if line.strip().startswith(("1 █", "−1 █"))]
        assert ends == ["1", "−1"]
        accent = Look().colour("accent")
        text = view_text("over time", facts, 40, 60, Look())
        marked = [text.plain[span.start] for span in text.spans if span.style == accent]
        assert marked.count("█") >= 2


async def test_the_entropy_of_each_head_stands_behind_the_layers(store: RunStore) -> None:
    even, one = np.zeros(BINS, int), np.zeros(BINS, int)
    even[BINS - 2], one[0] = 100, 100
    heads = [
        Reading("blocks.1.attention.head.0", "attention-entropy", "share", tuple(even.tolist()), 100.0, 100.0),
        Reading("blocks.1.attention.head.1", "attention-entropy", "share", tuple(one.tolist()), 4.0, 0.5),
    ]
    run = recorded(store, (1, 20, 40), more=heads)
    app = PaneApp(store)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await shown(pilot, run, 20)
        first, second = (next(line for line in said(app).splitlines() if f"head {n}" in line) for n in (1, 2))
        assert first.split() == ["2", "·", "attention", "head", "1", "█", "entropy", "1.00"]
        assert second.split() == ["2", "·", "attention", "head", "2", "█", "entropy", "0.04"]
        assert first.index("█") > second.index("█") + 10
        assert said(app).index("1 · nonlinearity") < said(app).index("2 · attention head 1")
        assert "tanh −1 … 1; entropy 0 … 1" in said(app)
        pane.turn_view(1)
        await until(pilot, lambda: "2 · attention head 2" in said(app))


async def test_in_a_narrow_pane_names_are_cut_and_no_line_is_broken(store: RunStore) -> None:
    head = Reading("blocks.1.attention.head.0", "attention-entropy", "share", (1,) * BINS, 32.0, 20.0)
    run = recorded(store, (1, 20, 40), more=[head])
    histograms = tuple(found for found in read_histograms(store, run.id) if found.edges != "linear")
    for width, named in ((41, "2 · attention head… "), (70, "2 · attention head 1 ")):
        for view in ("layers", "over time", "gradients"):
            lines = view_text(view, InsideFacts((1,), histograms), 20, width, Look()).plain.splitlines()
            assert max(map(len, lines)) <= width, view
            assert any(named in line for line in lines) or view == "gradients"


async def test_lines_that_do_not_fit_are_cut_not_wrapped_but_findings_are_wrapped(store: RunStore) -> None:
    run = recorded(store, (1, 20, 40))
    app = PaneApp(store)
    async with app.run_test(size=(34, 20)) as pilot:
        pane = await shown(pilot, run, 20)
        drawn = [line for line in said(app).splitlines() if "█" in line]
        assert len(drawn) == 2
        assert drawn[1].rstrip().endswith("…")
        pane.turn_view(-1)
        await until(pilot, lambda: pane.view == "findings" and "what helps" in said(app))
        assert "…" not in said(app).split("what helps")[1]


async def test_a_drawing_is_as_wide_at_every_step(store: RunStore) -> None:
    run = recorded(store, (1, 20, 40))
    app = PaneApp(store)
    async with app.run_test(size=(66, 30)) as pilot:
        pane = await shown(pilot, run, 40)
        assert pane.facts is not None
        for view in ("layers", "over time"):
            drawn = [view_text(view, pane.facts, step, 66, Look()).plain.splitlines() for step in (1, 20, 40)]
            assert len({line.index("σ") for lines in drawn for line in lines if "σ" in line}) == 1


async def test_the_step_cursor_moves_the_histograms(store: RunStore) -> None:
    run = recorded(store, (1, 20, 40))
    app = PaneApp(store)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await shown(pilot, run, 1)
        assert "21% saturated" in said(app)
        pane.show_step(run, 40, Look())
        await until(pilot, lambda: "60% saturated · 3 not finite" in said(app))
        pane.show_step(run, 10_000, Look())
        await pilot.pause()
        assert "60% saturated" in said(app)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, "nothing was recorded of its layers"), ({"diagnostics_every": 0}, "diagnostics_every=0")],
)
async def test_a_run_without_diagnostics_says_so(store: RunStore, settings: dict[str, Any], expected: str) -> None:
    run = recorded(store, (), **settings)
    app = PaneApp(store)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await shown(pilot, run, 20)
        for _ in VIEWS:
            if pane.view == "findings":
                assert "healthy so far" in said(app)
            else:
                assert expected in said(app)
            pane.turn_view(1)
            await pilot.pause()


async def test_a_run_whose_looks_outrun_the_reading_is_shown_all_the_same(store: RunStore) -> None:
    run = recorded(store, (1, 20, 40), diagnostics_every=1)
    app = PaneApp(store)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = app.query_one(InsidePane)
        reads = []
        whole_store = app.reader.store

        def slow_store() -> RunStore:
            reads.append(len(reads))
            pilot.app.call_from_thread(pane.show_step, replace(run, step=len(reads)), 40, Look())  # it has gone on
            return whole_store()

        app.reader.store = slow_store
        pane.show_step(replace(run, step=0), 40, Look())
        await until(pilot, lambda: "60% saturated" in said(app))
        app.reader.store = whole_store
        await until(pilot, lambda: not pane._reading)
        assert pane.facts is not None
        assert pane.facts.key == pane._wanted, "what came in between is read in the end"


async def test_another_run_replaces_the_first(store: RunStore) -> None:
    first, second = recorded(store, (1,)), recorded(store, ())
    app = PaneApp(store)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await shown(pilot, first, 1)
        assert "21% saturated" in said(app)
        pane.show_step(second, 1, Look())
        await until(pilot, lambda: pane.facts is not None and "nothing was recorded" in said(app))


def test_shares_that_are_all_zero_are_said_not_drawn(store: RunStore) -> None:
    config = stage_config("mlp", settings={"steps": 40})
    [added] = store.add_runs([NewRun(config=config, dataset=FACTS)])
    run = lifecycle.claim(store, added.id)
    assert run is not None
    recorder = RunRecorder(store, run.id, run.attempt, run.steps)
    recorder.snapshot(1, [Reading("hidden.1", "activations", "linear", (1,) * BINS, 0.0, 1.0, saturated=0.0)])
    recorder.close()
    content = view_chart("saturated", InsideFacts((), tuple(read_histograms(store, run.id))), 1, Look())
    assert not content.lines
    assert content.nothing == "not one tanh is saturated, not one ReLU dead"


def test_a_step_between_snapshots_shows_the_one_before(store: RunStore) -> None:
    found = read_histograms(store, recorded(store, (1, 20, 40)).id)[0]
    assert [place_at(found, step) for step in (0, 1, 19, 20, 39, 40, 99)] == [0, 0, 0, 1, 1, 2, 2]


def test_names_are_short() -> None:
    assert shown_name("blocks.0.feed_forward.activation") == "1 · ff activation"
    assert shown_name("blocks.2") == "3 · block"
    assert shown_name("hidden.3") == "2 · nonlinearity"
    assert shown_name("hidden.4", parts_of_hidden=3) == "2 · nonlinearity"
    assert shown_name("blocks.1.attention.head.0") == "2 · attention head 1"
    assert shown_name("head.weight") == "head weight"
    assert shown_name("token_embedding") == "token-embedding"
