"""What was read of the topic of requests and is not finished, and which offsets may be committed.

Requests are served out of order. A partition's committed offset passes only what is finished, so a
trainer that takes the partition over reads again all that is not, and a few that are: it knows
these by their outcomes on the topic of trainings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from driftloop.trainer.tickets import Ticket

Place = tuple[int, int]


class Plan(NamedTuple):
    """What follows once some requests are finished.

    Attributes:
        offsets: The next offset to consume of each partition that has anything new.
        letters: Tickets without an event that these offsets pass. They carry no id by which their
            dead letter could be recognised, so each is written when its offset is committed.
        done: Places of all that leaves the inbox.
    """

    offsets: Mapping[int, int]
    letters: list[Ticket]
    done: set[Place]


class Inbox:
    """Tickets of the partitions that a trainer owns.

    Args:
        most: Requests that it holds before it is full.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._owned: dict[int, int] = {}  # partition: how many assignments came before this one
        self._assignments = 0
        self._tickets: dict[Place, Ticket] = {}
        self._orders: set[Place] = set()
        self._next: dict[int, int] = {}  # offset to be read next, of each partition
        self._committed: dict[int, int] = {}

    @property
    def partitions(self) -> list[int]:
        """Partitions owned now, sorted."""
        return sorted(self._owned)

    @property
    def assigned(self) -> bool:
        """Whether there ever was an assignment, perhaps of nothing."""
        return self._assignments > 0

    @property
    def tickets(self) -> list[Ticket]:
        """All that is not finished, partition by partition in the order of their offsets."""
        return [self._tickets[place] for place in sorted(self._tickets)]

    @property
    def full(self) -> bool:
        """Whether no more should be read."""
        return len(self._tickets) >= self._most

    @property
    def orders(self) -> bool:
        """Whether orders to switch a version wait."""
        return bool(self._orders)

    @property
    def requests(self) -> int:
        """Number of requests that are not finished."""
        return sum(one.request is not None for one in self._tickets.values())

    @property
    def oldest_ms(self) -> int | None:
        """Kafka timestamp of the request that has waited longest, or None."""
        return min((one.at_ms for one in self._tickets.values() if one.request), default=None)

    def __len__(self) -> int:
        return len(self._tickets)

    def assign(self, partitions: Iterable[int]) -> None:
        """Partitions were given to this trainer; each is read from its committed offset."""
        self._assignments += 1
        for one in partitions:
            self._forget(one)
            self._owned[one] = self._assignments

    def revoke(self, partitions: Iterable[int]) -> None:
        """Partitions were taken away."""
        for one in partitions:
            self._forget(one)

    def _forget(self, partition: int) -> None:
        for known in (self._owned, self._next, self._committed):
            known.pop(partition, None)
        self._tickets = {
            place: ticket for place, ticket in self._tickets.items() if place[0] != partition
        }
        self._orders = {place for place in self._orders if place[0] != partition}

    def assignment(self, partition: int) -> int | None:
        """Which assignment of the partition counts, or None where it is not owned."""
        return self._owned.get(partition)

    def owns(self, ticket: Ticket) -> bool:
        """Whether the ticket was read under the assignment that counts."""
        return self._owned.get(ticket.partition) == ticket.assignment

    def holds(self, ticket: Ticket) -> bool:
        """Whether the ticket is owned, and not finished."""
        return self.owns(ticket) and ticket.place in self._tickets

    def add(self, ticket: Ticket) -> None:
        """Keep what was read."""
        self._tickets[ticket.place] = ticket
        if ticket.order is not None:
            self._orders.add(ticket.place)
        self._next[ticket.partition] = ticket.offset + 1

    def plan(self, done: Collection[Place]) -> Plan:
        """What may be committed once the tickets at `done` are finished; changes nothing."""
        finished = {place for place in done if place in self._tickets}
        lowest = dict(self._next)
        for place, ticket in self._tickets.items():
            if ticket.event is not None and place not in finished:
                lowest[place[0]] = min(lowest[place[0]], place[1])
        letters = [
            ticket
            for ticket in self.tickets
            if ticket.letter is not None and ticket.offset < lowest[ticket.partition]
        ]
        touched = {partition for partition, _ in finished}
        offsets = {
            partition: offset
            for partition, offset in sorted(lowest.items())
            if partition in touched or offset != self._committed.get(partition)
        }
        return Plan(offsets, letters, finished | {one.place for one in letters})

    def settle(self, plan: Plan) -> None:
        """The plan was committed."""
        for place in plan.done:
            self._tickets.pop(place, None)
            self._orders.discard(place)
        for partition, offset in plan.offsets.items():
            if partition in self._owned:
                self._committed[partition] = offset
