"""Ids that carry on a search (scroll, point in time, async) and remember what it runs.

What has to be remembered stands in the id itself, signed: any worker of any proxy on the same
store can read it, a restart forgets nothing, and no client can change it. The backend's own id is
its last part. The signature is HMAC-SHA-256 (RFC 2104), cut to 16 bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from proxy.http.errors import ErrorResponse
from proxy.protocol.limits import PACKED_MAX, UNPACKED_MAX

PREFIX = "qm1."
# What an id can leave out, the largest first, and what it says then.
_LEFT_OUT: dict[str, Any] = {"request": "{}", "state": {}, "metadata": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a search's later pages need: its targets, result pipelines, state, request, metadata.

    `result` are names with the versions they had; `final` are those among them that fail closed.
    """

    names: tuple[str, ...] = ()
    result: tuple[tuple[str, str], ...] = ()
    final: tuple[str, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    request: str = "{}"
    metadata: dict[str, Any] = field(default_factory=dict)


class Cursors:
    """Wraps the backend's ids and reads them again. `secret` gives the key all proxies share."""

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._secret = secret

    def wrap(self, backend_id: str, memory: Memory) -> str:
        """The id the client gets for the backend's."""
        packed = base64.urlsafe_b64encode(zlib.compress(orjson.dumps(asdict(memory))))
        body = packed.decode().rstrip("=")
        return f"{PREFIX}{body}.{self._sign(body, backend_id)}.{backend_id}"

    def fitted(self, memory: Memory, limit: int) -> tuple[Memory, list[str]]:
        """`memory` less the parts that keep its id from being at most `limit` long, and which."""
        left_out: list[str] = []
        for part, nothing in _LEFT_OUT.items():
            if self._fits(memory, limit):
                break
            if getattr(memory, part) != nothing:
                memory = replace(memory, **{part: nothing})
                left_out.append(part)
        return memory, left_out

    def _fits(self, memory: Memory, limit: int) -> bool:
        size = len(orjson.dumps(asdict(memory)))
        return size <= PACKED_MAX and len(self.wrap("", memory)) <= limit

    def unwrap(self, client_id: str) -> tuple[str, Memory | None]:
        """The backend's id and what was remembered; None for an id that is the backend's own.

        Raises `ErrorResponse` (400) for an id of ours that was changed or signed by others.
        """
        if not client_id.startswith(PREFIX):
            return client_id, None
        parts = client_id[len(PREFIX) :].split(".", 2)
        if len(parts) != 3 or not _equal(parts[1], self._sign(parts[0], parts[2])):
            raise ErrorResponse(
                400,
                "illegal_argument_exception",
                "the id was not made by this proxy, or was changed; begin the search anew",
            )
        return parts[2], _unpack(parts[0])

    def _sign(self, body: str, backend_id: str) -> str:
        message = f"{body}.{backend_id}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._secret(), message, hashlib.sha256).digest()[:16]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _equal(given: str, signature: str) -> bool:
    # As bytes: of text only ASCII is compared.
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), signature.encode())


def _unpack(body: str) -> Memory:
    """What `wrap` put there. An id that another version made may hold something else."""
    try:
        packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        values = orjson.loads(zlib.decompressobj().decompress(packed, UNPACKED_MAX))
        return Memory(
            names=_texts(values["names"]),
            result=tuple((name, version) for name, version in map(_texts, values["result"])),
            final=_texts(values["final"]),
            state=dict(values["state"]),
            request="".join(_texts([values["request"]])),
            metadata=dict(values.get("metadata", {})),
        )
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
        reason = "the id cannot be read by this version; begin the search anew"
        raise ErrorResponse(400, "illegal_argument_exception", reason) from error


def _texts(values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("expected a list of texts")
    return tuple(values)
