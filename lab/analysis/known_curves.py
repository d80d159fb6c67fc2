"""How the shipped stages train when they are right: val over steps, kept in a small table beside this file.

The table is made by `docs/make_known_curves.py` from the finished runs of a whole ladder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from lab.config.ladder import STAGES_BY_NAME, stage_config
from lab.config.run_config import RunConfig

FILE_NAME = "known_curves.json"
COMPARED = (
    "model", "dataset_as", "context_length", "embedding_dim", "hidden_dim", "layers", "heads", "head_dim",
    "feed_forward_multiple", "residual", "norm", "positions", "output_projection", "value_projection", "attention",
    "batch_size", "overfit_one_batch",
)  # fmt: skip
"""What must be as the stage ships it for its curve to say anything; lr, scales and masks may be what is wrong."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A metric over steps, arrays of one length."""

    steps: np.ndarray
    values: np.ndarray


def known_curve(config: RunConfig, dataset_sha256: str) -> Curve | None:
    """How a config's stage is known to train on this text; None where its sizes or its text are others."""
    known = _table().get(config.stage)
    if known is None or config.stage not in STAGES_BY_NAME or known["dataset_sha256"] != dataset_sha256:
        return None
    own, shipped = config.resolved(), stage_config(config.stage, dataset_as=config.dataset_as).resolved()
    if any(own.get(field) != shipped.get(field) for field in COMPARED):
        return None
    return Curve(np.array(known["steps"]), np.array(known["val_loss"]))


@cache
def _table() -> dict[str, dict[str, Any]]:
    return dict(json.loads(resources.files("lab.analysis").joinpath(FILE_NAME).read_text(encoding="utf-8")))
