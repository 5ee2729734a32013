"""Configuration: one `driftloop.toml`, environment overrides, all faults listed at once."""

from driftloop.settings.dashboard import DashboardSettings, ProxySettings
from driftloop.settings.features import Features
from driftloop.settings.fleet import Fleet
from driftloop.settings.load import DEFAULT_FILE, load_settings
from driftloop.settings.models import (
    KafkaSettings,
    MlflowSettings,
    MonitorSettings,
    ScorerSettings,
    Settings,
    StoreSettings,
    TopicSettings,
    TrainerBudget,
    TrainerSettings,
)
from driftloop.settings.policy import Policy
from driftloop.settings.presets import parse_policy
from driftloop.settings.profile import (
    CountWindow,
    CycleWindow,
    Fields,
    ModelSettings,
    Profile,
    Training,
)
from driftloop.settings.telemetry import TelemetrySettings

__all__ = [
    "DEFAULT_FILE",
    "CountWindow",
    "CycleWindow",
    "DashboardSettings",
    "Features",
    "Fields",
    "Fleet",
    "KafkaSettings",
    "MlflowSettings",
    "ModelSettings",
    "MonitorSettings",
    "Policy",
    "Profile",
    "ProxySettings",
    "ScorerSettings",
    "Settings",
    "StoreSettings",
    "TelemetrySettings",
    "TopicSettings",
    "TrainerBudget",
    "TrainerSettings",
    "Training",
    "load_settings",
    "parse_policy",
]
