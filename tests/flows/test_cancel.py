"""A client that goes away ends the search it was waiting for, on the real OpenSearch."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.client import Client
from tests.conftest import StartProxy
from tests.proxy.wire import Client as RawClient
from tests.proxy.wire import request

DOCUMENTS = 40_000
# Half a millisecond and more for each document; between some thousand of them, OpenSearch looks
# whether anybody still wants the response.
SLOW = {
    "query": {
        "script_score": {
            "query": {"match_all": {}},
            "script": {
                "source": "double x = 0; for (int i = 0; i < 400000; i++) { x += i % 7 } return x"
            },
        }
    }
}


async def searching(direct: Client, mark: str) -> list[dict[str, Any]]:
    """The running search tasks with the opaque id `mark`."""
    response = await direct.get("/_tasks?actions=*search*&detailed=true")
    return [
        task
        for node in response.data["nodes"].values()
        for task in node["tasks"].values()
        if task["headers"].get("X-Opaque-Id") == mark
    ]


async def finished(direct: Client, index: str) -> tuple[int, int]:
    """How many searches run on an index, and how many ran to their end."""
    stats = await direct.get(f"/{index}/_stats/search")
    search = stats.data["_all"]["primaries"]["search"]
    return search["query_current"], search["query_total"]


@pytest.mark.parametrize("pipeline", [False, True], ids=["plain", "pipeline"])
async def test_a_client_that_goes_away_ends_its_search(
    start_proxy: StartProxy, direct: Client, index_name: str, pipeline: bool
) -> None:
    """The search's tasks are gone soon after its client is, and it was never done."""
    server = await start_proxy()
    assert server.address is not None
    settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    await direct.put(f"/{index_name}", settings)
    bulk = b'{"index":{}}\n{}\n' * DOCUMENTS
    assert (await direct.post(f"/{index_name}/_bulk?refresh=true", bulk)).status == 200
    raw = await RawClient.connect(server.address.port)
    if pipeline:
        source = b"def query(request, context):\n    return request\n"
        udf = request("/_udf/same", "PUT", source, "Content-Type: text/x-python")
        assert (await raw.ask(udf)).status == 200
        stage = {"name": "s", "type": "python", "config": {"udf_name": "same"}}
        body = orjson.dumps({"type": "query", "stages": [stage]})
        put = request("/_pipeline/same", "PUT", body, "Content-Type: application/json")
        assert (await raw.ask(put)).status == 200
    target = f"/{index_name}/_search" + ("?pipeline=same" if pipeline else "")
    fields = ("Content-Type: application/json", f"X-Opaque-Id: {index_name}")
    await raw.send(request(target, "POST", orjson.dumps(SLOW), *fields))
    while not await searching(direct, index_name):
        continue
    raw.reset()
    while await searching(direct, index_name):
        continue
    assert await finished(direct, index_name) == (0, 0)
    # A search that is done does count.
    await direct.get(f"/{index_name}/_search?size=0")
    assert await finished(direct, index_name) == (0, 1)
