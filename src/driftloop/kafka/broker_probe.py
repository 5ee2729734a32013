"""Free loopback ports, and whether a broker answers."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

# Below the ranges from which systems give ports to outgoing connections (Linux from 32768, macOS
# from 49152): a broker that is down for a moment finds its port still free.
_PORTS = range(20000, 32000)
_LOOPBACK = "127.0.0.1"
_TRIES = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Kafka does; without it a port whose last connections linger would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Find distinct loopback ports that are free now; another process may still take them.

    Raises:
        OSError: None was found in two hundred random tries.
    """
    found: list[int] = []
    chooser = random.SystemRandom()
    for _ in range(_TRIES):
        port = chooser.choice(_PORTS)
        if port not in found and is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free loopback ports found in {_PORTS.start}-{_PORTS.stop - 1}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a broker said.

    Attributes:
        cluster: Kafka's cluster id.
        topics: How many topics it has, internal ones left out.
    """

    cluster: str
    topics: int


def ask(
    bootstrap_servers: str, timeout: float = 3.0, client: Mapping[str, str] | None = None
) -> Answer | None:
    """Ask a broker for its cluster and topics.

    Args:
        bootstrap_servers: ``host:port``, separated by commas.
        timeout: Seconds to wait for the answer.
        client: Further properties of the client (SASL, TLS).

    Returns:
        The answer, or None when none came in time.
    """
    admin = AdminClient(
        {
            **(client or {}),
            "bootstrap.servers": bootstrap_servers,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,  # that nobody answers yet is what we are here to find out
        }
    )
    try:
        said = admin.list_topics(timeout=timeout)
    except KafkaException:
        return None
    own = sum(1 for name in said.topics if not name.startswith("__"))
    return Answer(cluster=said.cluster_id or "", topics=own)
