"""What may go: a pure plan, from what lies in a stream's folder and what is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from driftloop.models.listing import StoredVersion, newest_first


@dataclass(frozen=True, slots=True)
class Held:
    """Versions of a stream that must stay, and why.

    Attributes:
        versions: Reason by version, as ``{"v3": "current", "v2": "parent"}``.
        uris: Reason by the URI of an artifact.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    uris: Mapping[str, str] = field(default_factory=dict)

    def reason(self, one: StoredVersion) -> str:
        """Why a version must stay; empty where nothing holds it."""
        return self.uris.get(one.uri) or self.versions.get(one.version, "")


class Judged(NamedTuple):
    """What becomes of a folder.

    Attributes:
        stored: The folder.
        keep: Whether it stays.
        reason: ``current``, ``parent``, ``pinned``, ``ordered``, ``among the newest 3``,
            ``young``, ``all are kept``; or ``half-written``, ``older than the newest 3``.
    """

    stored: StoredVersion
    keep: bool
    reason: str


def plan(
    versions: Iterable[StoredVersion], held: Held, *, keep: int, grace: float, now: float
) -> list[Judged]:
    """Decide over the folders of one stream.

    A version younger than `grace` stays whatever its number: the transaction that names it may
    still be open. So does every version that `held` names. Of the others the newest `keep` version
    numbers stay, each with all its folders.

    Args:
        versions: Folders of a stream.
        held: What must stay.
        keep: Newest versions that stay; 0 keeps all.
        grace: Seconds.
        now: Seconds since the epoch.

    Returns:
        A judgement for each folder, newest version first.
    """
    ordered = newest_first(versions)
    numbers = list(dict.fromkeys(one.version for one in ordered if one.complete))
    newest = set(numbers[:keep] if keep else numbers)
    return [_judge(one, held, newest, keep, young=now - one.modified < grace) for one in ordered]


def _judge(one: StoredVersion, held: Held, newest: set[str], keep: int, *, young: bool) -> Judged:
    if not one.complete:
        return Judged(one, young, "young" if young else "half-written")
    reason = held.reason(one)
    if reason:
        return Judged(one, keep=True, reason=reason)
    if one.version in newest:
        return Judged(one, keep=True, reason=f"among the newest {keep}" if keep else "all are kept")
    if young:
        return Judged(one, keep=True, reason="young")
    return Judged(one, keep=False, reason=f"older than the newest {keep}")
