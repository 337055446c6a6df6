"""Who is answered at all: the name a server is called by, the page a request comes from, the token.

A browser lets any page send requests to this machine, and a page may give its own name the address 127.0.0.1
(DNS rebinding): hence the checks of Host, Origin and Sec-Fetch-Site. They come before everything else.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import socket
from http.cookies import CookieError, SimpleCookie
from typing import Final, final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resight.serving.refusals import Refusal
from resight.serving.settings import Access

__all__ = ["API", "COOKIE", "WRONG_SECONDS", "Guard", "session_of"]

COOKIE: Final = "resight_session"

API = "/api/v1"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
}
"""Of every response: a page may load from this server alone, and no other site may show or embed anything."""

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")
_SIGN_IN = f"{API}/session"
LARGEST_JSON = 1 << 20
"""Bytes of a request that is no form of photos."""

WRONG_SECONDS = 0.2
"""Delay of a wrong token's answer, so that guessing takes time."""


def session_of(token: str) -> str:
    """Returns what the cookie of a browser that showed the token holds; it ends when the token changes."""
    return hmac.new(token.encode(), b"resight session", hashlib.sha256).hexdigest()


@final
class Guard:
    """Lets requests through that this server shall answer, and adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._names = _own_names(access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request of HTTP, or lets the application do it; all else is the application's."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check_caller(scope)
            is_known = self._has_token(scope)
        except Refusal as refusal:
            await refusal.response()(scope, receive, with_headers)
            return
        if not is_known and scope["path"] != _SIGN_IN:
            await asyncio.sleep(WRONG_SECONDS)
            await self._unknown(scope).response()(scope, receive, with_headers)
            return
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        await self._app(scope, receive if is_form else _bounded(receive), with_headers)

    def _check_caller(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            raise Refusal(403, "this server is not called by that name (the Host of the request)")
        own = {f"{scheme}://{hosts[0].lower()}" for scheme in ("http", "https")}
        if len(origins) > 1 or any(origin.lower() not in own for origin in origins):
            raise Refusal(403, "requests that other pages send are not answered (the Origin of the request)")
        site = headers.get("sec-fetch-site", "none")
        is_link = headers.get("sec-fetch-mode") == "navigate" and not scope["path"].startswith("/api")
        if site not in ("same-origin", "none") and not is_link:
            raise Refusal(403, "requests that other pages send are not answered (Sec-Fetch-Site)")

    def _is_own(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None or int(match["port"] or 0) > 65535:
            return False
        name = match["name"].lower().strip("[]").rstrip(".")
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # No page can give an address, unlike a name, another meaning.
        return address.is_loopback or not self._access.is_loopback

    def _has_token(self, scope: Scope) -> bool:
        token = self._access.token
        if token is None:
            return True
        headers = Headers(scope=scope)
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
            return True
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        held = cookies[COOKIE].value if COOKIE in cookies else ""
        return hmac.compare_digest(held.encode(), session_of(token).encode())

    def _unknown(self, scope: Scope) -> Refusal:
        challenge = {"WWW-Authenticate": 'Bearer realm="resight"'}
        if scope["path"].startswith("/api"):
            return Refusal(401, "this needs the header `Authorization: Bearer TOKEN`", challenge)
        # A browser goes to the form by itself.
        return Refusal(401, f"sign in at {_SIGN_IN}", challenge | {"Refresh": f"0; url={_SIGN_IN}"})


def _bounded(receive: Receive) -> Receive:
    """Returns a body that ends with an error when it is larger than any JSON that the API takes."""
    total = 0

    async def bounded() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > LARGEST_JSON:
            # Starlette's own, which its parsers let through.
            raise HTTPException(413, f"the request is larger than {LARGEST_JSON:,} bytes")
        return message

    return bounded


def _own_names(access: Access) -> frozenset[str]:
    names = {name.lower().rstrip(".") for name in access.names}
    if access.is_loopback:
        return frozenset({*names, "localhost"})
    return frozenset({*names, "localhost", access.host.lower(), socket.gethostname().lower()})
