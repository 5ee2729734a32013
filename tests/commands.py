"""Commands of ``driftloop`` run in the tests' own process: as they would end, without the start."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from driftloop.cli.app import main


class Ended(NamedTuple):
    """How a command ended; named as `subprocess.CompletedProcess` does."""

    returncode: int
    stdout: str
    stderr: str


def run_here(folder: Path, *arguments: str) -> Ended:
    """Run a command to its end in a folder; not for commands that start processes or threads."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.argv", ["driftloop", *arguments]),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())
