"""What every request passes, whichever page it is for: host, origin, session, role, headers."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from driftloop.dashboard.access import Door, Visitor
from driftloop.settings import DashboardSettings
from driftloop.settings.dashboard import is_loopback

LARGEST_FORM = 2 << 20
"""Bytes of what a form may send."""

OPEN = frozenset({"/log-in"})
"""Pages for whoever asks, beside the files of ``/static``."""

PROBES = frozenset({"/healthz", "/readyz"})
"""For whoever asks, under any name."""

SAFE = frozenset({"GET", "HEAD"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline scripts or styles, nothing from elsewhere, in nobody's frame."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware that lets through what may pass, and tells the pages who asks.

    A page finds the `Visitor` in ``request.state.visitor`` and the fields of a form, each with its
    values, in ``request.state.form``.

    Args:
        app: The pages.
        settings: The dashboard's.
        door: Says who asks.
    """

    def __init__(self, app: ASGIApp, settings: DashboardSettings, door: Door) -> None:
        self._app = app
        self._door = door
        self._secure = not is_loopback(settings.host) or bool(settings.certificate)
        # A browser sends a host's cookies to all its ports: each dashboard has a name of its own.
        self.cookie = f"{'__Host-' if self._secure else ''}driftloop-{settings.port}"
        self._seconds = round(settings.session.total_seconds())
        self._any_host = not settings.hosts and not is_loopback(settings.host)
        self._hosts = {one.lower() for one in settings.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal, visitor, fresh = await self._judge(scope, receive, headers)
        setter = self._setter(send, visitor if fresh else None, scope["path"])
        if refusal is not None:
            await refusal(scope, receive, setter)
            return
        inner = _nothing_more(scope, receive)
        # The pages know GET alone; the stream of changes has no end, so nothing to ask HEAD for.
        if scope["method"] == "HEAD" and scope["path"] != "/live":
            await self._app({**scope, "method": "GET"}, inner, _without_body(setter))
        else:
            await self._app(scope, inner, setter)

    async def _judge(
        self, scope: Scope, receive: Receive, headers: Headers
    ) -> tuple[Response | None, Visitor, bool]:
        """Why not, or None; who asks; and whether the browser is to get the session's cookie."""
        path, method = scope["path"], scope["method"]
        cookie = _cookie(headers, self.cookie)
        known = self._door.sessions.read(cookie) if cookie else None
        address = (scope.get("client") or ("", 0))[0]
        visitor = self._door.visitor(cookie, address, headers)
        fresh = known is None or known.session != visitor.session
        state = scope.setdefault("state", {})
        state.update(visitor=visitor, token=self._door.sessions.form_token(visitor), form={})
        if path in PROBES:  # asked by address, and they tell nothing of streams
            refused = None if method in SAFE else _refusal(405, "It is only read.")
            return refused, visitor, False
        if not self._meant(headers.get("host", "")):
            why = "This name is none of the dashboard's; name it in dashboard.hosts."
            return _refusal(421, why), visitor, False
        if path.startswith("/static/"):
            refused = None if method in SAFE else _refusal(405, "It is only read.")
            return refused, visitor, False
        if method not in SAFE:
            refusal = await self._changes(scope, receive, headers, visitor)
            if refusal is not None:
                return refusal, visitor, fresh
        if path in OPEN:
            return None, visitor, fresh
        if visitor.role is None:
            return self._stranger(scope, headers, visitor), visitor, fresh
        if method not in SAFE and not visitor.orders and path != "/log-out":
            return _refusal(403, "Viewers may look; this needs the role operator."), visitor, fresh
        return None, visitor, fresh

    def _meant(self, host: str) -> bool:
        """Whether the name under which we are asked is ours, and was not rebound."""
        name = (urlsplit(f"//{host}").hostname or "") if host else ""
        return self._any_host or is_loopback(name) or name.lower() in self._hosts

    async def _changes(
        self, scope: Scope, receive: Receive, headers: Headers, visitor: Visitor
    ) -> Response | None:
        """Why a request that changes something is refused, or None."""
        if scope["method"] != "POST":
            return _refusal(405, "Only GET and POST are known here.")
        if not _same_origin(headers):
            return _refusal(403, "The request comes from another site.")
        body = await _read(receive)
        if body is None:
            return _refusal(413, f"A form has at most {LARGEST_FORM} bytes.")
        form: dict[str, list[str]] = {}
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        for name, value in pairs:
            form.setdefault(name, []).append(value)
        scope["state"]["form"] = form
        token = headers.get("x-form-token") or form.get("form_token", [""])[0]
        if not self._door.sessions.carries(visitor, token):
            return _refusal(403, "The form is of an older session: load the page again.")
        return None

    def _stranger(self, scope: Scope, headers: Headers, visitor: Visitor) -> Response:
        if visitor.via == "proxy":
            why = f"{visitor.name} has no role here: dashboard.proxy.viewers names who may look."
            return _refusal(403, why)
        if not self._door.takes_tokens:
            return _refusal(401, "The proxy that logs people in names nobody.")
        if scope["method"] in SAFE and "hx-request" not in headers:
            there = scope["path"]
            if scope["query_string"]:
                there += "?" + scope["query_string"].decode(errors="replace")
            if scope["path"] == "/live":
                return _refusal(401, "Log in first.")
            return RedirectResponse(f"/log-in?to={quote(there, safe='')}", 303)
        return Response("Log in first.", 401, {"hx-redirect": "/log-in"}, "text/plain")

    def _setter(self, send: Send, visitor: Visitor | None, path: str) -> Send:
        """Adds the headers of every answer, and the cookie of a session that is new."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not path.startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
                if visitor is not None and "set-cookie" not in headers:
                    headers["set-cookie"] = self.set_cookie(visitor)
            await send(message)

        return with_headers

    def set_cookie(self, visitor: Visitor) -> str:
        """The header that gives a browser its session."""
        value = self._door.sessions.cookie(visitor)
        secure = "; Secure" if self._secure else ""
        return (
            f"{self.cookie}={value}; Path=/; Max-Age={self._seconds}; "
            f"HttpOnly; SameSite=Strict{secure}"
        )


def _without_body(send: Send) -> Send:
    """Sends of an answer what stands before its body."""

    async def bare(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return bare


def _refusal(status: int, why: str) -> Response:
    return PlainTextResponse(why + "\n", status)


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _same_origin(headers: Headers) -> bool:
    """Whether a browser says that a page of ours asks; other programs say nothing."""
    origin = headers.get("origin")
    if origin is not None:
        return bool(headers.get("host")) and urlsplit(origin).netloc == headers["host"]
    return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


async def _read(receive: Receive) -> bytes | None:
    """The body, or None where it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_FORM:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _nothing_more(scope: Scope, receive: Receive) -> Receive:
    """What is left to receive where the body was read here."""
    if scope["method"] in SAFE:
        return receive
    told: list[Any] = []

    async def empty() -> Message:
        if told:
            return await receive()
        told.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    return empty
