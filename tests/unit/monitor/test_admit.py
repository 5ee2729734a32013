"""Which commands are let in, and the reason with which each other one is dead-lettered."""

from __future__ import annotations

from typing import Any

import pytest

from driftloop.engine.control import read_event
from driftloop.engine.items import ControlItem
from driftloop.messages import SIGNATURE, encode
from driftloop.messages.signing import make_keys, parse_key, signature
from driftloop.monitor.admit import CommandGate
from driftloop.records import DeadLetter
from driftloop.settings import Settings
from tests.streams import command, published

PROFILES = {
    "whole": {"topics": r"orders\..+"},
    "parts": {"topics": r"parts\..+", "partitions": "each"},
    "all": {"topics": r"driftloop\..+"},
}


class Message:
    """What a Kafka client hands over of a message."""

    def __init__(self, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._parts = (key, value, headers)

    def key(self) -> bytes:
        return self._parts[0]

    def value(self) -> bytes:
        return self._parts[1]

    def headers(self) -> list[tuple[str, bytes]]:
        return self._parts[2]

    def offset(self) -> int:
        return 7

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


def read(settings: Settings, event: Any, *headers: tuple[str, bytes]) -> ControlItem | DeadLetter:
    envelope = encode(event)
    message: Any = Message(envelope.key, envelope.value, [*envelope.headers, *headers])
    return read_event("commands", 2, message, CommandGate(settings))


@pytest.mark.parametrize("stream", ["orders.lyon", "parts.a:0", "parts.a:12"])
def test_commands_for_streams_as_their_profile_cuts_them_are_let_in(stream: str) -> None:
    settings = Settings.model_validate({"profiles": PROFILES})
    found = read(settings, command("pin", stream=stream))
    assert isinstance(found, ControlItem)
    assert found.key == stream


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        ("sales.lyon", "no profile's topics match 'sales.lyon'"),
        ("orders.lyon:0", "a stream of profile 'whole' is its topic"),
        ("parts.a", "a stream of profile 'parts' is topic:partition"),
        ("parts.a:x", "a stream is a topic or topic:partition"),
        ("parts.a:01", "a stream of profile 'parts' is topic:partition"),
        ("parts.a:", "a stream is a topic or topic:partition"),
        ("driftloop.status", "no profile's topics match"),
    ],
)
def test_any_other_is_dead_lettered_whole_with_the_reason(stream: str, told: str) -> None:
    settings = Settings.model_validate({"profiles": PROFILES})
    order = command("pin", stream=stream)
    found = read(settings, order)
    assert isinstance(found, DeadLetter)
    assert (found.reason, found.topic, found.partition, found.offset) == (
        "unknown-stream",
        "commands",
        2,
        7,
    )
    assert told in found.detail
    assert found.value == encode(order).value


def test_where_signatures_are_required_only_commands_need_one() -> None:
    secret, shown = make_keys("ed25519")
    settings = Settings.model_validate(
        {"profiles": PROFILES, "commands": {"require_signature": True, "keys": {"ada": shown}}}
    )
    order = command("pin", stream="orders.lyon", who="ada")
    unsigned = read(settings, order)
    assert isinstance(unsigned, DeadLetter)
    assert unsigned.reason == "unsigned-command"
    header = signature(parse_key(secret), "ada", encode(order).value).encode()
    assert isinstance(read(settings, order, (SIGNATURE, header)), ControlItem)
    other = read(settings, command("unpin", stream="orders.lyon", who="ada"), (SIGNATURE, header))
    assert isinstance(other, DeadLetter)
    assert other.reason == "bad-signature"
    assert isinstance(read(settings, published("v1")), ControlItem)


def test_an_unsigned_command_says_nothing_of_which_streams_there_are() -> None:
    settings = Settings.model_validate(
        {"profiles": PROFILES, "commands": {"require_signature": True}}
    )
    found = read(settings, command("pin", stream="sales.lyon"))
    assert isinstance(found, DeadLetter)
    assert found.reason == "unsigned-command"
