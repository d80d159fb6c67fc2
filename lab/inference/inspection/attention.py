"""Attention: whom each character asks, by layer and head, for one prompt."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.errors import UsageError
from lab.inference.figures import Bars, Choice, Figure, Heatmap, Page, Table, grid, number, numbers
from lab.inference.inspection.prompt import Prompt, read_prompt
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.inspection.trace import trace_transformer
from lab.inference.views import InspectOptions

MOST_CELLS = 400_000
"""Of all maps of a page: more than that take seconds to send and to read; one layer at a time then."""


def attention_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """Each layer's and head's map, entropy and mean distance by head, and whom one position attends to.

    Raises `UsageError` on a layer, head or position that there is not.
    """
    subjects = [subject, *([subject.other] if subject.other else [])]
    figures: list[Figure] = []
    notes: list[str] = []
    for one in subjects:
        prompt = read_prompt(one, options.prompt)
        maps = [weights[0] for weights in trace_transformer(one.model, prompt.tokens).attention]  # each (nh, T, T)
        layer = chosen(options.layer, len(maps), "layer", one)
        head = chosen(options.head, maps[0].shape[0], "head", one)
        if not layer and len(maps) * maps[0].numel() > MOST_CELLS:
            layer = len(maps)
            notes.append(f"{len(maps)} layers of such maps are too many for one page: layer {layer} is shown.")
        group = one.name if subject.other else ""
        figures += _maps(one, maps, prompt, (layer, head), group)
        figures += _by_head(maps, group)
        figures.append(_attended(one, maps, prompt, (layer, head), options.position, group))
        notes += prompt.notes
    if not subject.config.causal_mask:
        notes.append("The mask is off: every position reads those after it too.")
    first = read_prompt(subject, options.prompt)
    return Page(
        view="attention",
        title=f"Attention of {subject.name}",
        look_at="Each row is a character that asks, and its shades are whom it listens to; a head with one dark stripe "
        "below the diagonal looks a fixed way back. Low entropy is a head that has made up its mind, a mean distance "
        "near 1 one that only looks at its neighbour.",
        figures=tuple(figures),
        notes=tuple(dict.fromkeys(notes)),
        choices=(
            Choice("layer", ("", *_counted(subject.config.layers)), str(options.layer or "")),
            Choice("head", ("", *_counted(subject.config.heads)), str(options.head or "")),
            Choice("position", _counted(len(first.characters)), str(options.position or len(first.characters))),
        ),
    )


def chosen(wanted: int, count: int, what: str, subject: Subject) -> int:
    """A layer, head or position that a person names, from 1; 0 for all. Raises `UsageError` where there is none."""
    if not 0 <= wanted <= count:
        raise UsageError(f"run {subject.run.name} has no {what} {wanted}: it has {what}s 1 to {count}")
    return wanted


def row_entropy(weights: Tensor) -> Tensor:
    """How undecided each row (…, T) of weights is, in nats: 0 for one-hot, ln n for an even average of n."""
    return torch.special.entr(weights).sum(dim=-1)


def mean_distance(weights: Tensor) -> Tensor:
    """How far away, in characters, each row (…, T, T) of weights reads on average."""
    places = torch.arange(weights.shape[-1], dtype=weights.dtype)
    return (weights * (places[:, None] - places).abs()).sum(dim=-1)


def _counted(count: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(1, count + 1))


def _maps(subject: Subject, maps: list[Tensor], prompt: Prompt, shown: tuple[int, int], group: str) -> list[Figure]:
    layer, head = shown
    visible = torch.ones(maps[0].shape[-2:], dtype=torch.bool)
    if subject.config.causal_mask:
        visible = visible.tril()
    figures: list[Figure] = []
    for i, weights in enumerate(maps, start=1):
        for j, one in enumerate(weights, start=1):
            if layer in (0, i) and head in (0, j):
                title = f"layer {i} head {j}" + (f", {group}" if group else "")
                figures.append(
                    Heatmap(
                        title,
                        prompt.characters,
                        prompt.characters,
                        grid(one.masked_fill(~visible, torch.nan).tolist()),
                        0.0,
                        1.0,
                        row_name="asks",
                        column_name="is read",
                        unit="weight",
                        lower_triangular=subject.config.causal_mask,
                        group=f"layer {i} {group}".strip(),
                    )
                )
    return figures


def _by_head(maps: list[Tensor], group: str) -> list[Figure]:
    labels = tuple(f"{i}.{j}" for i, weights in enumerate(maps, 1) for j in range(1, weights.shape[0] + 1))
    entropy = torch.cat([row_entropy(weights).mean(dim=-1) for weights in maps])
    distance = torch.cat([mean_distance(weights).mean(dim=-1) for weights in maps])
    t = maps[0].shape[-1]
    even = torch.ones(t, t).tril() / torch.arange(1, t + 1)[:, None]
    suffix = f", {group}" if group else ""

    def bars(title: str, values: torch.Tensor, of_even: torch.Tensor, unit: str) -> Bars:
        return Bars(
            f"{title}{suffix}",
            labels,
            numbers(values.tolist()),
            reference=number(float(of_even.mean())),
            reference_name="an even average",
            unit=unit,
            group=f"by head {group}".strip(),
        )

    return [
        bars("entropy by head (layer.head)", entropy, row_entropy(even), "nats"),
        bars("mean distance by head", distance, mean_distance(even), "characters back"),
    ]


def _attended(
    subject: Subject, maps: list[Tensor], prompt: Prompt, shown: tuple[int, int], wanted: int, group: str
) -> Table:
    """Whom a position (the last unless given) reads, the most read first, on average over the heads that are shown."""
    t = len(prompt.characters)
    position = chosen(wanted, t, "position", subject) or t
    layer, head = shown
    of_layers = maps if not layer else [maps[layer - 1]]
    rows = torch.cat([weights if not head else weights[head - 1 : head] for weights in of_layers])[:, position - 1]
    mean = rows.mean(dim=0)  # (heads, T) -> (T,)
    last = position if subject.config.causal_mask else t
    order = mean[:last].argsort(descending=True, stable=True).tolist()
    which = f"layer {layer}" if layer else "all layers"
    which += f" head {head}" if head else ", all heads"
    suffix = f", {group}" if group else ""
    return Table(
        f"position {position} ({prompt.characters[position - 1]}) reads, {which}{suffix}",
        ("position", "character", "back", "weight"),
        tuple((i + 1, prompt.characters[i], position - 1 - i, number(float(mean[i]))) for i in order),
        group=group,
    )
