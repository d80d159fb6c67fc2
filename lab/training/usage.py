"""What the process that trains takes of the machine."""

from __future__ import annotations

import psutil
import torch

_MEGABYTE = 1e6


class Usage:
    """Memory and processor time of this process, and of its GPU where it trains on one."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()

    def start(self) -> None:
        """Counts processor time from here on."""
        self._process.cpu_percent()

    def metrics(self) -> dict[str, float]:
        """`memory_mb`, resident now; `cpu_percent` of one core, since the last call; on CUDA `gpu_memory_mb`, the peak.

        A few system calls, no wait for the device.
        """
        metrics = {
            "memory_mb": self._process.memory_info().rss / _MEGABYTE,
            "cpu_percent": self._process.cpu_percent(),
        }
        if self._device.type == "cuda":
            metrics["gpu_memory_mb"] = torch.cuda.max_memory_allocated(self._device) / _MEGABYTE
        return metrics
