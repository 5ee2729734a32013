"""The package: what importing it needs, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import driftloop

_ROOT = Path(driftloop.__file__).parents[2]

_IMPORT_ALL = """
import importlib, pkgutil, sys
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Lacking())
import driftloop
left_out = tuple(sys.argv[2].split())
seen = 0
for module in pkgutil.walk_packages(driftloop.__path__, "driftloop."):
    if not module.name.startswith(left_out) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        seen += 1
print(seen)
"""


def _import_all(without: str, left_out: str) -> int:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT_ALL, without, left_out],
        capture_output=True,
        text=True,
        check=False,
        cwd=_ROOT,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_the_version_is_the_installed_ones() -> None:
    assert driftloop.__version__ == version("driftloop")


def test_every_part_but_the_trainer_imports_where_torch_is_missing() -> None:
    assert (
        _import_all("torch", "driftloop.trainer driftloop.cli.trainer driftloop.backtest.training")
        > 20
    )


def test_the_command_starts_without_torch_and_without_the_engine() -> None:
    """``driftloop kafka`` must work before anything heavy is there."""
    script = (
        "import sys; sys.modules.update(torch=None, bytewax=None, river=None, scipy=None)\n"
        "import driftloop.cli.app, driftloop.cli.kafka"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=_ROOT)
