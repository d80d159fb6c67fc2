"""From a config to a model with its initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lab.config.run_config import ModelFamily, RunConfig
from lab.models.bigram import Bigram
from lab.models.layers import HiddenLinear, OutputProjection
from lab.models.mlp import MLP
from lab.models.own import build_own
from lab.models.transformer import Transformer


class LanguageModel(Protocol):
    """The one contract of all stages: logits (B, P, V) of P predicted positions, and their loss against targets."""

    def __call__(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """From tokens (B, T) and targets (B, P)."""
        ...


_FAMILIES: Mapping[ModelFamily, Callable[[RunConfig, int], nn.Module]] = {
    "bigram": Bigram,
    "mlp": MLP,
    "transformer": Transformer,
    "own": build_own,
}


def build_model(config: RunConfig, vocabulary_size: int) -> nn.Module:
    """The model of a config, on the CPU, its weights drawn from the config's seed.

    The process's own random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)  # the CPU's alone; a GPU's is not drawn from here
        model = _FAMILIES[config.model](config, vocabulary_size)
        if config.model != "own":  # whose weights are as its constructor has left them
            _initialise(model, config)
    return model


def build_shapes(config: RunConfig, vocabulary_size: int) -> nn.Module:
    """The model of a config on the meta device: names and shapes without memory, however large the config claims to be.

    Not for a model of one's own, whose constructor may do anything.
    """
    with torch.device("meta"), _NothingFilledIn():
        return build_model(config, vocabulary_size)


class _NothingFilledIn(TorchFunctionMode):
    """Tensors on the meta device are left as they are made: torch would load its compiler, over a second, to fill them.

    The functions are those that the models' constructors call.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        values = {**(kwargs or {})}
        if getattr(func, "__module__", None) == nn.init.__name__ or func is Tensor.tril:
            return args[0] if args else values["tensor"]
        if func is torch.arange:
            return torch.empty(len(range(*args)), dtype=torch.long)
        return func(*args, **values)


def parameter_count(model: nn.Module) -> int:
    """Trained numbers in a model; a shared tensor counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def _initialise(model: nn.Module, config: RunConfig) -> None:
    """Redraws and scales the weights as the config says; "torch" keeps what the layers drew for themselves."""
    modules = list(model.modules())
    if config.init == "normal":
        for module in modules:
            if isinstance(module, nn.Linear | nn.Embedding):
                for parameter in module.parameters(recurse=False):
                    nn.init.normal_(parameter)
    elif config.init == "kaiming":
        for module in modules:
            _initialise_kaiming(module, config)
    for module in modules:
        if isinstance(module, OutputProjection):
            module.weight.mul_(config.residual_scale)
    head = cast("nn.Linear | nn.Embedding", model.head)
    for parameter in head.parameters():
        parameter.mul_(config.last_layer_scale)


def _initialise_kaiming(module: nn.Module, config: RunConfig) -> None:
    """He et al. 2015: weights of standard deviation gain / √fan_in, so that activations keep their scale."""
    if isinstance(module, nn.Linear):
        recommended = nn.init.calculate_gain("tanh" if config.activation == "tanh" else "relu")
        gain = (config.activation_gain or recommended) if isinstance(module, HiddenLinear) else 1.0
        nn.init.normal_(module.weight, std=gain / math.sqrt(module.in_features))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight)
