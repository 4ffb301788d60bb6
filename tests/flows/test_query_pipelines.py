"""Query pipelines on the real OpenSearch: what is found changes, and failures do no harm."""

from __future__ import annotations

from tests.client import Client

DOCUMENTS = {"1": {"title": "red laptop"}, "2": {"title": "blue notebook"}}

FIRST_STYLE = """# @udf: name=notebooks
# @udf: version=1.0.0
# @udf: category=query_pipeline
import json
def udf_main():
    query = json.loads(get_field_string("query"))
    return json.dumps({"bool": {"should": [query, {"match": {"title": "notebook"}}]}})
"""


async def test_a_query_pipeline_changes_what_is_found(proxy: Client, index_name: str) -> None:
    """A UDF of the first style adds a clause; the backend finds what it asks for."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("notebooks", "query", FIRST_STYLE)
    body = {"query": {"match": {"title": "laptop"}}}
    assert (await proxy.post(f"/{index_name}/_search", body)).ids == ["1"]
    await proxy.attach(index_name, query="notebooks")
    answer = await proxy.post(f"/{index_name}/_search", body)
    assert sorted(answer.ids) == ["1", "2"]
    assert answer.headers["Querymill-Pipelines"] == "notebooks@1.0.0"
    assert answer.headers["Server-Timing"].startswith("notebooks;dur=")
