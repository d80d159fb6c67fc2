"""Checkpoints: one safetensors file with the weights, and in its header, as JSON, what else a model needs.

A complete checkpoint holds the optimiser's and the random state too, and the best weights so far, so that a run goes on
from this one file exactly. No pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lab.config.own_model import OWN
from lab.config.run_config import RunConfig, from_json
from lab.errors import CheckpointError, ConfigError
from lab.models.build import build_model, build_shapes

_HEADER_KEY = "lab"
_UNREADABLE = (
    SafetensorError, ConfigError, OSError, AttributeError, KeyError, TypeError, ValueError, OverflowError, MemoryError,
    RecursionError, RuntimeError,
)  # fmt: skip
"""What reading a file that lies about itself raises."""
_SYSTEMS_NUMBER = re.compile(r"\(os error (\d+)\)")
"""Where safetensors says which error of the system's kept it from writing."""


@dataclass
class LoopState:
    """What the training loop knows beside tensors, as it stands after a step."""

    first_step: int = 0
    step: int = 0
    seconds: float = 0.0
    training_seconds: float = 0.0
    smoothed_loss: float = 0.0
    smoothed_count: int = 0
    train_loss: float | None = None
    val_loss: float | None = None
    best_val_loss: float | None = None
    best_step: int | None = None
    open_buckets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, read: tensors by section (`model`, `best`, `optimizer`, `random`) and name."""

    config: RunConfig
    vocabulary: tuple[str, ...]
    state: LoopState
    sections: Mapping[str, Mapping[str, Tensor]]

    def model(self) -> nn.Module:
        """The model with these weights. Raises `CheckpointError` where they do not fit its config."""
        if self.config.model != OWN:
            # The shapes first: what the config claims may be a giant.
            _check_fit(_kept(build_shapes(self.config, len(self.vocabulary))), self.sections["model"])
        model = build_model(self.config, len(self.vocabulary))
        load_weights(model, self.sections["model"])
        return model.eval()


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy on the CPU of a model's parameters and of what it keeps beside them, by name.

    A shared one stands under its first name.
    """
    return {name: kept.detach().to("cpu", copy=True).contiguous() for name, kept in _kept(model).items()}


def _kept(model: nn.Module) -> dict[str, Tensor]:
    """Parameters, and those buffers that a model counts among its state: the running means of a batch norm."""
    state = model.state_dict(keep_vars=True)
    return dict(model.named_parameters()) | {name: each for name, each in model.named_buffers() if name in state}


@torch.no_grad()
def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies weights into a model. Raises `CheckpointError` naming the first that does not fit."""
    kept = _kept(model)
    _check_fit(kept, weights)
    for name, each in kept.items():
        each.copy_(weights[name])


def _check_fit(parameters: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    strange = sorted(parameters.keys() ^ weights.keys())
    if strange:
        raise CheckpointError(f"the checkpoint does not fit the model: {strange[0]} is in only one of them")
    for name, parameter in parameters.items():
        if parameter.shape != weights[name].shape:
            raise CheckpointError(
                f"the checkpoint does not fit the model: {name} is {tuple(weights[name].shape)}, "
                f"not {tuple(parameter.shape)}"
            )


def checkpoint_writer(
    config: RunConfig, vocabulary: tuple[str, ...], state: LoopState, sections: Mapping[str, Mapping[str, Tensor]]
) -> Callable[[Path], None]:
    """What writes a checkpoint, later and from another thread; the tensors must not change until then."""
    header = {"config": config.to_json(), "vocabulary": vocabulary, "state": vars(state)}
    encoded = json.dumps(header)  # now: the state goes on changing
    tensors = {f"{section}/{name}": tensor for section, named in sections.items() for name, tensor in named.items()}

    def write(path: Path) -> None:
        try:
            save_file(tensors, path, metadata={_HEADER_KEY: encoded})
        except SafetensorError as error:
            number = _SYSTEMS_NUMBER.search(str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None

    return write


def read_checkpoint(path: Path, sha256: str | None = None) -> Checkpoint:
    """Reads a checkpoint, checked against its SHA-256 where one is given.

    Raises `CheckpointError` where the file is gone, damaged, or no checkpoint of lab's.
    """
    try:
        if sha256 is not None:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise CheckpointError(f"checkpoint {path} is damaged: its SHA-256 is not the one recorded")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if _HEADER_KEY not in metadata:
                raise CheckpointError(f"{path} is no checkpoint of lab's: its header says nothing of a run")
            header = json.loads(metadata[_HEADER_KEY])
            sections: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "random": {}}
            for key in file.keys():  # noqa: SIM118 (the file is no mapping)
                section, _, name = key.partition("/")
                sections[section][name] = file.get_tensor(key)
        return Checkpoint(
            config=from_json(header["config"]),
            vocabulary=tuple(header["vocabulary"]),
            state=LoopState(**header["state"]),
            sections=sections,
        )
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path} is gone") from None
    except _UNREADABLE as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(f"checkpoint {path} cannot be read: {said}") from None
