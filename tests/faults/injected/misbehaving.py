"""Loaded into the fork server of a test's worker: runs of certain seeds misbehave, each in a way of its own.

What they do happens in the model's process and from within its training step, as a model of a person's own would do it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time

import torch

from lab.training.loop import TrainingLoop

AT_STEP = 60
"""The step at which a run misbehaves; some checkpoints come before it."""
MEBIBYTE = 2**20


def _out_of_memory() -> None:
    """Asks for more than the process may have."""
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + 256 * MEBIBYTE,) * 2)
    torch.zeros(1024 * MEBIBYTE, dtype=torch.uint8)


def _address_space() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 (as little as possible before memory runs out)
        return int(file.read().split()[0]) * resource.getpagesize()


def _killed_by_the_kernel() -> None:
    """What the kernel does to the process that has taken all memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def _segmentation_fault() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _never_return() -> None:
    while True:
        time.sleep(3600)


def _raise() -> None:
    raise ValueError("the model has had enough\nand says so in two lines")


def _end_the_process() -> None:
    os._exit(7)


MISDEEDS = {
    101: _out_of_memory,
    102: _killed_by_the_kernel,
    103: _segmentation_fault,
    104: _hang,
    105: _never_return,
    106: _raise,
    107: _end_the_process,
}

_real_step = TrainingLoop._step


def _step(self: TrainingLoop, step: int) -> None:
    misdeed = MISDEEDS.get(self.config.seed)
    if misdeed is not None and step == AT_STEP:
        self.recorder.drain()  # so that it has the checkpoints that it would have in a longer run
        misdeed()
    _real_step(self, step)


TrainingLoop._step = _step
