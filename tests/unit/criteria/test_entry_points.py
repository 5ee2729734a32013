"""A criterion of another package works in a policy as one of Driftloop's own does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftloop.backtest.policies import profiles_of
from driftloop.cli.config import app
from driftloop.errors import SettingsError
from driftloop.settings import Profile
from driftloop.settings.policy import known_criteria

_PLUGIN = '''
import numpy as np
from driftloop.criteria import Finding
from driftloop.statistics.results import TestResult

class Wobble:
    """Share of losses above a limit; p = 0 where it is all of them."""
    name, family, needs = "wobble", "loss", frozenset({"losses"})
    def __init__(self, *, limit=1.0):
        self._limit, self.seen = float(limit), 0
    def evaluate(self, window, reference, seed):
        self.seen += 1
        above = float((window.losses > self._limit).mean())
        n, m = window.size, reference.size
        return [Finding(TestResult(float(self.seen), 1.0 - above, above, n, m, float(n), float(m)))]
'''

_CONFIG = """
[profiles.a]
policy = { kind = "any", criteria = [{ name = "wobble", params = { limit = 2.0 } }, "ks"] }
features = { numeric = ["u"] }
window = { kind = "count", records = 50 }
"""

_END_TO_END = """
import pickle
import numpy as np
from driftloop.settings import load_settings
from driftloop.policy import StreamDecider, StreamTester
from tests.unit.policy.windows import losses
profile = load_settings("driftloop.toml").profiles["a"]
tester, decider = StreamTester(profile), StreamDecider("s", "a", profile)
found = []
for index, level in enumerate([1.0, 1.0, 3.0]):
    item = tester.test(losses(np.full(60, level), index=index))
    tester = pickle.loads(pickle.dumps(tester))
    found += [e for e in decider.decide(item) if type(e).__name__ == "RetrainRequested"]
(request,) = found
(one,) = [g for g in request.grounds if g.criterion == "wobble"]
print(request.policy, one.family, one.statistic, one.p_value, one.effect, one.rejected)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder on the path with a package's module and what its installation would leave."""
    (tmp_path / "wobbling.py").write_text(_PLUGIN, encoding="utf-8")
    info = tmp_path / "wobbling-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wobbling\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[driftloop.criteria]\nwobble = wobbling:Wobble\nbroken = wobbling:Absent\n"
    )
    (tmp_path / "driftloop.toml").write_text(_CONFIG, encoding="utf-8")
    return tmp_path


def test_it_decides_remembers_and_is_in_the_grounds(folder: Path) -> None:
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(folder), str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _END_TO_END],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # The first window is the reference; the second is calm, the third is above the limit.
    assert done.stdout.split() == ["any", "loss", "2.0", "0.0", "1.0", "True"]


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package on this process's path."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    known_criteria.cache_clear()
    yield folder
    known_criteria.cache_clear()


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("wobbel", "limit = 2", "did you mean 'wobble'?"),
        ("wobble", "limt = 2", "parameters that criterion wobble takes"),
        ("wobble", 'limit = "high"', "parameters that criterion wobble takes"),
        ("broken", "limit = 2", "a criterion whose package can be loaded"),
    ],
)
def test_faults_are_told_before_anything_runs(
    installed: Path, name: str, params: str, told: str
) -> None:
    assert CliRunner().invoke(app, ["check"]).exit_code == 0
    text = _CONFIG.replace('"wobble"', f'"{name}"').replace("limit = 2.0", params)
    (installed / "driftloop.toml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 2
    assert told in done.output
    assert "profiles.a.policy.criteri" in done.output


def test_a_backtest_tells_wrong_params_too() -> None:
    policy = 'any(criteria=[{name="ks", params={dependence="some"}}])'
    with pytest.raises(SettingsError, match=r"--policy any.*criteria\.ks\.params.*'ar' or 'none'"):
        profiles_of(Profile(), [policy])
