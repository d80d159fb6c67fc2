"""The contract of every model, `forward(idx, targets=None) -> (logits, loss)`, checked on one batch of a run's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lab.config.run_config import RunConfig
from lab.errors import OwnModelError

_EXAMPLES = 4


def check_contract(model: nn.Module, config: RunConfig, vocabulary_size: int, tokens: Tensor, targets: Tensor) -> None:
    """Calls a model as training and sampling do, on tokens and targets (B, T).

    Raises `OwnModelError` naming what of the contract is broken, with the shape seen and the shape wanted; and what the
    model raises.
    """
    name, v = config.stage, vocabulary_size
    model.train()
    b, t = tokens.shape
    logits, loss = _pair(name, model(tokens, targets))
    if tuple(logits.shape) not in ((b, t, v), (b * t, v)):
        raise OwnModelError(f"{name}'s logits with targets are {_shape(logits)}, wanted {(b, t, v)}: (B, T, V)")
    _check_loss(name, model, loss)
    model.eval()
    with torch.no_grad():
        logits, _ = _pair(name, model(tokens))
        if tuple(logits.shape) not in ((b, t, v), (b, 1, v)):
            raise OwnModelError(f"{name}'s logits without targets are {_shape(logits)}, wanted {(b, t, v)}: (B, T, V)")
        for length in {1, max(1, t // 2)}:  # as a text begins
            logits, _ = _pair(name, model(tokens[:1, :length]))
            if tuple(logits.shape) not in ((1, length, v), (1, 1, v)):
                wanted = (1, length, v)
                raise OwnModelError(f"{name}'s logits of {length} of {t} tokens are {_shape(logits)}, wanted {wanted}")


def _pair(name: str, result: Any) -> tuple[Tensor, Any]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise OwnModelError(f"{name}.forward must return (logits, loss), and returns {_described(result)}")
    logits, loss = result
    if not isinstance(logits, Tensor):
        raise OwnModelError(
            f"{name}.forward must return logits first, a tensor (B, T, V), and returns {_described(logits)}"
        )
    return logits, loss


def _check_loss(name: str, model: nn.Module, loss: Any) -> None:
    """The loss is one number that depends on the weights."""
    if loss is None:
        raise OwnModelError(
            f"{name}.forward(idx, targets) returns None as the loss: compute it where targets are given"
        )
    if not isinstance(loss, Tensor):
        raise OwnModelError(f"{name}'s loss is {_described(loss)}, wanted a tensor of one number")
    if loss.dim() != 0:
        raise OwnModelError(f"{name}'s loss is {_shape(loss)}, wanted (): one number, the mean over all positions")
    if not loss.requires_grad:
        raise OwnModelError(f"{name}'s loss does not depend on its parameters: nothing could be learned")
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    if all(gradient is None for gradient in gradients):
        raise OwnModelError(f"{name}'s loss does not depend on its parameters: nothing could be learned")


@torch.no_grad()
def looks_ahead(model: nn.Module, vocabulary_size: int, tokens: Tensor, targets: Tensor) -> bool:
    """Whether what a model says at a position changes with the tokens after it: then it sees the answer.

    False where that cannot be told: of one token, or where logits of every position are not returned.
    """
    model.eval()
    few, t = tokens[:_EXAMPLES], tokens.shape[1]
    if t < 2:
        return False
    changed = few.clone()
    changed[:, -1] = (changed[:, -1] + 1) % vocabulary_size
    before, after = (_every_position(model, each, targets[:_EXAMPLES], vocabulary_size) for each in (few, changed))
    if before is None or after is None:
        return False
    return not torch.allclose(before[:, :-1], after[:, :-1], rtol=1e-4, atol=1e-5)


def _every_position(model: nn.Module, tokens: Tensor, targets: Tensor, v: int) -> Tensor | None:
    logits: Tensor = model(tokens, targets)[0]
    return logits.reshape(*tokens.shape, v) if logits.numel() == tokens.numel() * v else None


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {_shape(value)}"
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    return "None" if value is None else f"a {type(value).__name__}"
