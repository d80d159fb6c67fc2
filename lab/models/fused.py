"""Which models have their loss and gradients computed without autograd."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.models import fused_mlp, fused_transformer
from lab.models.mlp import MLP
from lab.models.transformer import Transformer


class FusedStep(Protocol):
    """Computes what `loss.backward()` would after a model's forward pass in fp32, on the CPU."""

    def loss_and_gradients(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of targets (B, P) after tokens (B, T); leaves each parameter's gradient in `.grad`."""
        ...


def fused_step(model: nn.Module, config: RunConfig) -> FusedStep | None:
    """The faster way of a model's loss and gradients, where there is one."""
    if type(model) is MLP and fused_mlp.can_fuse(config):
        return fused_mlp.FusedMLP(model)
    if type(model) is Transformer and fused_transformer.can_fuse(config):
        return fused_transformer.FusedTransformer(model)
    return None
