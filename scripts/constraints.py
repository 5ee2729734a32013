"""Write constraints.txt: the newest versions that fit pyproject.toml, for both Pythons.

torch pins its CUDA and Triton packages by itself, and another TORCH_BACKEND needs others, so they
are left out; so are markers that are always true on Linux and macOS.
"""

import re
import subprocess
import sys
from pathlib import Path

_HEAD = """\
# Every version that set-up installs, on Python 3.11 and 3.12: written by `make constraints`.
# torch pins its own CUDA and Triton packages, which differ by TORCH_BACKEND: they are not repeated.
"""
_LEFT_OUT = re.compile(r"^(nvidia-|cuda-|triton=|colorama=)")
_MARKER = re.compile(r" ; .*$")


def main() -> None:
    """Resolve, and write the file whole."""
    root = Path(__file__).resolve().parent.parent
    command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--universal"]
    command += ["--python-version", "3.11", "--fork-strategy", "fewest", "--all-extras"]
    command += ["--upgrade", "--no-header", "--no-annotate", "--no-emit-index-url"]
    done = subprocess.run(
        [*command, "pyproject.toml"], cwd=root, check=True, capture_output=True, text=True
    )
    lines = [_MARKER.sub("", line) for line in done.stdout.splitlines()]
    kept = [line for line in lines if not _LEFT_OUT.match(line)]
    (root / "constraints.txt").write_text(_HEAD + "\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
