"""All sections of `driftloop.toml`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from driftloop.settings.base import SIZE_PATTERN, Duration, Section
from driftloop.settings.commands import CommandSettings
from driftloop.settings.dashboard import DashboardSettings
from driftloop.settings.policy import Policy
from driftloop.settings.profile import Profile
from driftloop.settings.secrets import resolve
from driftloop.settings.telemetry import TelemetrySettings


class KafkaSettings(Section):
    """How to reach Kafka.

    Attributes:
        bootstrap_servers: Brokers to start from, as ``host:port,host:port``.
        properties: Client properties as librdkafka knows them (SASL, TLS and the like); they go
            to every client. Secrets are references: ``{ env = "NAME" }`` or ``{ file = "PATH" }``.
    """

    bootstrap_servers: str = "127.0.0.1:9092"
    properties: dict[str, Any] = Field(default={})

    def client(self, **more: Any) -> dict[str, Any]:
        """Client properties: the user's, then the bootstrap servers, then `more`.

        Raises:
            SettingsError: A secret cannot be read.
        """
        return {
            **resolve(self.properties),
            "bootstrap.servers": self.bootstrap_servers,
            **more,
        }


class TopicSettings(Section):
    """Names of Driftloop's own topics, and how they are made.

    Attributes:
        retrain: Retrain requests.
        models: The current version of each stream.
        trainings: The outcome of every retrain request.
        commands: Operators' commands.
        evidence: The statistics of every closed window.
        status: The key metrics of each stream.
        incidents: Shifts that many streams of a fleet share.
        dlq: Records that could not be read.
        partitions: Of each topic that Driftloop makes.
        replication_factor: Of each topic that Driftloop makes; -1 leaves it to the broker.
        create: Whether Driftloop makes the topics that are missing.
    """

    retrain: str = "driftloop.retrain"
    models: str = "driftloop.models"
    trainings: str = "driftloop.trainings"
    commands: str = "driftloop.commands"
    evidence: str = "driftloop.evidence"
    status: str = "driftloop.status"
    incidents: str = "driftloop.incidents"
    dlq: str = "driftloop.dlq"
    partitions: int = Field(default=4, ge=1, le=1000)
    replication_factor: int = Field(default=-1, ge=-1)
    create: bool = True

    @property
    def names(self) -> dict[str, str]:
        """Role of each topic, and its name."""
        roles = (
            "retrain",
            "models",
            "trainings",
            "commands",
            "evidence",
            "status",
            "incidents",
            "dlq",
        )
        return {role: getattr(self, role) for role in roles}


class MonitorSettings(Section):
    """The monitor's dataflow.

    Attributes:
        shards: Parts of the source; permanent for a recovery folder.
        start: Where a stream begins that no recovery knows: ``earliest`` or ``latest`` (only
            topics that are there at the first start; later ones are read from their beginning).
        discover: How often topics are looked for.
        epoch: Time between two snapshots.
        recovery: Folder of the snapshots; empty for none.
        max_records: Records taken from Kafka at a time.
        store_patience: How long a model that a trial needs is asked of the store again and again;
            then the trial ends unscored.
    """

    shards: int = Field(default=64, ge=1, le=1024)
    start: Literal["earliest", "latest"] = "earliest"
    discover: Duration = Field(default=5)  # type: ignore[assignment]  # read by parse_duration
    epoch: Duration = Field(default=10)  # type: ignore[assignment]  # read by parse_duration
    recovery: str = ".driftloop/recovery"
    max_records: int = Field(default=10_000, ge=1, le=1_000_000)
    store_patience: Duration = Field(default=60)  # type: ignore[assignment]  # parse_duration


class TrainerBudget(Section):
    """Seconds of training a UTC day; a request beyond them waits for the next day.

    What a person ordered or approved counts, and always goes ahead.

    Attributes:
        seconds_per_day: Of each profile that `profiles` does not name.
        profiles: Of a profile, by its name.
    """

    seconds_per_day: float | None = Field(default=None, gt=0)
    profiles: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})


class TrainerSettings(Section):
    """The trainer.

    Attributes:
        group: Consumer group.
        instance: Name of this trainer, unique in its group; empty for host and process.
        linger: How long requests are gathered before the first batch is chosen.
        max_requests: Requests trained at a time: those that save the most loss a second.
        batch_seconds: What a batch may be expected to take, in seconds, unless it is of one
            request; all of its models are of one kind.
        queue: Requests from which they are chosen, at most; more than there are streams.
        oldest_every: Every so-manieth place of a batch goes to the request that has waited longest,
            so that none starves; 1 serves in the order of arrival.
        device: ``auto`` takes CUDA where there is one.
        memory: What the models that are trained together may take, as ``4GiB``; ``auto`` is half
            of what is free on a CPU (of the container's limit, where it has one), four fifths on
            a GPU.
        max_records: Records that one request may name; more fail it before any is read.
        seed: Goes into each model's seed, beside its stream and its records.
        precision: Of the matrix products of training, but for linear models: ``float32``; or
            ``bf16``, by autocast; or ``tf32``, which is float32 on a CPU. Weights, and the losses
            that end a training, stay float32. On a CPU ``bf16`` costs no loss that was measurable;
            on a GPU nothing was measured yet, and no speed anywhere.
        plugin_processes: Jobs of model plug-ins that run beside each other, each in a process of
            its own; 0 for one a processor.
        plugin_timeout: Time after which a plug-in's job is ended, and its request fails.
        plugin_memory: Memory, as resident set of its processes, at which the same happens.
    """

    group: str = "driftloop-trainer"
    instance: str = ""
    linger: Duration = Field(default="500ms")  # type: ignore[assignment]  # read by parse_duration
    max_requests: int = Field(default=1024, ge=1)
    batch_seconds: float = Field(default=30.0, gt=0)
    queue: int = Field(default=20_000, ge=1)
    oldest_every: int = Field(default=4, ge=1)
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="'auto', 'cpu', 'cuda' or 'cuda:N'",
    )
    memory: str = Field(
        default="auto",
        pattern=rf"^(auto|{SIZE_PATTERN})$",
        description="'auto', or a size as '512MiB' or '4GiB'",
    )
    max_records: int = Field(default=2_000_000, ge=1000)
    seed: int = 0
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    budget: TrainerBudget = TrainerBudget()
    plugin_processes: int = Field(default=0, ge=0, le=256)
    plugin_timeout: Duration = Field(default="10m")  # type: ignore[assignment]  # read by parse_duration
    plugin_memory: str = Field(
        default="4GiB",
        pattern=rf"^{SIZE_PATTERN}$",
        description="a size, as '512MiB' or '4GiB'",
    )


class ScorerSettings(Section):
    r"""The scorer: which topics hold features, and which stream topic their predictions go to.

    Attributes:
        topics: Regular expression over the feature topics; groups may be used in `output`.
        output: Stream topic of a feature topic, as ``streams.\1``.
        recovery: Folder of the snapshots; empty for none.
    """

    topics: str = r"features\.(.+)"
    output: str = r"streams.\1"
    recovery: str = ".driftloop/recovery-scorer"


class StoreSettings(Section):
    """Where model artifacts lie.

    Attributes:
        uri: A folder, or a URL that fsspec reads, as ``s3://bucket/models``.
        options: What fsspec's file system takes. Secrets are references, as in
            ``kafka.properties``.
        also: Other folders or URLs that published versions may be read from, as where the store
            lay before it moved; what lies elsewhere is refused. Nothing is written there.
        keep: Newest versions of each stream that stay, beside those that are current, the parent
            of the current one, or pinned; 0 keeps all. The trainer removes the others once it has
            published for the stream.
        grace: Age below which nothing is removed: longer than a version waits for the end of the
            transaction that publishes it. What was left half-written goes after it.
    """

    uri: str = ".driftloop/models"
    options: dict[str, Any] = Field(default={})
    also: list[str] = Field(default=[])
    keep: int = Field(default=0, ge=0)
    grace: Duration = Field(default="1h")  # type: ignore[assignment]  # read by parse_duration

    @field_validator("grace")
    @classmethod
    def _outlasts_a_transaction(cls, value: timedelta) -> timedelta:
        if value < timedelta(minutes=1):
            raise ValueError("at least '1m', so that a version outlives its transaction")
        return value

    def resolved(self) -> dict[str, Any]:
        """Options with references replaced by the secrets that they name.

        Raises:
            SettingsError: A secret cannot be read.
        """
        return resolve(self.options, "store.options")


class MlflowSettings(Section):
    """Versions logged to MLflow as well, once they are published.

    Attributes:
        tracking_uri: The server, as ``http://127.0.0.1:5000``; empty for none. Credentials are
            those that MLflow's own variables name, as ``MLFLOW_TRACKING_TOKEN``.
        experiment: Experiment of the runs, one a version.
        register_models: Whether each stream gets a registered model ``driftloop.STREAM``, whose
            alias ``current`` is its current version.
    """

    tracking_uri: str = ""
    experiment: str = Field(default="driftloop", min_length=1)
    register_models: bool = False


class Settings(BaseSettings):
    """The whole configuration. `DRIFTLOOP_KAFKA__BOOTSTRAP_SERVERS=…` overrides a key.

    Attributes:
        home: Folder for what a run leaves: heartbeats, the trainer's notes of outcomes, the local
            Kafka, the demo.
        kafka: How to reach Kafka.
        topics: Driftloop's own topics.
        commands: Signatures of commands.
        monitor: The monitor.
        trainer: The trainer.
        scorer: The scorer.
        store: Where model artifacts lie.
        mlflow: An MLflow server that is told of versions.
        telemetry: Metrics, probes and traces.
        dashboard: Where the dashboard listens, and who may look and order.
        policies: Policies by name, for profiles and for ``driftloop backtest --policy``.
        profiles: What the records of each group of topics mean; the first that matches counts.
    """

    model_config = SettingsConfigDict(
        env_prefix="DRIFTLOOP_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    home: Path = Path(".driftloop")
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    commands: CommandSettings = CommandSettings()
    monitor: MonitorSettings = MonitorSettings()
    trainer: TrainerSettings = TrainerSettings()
    scorer: ScorerSettings = ScorerSettings()
    store: StoreSettings = StoreSettings()
    mlflow: MlflowSettings = MlflowSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    dashboard: DashboardSettings = DashboardSettings()
    policies: dict[str, Policy] = Field(default={})
    profiles: dict[str, Profile] = {"default": Profile()}

    def profile_of(self, topic: str) -> tuple[str, Profile] | None:
        """The first profile, in the order of the file, that is meant for `topic`."""
        for name, profile in self.profiles.items():
            if profile.matches(topic):
                return name, profile
        return None

    @property
    def chosen_policies(self) -> dict[str, Policy]:
        """Every policy of the configuration, by its place in it."""
        own = {f"policies.{name}": policy for name, policy in self.policies.items()}
        return own | {f"profiles.{name}.policy": one.policy for name, one in self.profiles.items()}

    def silent_after(self, topic: str) -> float:
        """Seconds without a record after which the stream of `topic` counts as silent."""
        found = self.profile_of(topic)
        return found[1].silent_after.total_seconds() if found else float("inf")
