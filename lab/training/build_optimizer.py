"""From a config to what applies the gradients."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lab.config.run_config import RunConfig
from lab.training.muon import Muon
from lab.training.optimizers import SGD, AdamW, Optimizer

_OF_BLOCKS = "blocks."
_QUERIES_KEYS_VALUES = "attention.projections.weight"


def build_optimizer(config: RunConfig, parameters: Mapping[str, Tensor]) -> Optimizer:
    """The config's optimiser over a model's named parameters. Muon takes the matrices of the blocks."""
    if config.optimizer == "sgd":
        return SGD(parameters, config.weight_decay)
    if config.optimizer == "adamw":
        return AdamW(parameters, config.weight_decay, beta2=config.beta2)
    projections = (2 if config.attention == "learned" else 0) + config.value_projection
    matrices = {
        name: (parameter, projections if name.endswith(_QUERIES_KEYS_VALUES) else 1)
        for name, parameter in parameters.items()
        if name.startswith(_OF_BLOCKS) and parameter.ndim == 2
    }
    others = {name: parameter for name, parameter in parameters.items() if name not in matrices}
    return Muon(
        matrices,
        others,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        beta2=config.beta2,
        others_lr_ratio=(config.adamw_lr or config.lr) / config.lr,
    )
