"""What is told of compared groups beside the table: the verdict in full, what differs, samples, insides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab import text
from lab.analysis.config_diff import MISSING
from lab.analysis.seen import hidden_parts
from lab.config.diagnostics import BINS, OCTAVES, Kind
from lab.tui.comparisons import ComparisonView
from lab.tui.inside import condensed, place_at, shown_name
from lab.tui.theme import blend
from lab.tui.widgets.group_table import OUTCOME_COLOURS
from lab.tui.widgets.run_columns import STATUS_SIGNS, Look

if TYPE_CHECKING:
    from lab.store.histograms import TensorHistograms

PAGES = ("verdict", "differs", "samples", "inside")
INSIDE_KINDS: tuple[Kind, ...] = ("activations", "gradients", "weights", "updates")
NARROWEST_SAMPLE = 28
HISTOGRAM_ROWS = 4
NARROWEST_HISTOGRAM = 16
SCROLLBAR = 2
"""Columns that a bar to scroll with takes where the layers are many."""
NARROWEST_VALUE = 9


# Verdict


def verdict_text(comparison: ComparisonView, place: int, look: Look) -> Text:
    """What came of one group: the sentence, its figures, and what is unfair, with what would make it fair."""
    group, verdict = comparison.groups[place], comparison.verdicts[place]
    muted = look.colour("text-muted")
    said = Text()
    said.append("● ", look.colour_of(group.first.id))
    said.append(text.literal(group.label), "bold")
    base = comparison.groups[comparison.baseline]
    if place != comparison.baseline:
        said.append(f" against {text.literal(base.label)}", muted)
    said.append(f"\n{verdict.sentence}\n\n", f"bold {look.colour(OUTCOME_COLOURS.get(verdict.outcome, 'foreground'))}")
    for name, value, more in _figures(comparison, place):
        said.append(f"{name:<12}", muted)
        said.append(value)
        said.append(f"  {more}\n" if more else "\n", muted)
    warnings = comparison.warnings[place]
    if warnings:
        said.append("\nnot quite fair\n", f"bold {look.colour('warning')}")
    for warning in warnings:
        said.append(f"! {warning.touches}: ", look.colour("warning"))
        said.append(f"{text.literal(warning.text)}\n")
        said.append(f"  fair: {text.literal(warning.remedy)}\n", muted)
    if not warnings and place != comparison.baseline and verdict.final is not None:
        said.append("\nnothing unfair was found\n", look.colour("success"))
    said.append(f"\n{text.plural(len(group.runs), 'run')}\n", muted)
    for run in group.runs:
        sign, word, colour = STATUS_SIGNS.get(run.status, ("?", run.status, "error"))
        said.append(f"{sign} ", look.colour(colour))
        said.append(f"{text.literal(run.name)}  ")
        said.append(f"seed {run.seed}  val {text.loss(run.val_loss)}  {word}\n", muted)
    return said


def _figures(comparison: ComparisonView, place: int) -> list[tuple[str, str, str]]:
    """Names, values, and what is to be said of them."""
    group, verdict, reached = comparison.groups[place], comparison.verdicts[place], comparison.reached.get(place)
    final = verdict.final
    found = [("val", text.interval(final), f"mean of {text.plural(final.count, 'run')}" if final else "")]
    if verdict.best is not None:
        found.append(("best", text.interval(verdict.best), "lowest on the way"))
    if verdict.difference is not None:
        how = "run by run, same batches" if verdict.paired else "of the two means"
        found.append(("Δ", text.interval(verdict.difference, signed=True), how))
    if verdict.parameters:
        found.append(("parameters", f"{verdict.parameters:,}", ""))
    if verdict.chars_per_second:
        found.append(("chars/s", text.si(verdict.chars_per_second), ""))
    if verdict.seconds:
        found.append(("time", text.duration(verdict.seconds), ""))
    if reached is not None and comparison.target is not None:
        name = f"to {comparison.target:.2f}"
        if reached.runs:
            time = text.duration(reached.seconds) if reached.seconds is not None else text.NOTHING
            some = f"{reached.runs} of {text.plural(len(group.runs), 'run')}"
            found.append((name, f"{time}, {text.si(reached.characters)} characters", some))
        else:
            found.append((name, "never", f"none of {text.plural(len(group.runs), 'run')}"))
    return found


# What differs


def differs_text(comparison: ComparisonView, place: int, width: int, look: Look) -> RenderableType:
    """The settings that are not the same in all groups: a column a group, or where they are many a line each."""
    differ = comparison.differences
    muted = look.colour("text-muted")
    if len(comparison.groups) < 2:
        return Text("one group alone: nothing to differ from", muted)
    if not differ:
        return Text("their configs are equal", muted)
    widest = max(len(each.key) for each in differ)
    fitting = max(1, (width - widest) // (NARROWEST_VALUE + 2))
    if len(comparison.groups) > fitting:
        return _differs_by_group(comparison, look)
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style=muted)
    table.add_column("setting", no_wrap=True)
    for index, group in enumerate(comparison.groups):
        head = Text(text.literal(group.label), look.colour_of(group.first.id), overflow="fold")
        head.stylize("bold" if index == place else "")
        table.add_column(head, overflow="fold", min_width=NARROWEST_VALUE)
    base = comparison.baseline
    for each in differ:
        cells = [_value(value, value == each.values[base], look) for value in each.values]
        table.add_row(Text(each.key, muted), *cells)
    return table


def _differs_by_group(comparison: ComparisonView, look: Look) -> Text:
    """Each group's own settings as words; those that are as the baseline's are left out."""
    said = Text()
    base = comparison.baseline
    for place, group in enumerate(comparison.groups):
        said.append("◆ " if place == base else "● ", look.colour_of(group.first.id))
        said.append(text.literal(group.label), "bold")
        words = [
            f"{each.key}={_plain(each.values[place])}"
            for each in comparison.differences
            if place == base or each.values[place] != each.values[base]
        ]
        said.append(f"  {' '.join(words) or 'as the baseline'}\n", look.colour("text-muted"))
    return said


def _value(value: Any, same: bool, look: Look) -> Text:
    return Text(_plain(value), look.colour("text-muted") if same else look.colour("accent"))


def _plain(value: Any) -> str:
    return text.NOTHING if value is MISSING else text.literal(text.shown_value(value))


# Samples


def sampled_runs(comparison: ComparisonView, place: int, width: int) -> tuple[Any, ...]:
    """One run a group, as many as have room: that of the group under the cursor, the baseline's, the next ones."""
    room = max(1, width // NARROWEST_SAMPLE)
    order = [place, comparison.baseline, *range(place + 1, len(comparison.groups)), *range(place)]
    runs = {comparison.groups[each].first.id: comparison.groups[each].first for each in order[: len(order)]}
    return tuple(runs.values())[:room]


def samples_text(
    comparison: ComparisonView, runs: Sequence[Any], steps: Mapping[str, int], look: Look
) -> RenderableType:
    """What these runs had written by their steps, side by side."""
    muted = look.colour("text-muted")
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, expand=True)
    cells = []
    for run in runs:
        written = comparison.samples.get(run.id)
        shown = [sample for sample in written or () if sample.step <= steps[run.id]] or list(written or ())[:1]
        head = Text(text.literal(run.name), f"bold {look.colour_of(run.id)}", overflow="fold")
        where = f"\nstep {shown[-1].step:,} · seed {run.seed}" if shown else "\n"
        head.append(where, f"not bold {muted}")
        table.add_column(head, ratio=1, overflow="fold")
        if written is None:
            cells.append(Text("reading…", muted))
        elif not shown:
            cells.append(Text("it wrote no sample", muted))
        else:
            cells.append(Text(text.literal(shown[-1].text, lines=True)))
    table.add_row(*cells)
    return table


def samples_remark(runs: Sequence[Any], of: int) -> str:
    """Whether they began alike, and how many are not shown."""
    seeds = {run.seed for run in runs}
    alike = "same start, same seed" if len(seeds) == 1 else "same start, each with its own seed"
    return f"{alike} · {len(runs)} of {of}" if len(runs) < of else alike


# Inside


def inside_text(
    comparison: ComparisonView, runs: Sequence[Any], kind: Kind, steps: Mapping[str, int], width: int, look: Look
) -> Text:
    """Histograms of two runs over each other, layer by layer, at their steps."""
    muted = look.colour("text-muted")
    if len(runs) < 2:
        return Text("a second group is needed: its histograms are laid over these", muted)
    read = [comparison.inside.get(run.id) for run in runs]
    if any(found is None for found in read):
        return Text("reading…", muted)
    of_kind = [[each for each in found or () if each.kind == kind] for found in read]
    said = _legend(runs, steps, of_kind, look)
    for run, found in zip(runs, read, strict=True):
        if not found:
            said.append(f"nothing was recorded of the layers of {text.literal(run.name)}\n", muted)
    second = {each.tensor: each for each in of_kind[1]}
    both = [(each, second[each.tensor]) for each in of_kind[0] if each.tensor in second]
    for one, other in both:
        _append_layer(said, (one, other), runs, steps, width, look)
    for mine, its, run in ((of_kind[0], of_kind[1], runs[0]), (of_kind[1], of_kind[0], runs[1])):
        names = {each.tensor for each in its}
        alone = [shown_name(each.tensor, _parts_of_hidden(run)) for each in mine if each.tensor not in names]
        if alone and all(read):
            said.append(f"only in {text.literal(run.name)}: {', '.join(alone)}\n", muted)
    return said


def _legend(
    runs: Sequence[Any], steps: Mapping[str, int], found: Sequence[Sequence[TensorHistograms]], look: Look
) -> Text:
    said = Text()
    for run, histograms in zip(runs, found, strict=True):
        step = histograms[0].steps[place_at(histograms[0], steps[run.id])] if histograms else steps[run.id]
        said.append("█ ", look.colour_of(run.id))
        said.append(f"{text.literal(run.name)} at step {step:,}   ")
    said.append("█ ", _both_colour(runs, look))
    said.append("both\n\n", look.colour("text-muted"))
    return said


def _both_colour(runs: Sequence[Any], look: Look) -> str:
    mixed = blend(look.colour_of(runs[0].id), look.colour_of(runs[1].id), 0.5)
    return blend(mixed, look.colour("foreground") if look.colours else "#ffffff", 0.6)


def _append_layer(
    said: Text,
    pair: tuple[TensorHistograms, TensorHistograms],
    runs: Sequence[Any],
    steps: Mapping[str, int],
    width: int,
    look: Look,
) -> None:
    """One layer's two histograms as a picture, its name and figures over it, its axis below."""
    places = [place_at(of, steps[run.id]) for of, run in zip(pair, runs, strict=True)]
    said.append(shown_name(pair[0].tensor, _parts_of_hidden(runs[0])), "bold")
    for of, place, run in zip(pair, places, runs, strict=True):
        said.append(f"  σ {of.stds[place]:.2g}", look.colour_of(run.id))
        for word, share in (("saturated", of.saturated[place]), ("dead", of.dead[place])):
            if np.isfinite(share):
                said.append(f" {share:.0%} {word}", look.colour_of(run.id))
    said.append("\n")
    if pair[0].edges != pair[1].edges:
        said.append("binned otherwise: not to be laid over each other\n\n", look.colour("text-muted"))
        return
    log = pair[0].edges.startswith("log2")
    octaves = max(_octaves(of.counts[place]) for of, place in zip(pair, places, strict=True)) if log else OCTAVES
    cut = OCTAVES - octaves if log else 0
    room = max(NARROWEST_HISTOGRAM, width - SCROLLBAR)
    shares = [_shares(of.counts[place], cut, room) for of, place in zip(pair, places, strict=True)]
    cell = max(1, min(3, room // len(shares[0])))
    colours = (look.colour_of(runs[0].id), look.colour_of(runs[1].id), _both_colour(runs, look))
    said.append_text(superimposed(shares[0], shares[1], colours, HISTOGRAM_ROWS, cell))
    said.append(_axis(pair[0].edges, octaves, cell * len(shares[0])), look.colour("text-muted"))
    said.append("\n\n")


def _parts_of_hidden(run: Any) -> int:
    return hidden_parts(run.settings.get("dropout"))


def _octaves(counts: np.ndarray) -> int:
    both = counts[OCTAVES - 1 :: -1] + counts[OCTAVES + 1 : BINS - 1]
    return int(np.flatnonzero(both).max(initial=0)) + 1


def _shares(counts: np.ndarray, cut: int, most: int) -> np.ndarray:
    """Shares of the values in each bin, or in as many columns as there is room for."""
    held = counts[cut : BINS - 1 - cut].astype(float)
    if len(held) > most:
        held = condensed(held[None], most)[0]
    return held / max(1.0, held.sum())


def superimposed(one: np.ndarray, other: np.ndarray, colours: tuple[str, str, str], rows: int, cell: int = 1) -> Text:
    """Two histograms (B,) over each other in so many rows of half blocks: each in its colour, both in the third."""
    most = max(float(one.max(initial=0)), float(other.max(initial=0)), 1e-12)
    heights = [np.ceil(np.sqrt(shares / most) * 2 * rows).astype(int) for shares in (one, other)]
    said = Text(no_wrap=True)
    for row in range(rows - 1, -1, -1):
        for mine, its in zip(*heights, strict=True):
            upper, lower = (_owner(mine, its, 2 * row + half) for half in (2, 1))
            if upper is None and lower is None:
                said.append(" " * cell)
            elif upper is None and lower is not None:
                said.append("▄" * cell, colours[lower])
            elif lower is None and upper is not None:
                said.append("▀" * cell, colours[upper])
            elif upper == lower and upper is not None:
                said.append("█" * cell, colours[upper])
            elif upper is not None and lower is not None:
                said.append("▀" * cell, f"{colours[upper]} on {colours[lower]}")
        said.append("\n")
    return said


def _owner(mine: int, its: int, height: int) -> int | None:
    """Whose bar reaches a height: 0 and 1 for one alone, 2 for both."""
    if mine >= height and its >= height:
        return 2
    return 0 if mine >= height else 1 if its >= height else None


def _axis(edges: str, octaves: int, width: int) -> str:
    """What stands at the ends and in the middle."""
    end = f"{2.0 ** (octaves - 20):.3g}" if edges.startswith("log2") else "1"
    left, right = f"−{end}", end
    middle = "0"
    gap = max(1, width // 2 - len(left))
    line = left + " " * gap + middle
    return line + " " * max(1, width - len(line) - len(right)) + right
