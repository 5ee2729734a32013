"""Memory and use of the GPU that a trainer trains on, as gauges; none where it has no GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch
from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from driftloop.telemetry.families import Family

MEMORY = Family(
    "driftloop_trainer_gpu_memory_bytes",
    ("device", "kind"),
    "Memory of the GPU: `total`, `free` (of all processes), and what this one has `allocated` and "
    "`reserved`. Only where the trainer has a GPU.",
)
USE = Family(
    "driftloop_trainer_gpu_utilization_ratio",
    ("device",),
    "Share of the last sample in which a kernel ran, 0 to 1. Only where the trainer has a GPU and "
    "the package nvidia-ml-py.",
)
DESCRIBED = (MEMORY, USE)

_lock = threading.Lock()
_watched: list[Gpu] = []


class Gpu(Collector):
    """Asks the driver at each scrape.

    Args:
        device: A CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def collect(self) -> Iterator[Metric]:
        """The gauges; those that cannot be had are left out."""
        name = str(self._device)
        memory = MEMORY.new()
        with contextlib.suppress(RuntimeError):
            free, total = torch.cuda.mem_get_info(self._device)
            memory.add_metric([name, "total"], total)
            memory.add_metric([name, "free"], free)
            memory.add_metric([name, "allocated"], torch.cuda.memory_allocated(self._device))
            memory.add_metric([name, "reserved"], torch.cuda.memory_reserved(self._device))
        yield memory
        use = USE.new()
        with contextlib.suppress(RuntimeError, ModuleNotFoundError):
            use.add_metric([name], torch.cuda.utilization(self._device) / 100.0)
        yield use


def watch(device: torch.device) -> None:
    """Show a device's gauges from now on, once; nothing for a CPU."""
    with _lock:
        if device.type == "cuda" and not _watched:
            _watched.append(Gpu(device))
            REGISTRY.register(_watched[0])
