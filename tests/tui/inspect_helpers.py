"""Pages of every view as the torch helper would send them, and going to the Inspect mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sample_helpers import FakeClient
from tui_helpers import named, opened, until

from lab.inference.figures import (
    Bars,
    Choice,
    Figure,
    Heatmap,
    Lines,
    Page,
    Passage,
    Prose,
    Scatter,
    Table,
    grid,
    numbers,
)
from lab.inference.protocol import InspectRequest
from lab.tui.screens.inspect import InspectScreen
from lab.tui.widgets.page_view import PageView
from lab.tui.widgets.run_table import RunTable

LETTERS = ".abcdefghijklmnopqrstuvwxyz"
PROMPT = "O Romeo,"
STEPS = {"best": 400, "last": 400}


def wave(*places: float) -> float:
    """A number from 0 to 1 that looks random and is not."""
    return 0.5 + 0.5 * math.sin(sum((i + 1.7) * 12.9898 * place for i, place in enumerate(places, start=1)))


def data(request: InspectRequest) -> tuple[Figure, ...]:
    rows = tuple((i, letter, 1000 * i + 17, round(wave(i) / 14, 4)) for i, letter in enumerate(LETTERS))
    counts = tuple(sorted((wave(i) for i in range(27)), reverse=True))
    return (
        Table("the vocabulary", ("id", "character", "in train", "share"), rows),
        Bars("how often each stands in train", tuple(LETTERS), numbers(counts), unit="share"),
    )


def anatomy(request: InspectRequest) -> tuple[Figure, ...]:
    names = ("Transformer", "token_embedding", "block 1", "attention", "head 1", "head 2", "feed_forward", "lm_head")
    rows = tuple((name, "(B=4, T=8, C=32)", 64 * (i + 1), round(wave(i), 3)) for i, name in enumerate(names))
    depths = (0, 1, 1, 2, 3, 3, 2, 1)
    return (Table("modules", ("module", "shape", "parameters", "FLOPs share"), rows, depths),)


def bigram(request: InspectRequest) -> tuple[Figure, ...]:
    tables = []
    for place, title in enumerate(("counted", "learned")):
        values = grid([wave(row, column, place / 9) ** 4 for column in range(27)] for row in range(27))
        tables.append(
            Heatmap(title, tuple(LETTERS), tuple(LETTERS), values, 0.0, 1.0, "after", "comes", "share", group="tables")
        )
    gaps = tuple((LETTERS[i], LETTERS[i + 1], round(wave(i) - wave(i, 1), 4)) for i in range(12))
    return (*tables, Table("where they disagree most", ("after", "comes", "difference"), gaps))


def embeddings(request: InspectRequest) -> tuple[Figure, ...]:
    kinds = ["start/end", *("vowel" if letter in "aeiou" else "consonant" for letter in LETTERS[1:])]
    spread = 0.2 if request.checkpoint in STEPS else 1.0
    x = [(-1.0 if kind == "vowel" else 0.6) + spread * (wave(i) - 0.5) for i, kind in enumerate(kinds)]
    y = [(wave(i, 3) - 0.5) * 2 for i in range(27)]
    near, distances = [], []
    for i in range(27):
        order = sorted((j for j in range(27) if j != i), key=lambda j, i=i: math.dist((x[i], y[i]), (x[j], y[j])))[:6]
        near.append(tuple(order))
        distances.append(numbers(math.dist((x[i], y[i]), (x[j], y[j])) for j in order))
    return (
        Scatter(
            "characters", tuple(LETTERS), numbers(x), numbers(y), tuple(kinds), "first component", "second component",
            tuple(near), tuple(distances),
        ),
    )  # fmt: skip


def attention(request: InspectRequest) -> tuple[Figure, ...]:
    prompt = request.options.prompt or PROMPT
    shown = tuple("␣" if character == " " else character for character in prompt)
    maps: list[Figure] = []
    for layer in (1, 2):
        for head in (1, 2, 3, 4):
            rows = []
            for i in range(len(shown)):
                raw = [math.exp(3 * wave(i, j, layer + head / 7)) for j in range(i + 1)]
                rows.append(numbers([each / sum(raw) for each in raw]) + (None,) * (len(shown) - i - 1))
            maps.append(
                Heatmap(
                    f"layer {layer} head {head}", shown, shown, tuple(rows), 0.0, 1.0, "reads", "from",
                    lower_triangular=True, group="heads",
                )
            )  # fmt: skip
    names = tuple(figure.title for figure in maps)
    return (*maps, Bars("entropy", names, numbers(wave(i) * 2 for i in range(8)), unit="nats"))


def logit_lens(request: InspectRequest) -> tuple[Figure, ...]:
    shown = tuple(PROMPT.replace(" ", "␣"))
    values = grid([wave(row, column) for column in range(8)] for row in range(4))
    texts = tuple(tuple(LETTERS[1 + (row * 3 + column * 5) % 26] for column in range(8)) for row in range(4))
    layers = ("embedding", "block 1", "block 2", "block 3")
    return (Heatmap("predictions", layers, shown, values, 0.0, 1.0, "after", "position", "probability", texts=texts),)


def knock_out(request: InspectRequest) -> tuple[Figure, ...]:
    labels = tuple(f"layer {layer} head {head}" for layer in (1, 2) for head in (1, 2, 3, 4))
    values = [2.1 + 0.4 * wave(i) for i in range(8)]
    values[3] = 2.07
    spread = 0.03
    bars = Bars(
        "val loss without it", labels, numbers(values), numbers(v - spread for v in values),
        numbers(v + spread for v in values), 2.083, "whole", "nats",
    )  # fmt: skip
    rows = tuple((label, round(value, 4), round(value - 2.083, 4)) for label, value in zip(labels, values, strict=True))
    return (bars, Table("one at a time", ("piece", "val", "difference"), rows))


def loss_map(request: InspectRequest) -> tuple[Figure, ...]:
    text = "WARWICK:\nIs is the brother, he whan do me"
    shades = numbers(4 * wave(i) for i in range(len(text)))
    passages = tuple(Passage(text, f"context {i}", 4.2 - i, shades, mark=12 + i) for i in (1, 2, 3))
    return (
        Bars("by target", tuple(LETTERS), numbers(1 + 2 * wave(i) for i in range(27)), unit="nats"),
        Prose("the worst contexts", passages, 0.0, 4.0, "nats"),
    )


def averaging(request: InspectRequest) -> tuple[Figure, ...]:
    size = request.options.head_size
    x = tuple(float(2**i) for i in range(8))
    names = ("unscaled", "scaled")
    values = (numbers(x), numbers(1.0 for _ in x))
    letters = tuple("abcdefgh")
    weights = grid([1 / (row + 1) if column <= row else math.nan for column in range(8)] for row in range(8))
    return (
        Table("four versions", ("version", "equal", "seconds"), (("loops", "yes", 0.01), ("softmax", "yes", 0.0001))),
        Lines("variance of q·k", names, x, values, "head size", "variance", log_x=True, log_y=True),
        Heatmap(f"averaging, head size {size}", letters, letters, weights, 0.0, 1.0, lower_triangular=True),
    )


FIGURES: Mapping[str, Callable[[InspectRequest], tuple[Figure, ...]]] = {
    "data": data,
    "anatomy": anatomy,
    "bigram": bigram,
    "embeddings": embeddings,
    "attention": attention,
    "logit-lens": logit_lens,
    "knock-out": knock_out,
    "loss-map": loss_map,
    "averaging": averaging,
}
SIZES = ("4", "8", "16", "32", "64")


def page_for(request: InspectRequest, run_name: str = "") -> Page:
    """What the helper would answer."""
    choices: tuple[Choice, ...] = ()
    if request.view == "averaging":
        choices = (Choice("head_size", SIZES, str(request.options.head_size)),)
    if request.view == "knock-out":
        pieces = Choice("pieces", ("", "heads", "blocks"), request.options.pieces)
        choices = (pieces, Choice("replacement", ("zero", "mean"), request.options.replacement))
    step = STEPS.get(request.checkpoint) or int(request.checkpoint)
    return Page(
        view=request.view,
        title=request.view,
        look_at=f"This is the view {request.view}, and here one sees the first thing. A second sentence says the rest.",
        figures=FIGURES[request.view](request),
        notes=("A note of what was left out.",),
        choices=choices,
        run_id=request.run_id,
        run_name=run_name,
        step=step,
    )


def answer(client: FakeClient, which: int = -1) -> None:
    """Answers a request with its page."""
    request, listener = client.inspected[which]
    listener.started()
    listener.page(page_for(request))
    listener.done()


async def in_inspect(pilot: Any, run: str = "residual-1") -> InspectScreen:
    """Goes to a run in Runs and from there to Inspect; waits until its first view has been asked for."""
    await opened(pilot)
    app = pilot.app
    if app.snapshot.runs:
        app.screen.query_one(RunTable).move_to(named(app, run).id)
        await until(pilot, lambda: app.selected == named(app, run).id)
    await pilot.press("6")
    await until(pilot, lambda: isinstance(app.screen, InspectScreen))
    screen = app.screen
    assert isinstance(screen, InspectScreen)
    if app.snapshot.runs:
        await until(pilot, lambda: screen.run is not None and screen.run.name == run)
        await until(pilot, lambda: screen.choices.run_id == named(app, run).id)
    return screen


async def on_view(pilot: Any, screen: InspectScreen, view: str) -> PageView:
    """Goes to a view, and has the helper answer; returns the page with the keys on it."""
    client = pilot.app.inference
    screen.open_on(None, view)
    await until(pilot, lambda: client.inspected and client.inspected[-1][0].view == view)
    answer(client)
    page = screen.query_one("#page-first", PageView)
    await until(pilot, lambda: page.page is not None and page.page.view == view)
    screen.turn_to("page")
    await pilot.pause()
    return page
