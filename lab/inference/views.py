"""The views of a trained model: their names, what each needs of a stage, and the options it takes. No torch.

To add a view: name it in `VIEWS`, write its function `(Subject, InspectOptions, Progress) -> Page` in a file of
`lab/inference/inspection/`, and enter that in `pages.py` there. The command, SVG, CSV and JSON follow from the figures
that its page is made of.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from lab.config.own_model import OWN
from lab.config.run_config import RunConfig
from lab.errors import UsageError

Piece = Literal["embedding", "attention", "blocks", "parts"]
"""What a view may need of a stage."""

OptionName = Literal[
    "prompt",
    "layer",
    "head",
    "position",
    "head_size",
    "character",
    "pieces",
    "replacement",
    "other",
    "other_checkpoint",
]


@dataclass(frozen=True)
class InspectOptions:
    """What a view may be asked for; each view reads some of these. Layers, heads and positions count from 1; 0 is all.

    `other` is a second run (its id) and `other_checkpoint` one of its checkpoints: the two stand side by side. Without
    `other`, `other_checkpoint` is one of the run itself.
    """

    prompt: str = ""
    layer: int = 0
    head: int = 0
    position: int = 0
    head_size: int = 16
    character: str = ""
    pieces: str = ""
    replacement: str = "zero"
    other: str = ""
    other_checkpoint: str = ""


@dataclass(frozen=True)
class View:
    """A view: its name for the command, its label on the screen, one line of what it shows, needs and options.

    `kept` views take long enough for their pages to be kept in the database, by the checkpoint's SHA-256.
    """

    name: str
    label: str
    shows: str
    needs: Piece | None = None
    options: tuple[OptionName, ...] = ()
    needs_checkpoint: bool = True
    kept: bool = False


VIEWS: tuple[View, ...] = (
    View("data", "Data", "the dataset as the model sees it: vocabulary, ids, one batch unrolled",
         needs_checkpoint=False),
    View("anatomy", "Anatomy", "the modules, the shapes of all that flows, parameters and FLOPs",
         needs_checkpoint=False),
    View("bigram", "Bigram", "the counts of pairs and the learned table, and where they disagree"),
    View("embeddings", "Embeddings", "characters in the plane, and who is whose neighbour", "embedding",
         ("character",)),
    View("attention", "Attention", "whom each character of a prompt reads, by layer and head", "attention",
         ("prompt", "layer", "head", "position", "other", "other_checkpoint")),
    View("logit-lens", "Logit lens", "the prediction after each block: where the next character is decided", "blocks",
         ("prompt",)),
    View("knock-out", "Knock-out", "what each piece is worth: val loss with it removed", "parts",
         ("pieces", "replacement"), kept=True),
    View("loss-map", "Loss map", "which characters, words and places the val loss comes from",
         options=("other", "other_checkpoint"), kept=True),
    View("averaging", "Averaging", "from averaging to attention: four versions of one idea, and why scores are scaled",
         options=("head_size",), needs_checkpoint=False),
)  # fmt: skip

VIEWS_BY_NAME: Mapping[str, View] = {view.name: view for view in VIEWS}

_MEANT = {
    "lens": "logit-lens", "logits": "logit-lens", "knockout": "knock-out", "ablation": "knock-out",
    "ablate": "knock-out", "loss": "loss-map", "losses": "loss-map", "embedding": "embeddings", "heads": "attention",
    "dataset": "data", "model": "anatomy", "modules": "anatomy", "table": "bigram", "counts": "bigram",
    "softmax": "averaging",
}  # fmt: skip
"""What else people call them."""


def find_view(name: str) -> View:
    """The view of that name. Raises `UsageError` with the near miss."""
    wanted = _MEANT.get(name, name)
    if wanted in VIEWS_BY_NAME:
        return VIEWS_BY_NAME[wanted]
    near = difflib.get_close_matches(name, VIEWS_BY_NAME, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"one of: {', '.join(VIEWS_BY_NAME)}"
    raise UsageError(f"unknown view '{name}': {hint}")


def has_piece(config: RunConfig, piece: Piece) -> bool:
    """Whether a config's model has what a view may need."""
    return _HAS[piece](config)


def fits(view: View, config: RunConfig) -> bool:
    """Whether a view shows anything of a config's model."""
    return view.needs is None or has_piece(config, view.needs)


def fitting_views(config: RunConfig) -> tuple[View, ...]:
    """The views that fit a config's model, in order."""
    return tuple(view for view in VIEWS if fits(view, config))


def why_not(view: View, config: RunConfig) -> str:
    """One line of why a view does not fit a config's model, and of one that does; empty where it fits."""
    if view.needs is None or fits(view, config):
        return ""
    offered = next(
        (name for name in _INSTEAD[view.needs] if (v := VIEWS_BY_NAME.get(name)) and fits(v, config)), VIEWS[0].name
    )
    if config.model == OWN:
        return f"lab does not know the inside of a model of one's own, {config.stage}: try the view loss-map"
    return f"the stage '{config.stage}' has no {_NAMED[view.needs]}: try the view {offered}"


def _is_transformer(config: RunConfig) -> bool:
    return config.model == "transformer"


_HAS: Mapping[Piece, Callable[[RunConfig], bool]] = {
    "embedding": lambda config: config.model in ("mlp", "transformer"),
    "attention": lambda config: _is_transformer(config) and config.layers > 0,
    "blocks": lambda config: _is_transformer(config) and config.layers > 0,
    "parts": lambda config: config.model in ("mlp", "transformer"),
}
_NAMED: Mapping[Piece, str] = {
    "embedding": "embedding",
    "attention": "attention",
    "blocks": "blocks",
    "parts": "piece that could be knocked out",
}
_INSTEAD: Mapping[Piece, tuple[str, ...]] = {
    "embedding": ("bigram", "loss-map"),
    "attention": ("embeddings", "bigram"),
    "blocks": ("embeddings", "bigram"),
    "parts": ("bigram", "loss-map"),
}
