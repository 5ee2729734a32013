"""How much memory a stack may take: what is free is measured, what a model needs is reckoned.

On a CPU the system lends more than it has and then ends the process, so a stack is cut before it
is allocated. Where an allocation is refused all the same, the stack is halved: see `train`.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

from driftloop.errors import TrainingError
from driftloop.settings.base import parse_size
from driftloop.trainer import mlp
from driftloop.trainer.job import Job, Spec, padded
from driftloop.trainer.network import Network

CPU_SHARE, GPU_SHARE = 0.5, 0.8
"""Of the memory that is free; the rest is left to the records, and to whoever else is there."""
_CGROUPS = Path("/sys/fs/cgroup")
_REFUSALS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def budget(setting: str, device: torch.device) -> int:
    """Bytes that all stacks together may take.

    Args:
        setting: ``trainer.memory``: a size, or ``auto`` for a share of what is free now.
        device: Where they are trained.
    """
    if setting != "auto":
        return parse_size(setting)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(GPU_SHARE * (free + cached))
    return int(CPU_SHARE * available())


def available() -> int:
    """Bytes that this process can still take: the least that system, container and limits leave."""
    return max(0, min(_rooms()))


def _rooms() -> Iterator[int]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield _field(Path("/proc/meminfo"), "MemAvailable:", 1024) or pages // 2
    for limit, used, stat in _cgroup_files():
        most, now = _number(limit), _number(used)
        if most is not None and now is not None:
            # Pages of files are given back when memory is short.
            yield most - now + (_field(stat, "inactive_file", 1) or 0)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft - (_field(Path("/proc/self/status"), "VmSize:", 1024) or 0)


def _cgroup_files() -> Iterator[tuple[Path, Path, Path]]:
    """Limit, use and statistics of each group that holds this process; version 2, then 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = _CGROUPS / own.lstrip("/")
    for one in (folder, *folder.parents):
        if one.is_relative_to(_CGROUPS):
            yield one / "memory.max", one / "memory.current", one / "memory.stat"
    old = _CGROUPS / "memory"
    yield old / "memory.limit_in_bytes", old / "memory.usage_in_bytes", old / "memory.stat"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" is no limit


def _field(file: Path, name: str, unit: int) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(name)), None)
    return int(found[1]) * unit if found else None


def need(spec: Spec, shape: tuple[int, int]) -> int:
    """Bytes that each model of a stack needs while it is trained, at most.

    Args:
        spec: How.
        shape: Padded records and width, as `Job.shape`.
    """
    records, width = shape
    if spec.kind == "linear":
        # The records; weighted once more, and for BLAS; a dozen vectors; three square matrices.
        return 8 * (3 * records * width + 12 * records * (spec.outputs + 1) + 4 * width**2)
    room, batch = mlp.validation_bucket(records), min(padded(spec.batch_records), records)
    network = Network(spec, width)
    stored = (records + room) * (width + 3)
    orders = 6 * records + 2048  # int64: places and what they are computed from
    return 4 * (stored + orders + 12 * network.size + 4 * (batch + room) * network.values)


def built(spec: Spec, shape: tuple[int, int]) -> int:
    """Bytes of each model's records as they are laid out in this process, before a device has them.

    Args:
        spec: How it is trained.
        shape: Padded records and width, as `Job.shape`.
    """
    records, width = shape
    if spec.kind == "linear":
        return 8 * records * (width + 2)
    return 4 * (records + mlp.validation_bucket(records)) * (width + 3)


def host_models(spec: Spec, shape: tuple[int, int]) -> int:
    """Models, ≥ 1, that this process can lay out at once, however many a device has room for."""
    return max(1, int(CPU_SHARE * available()) // built(spec, shape))


def needs(job: Job) -> int:
    """Bytes that a job needs by itself; a lone model is trained beside a copy of itself."""
    return 2 * need(job.spec, job.shape)


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that memory was not to be had."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(one in str(error) for one in _REFUSALS)


def too_large(job: Job, most: int) -> TrainingError:
    """The error of a job that does not fit, not even alone.

    Args:
        job: The job.
        most: The budget, bytes.
    """
    records, width = job.inputs.shape
    return TrainingError(
        "out-of-memory",
        f"a model of {records:,} records and {width:,} inputs needs about {shown(needs(job))} to "
        f"train, got {shown(most)}: narrow training.window or training.records, lower "
        "model.hidden or model.batch_records, or give the trainer more memory (trainer.memory, "
        "the container's limit)",
    )


def shown(size: int) -> str:
    """Bytes in words.

    >>> shown(3 * 2**30), shown(5_000_000)
    ('3.0 GiB', '4.8 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
