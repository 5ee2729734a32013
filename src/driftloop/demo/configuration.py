"""The demo's ``driftloop.toml``: a whole configuration that can be read as an example."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template

from driftloop.demo.flights import CATEGORICAL, NUMERIC
from driftloop.settings import TopicSettings

RETRAIN_PRICE = 400
"""Minutes of avoidable error that a retrain has to be worth."""

LATENESS_DAYS = 1
"""The replay lets the scorer lag by 20 hours, and the longest flight takes 8.5: both are less."""

_TEXT = Template(
    """\
# Written by `driftloop demo`, made anew by each run. A complete configuration to learn from:
#   driftloop config check --config $file
home = $home

[kafka]
bootstrap_servers = $servers

# Driftloop's own topics.
[topics]
$topics
partitions = 4

[monitor]
shards = 8          # enough for one process; permanent for a recovery folder
discover = "1s"     # how soon a new topic is seen
epoch = "5s"        # time between two snapshots
recovery = $recovery

[telemetry]
report = "1s"       # how often each part says that it runs, and how far it is

[trainer]
group = $group
linger = "200ms"    # requests that come together are trained together

# Departures in, predictions out: departures.LAX goes to flights.LAX.
[scorer]
topics = $departures
output = $flights
recovery = $recovery_scorer

[store]
uri = $store

# What the records of flights.* mean: a record with features and a prediction at departure, and one
# with the label at landing, joined by their id.
[profiles.flights]
topics = $streams
task = "regression"
loss = "absolute"   # minutes

[profiles.flights.features]
numeric = $numeric
categorical = $categorical

# Windows are whole weeks of event time; a week closes a day late, because flights land later than
# they depart.
[profiles.flights.window]
kind = "cycle"
length = "7d"
lateness = "${lateness}d"

# Retrain when the error that a newer model would have saved since the last retrain exceeds the
# price of a retrain: here $price minutes of error, summed over flights.
[profiles.flights.policy]
kind = "reducible"
mode = "accumulate"
cost_loss = $price

[profiles.flights.model]
kind = "linear"

[profiles.flights.training]
window = "28d"      # a model is trained on the four weeks before the decision
"""
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of a run: topics and files.

    Attributes:
        out: Folder of the run.
        prefix: Stands before every topic's name; empty on a Kafka of the demo's own.
    """

    out: Path
    prefix: str = ""

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.out / "driftloop.toml"

    @property
    def page(self) -> Path:
        """The page with plots."""
        return self.out / "index.html"

    @property
    def results(self) -> Path:
        """The closing table as JSON."""
        return self.out / "results.json"

    @property
    def logs(self) -> Path:
        """Folder of the processes' logs."""
        return self.out / "logs"

    @property
    def stream_prefix(self) -> str:
        """What stands before a route in the name of its stream."""
        return f"{self.prefix}flights."

    def departures(self, route: str) -> str:
        """Topic of a route's feature records."""
        return f"{self.prefix}departures.{route}"

    def stream(self, route: str) -> str:
        """Topic of a route's predictions and labels; also its stream id."""
        return f"{self.stream_prefix}{route}"

    def clean(self) -> None:
        """Remove what an earlier run wrote, and nothing else."""
        for name in ("recovery", "recovery-scorer", "models", "logs"):
            shutil.rmtree(self.out / name, ignore_errors=True)
        self.page.unlink(missing_ok=True)
        self.results.unlink(missing_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)

    def write(self, servers: str) -> Path:
        """Write the configuration file and return its path."""
        text = render(self, servers)
        self.config.write_text(text, encoding="utf-8")
        return self.config


def render(layout: Layout, servers: str) -> str:
    """Text of the configuration file.

    Args:
        layout: Names and folders; written as absolute paths, so that the file works from anywhere.
        servers: Bootstrap servers.
    """
    out = layout.out.absolute()
    dotted = layout.prefix.replace(".", r"\.")
    return _TEXT.substitute(
        file=str(layout.config),
        home=_toml(str(out)),
        servers=_toml(servers),
        topics="\n".join(
            f'{role} = "{layout.prefix}driftloop.{role}"' for role in TopicSettings().names
        ),
        recovery=_toml(str(out / "recovery")),
        recovery_scorer=_toml(str(out / "recovery-scorer")),
        group=_toml(f"{layout.prefix}driftloop-trainer"),
        departures=f"'{dotted}departures\\.(.+)'",
        flights=f"'{layout.prefix}flights.\\1'",
        store=_toml(str(out / "models")),
        streams=f"'{dotted}flights\\..+'",
        numeric=json.dumps(list(NUMERIC)),
        categorical=json.dumps(list(CATEGORICAL)),
        lateness=LATENESS_DAYS,
        price=RETRAIN_PRICE,
    )


def _toml(text: str) -> str:
    """A basic string of TOML; JSON's escapes are a subset of its own."""
    return json.dumps(text, ensure_ascii=False)
