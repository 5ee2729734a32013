"""The monitor's dataflow: source ► decode ► track ► test ► decide ► fleet ► emit.

Beside *test*, for streams that have a version on trial: *referee*.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from driftloop.engine import stop
from driftloop.engine.control import ControlSource
from driftloop.engine.sink import KafkaSink
from driftloop.engine.source import StreamSource
from driftloop.heartbeat import Heartbeat
from driftloop.monitor import metrics
from driftloop.monitor.admit import CommandGate
from driftloop.monitor.artifacts import Artifacts
from driftloop.monitor.decide import DecideLogic
from driftloop.monitor.decode import ControlDecoder, Decoder, dead_letter, keyed_item
from driftloop.monitor.emit import Router
from driftloop.monitor.fleet import FleetLogic, by_profile, is_for_fleet
from driftloop.monitor.referee import RefereeLogic, is_for_referee
from driftloop.monitor.test import TestLogic
from driftloop.monitor.track import TrackLogic
from driftloop.policy.promise import needless_per_year
from driftloop.settings import Settings, load_settings

NAME = "driftloop-monitor"


def build_flow(settings: Settings) -> Dataflow:
    """Wire the monitor's steps. Connects to nothing before it runs."""
    monitor, topics = settings.monitor, settings.topics
    client = settings.kafka.client()
    own = set(topics.names.values())
    metrics.OVERVIEW.promise(promises(settings))

    flow = Dataflow(NAME)
    streams = StreamSource(
        client,
        lambda topic: topic not in own and settings.profile_of(topic) is not None,
        name="monitor",
        shards=monitor.shards,
        start=monitor.start,
        discover_seconds=monitor.discover.total_seconds(),
        max_records=monitor.max_records,
        silent_after=settings.silent_after,
        on_poll=Heartbeat(settings.home, "monitor").beat,
    )
    controls = ControlSource(
        client,
        [topics.models, topics.commands, topics.trainings],
        name="monitor-control",
        admit=CommandGate(settings),
        discover_seconds=monitor.discover.total_seconds(),
    )
    records = op.flat_map_batch("decode", op.input("streams", flow, streams), Decoder(settings))
    orders = op.flat_map_batch(
        "decode-control", op.input("controls", flow, controls), ControlDecoder(settings)
    )
    decoded = op.merge("all", records, orders)
    readable = op.filter_map("readable", decoded, keyed_item)
    dead_letters = op.filter_map("dead-letters", decoded, dead_letter)
    tracked = op.stateful_batch("track", readable, lambda state: TrackLogic(settings, state))
    ways = op.branch("on-trial", tracked, is_for_referee)
    judged = op.stateful_batch("test", ways.falses, lambda state: TestLogic(settings, state))
    artifacts = Artifacts(settings.store, monitor.store_patience.total_seconds())
    refereed = op.stateful_batch(
        "referee", ways.trues, lambda state: RefereeLogic(settings, state, artifacts)
    )
    known = op.merge("known", judged, refereed)
    decided = op.stateful_batch("decide", known, lambda state: DecideLogic(settings, state))
    parts = op.branch("for-fleet", decided, is_for_fleet)
    news = op.map("by-profile", parts.trues, by_profile)
    agreed = op.stateful_batch("fleet", news, lambda state: FleetLogic(settings, state))

    router = Router(topics)
    outgoing = op.merge(
        "outgoing",
        op.map("route", parts.falses, router.event),
        op.map("route-fleet", agreed, router.event),
        op.map("route-dead-letters", dead_letters, router.dead_letter),
    )
    op.output("emit", outgoing, KafkaSink(client))
    return flow


def promises(settings: Settings) -> dict[str, float]:
    """Needless retrains of a stream in a year, of each profile whose policy promises a number.

    Where error is controlled over the fleet, a share is promised, and no number.
    """
    return {
        name: needless
        for name, profile in settings.profiles.items()
        if (needless := needless_per_year(profile.policy)) is not None
        and profile.fleet.control == "stream"
    }


def flow() -> Dataflow:
    """The dataflow with the settings of the working directory; SIGTERM and Ctrl-C drain it."""
    stop.install()
    return build_flow(load_settings())
