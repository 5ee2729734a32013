"""One process of a flow, as `driftloop.engine.run.run_flow` starts it; not for use by hand."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from driftloop.engine import stop
from driftloop.engine.run import build, run_process
from driftloop.errors import DriftloopError


def main(spec: str) -> int:
    """Run the process that `spec` describes; returns its exit status."""
    task: dict[str, Any] = json.loads(spec)
    threading.Thread(target=_follow_parent, name="parent", daemon=True).start()
    for place in task["path"]:
        if place not in sys.path:
            sys.path.append(place)
    with stop.handling():
        try:
            if task["setup"]:
                module, _, name = task["setup"].rpartition(":")
                getattr(__import__(module, fromlist=[name]), name)(task["process_id"])
            run_process(
                build(task["flow"], task["arguments"]),
                workers=task["workers"],
                recovery=None if task["recovery"] is None else Path(task["recovery"]),
                epoch_seconds=task["epoch_seconds"],
                process_id=task["process_id"],
                addresses=task["addresses"],
            )
        except DriftloopError:
            return 1  # told in the log already
    return 0


def _follow_parent() -> None:
    # Nothing is ever written: the read returns when the parent has ended or let go.
    os.read(0, 1)
    os._exit(stop.FORCED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
