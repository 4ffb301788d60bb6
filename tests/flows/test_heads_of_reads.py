"""`HEAD` of a document says what `GET` says, also where pipelines change or hide the document."""

from __future__ import annotations

import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.conftest import StartOn, connect

SOME = """def result(r, c):
    hits = [h for h in r['hits']['hits'] if not h['_source'].get('hidden')]
    for hit in hits:
        hit['_source'] = {**hit['_source'], 'more': 'x' * hit['_source'].get('n', 0)}
    r['hits']['hits'] = hits
    return r
"""
# Of no response, or of each connection.
_OWN = {"Date", "Connection", "Keep-Alive", "Server-Timing", "Querymill-Request-Id"}


@pytest.mark.parametrize("kind", ["default", "final"])
async def test_head_is_the_get_without_its_body(
    each_backend: EmbeddedCluster, start_on: StartOn, index_name: str, kind: str
) -> None:
    """Status and fields, the length among them; of small and large documents, and of none."""
    documents = {"1": {"n": 3}, "2": {"n": 200_000}, "3": {"hidden": True}}
    async with connect(await start_on(each_backend)) as proxy:
        await proxy.index(index_name, documents)
        await proxy.define("some", "result", SOME, applies_to=["search", "get"])
        attached = {f"index.result.{kind}_pipeline": "some"}
        assert (await proxy.put(f"/{index_name}/_settings", attached)).status == 200
        for call, more in (
            ("_doc", ""),
            ("_source", ""),
            ("_doc", "?pretty"),
            ("_doc", "?realtime=true"),
        ):
            for number, status in (("1", 200), ("2", 200), ("3", 404), ("4", 404)):
                await _compare(proxy, f"/{index_name}/{call}/{number}{more}", status)
        await _compare(proxy, f"/{index_name}/_doc/1?format=yaml&filter_path=_id", 200)
        await _compare(proxy, f"/{index_name}/_doc/1?zz=1", 400)


async def _compare(proxy: Client, target: str, status: int) -> None:
    plain = {"Accept-Encoding": "identity"}
    got, head = [await proxy.call(method, target, None, plain) for method in ("GET", "HEAD")]
    assert (got.status, head.status, head.body) == (status, status, b""), target
    fields = [
        {name: value for name, value in response.headers.items() if name not in _OWN}
        for response in (got, head)
    ]
    if "Transfer-Encoding" not in fields[0]:
        assert fields[0] == fields[1], target
        assert int(head.headers["Content-Length"]) == len(got.body)
