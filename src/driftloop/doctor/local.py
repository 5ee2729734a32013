"""Checks of this machine: versions, extras, graphics, disk, heartbeats; and of the model store."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import confluent_kafka

from driftloop import __version__
from driftloop.doctor.finding import Finding, fail, ok, some, warn
from driftloop.errors import KafkaError, StoreError
from driftloop.heartbeat import PARTS, check_heartbeat, heartbeat_file
from driftloop.kafka.held import HeldVersions
from driftloop.kafka.rights import Part
from driftloop.models import ModelStore
from driftloop.settings import Settings
from driftloop.settings.kinds import SHIPPED_KINDS, unknown_kinds

_LOW, _OUT = 2**30, 100 * 2**20
_BEAT_SECONDS = 60.0
_SAMPLE = 5
_NEEDS = {"trainer": ("torch", "safetensors", "psutil"), "scorer": ("safetensors",)}


def versions() -> Finding:
    """Of what runs here."""
    client = f"confluent-kafka {confluent_kafka.__version__}"
    text = f"driftloop {__version__}, Python {platform.python_version()}, {client}"
    if sys.version_info[:2] in {(3, 11), (3, 12)}:
        return ok("versions", f"{text}, librdkafka {confluent_kafka.libversion()[0]}")
    return warn("versions", text, "Driftloop is tested on Python 3.11 and 3.12")


def extras(settings: Settings, part: Part | None) -> Iterator[Finding]:
    """Packages that the configuration needs, by the extra that brings them."""
    severe = part in {"trainer", "scorer"}
    wanted = [name for one in ((part,) if part else _NEEDS) for name in _NEEDS.get(one or "", ())]
    absent = {name: _extra(name) for name in dict.fromkeys(wanted) if find_spec(name) is None}
    if settings.store.uri.startswith("s3://") and find_spec("s3fs") is None:
        absent["s3fs"] = "s3"
    if settings.mlflow.tracking_uri and part in {None, "trainer"} and find_spec("mlflow") is None:
        absent["mlflow"] = "mlflow"
    for profile in settings.profiles.values():
        kind = SHIPPED_KINDS.get(profile.model.kind)
        package = {"sklearn": "sklearn", "xgboost": "xgboost"}.get(kind or "", "")
        if kind and package and part not in {"viewer", "operator"} and find_spec(package) is None:
            absent[package] = kind
    if absent:
        text = f"not installed: {', '.join(absent)}"
        advice = f"pip install 'driftloop[{','.join(dict.fromkeys(absent.values()))}]'"
        yield (fail if severe or "s3fs" in absent else warn)("packages", text, advice)
    else:
        yield ok("packages", "all that the configuration needs are installed")
    kinds = {name: profile.model.kind for name, profile in settings.profiles.items()}
    for fault in unknown_kinds(kinds):
        advice = "install the package that registers it"
        yield (fail if severe else warn)("model kinds", str(fault), advice)


def _extra(package: str) -> str:
    return "scorer" if package == "safetensors" else "trainer"


def graphics(settings: Settings, part: Part | None) -> Iterator[Finding]:
    """The device that training would take; only where torch is installed."""
    if part not in {None, "trainer"} or find_spec("torch") is None:
        return
    from driftloop.trainer.device import describe  # noqa: PLC0415  # needs torch, is slow

    found, fault = describe(settings.trainer.device)
    torch = importlib.metadata.version("torch")
    if fault:
        yield fail("device", f"{found} (torch {torch})", fault)
    else:
        yield ok("device", f"{found} (torch {torch})")


def disk(settings: Settings, part: Part | None) -> Iterator[Finding]:
    """Room and the right to write where this machine keeps things."""
    folders = {"home": settings.home}
    if part in {None, "monitor"} and settings.monitor.recovery:
        folders["recovery"] = Path(settings.monitor.recovery)
    if part == "scorer" and settings.scorer.recovery:
        folders["recovery"] = Path(settings.scorer.recovery)
    if part in {None, "trainer"} and "://" not in settings.store.uri:
        folders["store"] = Path(settings.store.uri)
    for name, folder in folders.items():
        yield _room(f"disk: {name}", folder.absolute())


def _room(check: str, folder: Path) -> Finding:
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    shown = f"{free / 2**30:,.1f} GiB free"
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = f"let this user write to {there}, or name another folder"
        return fail(check, f"{folder}: {error.strerror}", advice)
    if free < _OUT:
        return fail(check, f"{folder}: {shown}", "make room, or name another folder")
    if free < _LOW:
        return warn(check, f"{folder}: {shown}", "make room soon")
    return ok(check, f"{folder}: {shown}")


def heartbeats(settings: Settings, part: Part | None) -> Iterator[Finding]:
    """Parts that have run on this machine."""
    for name in PARTS:
        if part not in {None, name} or not heartbeat_file(settings.home, name).exists():
            continue
        found = check_heartbeat(settings.home, name, _BEAT_SECONDS)
        check = f"heartbeat: {name}"
        if found.alive:
            yield ok(check, found.detail)
        else:
            yield warn(check, found.detail, f"start it, or remove the file: driftloop {name}")


def store(settings: Settings, part: Part | None, *, kafka: bool) -> Iterator[Finding]:
    """That models can be read, written by the trainer, and are what their events say."""
    uri = settings.store.uri
    began = time.monotonic()
    try:
        shelf = ModelStore(settings.store)
        if part == "trainer":
            shelf.probe()
        else:
            shelf.reach()
        streams = shelf.streams()
    except StoreError as error:
        yield fail("store", str(error), "see store.uri and store.options (docs/model-store.md)")
        return
    done = "read and written" if part == "trainer" else "read"
    seconds = time.monotonic() - began
    yield ok("store", f"{uri}: {done} in {seconds:.2f} s, models of {len(streams):,} streams")
    if kafka and find_spec("safetensors") is not None:
        yield from _sample(settings, shelf)


def _sample(settings: Settings, shelf: ModelStore) -> Iterator[Finding]:
    """Load some current versions as their events name them."""
    topics = settings.topics
    held = HeldVersions(settings.kafka.client(), topics.models, topics.commands, recent=0.0)
    try:
        held.catch_up()
        events = sorted(held.current.values(), key=lambda one: one.published_at or 0)[-_SAMPLE:]
    except KafkaError as error:
        yield warn("store: versions", f"what is current is not known: {error}", "see above")
        return
    finally:
        held.close()
    if not events:
        yield ok("store: versions", "none was published yet")
        return
    faults = []
    for event in events:
        try:
            shelf.load(event.uri, event.sha256)
        except StoreError as error:
            faults.append(f"{event.stream} {event.version}: {error}")
    if faults:
        advice = "driftloop models verify looks at all; is store.uri the trainer's?"
        yield fail("store: versions", some(faults, 2), advice)
    else:
        many = f"the newest {len(events)} of {len(held.current):,}"
        yield ok("store: versions", f"{many} current ones are whole, by their sha256")
