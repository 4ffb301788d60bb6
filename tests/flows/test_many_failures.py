"""Requests whose items fail in numbers: counted, told in few words, and all of it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import elasticsearch
import elasticsearch.helpers
import opensearchpy
import opensearchpy.helpers
import orjson
import pytest

from pipelines.errors import STAGE_ERROR_KINDS, StageError
from proxy.embedded import EmbeddedCluster
from proxy.http.limits import WARNING_BYTES_MAX, WARNING_FIELDS_MAX
from proxy.server.errors import ITEM_STATUS, item_status
from tests.client import Client, Response
from tests.conftest import StartOn, connect

COUNT = 300
FAILING_DOCUMENT = "def document(doc, context):\n    raise ValueError(f\"no {doc['n']}\")\n"
FAILING_QUERY = "def query(request, context):\n    raise ValueError(f\"no {request['size']}\")\n"
FAILING_RESULT = (
    "def result(response, context):\n"
    "    raise ValueError(f\"no {response['hits']['hits'][0]['_id']}\")\n"
)
Helper = Callable[[str, str], list[tuple[bool, Any]]]


def reported(response: Response) -> list[str]:
    """The Warning fields, after checking that they are few and small."""
    values = response.headers.getall("Warning", [])
    assert len(values) <= WARNING_FIELDS_MAX
    assert sum(len(f"Warning: {value}\r\n") for value in values) <= WARNING_BYTES_MAX
    return values


def lines(*each: Any) -> bytes:
    return b"\n".join([*(orjson.dumps(line) for line in each), b""])


async def numbered(proxy: Client, index: str) -> None:
    """An index of documents that no pipeline saw."""
    await proxy.index(index, {str(n): {"n": n} for n in range(COUNT)})


async def test_documents_of_a_bulk(each_backend: EmbeddedCluster, start_on: StartOn) -> None:
    """Each stored as it was; a few warnings, and how many more."""
    async with connect(await start_on(each_backend)) as proxy:
        await proxy.define("own", "document", FAILING_DOCUMENT, on_error="pass")
        body = lines(*(part for n in range(COUNT) for part in ({"index": {"_id": n}}, {"n": n})))
        response = await proxy.post("/many-bulk/_bulk?refresh=true&pipeline=own", body)
        assert response.data["errors"] is False
        assert (
            reported(response)[-1] == f'299 querymill "and {COUNT - WARNING_FIELDS_MAX + 1} more"'
        )
        assert (await proxy.get("/many-bulk/_count")).data["count"] == COUNT
        assert (await proxy.get("/_pipeline/own/_stats")).data["degraded"] == COUNT
        await proxy.delete("/many-bulk")


async def test_searches_of_an_msearch(proxy: Client, index_name: str) -> None:
    """Each answered as if there was no pipeline."""
    await numbered(proxy, index_name)
    await proxy.define("own", "query", FAILING_QUERY)
    body = lines(*(part for n in range(COUNT) for part in ({}, {"size": n})))
    response = await proxy.post(f"/{index_name}/_msearch?pipeline=own", body)
    assert [part["status"] for part in response.data["responses"]] == [200] * COUNT
    assert reported(response)[-1].startswith('299 querymill "and 29')
    source = '{"size": {{n}}}'
    templates = lines(
        *(p for n in range(COUNT) for p in ({}, {"source": source, "params": {"n": n}}))
    )
    response = await proxy.post(f"/{index_name}/_msearch/template?pipeline=own", templates)
    assert [part["status"] for part in response.data["responses"]] == [200] * COUNT
    assert reported(response)[-1].startswith('299 querymill "and 29')


async def test_documents_of_an_mget(proxy: Client, index_name: str) -> None:
    """Each given as it is stored."""
    await numbered(proxy, index_name)
    await proxy.define("own", "result", FAILING_RESULT, applies_to=["get"])
    body = {"ids": [str(n) for n in range(COUNT)]}
    response = await proxy.post(f"/{index_name}/_mget?pipeline=own", body)
    assert [part["_source"]["n"] for part in response.data["docs"]] == list(range(COUNT))
    assert reported(response)[-1].startswith('299 querymill "and 29')


async def test_one_text_of_many_items(proxy: Client, index_name: str) -> None:
    """It is told once, with their number."""
    await proxy.define(
        "same", "document", "def document(d, c):\n    raise ValueError('no')\n", on_error="pass"
    )
    body = lines(*(part for n in range(40) for part in ({"index": {"_id": n}}, {"n": n})))
    (text,) = reported(await proxy.post(f"/{index_name}/_bulk?pipeline=same", body))
    assert text.endswith('ValueError: no (same.py line 2, in document()) (40 times)"')


async def test_many_pipelines(proxy: Client, index_name: str) -> None:
    """The fields that name them are bounded too."""
    await numbered(proxy, index_name)
    await proxy.put_udf("fails", FAILING_RESULT)
    names = [f"{'x' * 60}-{n}" for n in range(20)]
    for name in names:
        await proxy.put_pipeline(name, "result", "fails")
    response = await proxy.get(f"/{index_name}/_search?pipeline={','.join(names)}")
    assert response.status == 200
    reported(response)
    ran = response.headers["Querymill-Pipelines"].split(", ")
    left = 20 - len(ran) + 1
    assert ran[:2] == [f"{name}@1.0.0#1" for name in names[:2]]
    assert ran[-1] == f"and {left} more"
    assert f'others;desc="{left} more";dur=' in response.headers["Server-Timing"]
    assert all(
        len(response.headers[name]) < 2048 for name in ("Querymill-Pipelines", "Server-Timing")
    )


def test_every_kind_of_error_has_a_status_for_items() -> None:
    """500 is for what another try may mend, and for nothing else."""
    assert ITEM_STATUS.keys() == STAGE_ERROR_KINDS.keys()
    again = {kind for kind, status in ITEM_STATUS.items() if status == 500}
    assert again == {"timeout", "unavailable", "breaker"}
    assert set(ITEM_STATUS.values()) == {400, 500}
    assert item_status(StageError("load", "it took too long", overran=True)) == 500


def documents(index: str) -> Iterator[dict[str, Any]]:
    """Every tenth cannot be stored."""
    for n in range(COUNT):
        yield {"_index": index, "_id": str(n), "n": "no number" if n % 10 == 0 else n}


def of_opensearch(url: str, index: str) -> list[tuple[bool, Any]]:
    client = opensearchpy.OpenSearch(url, max_retries=3, retry_on_timeout=True)
    options: dict[str, Any] = {"max_retries": 3, "initial_backoff": 0, "refresh": True}
    done = list(
        opensearchpy.helpers.streaming_bulk(
            client, documents(index), raise_on_error=False, **options
        )
    )
    stored, errors = opensearchpy.helpers.bulk(
        client, documents(index), raise_on_error=False, **options
    )
    assert (stored, len(errors)) == (sum(ok for ok, _ in done), sum(not ok for ok, _ in done))
    client.close()
    return done


def of_elasticsearch(url: str, index: str) -> list[tuple[bool, Any]]:
    with elasticsearch.Elasticsearch(url, max_retries=3, retry_on_timeout=True) as client:
        options: dict[str, Any] = {"max_retries": 3, "initial_backoff": 0, "refresh": True}
        done = list(
            elasticsearch.helpers.streaming_bulk(
                client, documents(index), raise_on_error=False, **options
            )
        )
        stored, errors = elasticsearch.helpers.bulk(
            client, documents(index), raise_on_error=False, **options
        )
        assert isinstance(errors, list)
        assert (stored, len(errors)) == (sum(ok for ok, _ in done), sum(not ok for ok, _ in done))
        return done


@pytest.mark.filterwarnings("ignore::opensearchpy.exceptions.OpenSearchWarning")
@pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")
@pytest.mark.parametrize("helper", [of_opensearch, of_elasticsearch])
@pytest.mark.parametrize("on_error", ["pass", "fail"])
async def test_bulk_helpers_finish(
    each_backend: EmbeddedCluster, start_on: StartOn, helper: Helper, on_error: str
) -> None:
    """What was sent is stored once, or told to have failed, and nothing is sent again."""
    server = await start_on(each_backend)
    async with connect(server) as proxy:
        await proxy.put("/many-helped", {"mappings": {"properties": {"n": {"type": "long"}}}})
        await proxy.define("own", "document", FAILING_DOCUMENT, on_error=on_error)
        await proxy.attach("many-helped", document="own")
        done = await asyncio.to_thread(helper, f"http://{server.address}", "many-helped")
        count = (await proxy.get("/many-helped/_count")).data["count"]
        stats = (await proxy.get("/_pipeline/own/_stats")).data
        await proxy.delete("/many-helped")
    assert len(done) == COUNT
    assert stats["count"] == 2 * COUNT
    if on_error == "pass":
        assert sum(ok for ok, _ in done) == count == COUNT * 9 // 10
        return
    assert count == 0
    assert {item["index"]["status"] for _, item in done} == {400}
    reason = done[7][1]["index"]["error"]["reason"]
    assert reason.startswith("pipeline [own] stage [own] failed (udf_exception): ")
    assert "ValueError: no 7 " in reason
