"""What a request is called in its response and in the log."""

from __future__ import annotations

import random
from typing import Final

from proxy.server.limits import ID_MAX

REQUEST_ID: Final = "Querymill-Request-Id"


def new_id() -> str:
    """An id for runs. For finding them in the log, and no secret: a better generator costs more."""
    return f"{random.getrandbits(64):016x}"


def request_id(opaque: str | None) -> str:
    """The client's own ``X-Opaque-Id``, of printable ASCII and cut to `ID_MAX`, else a new one."""
    kept = "".join(c for c in (opaque or "")[:ID_MAX] if " " <= c <= "~").strip()
    return kept or new_id()
