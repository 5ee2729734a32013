"""Optional packages: named with the command that installs them, before anything is tried."""

from __future__ import annotations

from importlib.util import find_spec

from driftloop.errors import DriftloopError

EXTRAS = {
    "demo": "trainer,scorer,demo",
    "trainer": "trainer",
    "scorer": "scorer",
    "models": "scorer",
    "backtest": "backtest,trainer",
    "dashboard": "dashboard",
}


def need(command: str, *packages: str) -> None:
    """See that the packages a command needs are installed.

    Raises:
        DriftloopError: Names each missing one and the command that installs it.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise DriftloopError(
            f"driftloop {command} needs {', '.join(missing)}, not installed here: "
            f"pip install 'driftloop[{EXTRAS[command]}]'"
        )
