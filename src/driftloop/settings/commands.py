"""Who may give commands, and with which key."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from driftloop.errors import Fault, SettingsError
from driftloop.messages.signing import Key, Verifier, parse_key
from driftloop.settings.base import Section
from driftloop.settings.secrets import HIDDEN, is_reference

KEY_ID = re.compile(r"[^:\s]{1,100}")
_PLACED = re.compile(r"hmac:(env|file):(.+)", re.DOTALL)


class CommandSettings(Section):
    """Signatures of commands.

    Attributes:
        require_signature: Whether an unsigned or wrongly signed command is dead-lettered instead of
            carried out.
        keys: Of each who may give commands, what verifies the signature: ``ed25519:<base64>``, a
            public key; or ``hmac:env:NAME`` or ``hmac:file:PATH``, where a shared secret
            ``hmac:<base64>`` is found. A command's ``who`` must be the key's name.
        delegates: Names of keys that may sign for others, as that of a dashboard with log-ins of
            its own.
        key_id: Name of the key with which commands are signed here; empty signs none.
        secret: Where that key's secret is found: ``{ env = "NAME" }`` or ``{ file = "PATH" }``. It
            is ``ed25519:<base64>`` of the private seed, or ``hmac:<base64>``.
    """

    require_signature: bool = False
    keys: dict[str, str] = Field(default={})
    delegates: list[str] = Field(default=[])
    key_id: str = ""
    secret: dict[str, Any] | None = Field(default=None)

    @field_validator("keys")
    @classmethod
    def _known_forms(cls, keys: dict[str, str]) -> dict[str, str]:
        for name, text in keys.items():
            if not KEY_ID.fullmatch(name):
                raise ValueError(f"a key's name has no ':' and no blanks, got {name!r}")
            if _PLACED.fullmatch(text):
                continue
            if not text.startswith("ed25519:"):
                raise ValueError(
                    f"{name} is 'ed25519:<base64 public key>', 'hmac:env:NAME' or 'hmac:file:PATH'"
                )
            try:
                parse_key(text)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return keys

    @field_validator("secret")
    @classmethod
    def _reference(cls, secret: dict[str, Any] | None) -> dict[str, Any] | None:
        if secret is not None and not is_reference(secret):
            raise ValueError('a secret is given by { env = "NAME" } or { file = "PATH" }')
        return secret

    def verifying(self) -> dict[str, Key]:
        """Keys that verify, by their names.

        Raises:
            SettingsError: A secret cannot be read; names its place, never its value.
        """
        found, faults = {}, []
        for name, text in self.keys.items():
            placed = _PLACED.fullmatch(text)
            if placed is None:
                found[name] = parse_key(text)
                continue
            try:
                found[name] = _read(placed[1], placed[2], f"commands.keys.{name}")
            except SettingsError as error:
                faults += error.faults
        if faults:
            raise SettingsError(faults, "commands.keys")
        return found

    def verifier(self) -> Verifier | None:
        """What checks signatures, or None where none are required.

        Raises:
            SettingsError: A secret cannot be read.
            DriftloopError: A key needs ``cryptography``, which is not installed.
        """
        return Verifier(self.verifying(), self.delegates) if self.require_signature else None

    def signing(self) -> Key | None:
        """The key with which commands are signed here, or None.

        Raises:
            SettingsError: `key_id` and `secret` do not go together, or it cannot be read.
        """
        if not self.key_id and self.secret is None:
            return None
        if not self.key_id or self.secret is None or not KEY_ID.fullmatch(self.key_id):
            rule = "commands.key_id and commands.secret are given together"
            raise SettingsError([Fault("commands.key_id", repr(self.key_id), rule)])
        ((kind, place),) = self.secret.items()
        return _read(kind, place, "commands.secret")


def _read(kind: str, place: str, key: str) -> Key:
    if kind == "env":
        text = os.environ.get(place)
        if text is None:
            raise SettingsError([Fault(key, place, "an environment variable that is set")])
    else:
        try:
            text = Path(place).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "unreadable"
            raise SettingsError([Fault(key, place, f"a file ({reason})")]) from error
    try:
        return parse_key(text)
    except ValueError as error:
        raise SettingsError([Fault(key, HIDDEN, str(error))]) from None
