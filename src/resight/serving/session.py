"""Browsers sign in once: the token becomes a cookie that no script and no other site can use."""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from resight.serving.guard import COOKIE, WRONG_SECONDS, session_of
from resight.serving.refusals import Refusal
from resight.serving.service import Service

__all__ = ["session_routes"]

_LONGEST = 4096
_SAYS_ITS_ORIGIN = {"referrer-policy": "same-origin"}
"""Under a stricter policy a browser sends a form with ``Origin: null``, which the guard refuses."""

_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Resight: sign in</title></head>
<body><main><h1>Resight</h1><form method="post" action="/api/v1/session">
<label>Token <input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Sign in</button></form></main></body></html>
"""


def session_routes(service: Service) -> APIRouter:
    """Returns the routes by which a browser signs in and out."""
    routes = APIRouter(tags=["session"])

    @routes.get("/session", response_class=HTMLResponse, summary="The form to sign in by")
    async def form() -> HTMLResponse:
        return HTMLResponse(_FORM, headers=_SAYS_ITS_ORIGIN)

    @routes.post("/session", status_code=303, summary="Sign in", response_class=RedirectResponse)
    async def sign_in(request: Request) -> Response:
        token = service.access.token
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _LONGEST:
                raise Refusal(413, "a token is shorter")
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
            await asyncio.sleep(WRONG_SECONDS)
            again = _FORM.replace("Token <", "That is not the token. Token <")
            return HTMLResponse(again, 401, headers=_SAYS_ITS_ORIGIN)
        response = RedirectResponse("/", 303)
        if token is not None:
            response.set_cookie(COOKIE, session_of(token), httponly=True, samesite="strict", path="/")
        return response

    @routes.delete("/session", status_code=204, summary="Sign out")
    async def sign_out() -> Response:
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    return routes
