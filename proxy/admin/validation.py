"""Whether the backend takes a search request: it is asked, and looks at one document of a shard."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from pipelines.jsontext.slices import with_member
from pipelines.payload import Payload
from proxy.backend.client import Backend
from proxy.store.store import Credentials

# With these the backend refuses `terminate_after`, or it is there already.
_WITHOUT: Final = frozenset({"retriever", "rank", "sub_searches", "terminate_after"})
# What says nothing of the request: it may be asked again.
_LATER: Final = frozenset({401, 429, 502, 503, 504})


async def validation(
    backend: Backend, index: str, request: Payload, credentials: Credentials
) -> dict[str, Any]:
    """``{"valid": true}``, or false with what the backend says.

    `_validate/query` looks at the query alone, so that the request is sent as the search it is:
    its aggregations, sort, highlighting and the rest are then looked at on the index, too. Raises
    `BackendRefusedError` where the backend cannot tell now.
    """
    text = request.text
    if _WITHOUT.isdisjoint(request.data):
        text = with_member(text, "terminate_after", "1")
    response = await backend.call(
        "POST",
        f"/{quote(index, safe=',*')}/_search?allow_partial_search_results=false",
        text.encode(),
        headers=credentials,
        retry=True,
    )
    if response.status in _LATER:
        response.require(200)
    if response.status == 200:
        return {"valid": True}
    error = response.data.get("error") if isinstance(response.data, dict) else None
    return {
        "valid": False,
        "status": response.status,
        "error": error or response.body.decode()[:1000],
    }
