"""Ports that are free, and servers that do not answer."""

from __future__ import annotations

import socket

from driftloop.kafka.broker_probe import ask, free_ports, is_free


def test_free_ports_are_distinct_and_below_the_systems_own_range() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(20000 <= port < 32000 for port in ports)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_who_is_not_there_gives_no_answer_in_bounded_time() -> None:
    assert ask("127.0.0.1:1", timeout=0.2) is None
