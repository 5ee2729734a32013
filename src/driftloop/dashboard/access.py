"""Who asks, and what they may: tokens, sessions, a proxy's headers, and the pace of log-ins."""

from __future__ import annotations

import getpass
import hashlib
import hmac
import secrets
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from itsdangerous import BadSignature, URLSafeTimedSerializer

from driftloop.settings import DashboardSettings, ProxySettings
from driftloop.settings.dashboard import ANYONE

Role = Literal["viewer", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "operator")

ATTEMPTS, ATTEMPTS_OF_ALL = 5, 60
"""Log-ins that may fail within `SPAN` seconds, of an address and of all together."""

SPAN = 60.0
_ADDRESSES = 10_000
_GROUP = "group:"
_REVOKED = 10_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    Attributes:
        session: Id of the browser's session; what its requests must carry follows from it.
        name: Who it is, as it stands in commands; empty for nobody.
        role: What they may, or None.
        via: ``loopback`` (nobody is asked here), ``token``, ``proxy``, or empty.
    """

    session: str
    name: str = ""
    role: Role | None = None
    via: str = ""

    @property
    def orders(self) -> bool:
        """Whether they may order something."""
        return self.role == "operator"


class Sessions:
    """Signed cookies: nothing is kept of a session but that it was ended.

    The key is drawn at each start, so a restart ends all sessions.

    Args:
        seconds: How long a session lasts.
    """

    def __init__(self, seconds: float) -> None:
        self._key = secrets.token_bytes(32)
        self._signer = URLSafeTimedSerializer(
            self._key,
            salt="session",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._seconds = seconds
        self._ended: OrderedDict[str, None] = OrderedDict()

    def new(self, name: str = "", role: Role | None = None, via: str = "") -> Visitor:
        """A visitor with a session that nobody has."""
        return Visitor(secrets.token_hex(16), name, role, via)

    def cookie(self, visitor: Visitor) -> str:
        """The cookie of a session; it says who they are only where a token has proven it."""
        proven = visitor.via == "token"
        told = {
            "id": visitor.session,
            "name": visitor.name if proven else "",
            "role": visitor.role if proven else None,
        }
        return str(self._signer.dumps(told))

    def read(self, cookie: str) -> Visitor | None:
        """Whose cookie it is; None where it is not ours, too old, or of a session that ended."""
        try:
            told = self._signer.loads(cookie, max_age=round(self._seconds))
        except BadSignature:
            return None
        role = told["role"]
        if told["id"] in self._ended:
            return None
        return Visitor(told["id"], told["name"], role, "token" if role else "")

    def end(self, visitor: Visitor) -> None:
        """Have a session count for nothing from now on."""
        self._ended[visitor.session] = None
        while len(self._ended) > _REVOKED:
            self._ended.popitem(last=False)

    def form_token(self, visitor: Visitor) -> str:
        """What each request of a session that changes something carries."""
        return hmac.new(self._key, f"form:{visitor.session}".encode(), hashlib.sha256).hexdigest()

    def carries(self, visitor: Visitor, token: str) -> bool:
        """Whether a request carries its session's token; takes the same time for any."""
        return hmac.compare_digest(self.form_token(visitor).encode(), token.encode())


class Pace:
    """Holds back whoever fails to log in too often, by address and over all.

    Args:
        clock: Seconds; never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()

    def wait(self, address: str) -> float:
        """Seconds until that address may try again; 0 for now."""
        now = self._clock()
        mine = self._failed.get(address, deque())
        return max(
            _until_free(mine, ATTEMPTS, now), _until_free(self._all, ATTEMPTS_OF_ALL, now), 0.0
        )

    def failed(self, address: str) -> None:
        """Count a log-in that failed."""
        now = self._clock()
        mine = self._failed.setdefault(address, deque())
        self._failed.move_to_end(address)
        for found, most in ((mine, ATTEMPTS), (self._all, ATTEMPTS_OF_ALL)):
            found.append(now)
            while len(found) > most:
                found.popleft()
        while len(self._failed) > _ADDRESSES:
            self._failed.popitem(last=False)


def _until_free(failed: deque[float], most: int, now: float) -> float:
    return failed[-most] + SPAN - now if len(failed) >= most else 0.0


class Door:
    """Says of each request who asks.

    Args:
        settings: The dashboard's.
        clock: Of the pace of log-ins.

    Raises:
        SettingsError: A token cannot be read, or is too short.
    """

    def __init__(
        self, settings: DashboardSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._proxy: ProxySettings = settings.proxy
        self._tokens = settings.tokens()
        self.guarded = settings.guarded
        self.sessions = Sessions(settings.session.total_seconds())
        self.pace = Pace(clock)
        self._here = _account()

    @property
    def takes_tokens(self) -> bool:
        """Whether there is a token to log in with."""
        return bool(self._tokens)

    def visitor(self, cookie: str, address: str, headers: Mapping[str, str]) -> Visitor:
        """Who asks.

        Args:
            cookie: The session's, or empty.
            address: Of the client, as the socket tells it.
            headers: By lower-case name.
        """
        known = self.sessions.read(cookie) if cookie else None
        session = known or self.sessions.new()
        if not self.guarded:
            return Visitor(session.session, self._here, "operator", "loopback")
        named = self._named(address, headers)
        if named is not None:
            return Visitor(session.session, *named, "proxy")
        return session

    def log_in(self, name: str, token: str) -> Visitor | None:
        """A new session for who has a token, or None; takes the same time for any token."""
        given = hashlib.sha256(token.encode()).digest()
        role: Role | None = None
        for one in ROLES:
            known = self._tokens.get(one)
            kept = hashlib.sha256((known or "").encode()).digest()
            if hmac.compare_digest(given, kept) and known is not None:
                role = one
        return None if role is None else self.sessions.new(name, role, "token")

    def _named(self, address: str, headers: Mapping[str, str]) -> tuple[str, Role | None] | None:
        """Name and role of who a proxy that is trusted names, or None."""
        proxy = self._proxy
        user = headers.get(proxy.user_header.lower(), "").strip() if proxy.user_header else ""
        if not user or not proxy.trusts(address):
            return None
        told = headers.get(proxy.groups_header.lower(), "") if proxy.groups_header else ""
        mine = {ANYONE, *(f"{_GROUP}{one.strip()}" for one in told.split(",") if one.strip())}
        if not user.startswith(_GROUP):  # nobody is a group by his name
            mine.add(user)
        if mine & set(proxy.operators):
            return user, "operator"
        return user, "viewer" if mine & set(proxy.viewers) else None


def _account() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "somebody"
    return f"{name}@{socket.gethostname()}"
