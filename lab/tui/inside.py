"""What the inside of a model looks like, as text and as charts: its layers' histograms at a step and over steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from lab.analysis.histograms import bin_edges
from lab.analysis.seen import Finding
from lab.config.diagnostics import BINS, OCTAVES, Kind
from lab.text import clip
from lab.tui.chart_content import ChartContent, Line, Reference
from lab.tui.run_colours import run_colour
from lab.tui.widgets.run_columns import Look

if TYPE_CHECKING:
    from lab.store.histograms import TensorHistograms

VIEWS = ("layers", "over time", "saturated", "updates", "gradients", "findings")
"""What the pane shows, one after the other."""
CHARTED = ("saturated", "updates")
BARS = " ▁▂▃▄▅▆▇█"
SHADES = " ·░▒▓█"
NARROWEST_NAME, WIDEST_NAME = 17, 25
HEAT_ROWS = 5
NARROWEST_DRAWING = 8
RARE = 0.005
"""Share of a snapshot's values below which a bin is left off the ends of the picture over time."""
LECTURES_RATIO = 1e-3
"""The update:data ratio that the lectures call about right."""


@dataclass(frozen=True, eq=False)
class InsideFacts:
    """What was read of a run's inside; `parts` are the modules of each hidden layer of its model."""

    key: tuple[object, ...]
    histograms: tuple[TensorHistograms, ...] = ()
    findings: tuple[Finding, ...] = ()
    parts: int = 2

    def of_kind(self, kind: Kind) -> list[TensorHistograms]:
        """The histograms of one kind, in the model's order."""
        return [found for found in self.histograms if found.kind == kind]

    @property
    def layers_and_heads(self) -> list[TensorHistograms]:
        """The activations of each layer, then the entropy of each attention head."""
        return self.of_kind("activations") + self.of_kind("attention-entropy")


def place_at(histograms: TensorHistograms, step: int) -> int:
    """Which snapshot shows a step: the last that had begun by then, else the first."""
    return max(0, int(np.searchsorted(histograms.first_steps, step, side="right")) - 1)


def shown_name(tensor: str, parts_of_hidden: int = 2) -> str:
    """A layer's name, short: `blocks.0.feed_forward.hidden` is "1 · ff hidden", the first 1 its block's number.

    Its heads are counted from 1 as well.
    """
    parts = tensor.replace("feed_forward", "ff").replace("_", "-").split(".")
    if parts[-2:-1] == ["head"] and parts[-1].isdigit():
        parts[-1] = str(int(parts[-1]) + 1)
    if parts[0] == "blocks" and len(parts) > 1:
        return " · ".join([str(int(parts[1]) + 1), " ".join(parts[2:]) or "block"])
    if parts[0] == "hidden" and len(parts) > 1:
        layer, part = divmod(int(parts[1]), parts_of_hidden)
        return f"{layer + 1} · {'nonlinearity' if part else 'linear'}"
    return " ".join(parts)


def view_text(view: str, facts: InsideFacts, step: int, width: int, look: Look) -> Text:
    """One of the views that are text, at a step."""
    draw: dict[str, Callable[[InsideFacts, int, int, Look], Text]] = {
        "layers": _layers,
        "over time": _over_time,
        "gradients": _gradients,
        "findings": _findings,
    }
    return draw[view](facts, step, width, look)


def view_chart(view: str, facts: InsideFacts, step: int, look: Look) -> ChartContent:
    """One of the views that are curves over steps, with a cursor at a step."""
    lines, references = _update_lines(facts, look) if view == "updates" else _share_lines(facts, look)
    none = "this model has neither tanh nor ReLU layers"
    if view == "saturated" and lines and not any(np.nanmax(line.y) > 0 for line in lines):
        lines, none = [], "not one tanh is saturated, not one ReLU dead"
    nothing = {"updates": "no update was recorded", "saturated": none}
    return ChartContent(
        key=(view, facts.key, step, look.dark),
        lines=lines,
        references=references,
        log_y=view == "updates",
        whole_range=True,
        caption="update:data, by weight" if view == "updates" else "share of tanh saturated, of ReLU dead, by layer",
        nothing=nothing[view],
        cursor=float(step),
    )


def _update_lines(facts: InsideFacts, look: Look) -> tuple[list[Line], list[Reference]]:
    updates = facts.of_kind("updates")
    names = [shown_name(of.tensor.removesuffix(".weight"), facts.parts) for of in updates]
    curves = [(name, of.steps, 10.0**of.log10_ratios) for name, of in zip(names, updates, strict=True)]
    return _lines(curves, look), [Reference("1e-3", LECTURES_RATIO)]


def _share_lines(facts: InsideFacts, look: Look) -> tuple[list[Line], list[Reference]]:
    curves = []
    for of in facts.of_kind("activations"):
        for word, share in (("tanh", of.saturated), ("ReLU", of.dead)):
            if np.isfinite(share).any():
                name = shown_name(of.tensor, facts.parts).removesuffix(" nonlinearity").removesuffix(" activation")
                curves.append((f"{name} {word}", of.steps, share))
    return _lines(curves, look), []


def _lines(curves: Sequence[tuple[str, np.ndarray, np.ndarray]], look: Look) -> list[Line]:
    return [
        Line(steps, values, run_colour(place, dark=look.dark), label)
        for place, (label, steps, values) in enumerate(curves)
        if np.isfinite(values).any()
    ]


def _layers(facts: InsideFacts, step: int, width: int, look: Look) -> Text:
    """A histogram of each layer's activations and of each head's entropy, and its figures."""
    said = Text(no_wrap=True)
    layers = facts.layers_and_heads
    names, drawing = _columns(layers, facts, width - _figures_width(layers))
    octaves = max((_octaves_held(of.counts[place_at(of, step)]) for of in layers if of.edges == "log2-20"), default=1)
    outermost = 2.0 ** (octaves - 20)
    said_outermost = f"{outermost:g}" if outermost >= 1 else f"{outermost:.1g}"
    axes = {
        "log2-20": f"octaves −{said_outermost} … 0 … {said_outermost}",
        "linear": "tanh −1 … 1",
        "share": "entropy 0 … 1",
    }
    said.append("; ".join(axes[edges] for edges in axes if any(of.edges == edges for of in layers)) + "\n", "dim")
    for of, name in zip(layers, names, strict=True):
        place = place_at(of, step)
        cut = OCTAVES - octaves if of.edges == "log2-20" else 0
        said.append(f"{name} ")
        said.append(_bars(of.counts[place, cut : BINS - 1 - cut], drawing), look.colour("primary"))
        said.append(f" {_figures(of, place)}\n", look.colour("text-muted"))
    return said


def _octaves_held(counts: np.ndarray) -> int:
    """Octaves from the smallest up to the largest that holds any of the values (64), of either sign."""
    both = counts[OCTAVES - 1 :: -1] + counts[OCTAVES + 1 : BINS - 1]
    return int(np.flatnonzero(both).max(initial=0)) + 1


def _over_time(facts: InsideFacts, step: int, width: int, look: Look) -> Text:
    """Of each layer and head, sizes upwards, steps to the right, the darker the more; the step's column stands out."""
    said = Text(no_wrap=True)
    said.append("upwards larger values; tanh −1 … 1\n", "dim")
    layers = facts.layers_and_heads
    names, drawing = _columns(layers, facts, width - _figures_width(layers))
    for of, name in zip(layers, names, strict=True):
        cells, ends = _heat(of, HEAT_ROWS)  # (rows, S)
        held = place_at(of, step)
        spread = np.linspace(0, len(of), drawing + 1)[:-1].astype(int)  # a snapshot for each column
        here = int(np.searchsorted(spread, held, side="right")) - 1
        for row in range(HEAT_ROWS):
            named = row == HEAT_ROWS // 2
            said.append(f"{name if named else ends.get(row, '').rjust(len(name))} ", "" if named else "dim")
            for column, place in enumerate(spread):
                style = look.colour("accent") if column == here else look.colour("primary")
                said.append(SHADES[cells[row, place]], style)
            said.append(f" {_figures(of, held)}\n" if named else "\n", look.colour("text-muted"))
        said.append("\n")
    return said


def _gradients(facts: InsideFacts, step: int, width: int, look: Look) -> Text:
    """How large the gradients of each layer's output are, on a logarithmic scale that all layers share."""
    said = Text(no_wrap=True)
    layers = facts.of_kind("gradients")
    names, drawing = _columns(layers, facts, width - len("1.0e-05"))
    sizes = np.array([of.stds[place_at(of, step)] for of in layers])
    seen = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not len(seen):
        return Text("no gradient is above zero here\n", look.colour("text-muted"))
    low, high = np.floor(np.log10(seen.min())), np.ceil(np.log10(seen.max()))
    said.append(f"σ of gradients, 10^{low:.0f} … 10^{high:.0f}\n", "dim")
    for name, size in zip(names, sizes, strict=True):
        share = (np.log10(size) - low) / max(1.0, high - low) if size > 0 else 0.0
        filled = round(float(share) * drawing) if np.isfinite(share) else 0
        said.append(f"{name} ")
        said.append("━" * filled, look.colour("primary"))
        said.append("─" * (drawing - filled), "dim")
        said.append(f" {size:.1e}\n", look.colour("text-muted"))
    return said


def _findings(facts: InsideFacts, step: int, width: int, look: Look) -> Text:
    said = Text()
    if not facts.findings:
        said.append("healthy so far: no rule has found anything\n", look.colour("success"))
    for finding in facts.findings:
        said.append(f"{finding.text}\n", f"bold {look.colour('warning')}")
        said.append(f"  {finding.evidence}\n")
        said.append(f"  what helps: {finding.remedy}\n\n", look.colour("text-muted"))
    return said


def _figures(of: TensorHistograms, place: int) -> str:
    """The deviation, and what is wrong with the layer's outputs, if anything; of a head its mean entropy.

    That is 1 where it attends to all characters alike, and 0 where to one of them.
    """
    if of.kind == "attention-entropy":
        return f"entropy {of.means[place]:.2f}"
    said = f"σ {of.stds[place]:.2g}"
    if np.isfinite(of.saturated[place]):
        said += f" · {of.saturated[place]:.0%} saturated"
    if np.isfinite(of.dead[place]):
        said += f" · {of.dead[place]:.0%} dead"
    lost = int(of.counts[place, BINS - 1])
    return said + (f" · {lost} not finite" if lost else "")


def _figures_width(layers: Sequence[TensorHistograms]) -> int:
    """What the figures of these layers take at most, at whatever step, so that no drawing changes its width."""
    widths = [len("σ 0.0012")]
    for of in layers:
        if of.kind == "attention-entropy":
            widths.append(len("entropy 0.00"))
        elif np.isfinite(of.saturated).any():
            widths.append(len("σ 0.0012 · 100% saturated"))
        elif np.isfinite(of.dead).any():
            widths.append(len("σ 0.0012 · 100% dead"))
    return max(widths)


def _bars(counts: np.ndarray, width: int) -> str:
    """Some bins as one row of bars, the tallest of full height."""
    shares = condensed(counts[None], width)[0]
    heights = np.ceil(shares / max(1e-9, shares.max()) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


def _heat(of: TensorHistograms, rows: int) -> tuple[np.ndarray, dict[int, str]]:
    """Shades (rows, S), the largest above, each snapshot by its own fullest row; what the outermost rows reach to.

    Of a logarithmic axis the sizes, whatever the sign; of it all as much as holds some of the values.
    """
    counts, edges = of.counts[:, : BINS - 1], bin_edges(of.edges)
    if of.edges.startswith("log2"):  # the bin of zero, then octave by octave both signs
        edges = np.concatenate([[0.0], edges[OCTAVES + 1 :]])
        counts = np.concatenate([counts[:, [OCTAVES]], counts[:, OCTAVES - 1 :: -1] + counts[:, OCTAVES + 1 :]], axis=1)
    held = np.flatnonzero((counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) > RARE).any(axis=0))
    if not len(held):
        return np.zeros((rows, len(counts)), dtype=int), {}
    shares = condensed(counts[:, held[0] : held[-1] + 1], rows)  # (S, rows)
    most = np.maximum(shares.max(axis=1, keepdims=True), 1e-9)
    ends = {0: f"{edges[held[-1] + 1]:.2g}", rows - 1: f"{edges[held[0]]:.2g}".replace("-1", "−1")}
    return np.ceil(shares / most * (len(SHADES) - 1)).astype(int).T[::-1], ends


def condensed(counts: np.ndarray, width: int) -> np.ndarray:
    """The bins (S, N) on so many columns: (S, width), whose sums stay the same."""
    edges = np.linspace(0, counts.shape[1], width + 1)
    running = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)], axis=1)  # (S, N + 1)
    at_edges = np.array([np.interp(edges, np.arange(counts.shape[1] + 1), row) for row in running])
    return np.diff(at_edges, axis=1)


def _columns(layers: Sequence[TensorHistograms], facts: InsideFacts, width: int) -> tuple[list[str], int]:
    """The layers' names, all as wide as the widest of them, and how wide a drawing may be between them and figures."""
    names = [shown_name(of.tensor, facts.parts) for of in layers]
    room = max(NARROWEST_NAME, width - NARROWEST_DRAWING - 2)
    widest = min(max((len(name) for name in names), default=0), WIDEST_NAME, room)
    drawing = int(np.clip(width - widest - 2, NARROWEST_DRAWING, BINS - 1))
    return [clip(name, widest).ljust(widest) for name in names], drawing
