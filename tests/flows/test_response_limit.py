"""The largest response that is read whole, as the setting has it."""

from __future__ import annotations

import orjson
import pytest

from tests.conftest import StartProxy, connect

PICKY = """def document(doc, context):
    if doc["a"] == 2:
        reject("two is not stored here")
    return doc
"""
COUNTS = [(3_000, 200), (9_000, 502)]


@pytest.mark.parametrize(("count", "status"), COUNTS)
async def test_a_bulk_that_says_more_than_is_read(
    start_proxy: StartProxy, index_name: str, count: int, status: int
) -> None:
    """Under the setting it is answered; over it, its name and the limit are told."""
    async with connect(await start_proxy(max_response_bytes="1mb")) as proxy:
        await proxy.index(index_name, {"1": {}})
        await proxy.define("picky", "document", PICKY)
        await proxy.attach(index_name, document="picky")
        # An item of ours has to be put into the response, which is read for that.
        lines = b'{"index":{}}\n{"a":2}\n' + b'{"index":{}}\n{"a":1}\n' * (count - 1)
        answered = await proxy.post(f"/{index_name}/_bulk", lines)
        assert answered.status == status
        if status == 200:
            assert len(orjson.loads(answered.body)["items"]) == count
        else:
            assert answered.error["reason"].endswith("1048576 bytes (max_response_bytes)")
