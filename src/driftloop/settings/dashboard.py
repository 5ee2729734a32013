"""Where the dashboard listens, and who may look and who may order."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from driftloop.errors import Fault, SettingsError
from driftloop.settings.base import Duration, MisfitError, Section
from driftloop.settings.secrets import HIDDEN, is_reference, resolve

LEAST_TOKEN = 16
"""Characters of a token, at least."""

ANYONE = "*"


def is_loopback(host: str) -> bool:
    """Whether only programs of the same machine reach a host's name or address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("[::1]")
    (True, True, True)
    >>> is_loopback("0.0.0.0"), is_loopback("monitor-1")
    (False, False)
    """
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class ProxySettings(Section):
    """A reverse proxy that logs people in, as an OpenID Connect proxy does, and names them.

    Attributes:
        user_header: Header in which it names who is logged in, as ``X-Forwarded-User``; empty for
            no proxy. Whatever a client sends under that name, the proxy must replace.
        groups_header: Header with that person's groups, commas between them; empty for none.
        addresses: Addresses or networks of the proxy, as ``10.0.0.0/8``: from all others the
            headers count for nothing.
        viewers: Who may look: names, groups as ``group:NAME``, or ``*`` for all that it names.
        operators: Who may order, likewise; they may look too.
    """

    user_header: str = ""
    groups_header: str = ""
    addresses: list[str] = Field(default=[])
    viewers: list[str] = Field(default=[ANYONE])
    operators: list[str] = Field(default=[])

    @field_validator("addresses")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for one in value:
            try:
                ipaddress.ip_network(one, strict=False)
            except ValueError as error:
                raise ValueError("addresses or networks, as '10.0.0.0/8' or '::1'") from error
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.user_header and not self.addresses:
            rule = "the proxy's addresses, as dashboard.proxy.user_header is set"
            raise MisfitError(("addresses", rule, "[]", ("user_header",)))
        return self

    def trusts(self, address: str) -> bool:
        """Whether a client's address is the proxy's."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in ipaddress.ip_network(one, strict=False) for one in self.addresses)


class DashboardSettings(Section):
    """The dashboard.

    Without a token and a proxy it listens on loopback alone, and whoever reaches it there may
    order.

    Attributes:
        host: Address to listen on. Other than loopback needs a token or a proxy.
        port: Port to listen on.
        viewer_token: Who has it may look: ``{ env = "NAME" }`` or ``{ file = "PATH" }``.
        operator_token: Who has it may order too; likewise.
        session: How long a log-in lasts.
        hosts: Names under which browsers reach it, as ``driftloop.example.org``, beside loopback's.
            Empty: only loopback's where it listens there, else any.
        certificate: PEM file of the server's certificate, with `key`; empty for plain HTTP, which
            a proxy that ends TLS speaks.
        key: PEM file of the certificate's key.
        proxy: A reverse proxy that logs people in.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8300, ge=0, le=65535)
    viewer_token: dict[str, Any] | None = None
    operator_token: dict[str, Any] | None = None
    session: Duration = Field(default="12h")  # type: ignore[assignment]  # read by parse_duration
    hosts: list[str] = Field(default=[])
    certificate: str = ""
    key: str = ""
    proxy: ProxySettings = ProxySettings()

    @field_validator("viewer_token", "operator_token")
    @classmethod
    def _reference(cls, value: Any) -> Any:
        if value is not None and not is_reference(value):
            raise ValueError('a secret is given by { env = "NAME" } or { file = "PATH" }')
        return value

    @field_validator("session")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if value < timedelta(minutes=1):
            raise ValueError("at least '1m'")
        return value

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            missing = "key" if self.certificate else "certificate"
            rule = "a file, as a certificate goes with its key"
            raise MisfitError((missing, rule, "''", ("certificate", "key")))
        if not is_loopback(self.host) and not self.guarded:
            rule = (
                "a loopback address, as 127.0.0.1, unless dashboard.operator_token, "
                "dashboard.viewer_token or dashboard.proxy.user_header says who may come in"
            )
            others = ("operator_token", "viewer_token", "proxy")
            raise MisfitError(("host", rule, repr(self.host), others))
        return self

    @property
    def guarded(self) -> bool:
        """Whether people must say who they are."""
        return bool(self.viewer_token or self.operator_token or self.proxy.user_header)

    def tokens(self) -> dict[str, str]:
        """Token of each role that has one.

        Raises:
            SettingsError: A secret cannot be read, is too short, or is that of both roles.
        """
        given = {"viewer": self.viewer_token, "operator": self.operator_token}
        named = {f"{role}_token": where for role, where in given.items() if where}
        found = resolve(named, "dashboard")
        faults = [
            Fault(f"dashboard.{name}", HIDDEN, f"at least {LEAST_TOKEN} characters")
            for name, token in found.items()
            if len(token) < LEAST_TOKEN
        ]
        if len(set(found.values())) < len(found):
            faults.append(Fault("dashboard.viewer_token", HIDDEN, "another one than operators'"))
        if faults:
            raise SettingsError(faults, "dashboard")
        return {name.removesuffix("_token"): token for name, token in found.items()}
