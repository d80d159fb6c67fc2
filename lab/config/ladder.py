"""The teaching ladder: each stage declared as what it changes against the one it stands on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.config.run_config import DatasetKind, RunConfig, from_mapping
from lab.errors import ConfigError

WORDS_CONTEXT_LENGTH = 16
"""Positions a transformer has for one word of a words dataset, its start included."""
MODERN = "modern"
"""The rung after the lectures' own, trained where it is asked for."""


@dataclass(frozen=True)
class Stage:
    """One kind of model on the ladder.

    `published_val_loss` was measured by the lectures on other copies of the texts and from sampled batches: it is
    shown beside ours, labelled so, and never asserted.
    """

    name: str
    adds: str
    changes: Mapping[str, Any]
    stands_on: str | None
    lesson: str
    look_at: str
    also_changed: str = ""
    home_dataset: str = "shakespeare"
    published_val_loss: float | None = None
    lecture_time: str = ""
    stands_in_for: str | None = None


STAGES: tuple[Stage, ...] = (
    Stage(
        name="bigram",
        adds="a V×V table of logits",
        stands_on=None,
        changes={"model": "bigram", "context_length": 8, "batch_size": 32, "steps": 3000, "lr": 1e-2},
        published_val_loss=2.4919,
        lesson="One table says which character follows which. It can learn no more than counting pairs does.",
        look_at="how its curve comes down to the line of the bigram by counting, and stops there",
    ),
    Stage(
        name="linear",
        adds="an embedding of C=32 and a linear head",
        stands_on="bigram",
        changes={"model": "transformer", "embedding_dim": 32, "layers": 0},
        published_val_loss=2.5165,
        lecture_time="17 s",
        lesson="The table, factored into two thin ones. Nothing is gained yet; it makes room for what follows.",
        look_at="that it ends a little above the bigram: rank 32 cannot hold the whole table",
    ),
    Stage(
        name="mlp",
        adds="a window of embeddings and a tanh hidden layer",
        also_changed="dataset: names; SGD; N(0, 1) initialisation",
        stands_on="bigram",
        changes={
            "model": "mlp",
            "context_length": 3,
            "embedding_dim": 10,
            "hidden_dim": 200,
            "activation": "tanh",
            "init": "normal",
            "optimizer": "sgd",
            "weight_decay": 0.0,
            "lr": 0.1,
            "schedule": "step",
            "decay_start": 0.5,
            "decay_to": 0.1,
            "steps": 200_000,
        },
        home_dataset="names",
        published_val_loss=2.17,
        lesson="Three characters of context, seen through embeddings, beat any table of pairs (Bengio et al. 2003). "
        "A table of triples would have 27 times the rows and too few examples for most of them.",
        look_at="the first loss, far above guessing evenly: the last layer starts too large and wastes the first steps",
    ),
    Stage(
        name="single-head",
        adds="positions and one masked self-attention head of 16",
        also_changed="lr 1e-2 → 1e-3; steps 3000 → 5000",
        stands_on="linear",
        changes={"positions": "learned", "layers": 1, "heads": 1, "head_dim": 16, "steps": 5000, "lr": 1e-3},
        published_val_loss=2.4176,
        lesson="For the first time characters talk to each other. Each asks (query), offers (key), and takes (value) "
        "what it finds useful among those before it.",
        look_at="the curve crossing the counting line: context is worth something",
    ),
    Stage(
        name="multi-head",
        adds="4 heads of 8, concatenated",
        also_changed="total head width 16 → 32",
        stands_on="single-head",
        changes={"heads": 4, "head_dim": None},
        published_val_loss=2.2609,
        lesson="Several conversations at once. One head may look for vowels while another finds the last space.",
        look_at="how much of the gain is the heads and how much the doubled width (one head of 32 is the control)",
    ),
    Stage(
        name="feed-forward",
        adds="a linear layer C→C with ReLU after attention",
        stands_on="multi-head",
        changes={"feed_forward_multiple": 1},
        published_val_loss=2.2291,
        lecture_time="1:15",
        lesson="Having gathered what the others said, each position thinks about it by itself. The same small network "
        "works at every position.",
        look_at="a small gain: there is little yet to think about",
    ),
    Stage(
        name="blocks",
        adds="3 blocks of attention and feed-forward, with nothing to hold them together",
        stands_on="feed-forward",
        changes={"layers": 3},
        published_val_loss=2.3403,
        lecture_time="2:56",
        lesson="Deeper, and no better for it. Gradients that must pass every layer arrive at the first one weak.",
        look_at="that the deeper model ends above the shallower one: an optimisation problem, not a capacity one",
    ),
    Stage(
        name="residual",
        adds="skip connections",
        also_changed="output projections; feed-forward 4C wide",
        stands_on="blocks",
        changes={"residual": True, "output_projection": True, "feed_forward_multiple": 4},
        published_val_loss=2.0681,
        lecture_time="3:17",
        lesson="Each block adds to a stream that runs straight through. So the gradient reaches every layer undimmed.",
        look_at="the largest single drop of the ladder; and what of it is the wider feed-forward (see the controls)",
    ),
    Stage(
        name="layernorm",
        adds="layer norm before each part of a block and before the head",
        stands_on="residual",
        changes={"norm": "pre"},
        published_val_loss=2.0590,
        lecture_time="3:38",
        lesson="Every part reads inputs of one scale. That makes deeper and longer training dependable.",
        look_at="a small gain here; it grows with depth",
    ),
    Stage(
        name="scaled",
        adds="size: 384 wide, 256 characters of context, 6 heads, 6 layers; dropout 0.2",
        also_changed="lr 1e-3 → 3e-4; batch 32 → 64",
        stands_on="layernorm",
        changes={
            "embedding_dim": 384,
            "context_length": 256,
            "heads": 6,
            "layers": 6,
            "dropout": 0.2,
            "batch_size": 64,
            "lr": 3e-4,
        },
        published_val_loss=1.477,
        lecture_time="16:45 on a GPU",
        lesson="The same pieces, more of them. Ten million parameters begin to overfit a megabyte of text.",
        look_at="train and val parting: the best step is not the last",
    ),
    Stage(
        name="scaled-cpu",
        adds="size: 128 wide, 64 characters of context, 4 layers (stands in for scaled without a GPU)",
        also_changed="batch 32 → 12; steps 5000 → 2000",
        stands_on="layernorm",
        changes={
            "embedding_dim": 128,
            "context_length": 64,
            "layers": 4,
            "batch_size": 12,
            "steps": 2000,
        },
        published_val_loss=1.88,
        stands_in_for="scaled",
        lesson="What size buys on a laptop: a longer memory and a wider stream. The pieces are the same.",
        look_at="the sample: words, lines and speakers appear",
    ),
    Stage(
        name=MODERN,
        adds="what came after: rotary positions, RMSNorm, QK-norm, ReLU², zero-initialised projections, Muon",
        also_changed="size: 192 wide, 128 characters of context, 4 layers; no dropout; lr falls to zero",
        stands_on="layernorm",
        changes={
            "embedding_dim": 192,
            "context_length": 128,
            "layers": 4,
            "positions": "rotary",
            "norm_kind": "rms",
            "qk_norm": True,
            "activation": "relu_squared",
            "residual_scale": 0.0,
            "logit_softcap": 15.0,
            "bias": False,
            "optimizer": "muon",
            "lr": 0.015,
            "adamw_lr": 6e-3,
            "beta2": 0.95,
            "weight_decay": 0.1,
            "schedule": "linear",
            "decay_start": 0.1,
            "decay_to": 0.0,
            "batch_size": 16,
            "steps": 2600,
        },
        lesson="Ten years of small changes: the loss of the scaled model, from a sixth of its size, on a laptop.",
        look_at="how steep the first steps are, and how much the last tenth brings as lr falls to zero",
    ),
)

STAGES_BY_NAME: dict[str, Stage] = {stage.name: stage for stage in STAGES}
UNTRAINED = ("guessing-evenly", "bigram-by-counting")
"""What stands at the foot of the ladder and has nothing to train."""


def find_stage(name: str) -> Stage:
    """The stage of that name. Raises `ConfigError` with the near miss."""
    if name in STAGES_BY_NAME:
        return STAGES_BY_NAME[name]
    if name.strip().lower().replace(" ", "-") in UNTRAINED:
        trained = ", ".join(STAGES_BY_NAME)
        raise ConfigError(f"'{name}' does not train: stages are compared with it; train one of: {trained}")
    near = difflib.get_close_matches(name, STAGES_BY_NAME, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"one of: {', '.join(STAGES_BY_NAME)}"
    raise ConfigError(f"unknown stage '{name}': {hint}")


def stage_changes(stage: Stage) -> dict[str, Any]:
    """All that a stage changes against a config's defaults, from the foot of the ladder up."""
    below = stage_changes(find_stage(stage.stands_on)) if stage.stands_on else {}
    return below | dict(stage.changes)


def stage_values(name: str, *, dataset: str = "", dataset_as: DatasetKind = "stream") -> dict[str, Any]:
    """What a stage sets on a dataset, not yet checked. Raises `ConfigError` where there is no such stage."""
    stage = find_stage(name)
    values = stage_changes(stage) | {
        "stage": name,
        "dataset": dataset or stage.home_dataset,
        "dataset_as": dataset_as,
    }
    if dataset_as == "words" and values["model"] != "mlp":
        values["context_length"] = WORDS_CONTEXT_LENGTH
    return values


def stage_config(
    name: str,
    *,
    dataset: str = "",
    dataset_as: DatasetKind = "stream",
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """A stage's config on a dataset (its home dataset unless given), with some fields set otherwise.

    On words every model but the MLP sees one word a row. Raises `ConfigError`.
    """
    if settings and settings.get("stage", name) != name:
        raise ConfigError(f"stage={settings['stage']} cannot be set on the stage '{name}'; name that stage instead")
    values = stage_values(name, dataset=dataset, dataset_as=dataset_as)
    return from_mapping(values | dict(settings or {}))


def ladder_stages(*, gpu: bool, modern: bool = False) -> tuple[str, ...]:
    """The stages that `lab ladder` trains, from the foot up; `scaled` has its stand-in without a GPU."""
    stood_in_for = {stage.stands_in_for for stage in STAGES if stage.stands_in_for}
    suited = (stage for stage in STAGES if (stage.name not in stood_in_for if not gpu else not stage.stands_in_for))
    return tuple(stage.name for stage in suited if modern or stage.name != MODERN)
