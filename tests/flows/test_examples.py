"""The five examples on the real OpenSearch, through the proxy, with the elasticsearch client."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk
from rich.console import Console

from proxy.demo.errors import DemoError
from proxy.demo.hint import HINTS
from proxy.demo.material import EXAMPLES, INDEX, load_material
from proxy.demo.measured import write_measured
from proxy.demo.run import play
from proxy.demo.screen import Screen
from proxy.demo.session import Session
from tests.client import Client
from tests.conftest import StartProxy, connect

MATERIAL = load_material()


@pytest.fixture
async def showcase_url(start_proxy: StartProxy, direct: Client) -> AsyncIterator[str]:
    """Where a proxy listens; the index of products is gone before and after."""
    await direct.delete(f"/{INDEX}?ignore_unavailable=true")
    yield f"http://{(await start_proxy()).address}"
    await direct.delete(f"/{INDEX}?ignore_unavailable=true")


async def test_every_showcase_does_what_it_promises(showcase_url: str, tmp_path: Path) -> None:
    """Totals, titles, fields and reasons are as expected, and so are the README files' tables."""
    out = io.StringIO()
    shown = await play(showcase_url, MATERIAL, Screen(Console(file=out)))
    assert [fault for each in shown for fault in each.faults] == []
    text = out.getvalue()
    assert f"{len(MATERIAL.showcases)} of {len(MATERIAL.showcases)} showcases" in text
    for example in MATERIAL.examples:
        (tmp_path / example.name).mkdir()
        shutil.copy(EXAMPLES / example.name / "README.md", tmp_path / example.name)
    write_measured(tmp_path, shown)
    for example in MATERIAL.examples:
        committed = (EXAMPLES / example.name / "README.md").read_text()
        # Written by: querymill demo --once --port 0 --write
        assert (tmp_path / example.name / "README.md").read_text() == committed


async def test_every_hint_of_the_demo_works(showcase_url: str, start_proxy: StartProxy) -> None:
    """Each request the demo suggests is answered, and the attached pipelines show."""
    async with Session(showcase_url) as session:
        assert await session.index(MATERIAL) == len(MATERIAL.products)
        for example in MATERIAL.examples:
            await session.upload(example)
        with pytest.raises(DemoError, match="cannot be indexed"):
            await session.index(MATERIAL)
    async with connect(await start_proxy()) as client:
        responses = [await client.call(h.method, h.target, h.body) for h in HINTS]
    assert [response.status for response in responses] == [200] * len(HINTS)
    ran = {
        hint.why: response.headers["Querymill-Pipelines"]
        for hint, response in zip(HINTS, responses, strict=True)
        if "Querymill-Pipelines" in response.headers
    }
    assert ran == {
        "the same with synonyms": "synonym-expansion@1.0.0#1",
        "a misspelt search that names no pipeline": (
            "spell-correction@1.0.0#1, ml-reranking@1.0.0#1"
        ),
    }
    assert all("Warning" not in response.headers for response in responses)


async def test_document_examples_in_a_bulk(showcase_url: str, index_name: str) -> None:
    """Attached: each item is enriched on its own. Named: the bad item fails alone, in its place."""
    products: list[dict[str, Any]] = [
        {"sku": "A", "title": "Red Tent", "price": 99},
        {"sku": "B", "price": "cheap"},
        {"sku": "C", "title": "Blue Tent", "price": 900},
    ]
    async with Session(showcase_url) as session:
        for example in MATERIAL.examples:
            if example.name.startswith("document-"):
                await session.upload(example)
    async with AsyncElasticsearch(showcase_url) as client:
        settings = {"index.document.default_pipeline": "document-enrichment"}
        await client.indices.create(index=index_name, settings=settings)
        good = [{"_index": index_name, "_id": p["sku"], "_source": p} for p in products[::2]]
        assert await async_bulk(client, good, refresh=True) == (2, [])
        stored = [(await client.get(index=index_name, id=i))["_source"] for i in "AC"]
        assert [doc["slug"] for doc in stored] == ["red-tent", "blue-tent"]
        assert [doc["price_band"] for doc in stored] == ["standard", "luxury"]
        lines = [
            line
            for product in products
            for line in ({"index": {"_id": product["sku"] + "2"}}, product)
        ]
        response = await client.bulk(
            index=index_name, operations=lines, pipeline="document-validation", refresh=True
        )
        items = [item["index"] for item in response["items"]]
        assert response["errors"] is True
        assert [item["status"] for item in items] == [201, 400, 201]
        assert items[1]["error"]["type"] == "pipeline_rejected_exception"
        assert "title: required" in items[1]["error"]["reason"]
        assert not await client.exists(index=index_name, id="B2")
        plain = (await client.get(index=index_name, id="A2"))["_source"]
        assert "slug" not in plain


async def test_an_example_the_proxy_refuses_is_reported(showcase_url: str) -> None:
    """A pipeline whose UDF is not there comes back as an error that names the example."""
    spelling = next(e for e in MATERIAL.examples if e.name == "spell-correction")
    broken = type(spelling)(
        name="spell-correction", definition=spelling.definition, udf="other", package={"source": ""}
    )
    async with Session(showcase_url) as session:
        with pytest.raises(DemoError, match="example spell-correction is refused"):
            await session.upload(broken)


async def test_a_backend_that_is_not_there_is_reported() -> None:
    """No proxy listens on port 1."""
    async with Session("http://127.0.0.1:1") as session:
        with pytest.raises(DemoError, match="showcase laptop: no answer"):
            await session.show(MATERIAL.showcases[0])
