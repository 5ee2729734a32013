"""The device that training takes, in words."""

from __future__ import annotations

import torch

from driftloop.errors import SettingsError
from driftloop.trainer.train import device_of


def describe(setting: str) -> tuple[str, str]:
    """What ``trainer.device`` comes to here, and why it cannot be used: empty where it can."""
    try:
        device = device_of(setting)
    except SettingsError as error:
        return f"trainer.device is {setting!r}", str(error.faults[0].rule)
    if device.type != "cuda":
        return f"training takes the CPU, {torch.get_num_threads()} threads", ""
    free, total = torch.cuda.mem_get_info(device)
    name = torch.cuda.get_device_name(device)
    return f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free", ""
