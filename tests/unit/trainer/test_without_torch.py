"""What is not the trainer runs where torch is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

_BLOCK = """
import importlib.machinery, sys
class Blind(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == "torch" else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Blind
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _BLOCK + code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "module",
    ["driftloop.cli.app", "driftloop.models", "driftloop.monitor", "driftloop.trainer.preview"],
)
def test_modules_are_imported_without_torch(module: str) -> None:
    done = _run(f"import {module}")
    assert done.returncode == 0, done.stderr


def test_the_trainer_without_torch_says_what_to_install() -> None:
    done = _run("sys.argv = ['driftloop', 'trainer']\nfrom driftloop.cli.app import main\nmain()")
    assert done.returncode == 1
    assert "needs torch" in done.stderr
    assert "driftloop[trainer]" in done.stderr
