"""The pages of the run view: which widget each one is, and what it shows of a run at a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from lab.tui.arrangement import PAGES
from lab.tui.chart_options import ChartOptions
from lab.tui.run_charts import (
    METRIC_PAGES,
    last_value,
    loss_content,
    loss_key,
    metric_content,
    metric_heading,
    rate_at,
    rate_content,
    schedule_text,
    trained_by,
)
from lab.tui.run_story import sample_at, sample_text
from lab.tui.snapshot import Snapshot
from lab.tui.sweeps import beside, said_lr, sweep_content, sweep_of_run, sweep_rates_content
from lab.tui.widgets.detail_pane import config_text, log_text
from lab.tui.widgets.inside_pane import InsidePane
from lab.tui.widgets.loss_chart import LossChart
from lab.tui.widgets.rate_pane import RatePane
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from lab.store.run_store import EventRow, RunRow, SampleRow


@dataclass(frozen=True, eq=False)
class RunFacts:
    """What the pages show: a run, what was read of it, and where in it one is."""

    run: RunRow
    snapshot: Snapshot
    options: ChartOptions
    step: int
    held: bool
    """Whether the step is held by the cursor; else it is the newest."""
    samples: tuple[SampleRow, ...] | None
    """None until they are read."""
    checkpoints: tuple[int, ...]
    """The steps of which there are checkpoints."""
    events: tuple[EventRow, ...] | None
    look: Look

    @property
    def cursor(self) -> int | None:
        """The step at which charts draw a cursor; none where they follow the run."""
        return self.step if self.held else None


PAGES_BY_ID = {f"page-{page.casefold()}": page for page in PAGES}
"""The pages by the ids of their widgets."""


def make_page(page: str) -> Widget:
    """The widget of a page, empty."""
    id_ = f"page-{page.casefold()}"
    widget: Widget
    if page == "lr":
        widget = RatePane(id=id_)
    elif page == "inside":
        widget = InsidePane(id=id_)
    elif page in ("sample", "config", "log"):
        widget = TextPane(page.capitalize(), id=id_)
    else:
        widget = LossChart(id=id_)
    return widget.add_class("pane")


def show_page(pane: Widget, page: str, facts: RunFacts) -> str:
    """Shows a page as of these facts; returns its heading."""
    run, snapshot, look = facts.run, facts.snapshot, facts.look
    if isinstance(pane, RatePane):
        return _show_rate(pane, facts)
    if isinstance(pane, InsidePane):
        pane.show_step(run, facts.step, look)
        return f"Inside at step {facts.step:,}"
    if isinstance(pane, TextPane):
        return _show_text(pane, page, facts)
    assert isinstance(pane, LossChart)
    if page == "loss":
        sweep = snapshot.sweeps.get(run.id)
        if sweep is not None:
            rate = sweep.rate_at(facts.step)
            pane.show(sweep_content(sweep, beside(sweep, snapshot.sweeps), look, cursor=rate))
        elif pane.content.key != loss_key(snapshot, run, facts.options, facts.cursor, look, facts.checkpoints):
            pane.show(loss_content(snapshot, run, facts.options, facts.cursor, look, facts.checkpoints))
        return "Loss"
    metrics = METRIC_PAGES[page]
    pane.show(metric_content(metrics, snapshot, run, facts.options, facts.cursor, look))
    return metric_heading(metrics, snapshot, run, facts.step)


def _show_rate(pane: RatePane, facts: RunFacts) -> str:
    run, look = facts.run, facts.look
    hint, sweep = Text(), None
    own = facts.snapshot.sweeps.get(run.id)
    if own is not None:
        pane.show(sweep_rates_content(own, facts.step, look), None, hint)
        return f"Learning rate · {said_lr(own.rate_at(facts.step))} at step {facts.step:,}"
    trained = trained_by(facts.snapshot, run, facts.step)
    found = sweep_of_run(run, facts.snapshot.sweeps) if run.kind == "training" else None
    if found is not None:
        rate = rate_at(trained, facts.step)
        sweep = sweep_content(found, None, look, cursor=rate)
    elif run.kind == "training":
        hint.append(f"no LR sweep of this stage yet: lab lr-find {run.stage}", look.colour("text-muted"))
    pane.show(rate_content(facts.snapshot, run, facts.options, facts.step, look), sweep, hint)
    recorded = last_value(facts.snapshot.curves.get(run.id, {}).get("lr"), facts.step)
    return schedule_text(trained, facts.step, recorded)


def _show_text(pane: TextPane, page: str, facts: RunFacts) -> str:
    run, look, width = facts.run, facts.look, pane.scrollable_content_region.width
    colours = (width, look.dark, tuple(look.colours.items()))
    if page == "sample":
        sample = sample_at(facts.samples or (), facts.step)
        pane.show(
            sample_text(run, facts.samples, facts.step, width, look),
            (sample, facts.samples is None, bool(facts.samples), run.status, colours),
        )
        return f"Sample at step {sample.step:,}" if sample else "Sample"
    if page == "config":
        pane.show(config_text(run, look, width), (run.config_json, run.parameters, run.id, colours))
        return "Config"
    lines = facts.events
    if pane.show(
        Text("reading…", look.colour("text-muted")) if lines is None else log_text(run, lines, look),
        (lines, run.status, run.error, run.ended_at, colours),
    ):
        pane.scroll_end(animate=False)
    return "Log"


def tabs_text(page: str, shown: Sequence[str], room: int, look: Look) -> Text:
    """What `[` and `]` would put into a pane, the present page emphasised; as much as there is room for."""
    free = [each for each in PAGES if each == page or each not in shown]
    said = Text("[ ] ", look.colour("accent"))
    for place, each in enumerate(free):
        said.append(" · " if place else "", look.colour("border"))
        style = f"bold {look.colour('foreground')}" if each == page else look.colour("text-muted")
        said.append(each, style)
    if said.cell_len > room:
        return Text(f"[ ] {free.index(page) + 1} of {len(free)}", look.colour("text-muted")) if room > 16 else Text()
    return said
