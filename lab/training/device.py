"""Where and how a run is computed: device, precision and threads, resolved once and kept with the run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from lab.config.run_config import RunConfig
from lab.errors import UsageError

SMALL_MODEL = 1_000_000
"""Parameters below which a GPU's launch overhead may cost more than its arithmetic saves."""
_MEASURED_SECONDS = 0.25
_MEASURED_TOKENS = 4096
"""Of a batch, at most, where two precisions are compared: a whole one of a large model takes half a minute."""

# What cuBLAS needs to repeat to the bit. It looks once, at its first product, so it is said before there can be one.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@dataclass(frozen=True)
class Resources:
    """What a run is computed with; on the same of these, and the same torch, a run repeats bit for bit."""

    device: str
    precision: str
    threads: int

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16)

    @property
    def is_plain_cpu(self) -> bool:
        """Whether a run is computed in fp32 on the CPU, where some models have a faster step of their own."""
        return self.precision == "fp32" and torch.device(self.device).type == "cpu"

    def apply(self) -> None:
        """Sets what torch holds for the whole process. Raises `UsageError` where the device is not here."""
        kind = torch.device(self.device).type
        if not dict(_devices()).get(kind):
            raise UsageError(f"the run was begun on {kind}, which is not here; go on where it is, or train a new run")
        torch.set_num_threads(self.threads)
        if kind == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32 where bf16 does not apply
            torch.use_deterministic_algorithms(True)  # else the backward pass of flash attention adds in any order
            # That would also fill every new tensor, at a cost.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def best_device() -> str:
    """The fastest kind of device here: LAB_DEVICE where it is set, else cuda, mps or cpu.

    Raises `UsageError` where LAB_DEVICE names one that is not here.
    """
    here = [name for name, found in _devices() if found]
    wanted = os.environ.get("LAB_DEVICE", "").strip().lower()
    if wanted and wanted not in here:
        raise UsageError(f"LAB_DEVICE={wanted} is not here; this machine has {', '.join(here)}")
    return wanted or here[0]


def resolve(config: RunConfig, build: Callable[[], nn.Module], parameters: int, threads: int) -> Resources:
    """Resources for a run that has none yet: the config's wishes, and what is measured to be faster here."""
    torch.set_num_threads(threads)  # the CPU's times depend on it
    device = best_device()
    if device != "cpu" and parameters < SMALL_MODEL and not os.environ.get("LAB_DEVICE"):
        device = _faster_device(config, build, device)
    if config.precision != "auto":
        precision: str = config.precision
    elif device.startswith("cuda"):
        precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    elif device == "cpu" and parameters >= SMALL_MODEL // 2 and not imitates_bf16(device):
        precision = _faster_precision(config, build())
    else:
        precision = "fp32"
    return Resources(device, precision, threads)


@cache
def imitates_bf16(device_type: str) -> bool:
    """Whether bf16 is no arithmetic of this processor's, so that computing in it takes many times as long."""
    return device_type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _devices() -> list[tuple[str, bool]]:
    return [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True)]


def _faster_device(config: RunConfig, build: Callable[[], nn.Module], accelerator: str) -> str:
    """The accelerator or the CPU, by the time of some training passes of this very model."""
    return min(
        (accelerator, "cpu"),
        key=lambda device: _seconds_per_pass(config, build().to(device), Resources(device, "fp32", 1)),
    )


def _faster_precision(config: RunConfig, model: nn.Module) -> str:
    """fp32, unless this processor computes this very model clearly faster in bf16."""
    part = config.replace(batch_size=max(1, min(config.batch_size, _MEASURED_TOKENS // config.context_length)))
    fp32, bf16 = (_seconds_per_pass(part, model, Resources("cpu", name, 1)) for name in ("fp32", "bf16"))
    return "bf16" if bf16 < 0.9 * fp32 else "fp32"


def _seconds_per_pass(config: RunConfig, model: nn.Module, resources: Resources) -> float:
    """The time of a forward and a backward pass over one batch."""
    shape = (config.batch_size, config.context_length)
    tokens = torch.zeros(shape, dtype=torch.long, device=resources.device)
    targets = tokens if config.predicts_every_position else tokens[:, -1:]

    def training_pass() -> None:
        with resources.autocast():
            _, loss = model(tokens, targets)
        loss.backward()
        if resources.device != "cpu":
            float(loss)  # waits for the device

    return _seconds_per_call(training_pass)


def _seconds_per_call(call: Callable[[], object]) -> float:
    """The shortest of repeated calls, after one to warm up."""
    call()
    shortest, until = float("inf"), time.perf_counter() + _MEASURED_SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest
