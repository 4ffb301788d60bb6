"""The token of administration, asked for wherever something is administered."""

from __future__ import annotations

import hmac

from proxy.http.errors import ErrorResponse
from proxy.http.headers import ADMIN_TOKEN
from proxy.server.exchange import Exchange


def check_token(exchange: Exchange, token: str | None) -> None:
    """Refuse (401) a call of administration without the admin token, where one is set."""
    if token is None:
        return
    given = exchange.headers.get(ADMIN_TOKEN, "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
        reason = f"administration needs the admin token in the header {ADMIN_TOKEN}"
        raise ErrorResponse(401, "security_exception", reason)
