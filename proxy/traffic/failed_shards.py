"""Shards on which a search failed although its response is a success.

The backend refuses a search that fails on all shards, and answers with what the others found where
it fails on some. Then the response tells how many failed, before what was found.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, Final

from proxy.http.media_type import is_json
from proxy.upstream.client import UpstreamResponse

# Behind the ids of a scroll or a point in time, which may be long.
_LOOKED_AT: Final = 32 * 1024
_SHARDS: Final = re.compile(
    rb'"_shards"\s*:\s*\{\s*"total"\s*:\s*([0-9]+)[^{}\[\]]*?"failed"\s*:\s*([0-9]+)', re.ASCII
)
_TYPE: Final = re.compile(rb'"reason"\s*:\s*\{\s*"type"\s*:\s*"([a-z0-9_]{1,100})"', re.ASCII)
# What says nothing of the request: the shard or its node could not do it now.
_OF_SHARDS: Final = re.compile(
    "rejected|circuit_breaking|time_?d?_?out|cancelled|connect|no_shard|missing|closed|transport"
)


@dataclass(frozen=True, slots=True)
class FailedShards:
    """How many of a search's shards failed, and the type of the first error."""

    failed: int
    total: int
    type: str

    def __str__(self) -> str:
        return f"the search failed on {self.failed} of {self.total} shards ({self.type})"


async def failed_shards(response: UpstreamResponse) -> FailedShards | None:
    """Those that failed of the request itself, by the beginning of a response; None if none did.

    The response can still be read. Nothing is known of one that is no JSON, or has no `_shards`.
    """
    if response.status != 200 or not is_json(response.get("Content-Type") or ""):
        return None
    coding = response.get("Content-Encoding")
    if coding not in (None, "gzip"):
        return None
    begun = (await response.beginning(_LOOKED_AT))[:_LOOKED_AT]
    if coding is not None:
        try:
            begun = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(begun, _LOOKED_AT)
        except zlib.error:
            return None
    found = _SHARDS.search(begun)
    if found is None or found[2] == b"0":
        return None
    type = _TYPE.search(begun, found.end())
    return _known(int(found[2]), int(found[1]), type[1].decode() if type else "unknown")


def failed_shards_of(response: Any) -> FailedShards | None:
    """The same of a response that was read."""
    shards = response.get("_shards") if isinstance(response, dict) else None
    if not isinstance(shards, dict) or not shards.get("failed"):
        return None
    try:
        type = str(shards["failures"][0]["reason"]["type"])
    except (KeyError, IndexError, TypeError):
        type = "unknown"
    return _known(shards["failed"], shards.get("total", 0), type)


def _known(failed: int, total: int, type: str) -> FailedShards | None:
    return None if _OF_SHARDS.search(type) else FailedShards(failed, total, type)
