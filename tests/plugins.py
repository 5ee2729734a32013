"""Model plug-ins as an installed package: one that works, and one for each way to fail."""

from __future__ import annotations

from pathlib import Path

GROUP = "driftloop.models"

MODULE = '''
import ctypes
import os
import signal
import threading

import numpy as np

from driftloop.models import FittedModel


class Centre:
    """Predicts the mean of the labels, plus ``params.shift``."""

    name = "centre"
    tasks = frozenset({"regression"})
    format = "safetensors"

    def check(self, params):
        return [] if set(params) <= {"shift"} else ["it takes shift"]

    def fit(self, jobs, progress):
        found = []
        for job in jobs:
            mean = np.array([job.labels.mean() + job.params.get("shift", 0.0)])
            found.append(FittedModel({"mean": mean}, facts={"process": os.getpid()}))
            progress(1.0)
        return found

    def predict(self, model, inputs):
        return np.full(len(inputs), model.model["mean"][0])

    def describe(self, model):
        return {"mean": float(model.model["mean"][0])}


class Raises(Centre):
    name = "raises"

    def fit(self, jobs, progress):
        raise RuntimeError("no idea how")


class Hangs(Centre):
    name = "hangs"

    def fit(self, jobs, progress):
        progress(0.25)
        threading.Event().wait()


class Eats(Centre):
    name = "eats"

    def fit(self, jobs, progress):
        kept = []
        while True:
            kept.append(np.ones(2**22))  # 32 MiB


class EatsElsewhere(Centre):
    """Its memory is that of a process that it starts."""

    name = "eats-elsewhere"

    def fit(self, jobs, progress):
        if os.fork() == 0:
            Eats().fit(jobs, progress)
        threading.Event().wait()


class Gulps(Centre):
    """Asks for more than any machine has, at once."""

    name = "gulps"

    def fit(self, jobs, progress):
        np.ones(2**57)


class Exits(Centre):
    name = "exits"

    def fit(self, jobs, progress):
        os._exit(7)


class Crashes(Centre):
    name = "crashes"

    def fit(self, jobs, progress):
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)


class LeavesAChild(Centre):
    """Dies, and what it started keeps its pipes open."""

    name = "leaves-a-child"

    def fit(self, jobs, progress):
        child = os.fork()
        if child == 0:
            threading.Event().wait()
        with open(jobs[0].params["file"], "w") as file:
            file.write(str(child))
        os._exit(7)


class Leaves(Centre):
    """Asks to leave."""

    name = "leaves"

    def fit(self, jobs, progress):
        raise SystemExit(3)


class WrongShape(Centre):
    name = "wrong-shape"

    def predict(self, model, inputs):
        return np.zeros((len(inputs), 2))


class RaisesLater(Centre):
    name = "raises-later"

    def predict(self, model, inputs):
        raise KeyError("mean")


class HangsLater(Centre):
    name = "hangs-later"

    def predict(self, model, inputs):
        threading.Event().wait()


class Remembers(Centre):
    """What a job before it left in the module."""

    name = "remembers"
    seen = []

    def fit(self, jobs, progress):
        self.seen.append(1)
        return [FittedModel({"mean": np.array([float(len(self.seen))])})]


class NoFacts(Centre):
    name = "no-facts"

    def fit(self, jobs, progress):
        return [FittedModel({"mean": np.zeros(1)}, facts={"what": object()})]


class Few(Centre):
    name = "few"

    def fit(self, jobs, progress):
        return []


class NoFormat(Centre):
    name = "no-format"
    format = "pickle"


class NoTask(Centre):
    name = "no-task"
    tasks = frozenset({"ranking"})


class NoFit:
    name = "no-fit"


class CheckFails(Centre):
    name = "check-fails"

    def check(self, params):
        raise ZeroDivisionError("by zero")


class Unmade(Centre):
    name = "unmade"

    def __init__(self):
        raise OSError("no licence")
'''

_CLASSES = {
    "centre": "Centre",
    "raises": "Raises",
    "hangs": "Hangs",
    "eats": "Eats",
    "eats-elsewhere": "EatsElsewhere",
    "gulps": "Gulps",
    "exits": "Exits",
    "crashes": "Crashes",
    "leaves-a-child": "LeavesAChild",
    "leaves": "Leaves",
    "wrong-shape": "WrongShape",
    "raises-later": "RaisesLater",
    "hangs-later": "HangsLater",
    "remembers": "Remembers",
    "no-facts": "NoFacts",
    "few": "Few",
    "no-format": "NoFormat",
    "no-task": "NoTask",
    "no-fit": "NoFit",
    "check-fails": "CheckFails",
    "unmade": "Unmade",
    "absent": "Absent",
}


def install(folder: Path, module: str = "", points: dict[str, str] | None = None) -> str:
    """Write a package that registers model kinds into a folder; its path goes on ``sys.path``.

    Args:
        folder: An empty one.
        module: Source of its only module ``some_models``; by default that of this file.
        points: Place of each kind; by default those of this file.
    """
    named = points or {name: f"some_models:{kind}" for name, kind in _CLASSES.items()}
    modules = {place.partition(":")[0] for place in named.values()}
    folder.mkdir(parents=True, exist_ok=True)
    for one in modules:
        (folder / f"{one}.py").write_text(module or MODULE, encoding="utf-8")
    info = folder / "some_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-models\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{name} = {place}" for name, place in named.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return str(folder)
