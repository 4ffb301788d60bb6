"""Which product the backend is, found out with ``GET /`` when somebody first needs to know."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

import orjson
import structlog

from proxy.backend.limits import PRODUCT_MAX
from proxy.http.headers import Headers
from proxy.protocol.elastic.client import PRODUCT_HEADER
from proxy.upstream.client import Upstream, UpstreamRequest
from proxy.upstream.errors import UpstreamError

_log = structlog.get_logger("proxy.backend.product")

Distribution = Literal["opensearch", "elasticsearch", "unknown"]

# A cluster changes its product in an upgrade only; a look every so often costs nothing.
FRESH_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Product:
    """What the backend says it is; `version` is "" where it does not say."""

    distribution: Distribution
    version: str


UNKNOWN: Final = Product("unknown", "")


class BackendInfo:
    """Knows the backend's product; asks at most once at a time. Used from one event loop."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._product = UNKNOWN
        self._ask_after = 0.0
        self._asking = asyncio.Lock()

    async def product(self) -> Product:
        """Return the product, from memory or from the backend; "unknown" while it is unreachable.

        After a failure the next call that comes a second later asks again.
        """
        clock = asyncio.get_running_loop().time
        if clock() < self._ask_after:
            return self._product
        async with self._asking:
            if clock() >= self._ask_after:
                product = await self._ask()
                wait = RETRY_SECONDS if product is None else FRESH_SECONDS
                self._product = product or self._product
                self._ask_after = clock() + wait
        return self._product

    async def is_opensearch(self) -> bool:
        """Whether the backend is OpenSearch, as far as is known."""
        return (await self.product()).distribution == "opensearch"

    def forget(self) -> None:
        """Ask again at the next call."""
        self._ask_after = 0.0

    async def _ask(self) -> Product | None:
        request = UpstreamRequest(
            method="GET", target="/", headers=Headers({"Accept": "application/json"}), retry=True
        )
        try:
            with await self._upstream.send(request) as response:
                body = await response.read(PRODUCT_MAX)
                product = product_of(response.status, response.headers, body)
        except UpstreamError as exc:
            _log.info("backend product not known yet", reason=str(exc))
            return None
        if product is not None and product != self._product:
            _log.info("backend", product=product.distribution, version=product.version)
        return product


def product_of(status: int, headers: Headers, body: bytes) -> Product | None:
    """Return the product that answers ``GET /`` like this, or None where that says nothing.

    Elasticsearch names itself in a header on every response, also on 401 and 405; OpenSearch never
    does, so a response that refuses without the header is taken for OpenSearch. From 500 on nobody
    can tell.
    """
    version = _version(body) if status == 200 else {}
    number = str(version.get("number", ""))
    if headers.get(PRODUCT_HEADER) == "Elasticsearch":
        return Product("elasticsearch", number)
    if status >= 500:
        return None
    if status == 200 and "distribution" not in version and number:
        # Before 7.14 Elasticsearch had no such header; OpenSearch has always named itself.
        return Product("elasticsearch", number)
    return Product("opensearch", number)


def _version(body: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    version = document.get("version") if isinstance(document, dict) else None
    return version if isinstance(version, dict) else {}
