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
    response = await proxy.post(f"/{index_name}/_search", body)
    assert sorted(response.ids) == ["1", "2"]
    assert response.headers["Querymill-Pipelines"] == "notebooks@1.0.0#1"
    assert response.headers["Server-Timing"].startswith("notebooks;dur=")


SIZE_ONE = "def query(request, context):\n    request['size'] = 1\n    return request\n"
BROKEN = "def query(request, context):\n    raise ValueError('no luck')\n"


async def test_a_get_search_in_the_url_is_seen_and_rewritten(
    proxy: Client, index_name: str
) -> None:
    """`q` and its companions reach the UDF in the body, and cannot override what it returns."""
    await proxy.index(index_name, DOCUMENTS)
    source = (
        "def query(request, context):\n"
        "    assert request == {'query': {'query_string': {'query': 'laptop',"
        " 'default_field': 'title'}}, 'size': 5, 'sort': [{'_id': {'order': 'desc'}}]}, request\n"
        "    return {**request, 'query': {'match_all': {}}}\n"
    )
    await proxy.define("everything", "query", source)
    url = f"/{index_name}/_search?q=laptop&df=title&size=5&sort=_id:desc&pretty"
    assert (await proxy.get(url)).ids == ["1"]
    response = await proxy.get(url + "&pipeline=everything")
    assert response.ids == ["2", "1"]
    assert "Warning" not in response.headers
    assert b"\n  " in response.body


async def test_a_body_in_the_source_parameter_is_rewritten(proxy: Client, index_name: str) -> None:
    """`source=` stands in for a body, and leaves the URL when a pipeline changed it."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("one", "query", SIZE_ONE)
    source = "%7B%22query%22%3A%7B%22match_all%22%3A%7B%7D%7D%7D"
    url = f"/{index_name}/_search?source={source}&source_content_type=application/json"
    assert len((await proxy.get(url)).ids) == 2
    assert len((await proxy.get(url + "&pipeline=one")).ids) == 1


async def test_the_pipeline_parameter_replaces_the_default_and_none_turns_it_off(
    proxy: Client, index_name: str
) -> None:
    """Who names pipelines gets those and no others."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("one", "query", SIZE_ONE)
    await proxy.define(
        "none", "query", "def query(r, context):\n    return {'query': {'match_none': {}}}\n"
    )
    await proxy.attach(index_name, query="none")
    assert (await proxy.get(f"/{index_name}/_search")).ids == []
    assert len((await proxy.get(f"/{index_name}/_search?pipeline=one")).ids) == 1
    assert len((await proxy.get(f"/{index_name}/_search?pipeline=_none")).ids) == 2
    both = await proxy.get(f"/{index_name}/_search?pipeline=one,none")
    assert both.ids == []
    assert both.headers["Querymill-Pipelines"] == "one@1.0.0#1, none@1.0.0#1"


async def test_a_failing_query_stage_leaves_the_query_as_it_was(
    proxy: Client, index_name: str
) -> None:
    """The original response comes with a Warning, and the run counts as degraded."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("broken", "query", BROKEN)
    body = {"query": {"match": {"title": "laptop"}}}
    response = await proxy.post(f"/{index_name}/_search?pipeline=broken", body)
    assert (response.status, response.ids) == (200, ["1"])
    assert response.headers["Warning"].startswith(
        '299 querymill "pipeline [broken@1.0.0#1] degraded: stage [broken] failed (udf_exception)'
    )
    assert "no luck" in response.headers["Warning"]
    stats = (await proxy.get("/_pipeline/broken/_stats")).data
    assert (stats["count"], stats["degraded"], stats["success"]) == (1, 1, 0)
    assert stats["stages"]["broken"]["errors"] == {"udf_exception": 1}
    metrics = (await proxy.get("/_querymill/metrics")).body.decode()
    assert 'querymill_pipeline_runs_total{outcome="degraded",pipeline="broken"} 1.0' in metrics


async def test_on_error_fail_turns_a_failing_stage_into_an_error(
    proxy: Client, index_name: str
) -> None:
    """A 500 in the backend's envelope names pipeline, stage and the id that is in the log."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("broken", "query", BROKEN, on_error="fail")
    response = await proxy.get(f"/{index_name}/_search?pipeline=broken")
    assert response.status == 500
    error = response.error
    assert error["type"] == "pipeline_execution_exception"
    assert (error["pipeline"], error["stage"], error["kind"]) == (
        "broken",
        "broken",
        "udf_exception",
    )
    assert "no luck" in error["reason"]
    assert error["id"]


async def test_a_udf_can_refuse_a_search(proxy: Client, index_name: str) -> None:
    """`reject` gives its status and reason to the client, whatever `on_error` says."""
    await proxy.index(index_name, DOCUMENTS)
    source = "def query(request, context):\n    reject('too broad', 422)\n"
    await proxy.define("strict", "query", source)
    response = await proxy.get(f"/{index_name}/_search?pipeline=strict")
    assert response.status == 422
    assert response.error["type"] == "pipeline_rejected_exception"
    assert (response.error["reason"], response.error["stage"]) == (
        "pipeline [strict] stage [strict]: too broad",
        "strict",
    )


async def test_metadata_of_a_query_pipeline_reaches_the_client_and_not_the_backend(
    proxy: Client, index_name: str
) -> None:
    """`_pipeline_metadata` stands at the top of the response; the backend never sees it."""
    await proxy.index(index_name, DOCUMENTS)
    source = (
        "import json\n"
        "def udf_main():\n"
        "    query = json.loads(get_field_string('query'))\n"
        "    return json.dumps({**query, '_pipeline_metadata': {'note': 'seen'}})\n"
    )
    await proxy.define("noting", "query", source)
    body = {"query": {"match": {"title": "laptop"}}}
    response = await proxy.post(f"/{index_name}/_search?pipeline=noting", body)
    assert response.data["_pipeline_metadata"] == {"note": "seen"}
    assert response.body.startswith(b'{"_pipeline_metadata":{"note":"seen"},"took"')
    assert response.ids == ["1"]


async def test_a_udf_sees_only_the_headers_it_may(proxy: Client, index_name: str) -> None:
    """The allow-list has the request's id and tier; credentials never reach a UDF."""
    await proxy.index(index_name, DOCUMENTS)
    source = (
        "def query(request, context):\n"
        "    request['_pipeline_metadata'] = {'headers': context.headers,"
        " 'index': context.index, 'phase': context.phase}\n"
        "    return request\n"
    )
    await proxy.define("seeing", "query", source)
    response = await proxy.call(
        "GET",
        f"/{index_name}/_search?pipeline=seeing",
        headers={"X-Opaque-Id": "me", "Authorization": "Basic c2VjcmV0", "X-Other": "no"},
    )
    assert response.data["_pipeline_metadata"] == {
        "headers": {"x-opaque-id": "me"},
        "index": index_name,
        "phase": "query",
    }


async def test_large_numbers_survive_a_rewrite(proxy: Client, index_name: str) -> None:
    """A number beyond 64 bits in an untouched clause reaches the backend digit by digit."""
    await proxy.put(
        f"/{index_name}", {"mappings": {"properties": {"n": {"type": "unsigned_long"}}}}
    )
    await proxy.put(f"/{index_name}/_doc/1?refresh=true", b'{"n": 18446744073709551615}')
    await proxy.define("one", "query", SIZE_ONE)
    body = b'{"query": {"term": {"n": 18446744073709551615}}, "from": 0}'
    for parameters in ("pipeline=one", "pipeline=one&track_total_hits=true"):
        response = await proxy.post(f"/{index_name}/_search?{parameters}", body)
        assert response.ids == ["1"], response.body


async def test_what_a_search_cannot_run_is_refused(proxy: Client, index_name: str) -> None:
    """Unknown names are a 404; a document pipeline, `_none` among others and odd bodies a 4xx."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("one", "query", SIZE_ONE)
    await proxy.define("docs", "document", "def document(doc, context):\n    return doc\n")
    url = f"/{index_name}/_search?pipeline="
    unknown = await proxy.get(url + "nothing")
    assert unknown.status == 404
    assert unknown.error["type"] == "resource_not_found_exception"
    assert "[nothing]" in unknown.error["reason"]
    for name in ("docs", "one,_none", "", ","):
        assert (await proxy.get(url + name)).status == 400
    broken = await proxy.post(url + "one", b'{"query": ')
    # The backend's own words.
    assert (broken.status, broken.error["type"]) == (400, "unexpected_end_of_input_exception")
    assert (await proxy.post(url + "one", b"[1]")).status == 400
    assert (await proxy.post(url + "one", b'{"a":' * 100_000)).status == 400
    smile = {"Content-Type": "application/smile"}
    unread = await proxy.call("POST", url + "one", b":)\n", smile)
    assert unread.status == 400
    assert "[one@1.0.0#1] did not run" in unread.headers["Warning"]
    large = b'{"query": {"term": {"title": "' + b"x" * (10 * 1024 * 1024) + b'"}}}'
    assert (await proxy.post(url + "one", large)).status == 413


async def test_an_error_of_the_backend_passes_through(proxy: Client, index_name: str) -> None:
    """What the backend refuses after a rewrite is its own response, status and body."""
    await proxy.define("one", "query", SIZE_ONE)
    response = await proxy.get(f"/{index_name}/_search?pipeline=one")
    assert response.status == 404
    assert response.error["type"] == "index_not_found_exception"
