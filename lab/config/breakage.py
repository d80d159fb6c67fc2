"""What can be broken in a config, one thing at a time: a twin on the same batches shows what it was for.

Each breakage is declared by what it changes; it is offered for a config where that changes something and is valid.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.config.own_model import OWN
from lab.config.run_config import RunConfig
from lab.errors import ConfigError, UsageError

Changes = Callable[[RunConfig], Mapping[str, Any]]
LR_FACTOR = 10.0


@dataclass(frozen=True)
class Breakage:
    """One thing that can be broken: its name, what it is called, what to expect, and what it changes.

    `changes` are the fields set otherwise; none where the config has nothing of it to break.
    """

    name: str
    label: str
    expect: str
    changes: Changes


@dataclass(frozen=True)
class Twin:
    """A config with one thing broken."""

    breakage: Breakage
    config: RunConfig


def _attends(config: RunConfig) -> bool:
    return config.model == "transformer" and config.layers > 0


def _learns_attention(config: RunConfig) -> bool:
    return _attends(config) and config.attention == "learned"


def _where(applies: Callable[[RunConfig], bool], **changes: Any) -> Changes:
    """Always the same changes, where the config has what they are about."""
    return lambda config: changes if applies(config) else {}


def _lr_by(factor: float) -> Changes:
    def changes(config: RunConfig) -> Mapping[str, Any]:
        rates = {"lr": config.lr, "adamw_lr": config.adamw_lr}
        # Twelve digits: 3e-4 × 10 is 0.003 to people, and not quite that to a computer.
        return {name: float(f"{rate * factor:.12g}") for name, rate in rates.items() if rate is not None}

    return changes


def _plain_sgd(config: RunConfig) -> Mapping[str, Any]:
    return {"optimizer": "sgd", "adamw_lr": None} if config.optimizer == "adamw" else {}


def _without_muon(config: RunConfig) -> Mapping[str, Any]:
    adamw = {"optimizer": "adamw", "lr": config.adamw_lr or config.lr, "adamw_lr": None}
    return adamw if config.optimizer == "muon" else {}


def _one_head(config: RunConfig) -> Mapping[str, Any]:
    """As wide as all of them together."""
    if not _learns_attention(config) or config.heads == 1:
        return {}
    return {"heads": 1, "head_dim": config.attention_width if config.head_dim is not None else None}


BREAKAGES: tuple[Breakage, ...] = (
    Breakage(
        "no-residual",
        "no residual",
        "gradients reach the first layers weak; worse the deeper the model",
        _where(_attends, residual=False),
    ),
    Breakage(
        "no-norm",
        "norm off",
        "little in a shallow model; a deep one gets unsteady",
        _where(_attends, norm="none", norm_kind="layer"),
    ),
    Breakage(
        "no-scale",
        "no 1/sqrt(d)",
        "heads look at one character each at once; worse the wider a head",
        _where(_learns_attention, attention_scale="none"),
    ),
    Breakage(
        "wrong-scale",
        "times sqrt(d) instead",
        "the classic bug: attention saturates at once, and learns late",
        _where(_learns_attention, attention_scale="sqrt(d)"),
    ),
    Breakage(
        "uniform-attention",
        "uniform attention",
        "a plain average of what came before: attention's gain is gone",
        _where(_attends, attention="uniform"),
    ),
    Breakage(
        "no-mask",
        "no mask",
        "it reads the answer: an impossibly low loss, a sample of nonsense",
        _where(_attends, causal_mask=False),
    ),
    Breakage(
        "no-positions",
        "no positions",
        "it knows which characters came before, not where: a bit worse",
        _where(_attends, positions="none"),
    ),
    Breakage(
        "one-head",
        "one head",
        "one conversation instead of several: a small loss, if any",
        _one_head,
    ),
    Breakage(
        "no-feed-forward",
        "no feed-forward",
        "positions talk and never think about it: it ends higher",
        _where(_attends, feed_forward_multiple=0),
    ),
    Breakage(
        "normal-init",
        "N(0, 1) initialisation",
        "starts far above guessing evenly; many steps go into coming down",
        _where(lambda config: config.model in ("mlp", "transformer"), init="normal"),
    ),
    Breakage(
        "loud-last-layer",
        "last layer × 10",
        "confidently wrong at first: a hockey stick at the start of the curve",
        _where(lambda config: config.model != OWN, last_layer_scale=10.0),
    ),
    Breakage("lr-x10", "lr × 10", "fast at first; then it bounces, stays high, or diverges", _lr_by(LR_FACTOR)),
    Breakage("lr-div10", "lr / 10", "the same way down, ten times slower: it runs out of steps", _lr_by(1 / LR_FACTOR)),
    Breakage(
        "plain-sgd",
        "plain SGD",
        "one lr for every weight: at AdamW's lr it hardly moves",
        _plain_sgd,
    ),
    Breakage("no-muon", "AdamW alone", "the matrices lose Muon: slower down, and higher at the end", _without_muon),
    Breakage(
        "no-warmup",
        "no warmup",
        "full lr from the first step: a spike, mostly made good later",
        _where(lambda config: True, warmup_steps=0),
    ),
    Breakage(
        "no-decay",
        "no lr decay",
        "alike until the lr would fall; then the last drop is missing",
        _where(lambda config: True, schedule="constant", decay_start=0.0, decay_to=0.1),
    ),
    Breakage(
        "no-clipping",
        "no gradient clipping",
        "nothing, until a step with a large gradient throws it back",
        _where(lambda config: True, grad_clip=0.0),
    ),
    Breakage(
        "no-dropout",
        "no dropout",
        "train falls further; val parts from it sooner",
        _where(lambda config: True, dropout=0.0),
    ),
)

BREAKAGES_BY_NAME = {breakage.name: breakage for breakage in BREAKAGES}
_LABELS = {breakage.label.lower(): breakage.name for breakage in BREAKAGES}


def twins_of(config: RunConfig, *, keeping_shapes: bool = False) -> list[Twin]:
    """What can be broken in a config, with the config that has it broken.

    With `keeping_shapes` only what leaves the weights as they are: a run that went on from a checkpoint.
    """
    found = []
    for breakage in BREAKAGES:
        twin = _broken(config, breakage)
        if twin is not None and not (keeping_shapes and twin.weights_layout != config.weights_layout):
            found.append(Twin(breakage, twin))
    return found


def _broken(config: RunConfig, breakage: Breakage) -> RunConfig | None:
    changes = breakage.changes(config)
    if not changes:
        return None
    try:
        twin = config.replace(**changes)
    except ConfigError:
        return None  # it does not go with the rest of the config
    return twin if twin.resolved() != config.resolved() else None


def find_breakage(name: str) -> Breakage:
    """The breakage of that name, or that is called so. Raises `UsageError` with the near miss."""
    plain = name.strip().lower()
    known = BREAKAGES_BY_NAME.get(_LABELS.get(plain, plain.replace("_", "-").replace(" ", "-")))
    if known is not None:
        return known
    near = difflib.get_close_matches(plain, BREAKAGES_BY_NAME, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"one of: {', '.join(BREAKAGES_BY_NAME)}"
    raise UsageError(f"'{name}' is nothing that can be broken: {hint}")
