"""Signatures of commands: HMAC-SHA256, or Ed25519 (RFC 8032) through ``cryptography``.

A signature stands in the header ``driftloop-signature`` as ``<algorithm>:<key id>:<base64>``, over
the bytes of the message's value, which hold the command's id, stream and who gives it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from driftloop.errors import DriftloopError
from driftloop.messages.commands import SIGNATURE

ALGORITHMS = ("ed25519", "hmac")
UNSIGNED, BAD = "unsigned-command", "bad-signature"
SEED_BYTES = 32
Headers = Iterable[tuple[str, bytes | str | None]]


class Key(NamedTuple):
    """A key.

    Attributes:
        algorithm: ``ed25519`` or ``hmac``.
        data: Of Ed25519 the public key or, for signing, the private seed, 32 bytes; of HMAC the
            secret, at least 16 bytes.
    """

    algorithm: str
    data: bytes

    def __repr__(self) -> str:
        """Without what it holds."""
        return f"Key({self.algorithm!r}, <hidden>)"


def parse_key(text: str) -> Key:
    """Read ``ed25519:<base64>`` or ``hmac:<base64>``.

    Raises:
        ValueError: It has another form; the message does not hold it.
    """
    algorithm, _, encoded = text.strip().partition(":")
    if algorithm not in ALGORITHMS:
        raise ValueError("'ed25519:<base64>' or 'hmac:<base64>'")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{algorithm}: with base64 behind it") from None
    if algorithm == "ed25519" and len(data) != SEED_BYTES:
        raise ValueError("ed25519: with base64 of 32 bytes behind it")
    if algorithm == "hmac" and len(data) < SEED_BYTES // 2:
        raise ValueError("hmac: with base64 of at least 16 bytes behind it")
    return Key(algorithm, data)


def make_keys(algorithm: str) -> tuple[str, str]:
    """A new secret, and what verifies it: for Ed25519 its public key, for HMAC itself.

    Raises:
        DriftloopError: Ed25519 needs ``cryptography``.
    """
    secret = secrets.token_bytes(SEED_BYTES)
    shown = f"{algorithm}:{base64.b64encode(secret).decode()}"
    if algorithm == "hmac":
        return shown, shown
    public = _ed25519().Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    return shown, f"ed25519:{base64.b64encode(public).decode()}"


def signature(key: Key, key_id: str, value: bytes) -> str:
    """The header of a signed value."""
    if key.algorithm == "hmac":
        made = hmac.digest(key.data, value, hashlib.sha256)
    else:
        made = _ed25519().Ed25519PrivateKey.from_private_bytes(key.data).sign(value)
    return f"{key.algorithm}:{key_id}:{base64.b64encode(made).decode()}"


def _ed25519() -> Any:
    """The module of Ed25519, from the extra ``signing``."""
    try:
        from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415  # an extra
            ed25519,
        )
    except ImportError as error:
        raise DriftloopError(
            "Ed25519 keys need cryptography: pip install 'driftloop[signing]', or use hmac keys"
        ) from error
    return ed25519


class Verifier:
    """Checks signatures against the keys of the configuration.

    Args:
        keys: By their ids.
        delegates: Ids of keys that may sign for others.

    Raises:
        DriftloopError: One is an Ed25519 key, which needs ``cryptography``.
    """

    def __init__(self, keys: Mapping[str, Key], delegates: Collection[str] = ()) -> None:
        self._keys = dict(keys)
        self._delegates = frozenset(delegates)
        if any(key.algorithm == "ed25519" for key in keys.values()):
            _ed25519()

    def fault(
        self, value: bytes | None, headers: Headers | None, who: str
    ) -> tuple[str, str] | None:
        """Why a command cannot be trusted: ``unsigned-command`` or ``bad-signature`` and why.

        Args:
            value: The message's value.
            headers: Its headers.
            who: Who the command says gives it: the key's id, unless that is a delegate's.
        """
        found = [text for name, text in headers or () if name == SIGNATURE]
        if not found:
            return UNSIGNED, f"commands.require_signature is set, and header {SIGNATURE} is absent"
        text = found[0] or b""
        shown = text.decode(errors="replace") if isinstance(text, bytes) else text
        parts = shown.split(":")
        if len(found) > 1 or len(parts) != 3:
            return BAD, f"one header {SIGNATURE} is '<algorithm>:<key id>:<base64>'"
        algorithm, key_id, encoded = parts
        key = self._keys.get(key_id)
        if key is None or key.algorithm != algorithm:
            return BAD, f"commands.keys holds no {algorithm[:20]} key of id {key_id[:100]!r}"
        try:
            made = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return BAD, "the signature is no base64"
        if not _fits(key, value or b"", made):
            return BAD, f"it was not signed with the key of {key_id!r}, or was changed since"
        if who != key_id and key_id not in self._delegates:
            return BAD, f"it was signed by {key_id!r}, and says that {who[:100]!r} gives it"
        return None


def _fits(key: Key, value: bytes, made: bytes) -> bool:
    if key.algorithm == "hmac":
        return hmac.compare_digest(hmac.digest(key.data, value, hashlib.sha256), made)
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # extra signing

    try:
        _ed25519().Ed25519PublicKey.from_public_bytes(key.data).verify(made, value)
    except (InvalidSignature, ValueError):
        return False
    return True
