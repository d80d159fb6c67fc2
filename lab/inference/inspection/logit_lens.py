"""The logit lens (nostalgebraist 2020): what the head would predict from the stream after each block."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.errors import DatasetError
from lab.inference.figures import Bars, Figure, Heatmap, Page, Table, grid, number, numbers
from lab.inference.inspection.character_losses import losses_of, tokens_at_once
from lab.inference.inspection.prompt import Prompt, read_prompt
from lab.inference.inspection.subject import Progress, Subject
from lab.inference.inspection.trace import read_stream, trace_transformer
from lab.inference.views import InspectOptions
from lab.models.layers import PADDING_TARGET
from lab.training.evaluate import Split

WINDOWS_SCORED = 256
"""Of the val split, evenly spaced: enough for the loss by depth to stand still in its second digit."""
CHARACTERS_SCORED = 16_384
"""At most, where windows are long."""


def logit_lens_page(subject: Subject, options: InspectOptions, tell: Progress) -> Page:
    """The prediction after each block at each position, where it is decided, and the loss by depth."""
    prompt = read_prompt(subject, options.prompt)
    streams = trace_transformer(subject.model, prompt.tokens).streams
    names, readable = depths(subject, streams)
    logits = torch.stack([read_stream(subject.model, stream)[0] for stream in readable])  # (D, T, V)
    likely = logits.softmax(dim=-1)
    figures: list[Figure] = [_predictions(subject, prompt, names, likely), _decided(subject, prompt, names, likely)]
    if prompt.tokens.shape[1] > 1:
        figures.insert(1, _right(prompt, names, likely))
    notes = [*prompt.notes]
    try:
        figures.append(_losses(subject, names, tell))
    except DatasetError as error:
        notes.append(f"No loss by depth: {error}.")
    if len(readable) < len(streams):
        notes.append("Before the block the stream is of another width than the head reads: it cannot be read there.")
    if not subject.config.residual:
        notes.append(
            "Without skip connections each block writes a new stream: the head was never meant for the others."
        )
    return Page(
        view="logit-lens",
        title=f"Logit lens of {subject.name}",
        look_at="Each row is one block deeper, and each cell what the model would say there. The depth at which a "
        "column stops changing is where that character was decided.",
        figures=tuple(figures),
        notes=tuple(notes),
    )


def depths(subject: Subject, streams: list[Tensor]) -> tuple[tuple[str, ...], list[Tensor]]:
    """The streams that the head can read, and their names."""
    width = subject.config.final_width
    named = [("embedding", streams[0])]
    named += [(f"block {i}", stream) for i, stream in enumerate(streams[1:], start=1)]
    kept = [(name, stream) for name, stream in named if stream.shape[-1] == width]
    return tuple(name for name, _ in kept), [stream for _, stream in kept]


def _predictions(subject: Subject, prompt: Prompt, names: tuple[str, ...], likely: Tensor) -> Heatmap:
    best = likely.max(dim=-1)
    texts = tuple(tuple(subject.characters[i] for i in row) for row in best.indices.tolist())
    return Heatmap(
        "the likeliest next character, shaded by how likely",
        names,
        prompt.characters,
        grid(best.values.tolist()),
        0.0,
        1.0,
        row_name="after",
        column_name="having read",
        unit="probability",
        texts=texts,
    )


def _right(prompt: Prompt, names: tuple[str, ...], likely: Tensor) -> Heatmap:
    """How likely the character that does come next was."""
    nexts = prompt.tokens[0, 1:]
    share = likely[:, :-1].gather(-1, nexts.expand(len(names), -1)[..., None])[..., 0]  # (D, T-1)
    return Heatmap(
        "how likely the character was that came",
        names,
        prompt.characters[1:],
        grid(share.tolist()),
        0.0,
        1.0,
        row_name="after",
        column_name="what came",
        unit="probability",
    )


def _decided(subject: Subject, prompt: Prompt, names: tuple[str, ...], likely: Tensor) -> Table:
    """Of each position the first depth from which on the likeliest character stays what it is at the end."""
    best = likely.argmax(dim=-1)  # (D, T)
    agrees = (best == best[-1]).flip(0).cumprod(dim=0).sum(dim=0)  # how many depths, counted from the end, agree
    rows = tuple(
        (
            place + 1,
            character,
            subject.characters[int(best[-1, place])],
            number(float(likely[-1, place].max())),
            names[len(names) - int(agrees[place])],
        )
        for place, character in enumerate(prompt.characters)
    )
    return Table("where it was decided", ("position", "having read", "says", "probability", "since"), rows)


def _losses(subject: Subject, names: tuple[str, ...], tell: Progress) -> Bars:
    losses, count = lens_losses(subject, tell)
    return Bars(f"val loss if the head read there ({count} windows)", names, numbers(losses.tolist()), unit="nats")


@torch.no_grad()
def lens_losses(subject: Subject, tell: Progress) -> tuple[Tensor, int]:
    """The loss (D,) of the head on the stream at each depth, over so many evenly spaced windows of the val split."""
    split = Split(subject.config, subject.dataset, "val", torch.device("cpu"))
    t = subject.config.context_length
    places = split.evenly_spaced(max(1, min(WINDOWS_SCORED, CHARACTERS_SCORED // t)))
    tokens, targets = split.examples(places)
    at_once = max(1, tokens_at_once(subject.model) // t)
    sums, done = torch.zeros(1, dtype=torch.float64), 0
    for some, wanted in zip(tokens.split(at_once), targets.split(at_once), strict=True):
        streams = depths(subject, trace_transformer(subject.model, some).streams)[1]
        sums = sums + torch.stack([_summed(read_stream(subject.model, stream), wanted) for stream in streams])
        done += len(some)
        tell(done, len(places))
    return sums / (targets != PADDING_TARGET).sum(), len(places)


def _summed(logits: Tensor, targets: Tensor) -> Tensor:
    return losses_of(logits, targets).double().sum()
