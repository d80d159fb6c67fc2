"""Knock-out: the val loss of a trained model with one piece removed, and heads in the greedy order of least harm."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.errors import UsageError
from lab.inference.figures import Bars, Cell, Choice, Figure, Lines, Page, Table, number, numbers
from lab.inference.inspection.character_losses import losses_of, tokens_at_once
from lab.inference.inspection.pieces import (
    REPLACEMENTS,
    Group,
    Means,
    Piece,
    blocks_of,
    groups_of,
    pieces_of,
    removal,
    run_without,
    watched,
)
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.inspection.trace import read_stream
from lab.inference.views import InspectOptions
from lab.models.layers import PADDING_TARGET
from lab.training.evaluate import Split

PREDICTIONS_IN_A_WINDOW = 64
"""A model that predicts one character at a time has no windows: so many neighbours stand for one."""
GREEDY_CHARACTERS = 32_768
"""Of the val split, evenly spaced: what the greedy order is chosen by. Its losses are of the whole split."""
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Harm:
    """What the loss is without a piece: the mean, its difference to the whole model's, and half its 95 % interval."""

    piece: Piece
    loss: float
    difference: float
    half_width: float


def knock_out_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """Each piece of a group removed by itself, or the heads one after another.

    Raises `UsageError` on a group that the model has no pieces of, or an unknown replacement.
    """
    config = subject.config
    group, replacement = _asked(subject, options)
    bench = Bench(subject, replacement == "mean")
    pieces = pieces_of(config, group)
    notes = [f"Whole val split, {bench.windows:,} windows; each interval is of 95 % over windows."]
    if group == "heads":
        figures, chosen_by = _greedy(bench, pieces, tell)
        notes.append(f"The order is chosen on {chosen_by:,} evenly spaced examples; the losses are of the whole split.")
    else:
        baseline, harms = bench.harms(pieces, tell)
        figures = [_bars(harms), _table(baseline, harms)]
    instead = "nothing" if replacement == "zero" else "its mean over the val split"
    notes.append(f"In the place of a removed piece stands {instead}.")
    if not config.residual and config.model == "transformer" and group == "parts" and config.layers:
        notes.append("Without skip connections nothing passes a removed piece: each is worth all that came before it.")
    return Page(
        view="knock-out",
        title=f"Knock-out: {group} of {subject.name}",
        look_at="A long bar is a piece that the trained model leans on; a bar at zero is one that it does not miss. "
        "This is not what training without it would cost: the rest had no time to learn its part.",
        figures=tuple(figures),
        notes=tuple(notes),
        choices=(
            Choice("pieces", groups_of(config), group),
            Choice("replacement", REPLACEMENTS, replacement),
        ),
    )


def _asked(subject: Subject, options: InspectOptions) -> tuple[Group, str]:
    groups = groups_of(subject.config)
    wanted = options.pieces or groups[0]
    if wanted not in groups:
        raise UsageError(f"pieces={wanted}: run {subject.run.name} has {', '.join(groups)} to knock out")
    if options.replacement not in REPLACEMENTS:
        raise UsageError(f"replacement={options.replacement} must be one of: {', '.join(REPLACEMENTS)}")
    return wanted, options.replacement


class Bench:
    """A model, its val split, and the losses of both with pieces removed; blocks before a removed one run once."""

    def __init__(self, subject: Subject, by_mean: bool) -> None:
        self.model: nn.Module = subject.model
        self.config: RunConfig = subject.config
        self.split = Split(subject.config, subject.dataset, "val", torch.device("cpu"))
        self._at_once = tokens_at_once(subject.model)
        self._by_mean = by_mean
        self._means: Means | None = None
        self._grouped = 1 if subject.config.predicts_every_position else PREDICTIONS_IN_A_WINDOW

    @property
    def windows(self) -> int:
        """How many windows the interval is over."""
        return math.ceil(len(self.split) / self._grouped)

    def harms(self, pieces: Sequence[Piece], tell: Progress) -> tuple[float, list[Harm]]:
        """The whole model's loss, and that without each piece by itself, on all of the val split."""
        batches = list(self.split.batches(self._at_once))
        means = self._measured_means()
        counts = torch.cat([(targets != PADDING_TARGET).sum(dim=1) for _, targets in batches])
        sums = torch.zeros(len(pieces) + 1, len(counts), dtype=torch.float64)
        start = done = 0
        for tokens, targets in batches:
            end = start + len(tokens)
            before = self._streams(tokens)
            for i, piece in enumerate((None, *pieces)):
                sums[i, start:end] = losses_of(self._logits(piece, tokens, before, means), targets).sum(dim=1)
                done += 1
                tell(done, len(batches) * (len(pieces) + 1))
            start = end
        sums, counts = self._windows(sums), self._windows(counts.double()[None])[0]
        baseline = float(sums[0].sum() / counts.sum())
        return baseline, [_harm(piece, row, sums[0], counts) for piece, row in zip(pieces, sums[1:], strict=True)]

    def mean_loss(self, pieces: tuple[Piece, ...], places: Tensor) -> float:
        """The mean loss with several pieces removed at once, on the examples at some places."""
        tokens, targets = self.split.examples(places)
        means = self._measured_means()
        piece = Piece("", "", several=pieces) if pieces else None
        at_once = max(1, self._at_once // self.config.context_length)
        total = torch.zeros((), dtype=torch.float64)
        for some, wanted in zip(tokens.split(at_once), targets.split(at_once), strict=True):
            total += losses_of(self._logits(piece, some, None, means), wanted).double().sum()
        return float(total / (targets != PADDING_TARGET).sum())

    def _measured_means(self) -> Means | None:
        if self._by_mean and self._means is None:
            self._means = Means()
            hooks = watched(self.model, self.config, self._means)
            for tokens, _ in self.split.batches(self._at_once):
                run_without(hooks, lambda tokens=tokens: self.model(tokens)[0])  # type: ignore[misc]
        return self._means

    def _windows(self, sums: Tensor) -> Tensor:
        """Sums (…, N) of examples as those of windows (…, W)."""
        missing = -sums.shape[-1] % self._grouped
        padded = torch.nn.functional.pad(sums, (0, missing))
        return padded.unflatten(-1, (-1, self._grouped)).sum(dim=-1)  # (…, N) -> (…, W, n) -> (…, W)

    def _streams(self, tokens: Tensor) -> list[Tensor] | None:
        """What each block reads, of the whole model; None where there are no blocks."""
        if self.config.model != "transformer":
            return None
        read: list[Tensor] = []
        hooks = [(block, lambda module, inputs: read.append(inputs[0]), True) for block in blocks_of(self.model)]
        run_without(hooks, lambda: self.model(tokens)[0])
        return read

    def _logits(self, piece: Piece | None, tokens: Tensor, before: list[Tensor] | None, means: Means | None) -> Tensor:
        if piece is None:
            return run_without([], lambda: self.model(tokens)[0])
        hooks = removal(piece, self.model, self.config, means)
        first = piece.block
        if before is None or first is None or first >= len(before):
            return run_without(hooks, lambda: self.model(tokens)[0])
        return run_without(hooks, lambda: self._from_block(first, before[first]))

    def _from_block(self, first: int, stream: Tensor) -> Tensor:
        for block in blocks_of(self.model)[first:]:
            stream = block(stream)
        return read_stream(self.model, stream)


def _harm(piece: Piece, without: Tensor, whole: Tensor, counts: Tensor) -> Harm:
    """From sums (W,) over windows of so many characters each: a ratio, whose scatter is that of its windows."""
    total = counts.sum()
    difference = float((without - whole).sum() / total)
    residue = without - whole - difference * counts
    n = len(counts)
    spread = float(residue.square().sum().sqrt() / total) * math.sqrt(n / max(1, n - 1))
    return Harm(piece, float(without.sum() / total), difference, NORMAL_95 * spread)


def _bars(harms: Sequence[Harm]) -> Bars:
    return Bars(
        "what the val loss rises by without it",
        tuple(harm.piece.name for harm in harms),
        numbers(harm.difference for harm in harms),
        numbers(harm.difference - harm.half_width for harm in harms),
        numbers(harm.difference + harm.half_width for harm in harms),
        reference=0.0,
        reference_name="as trained",
        unit="nats",
    )


def _table(baseline: float, harms: Sequence[Harm]) -> Table:
    ordered = sorted(harms, key=lambda harm: -harm.difference if math.isfinite(harm.difference) else -math.inf)
    rows: list[tuple[Cell, ...]] = [("as trained", "", number(baseline), None, None)]
    rows += [
        (harm.piece.name, harm.piece.kind, number(harm.loss), number(harm.difference), number(harm.half_width))
        for harm in ordered
    ]
    return Table("the most needed first", ("without", "kind", "val loss", "Δ", "±"), tuple(rows))


def _greedy(bench: Bench, heads: Sequence[Piece], tell: Progress) -> tuple[list[Figure], int]:
    """Heads removed one after another, each time the one whose absence hurts least."""
    context = bench.config.context_length
    places = bench.split.evenly_spaced(max(1, GREEDY_CHARACTERS // context))
    removed: list[Piece] = []
    left = list(heads)
    steps = len(heads) * (len(heads) + 1) // 2
    done = 0
    while left:
        losses = []
        for head in left:
            losses.append(bench.mean_loss((*removed, head), places))
            done += 1
            tell(done, 2 * steps)
        least = min(range(len(left)), key=lambda i: losses[i] if math.isfinite(losses[i]) else math.inf)
        removed.append(left.pop(least))
    steps_taken = [
        dataclasses.replace(Piece(f"− {piece.name}", "heads"), several=tuple(removed[: i + 1]))
        for i, piece in enumerate(removed)
    ]
    baseline, harms = bench.harms(steps_taken, lambda part, whole: tell(steps + steps * part // whole, 2 * steps))
    rows: list[tuple[Cell, ...]] = [(0, "as trained", number(baseline), None, None)]
    rows += [
        (i, harm.piece.name.removeprefix("− "), number(harm.loss), number(harm.difference), number(harm.half_width))
        for i, harm in enumerate(harms, start=1)
    ]
    line = Lines(
        "val loss as heads go, the least missed first",
        ("val loss",),
        tuple(float(i) for i in range(len(harms) + 1)),
        (numbers([baseline, *(harm.loss for harm in harms)]),),
        x_name="heads removed",
        y_name="nats",
        reference=number(baseline),
        reference_name="as trained",
    )
    return [line, Table("the greedy order", ("removed", "head", "val loss", "Δ", "±"), tuple(rows)), _bars(harms)], len(
        places
    )
