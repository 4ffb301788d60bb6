"""Trying pipelines: with UDFs that are stored nowhere, on several inputs, as an index would run."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.client import Client

ASKED = """
def query(request, context):
    context.state["asked"] = request.get("size", 10)
    return {**request, "size": 50}

def result(response, context):
    hits = response["hits"]
    kept = hits["hits"][: context.state.get("asked", 1)]
    return {**response, "hits": {**hits, "hits": kept}, "_pipeline_metadata": {"seen": 1}}
"""
GROWS = "def query(request, context):\n    return {**request, 'size': request.get('size', 0) + 1}\n"
LABEL = (
    "def document(doc, context):\n    return {**doc, 'id': context.id, 'index': context.index}\n"
)
MATCHX = "def query(request, context): return {**request, 'query': {'matchx': {}}}"


# So that a busy machine changes no outcome.
PATIENT = {"timeout_ms": 20_000}


def stage(udf: str, **config: Any) -> dict[str, Any]:
    return {"name": udf, "type": "python", "config": {"udf_name": udf, **config}, **PATIENT}


def query(*udfs: str, **more: Any) -> dict[str, Any]:
    return {"type": "query", "stages": [stage(udf) for udf in udfs], **more}


@pytest.fixture
async def shop(proxy: Client, index_name: str) -> str:
    """An index of three documents with a pipeline of each type, and what they are made of."""
    await proxy.put_udf("asked", ASKED)
    await proxy.put_udf("grows", GROWS)
    await proxy.put_udf("label", LABEL)
    await proxy.put_pipeline("wide", "query", "asked", stage=PATIENT)
    await proxy.put_pipeline("grow", "query", "grows", stage=PATIENT)
    await proxy.put_pipeline("narrow", "result", "asked", stage=PATIENT)
    await proxy.put_pipeline("label", "document", "label", stage=PATIENT)
    await proxy.index(index_name, {str(n): {"title": f"tent {n}"} for n in range(3)})
    await proxy.attach(index_name, query="wide", result="narrow", document="label")
    return index_name


async def tried(proxy: Client, target: str, **body: Any) -> Any:
    response = await proxy.post(target, body)
    assert response.status == 200, response.body
    return response.data


async def test_a_trial_writes_nothing_into_the_log(proxy: Client, shop: str) -> None:
    """What its UDFs log and why it failed is in its response; the log is of real requests."""
    loud = {"source": "def query(r, c):\n    log('seen')\n    return r['none']"}
    with capture_logs() as lines:
        one = await tried(proxy, "/_pipeline/grow/_execute", input={}, udfs={"grows": loud})
        await tried(proxy, "/_pipeline/grow/_execute", inputs=[{}, {}], udfs={"grows": loud})
        await tried(proxy, "/_pipeline/narrow/_execute", input={"hits": 1})
    assert (one["outcome"], one["stages"][0]["log"]) == ("degraded", ["seen"])
    assert not [line for line in lines if "pipeline" in line]


async def test_a_byte_order_mark_before_a_trial_is_no_fault(proxy: Client, shop: str) -> None:
    """As before any other JSON that is uploaded."""
    body = b'\xef\xbb\xbf{"input": {"size": 1}}'
    response = await proxy.call("POST", "/_pipeline/grow/_execute", body)
    assert response.data["output"] == {"size": 2}


async def refused(proxy: Client, target: str, **body: Any) -> tuple[int, str]:
    response = await proxy.post(target, body)
    return response.status, str(response.error["reason"])


# UDFs that are stored nowhere


async def test_a_given_udf_is_run_and_stored_nowhere(proxy: Client, shop: str) -> None:
    """In place of the stored one, by a stored and by an inline pipeline; traffic has its own."""
    given = {"grows": {"source": "def query(request, context): return {**request, 'size': 7}"}}
    stored = await tried(proxy, "/_pipeline/grow/_execute", input={"size": 1}, udfs=given)
    assert stored["output"] == {"size": 7}
    assert (stored["stages"][0]["udf"], stored["stages"][0]["udf_given"]) == ("grows@1.0.0", True)
    inline = await tried(
        proxy, "/_pipeline/_execute", pipeline=query("grows"), input={"size": 1}, udfs=given
    )
    assert inline["output"] == {"size": 7}
    plain = await tried(proxy, "/_pipeline/grow/_execute", input={"size": 1})
    assert (plain["output"], plain["stages"][0]["udf_given"]) == ({"size": 2}, False)
    assert (await proxy.get("/_udf/grows")).data["source"] == GROWS
    assert (await proxy.get("/_udf/grows/_versions")).data["versions"] == ["1.0.0"]
    figures = (await proxy.get("/_pipeline/grow/_stats")).data
    assert figures["count"] == 0


async def test_a_given_udf_need_not_be_stored_at_all(proxy: Client, shop: str) -> None:
    """With its files; the name is free afterwards as before."""
    source = "def query(request, context): return {**request, 'size': int(resource('n.txt'))}"
    given = {"brand_new": {"source": source, "files": {"n.txt": "9"}, "version": "3.0.0"}}
    done = await tried(
        proxy, "/_pipeline/_execute", pipeline=query("brand_new"), input={}, udfs=given
    )
    assert (done["output"], done["stages"][0]["udf"]) == ({"size": 9}, "brand_new@3.0.0")
    assert (await proxy.get("/_udf/brand_new")).status == 404


@pytest.mark.parametrize(
    ("version", "pinned", "runs"),
    [
        (None, "latest", True),
        (None, "1.0.0", True),
        ("2.0.0", "latest", True),
        ("2.0.0", "2.0.0", True),
        ("2.0.0", "1.0.0", False),
        ("1.0.0", "1.0.0", True),
    ],
)
async def test_which_version_a_given_udf_stands_for(
    proxy: Client, shop: str, version: str | None, pinned: str, runs: bool
) -> None:
    """Its own and `latest`; without one, any. What nothing would run is told."""
    given: dict[str, Any] = {"source": "def query(request, context): return {'size': 7}"}
    if version is not None:
        given["version"] = version
    body = {
        "pipeline": {"type": "query", "stages": [stage("grows", udf_version=pinned)]},
        "input": {},
        "udfs": {"grows": given},
    }
    if runs:
        assert (await tried(proxy, "/_pipeline/_execute", **body))["output"] == {"size": 7}
    else:
        status, reason = await refused(proxy, "/_pipeline/_execute", **body)
        assert (status, reason.startswith("udfs.grows: no stage that is enabled")) == (400, True)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"grows": {"sourc": "x"}}, "udfs.grows.sourc: unknown key; did you mean source?"),
        ({"grows": {}}, "udfs.grows.source: required"),
        ({"grows": 3}, "udfs.grows: must be an object, not a number"),
        ({"grows": {"source": "def query(:"}}, "udfs.grows.source: UDF [grows@1.0.0]: cannot be"),
        ({"grows": {"source": "def query(r): return r"}}, "write `def query(request, context):`"),
        ({"grows": {"source": "x = 1"}}, "udfs.grows.source: defines none of udf_main()"),
        ({"grows": {"source": "# @udf: memory_mb=1\n" + GROWS}}, "udfs.grows.memory_mb: [1] is"),
        ({"a b": {"source": GROWS}}, "udfs.a b: [a b] must be 1 to 100 letters"),
        ({"grow": {"source": GROWS}}, "udfs.grow: no stage that is enabled runs it"),
    ],
)
async def test_given_udfs_are_checked_as_uploads_are(
    proxy: Client, shop: str, given: Any, reason: str
) -> None:
    """A 400 with the place in the body."""
    status, said = await refused(proxy, "/_pipeline/grow/_execute", input={}, udfs=given)
    assert (status, reason in said) == (400, True), said


async def test_what_is_tried_leaves_the_sandboxes_of_traffic_alone(
    proxy: Client, shop: str
) -> None:
    """None is made there, none is kept, and an endless one holds up nobody."""

    async def sandboxes() -> list[bytes]:
        lines = (await proxy.get("/_querymill/metrics")).body.splitlines()
        return [line for line in lines if line.startswith(b"querymill_sandbox")]

    before = await sandboxes()
    endless = "def query(request, context):\n    while True: pass"
    short = {"type": "query", "stages": [{**stage("grows"), "timeout_ms": 100}]}
    for n in range(3):
        given = {"grows": {"source": f"{GROWS}\n# {n}"}}
        await tried(proxy, "/_pipeline/grow/_execute", input={}, udfs=given)
        await tried(proxy, "/_pipeline/_execute", pipeline=query("grows"), input={})
        given = {"grows": {"source": f"{endless}\n# {n}"}}
        over = await tried(proxy, "/_pipeline/_execute", pipeline=short, input={}, udfs=given)
        assert over["stages"][0]["error"]["kind"] == "timeout"
    assert before
    assert await sandboxes() == before


# Several inputs


async def test_several_inputs_are_run_in_order(proxy: Client, shop: str) -> None:
    """Each with a run of its own, numbers of any size as they were sent."""
    body = b'{"inputs":[{"size":1},{"size":2,"n":123456789012345678901234567890},{"size":"x"}]}'
    response = await proxy.post("/_pipeline/grow/_execute", body)
    assert response.status == 200
    assert b'"n":123456789012345678901234567890' in response.body
    data = response.data
    assert (data["count"], data["took_ms"] > 0) == (3, True)
    assert [run["outcome"] for run in data["results"]] == ["done", "done", "degraded"]
    assert [run["output"]["size"] for run in data["results"]] == [2, 3, "x"]


# Several pipelines


async def test_pipelines_run_in_the_order_of_a_request(proxy: Client, shop: str) -> None:
    """Queries, then the search, then results, with the state that the queries left."""
    done = await tried(
        proxy,
        "/_pipeline/_execute",
        pipelines=["narrow", "wide", query("grows")],
        index=shop,
        request={"size": 2},
    )
    assert done["outcome"] == "done"
    assert [run["pipeline"] for run in done["pipelines"]] == ["wide", "inline-3", "narrow"]
    assert done["request"] == {"size": 51}
    assert [hit["_source"] for hit in done["output"]["hits"]["hits"]] == [
        {"title": "tent 0"},
        {"title": "tent 1"},
    ]
    assert done["metadata"] == {"seen": 1}


async def test_a_response_can_be_given_in_place_of_a_search(proxy: Client, shop: str) -> None:
    """Then no index is needed."""
    response = {"hits": {"hits": [{"_id": str(n)} for n in range(5)]}}
    done = await tried(
        proxy,
        "/_pipeline/_execute",
        pipelines=["wide", "narrow"],
        inputs=[{"size": 1}, {"size": 3}],
        response=response,
    )
    assert [len(each["output"]["hits"]["hits"]) for each in done["results"]] == [1, 3]


async def test_a_run_that_ends_the_request_ends_the_trial(proxy: Client, shop: str) -> None:
    """What comes after it does not run, and the response says why."""
    await proxy.define("no", "query", "def query(r, c): reject('not here', 422)")
    done = await tried(proxy, "/_pipeline/_execute", pipelines=["grow", "no", "wide"], input={})
    assert done["outcome"] == "rejected"
    assert (done["error"]["status"], done["error"]["reason"]) == (422, "not here")
    assert [run["pipeline"] for run in done["pipelines"]] == ["grow", "no"]
    assert "output" not in done


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"inputs": []}, "inputs: has 0 payloads; 1 to"),
        ({"pipelines": [], "input": {}}, "pipelines: has 0 pipelines; 1 to"),
        ({"pipelines": ["grow", "label"], "input": {}}, "no request runs both"),
        ({"pipelines": [3], "input": {}}, "pipelines[0]: must be an object, not a number"),
        ({"pipelines": [{"typ": "query"}], "input": {}}, "pipelines[0].typ: unknown key; did you"),
        ({"pipelines": ["grow"], "pipeline": {}, "input": {}}, "goes without [pipeline]"),
        ({"pipelines": ["grow"], "input": {}, "inputs": [{}]}, "goes without [input]"),
        ({"pipelines": ["wide", "narrow"], "input": {}}, "index: required, unless [response]"),
        ({"pipelines": ["narrow"]}, "input: required, unless [index]"),
        ({"pipelines": ["label"]}, "input: required, unless [index]"),
        ({"pipelines": ["grow"], "inputs": [3]}, "inputs[0]: must be an object"),
        ({"pipeliens": ["grow"]}, "pipeliens: unknown key; did you mean pipelines?"),
        ({"input": {}}, "pipeline: required, unless"),
        ({"index": "nowhere"}, "request: required: the search to try on [index]"),
        ({"index": "x", "request": {}, "input": {}}, "input: is for documents"),
        ({"index": ".querymill", "request": {}}, "[.querymill] is the proxy's own"),
    ],
)
async def test_a_body_that_cannot_be_meant_is_refused(
    proxy: Client, shop: str, body: Any, reason: str
) -> None:
    """A 400 with the place."""
    status, said = await refused(proxy, "/_pipeline/_execute", **body)
    assert (status, reason in said) == (400, True), said


async def test_the_store_cannot_be_read_by_a_trial(proxy: Client, shop: str) -> None:
    """By no pattern, and not by a query either."""
    for body in (
        {"index": ".query*", "request": {}},
        {"index": ".q*", "pipelines": ["narrow"], "request": {}},
        {"index": ".q*", "id": "secret:cursors"},
    ):
        status, reason = await refused(proxy, "/_pipeline/_execute", **body)
        assert (status, "reaches the proxy's own index" in reason) == (403, True), body
    lookup = {"query": {"terms": {"a": {"index": ".querymill", "id": "1", "path": "a"}}}}
    done = await refused(proxy, "/_pipeline/_execute", index=shop, request=lookup)
    assert done[0] == 403


# What is attached


async def test_an_index_says_itself_what_runs(proxy: Client, shop: str) -> None:
    """The pipelines of a real search on it, to the same response."""
    done = await tried(proxy, "/_pipeline/_execute", index=shop, request={"size": 2})
    assert [run["pipeline"] for run in done["pipelines"]] == ["wide", "narrow"]
    assert (done["request"], done["warnings"]) == ({"size": 50}, [])
    real = (await proxy.post(f"/{shop}/_search", {"size": 2})).data
    assert done["output"]["hits"]["hits"] == real["hits"]["hits"]
    assert real["_pipeline_metadata"] == done["metadata"]


async def test_an_index_says_what_runs_on_a_document(proxy: Client, shop: str) -> None:
    """A real one, one that is given, or several; nothing is written."""
    stored = await tried(proxy, "/_pipeline/_execute", index=shop, id="1")
    assert stored["output"] == {"title": "tent 1", "id": "1", "index": shop}
    given = await tried(proxy, "/_pipeline/_execute", index=shop, inputs=[{"a": 1}, {"a": 2}])
    assert [each["output"]["a"] for each in given["results"]] == [1, 2]
    assert [each["pipelines"][0]["pipeline"] for each in given["results"]] == ["label"] * 2
    kept = (await proxy.get(f"/{shop}/_doc/1?pipeline=_none")).data
    assert kept["_source"] == {"title": "tent 1"}


async def test_without_attachments_nothing_runs(proxy: Client, shop: str) -> None:
    """And the response says so."""
    await proxy.put(f"/{shop}/_settings", {"index.query.default_pipeline": None})
    await proxy.put(f"/{shop}/_settings", {"index.result.default_pipeline": None})
    done = await tried(proxy, "/_pipeline/_execute", index=shop, request={"size": 2})
    assert (done["outcome"], done["pipelines"], done["output"]) == ("done", [], {"size": 2})


async def test_a_given_udf_is_tried_in_what_is_attached(proxy: Client, shop: str) -> None:
    """As it would be after its upload."""
    source = ASKED.replace("50", "60")
    done = await tried(
        proxy,
        "/_pipeline/_execute",
        index=shop,
        request={"size": 1},
        udfs={"asked": {"source": source}},
    )
    assert done["request"] == {"size": 60}
    assert [run["stages"][0]["udf_given"] for run in done["pipelines"]] == [True, True]
    await proxy.put(f"/{shop}/_settings", {"index.query.final_pipeline": "grow"})
    final = await tried(proxy, "/_pipeline/_execute", index=shop, request={"size": 1})
    assert [run["pipeline"] for run in final["pipelines"]] == ["wide", "grow", "narrow"]


# Whether the backend takes it


@pytest.mark.parametrize(
    ("source", "valid", "said"),
    [
        ("return request", True, ""),
        ("return {**request, 'size': 5, 'from': 1, 'track_total_hits': True}", True, ""),
        ("return {**request, 'terminate_after': 2}", True, ""),
        ("return {**request, 'query': {'matchx': {}}}", False, "unknown query [matchx]"),
        ("return {**request, 'sort': ['nothing']}", False, "No mapping found for [nothing]"),
        ("return {**request, 'sizes': 5}", False, "sizes"),
        ("return {**request, 'size': 100000}", False, "Result window is too large"),
        ("return {**request, 'aggs': {'a': {'terms': {'field': 'title'}}}}", False, "field data"),
    ],
)
async def test_the_backend_is_asked_whether_it_takes_a_request(
    proxy: Client, shop: str, source: str, valid: bool, said: str
) -> None:
    """All of it: its query, its sort, its aggregations, on the index itself."""
    given = {"grows": {"source": f"def query(request, context): {source}"}}
    done = await tried(
        proxy,
        "/_pipeline/grow/_execute?validate=true",
        index=shop,
        input={"query": {"match": {"title": "tent"}}},
        udfs=given,
    )
    assert (done["outcome"], done["validation"]["valid"]) == ("done", valid), done
    assert said in str(done["validation"].get("error", ""))
    assert done["validation"].get("status", 400) == 400


async def test_no_result_pipeline_runs_on_what_the_backend_refuses(
    proxy: Client, shop: str
) -> None:
    """Every input has a verdict of its own."""
    done = await tried(
        proxy,
        "/_pipeline/_execute?validate=true",
        index=shop,
        pipelines=["wide", "narrow"],
        inputs=[{"query": {"match_all": {}}}, {"query": {"matchx": {}}}],
    )
    assert [each["validation"]["valid"] for each in done["results"]] == [True, False]
    assert [len(each["pipelines"]) for each in done["results"]] == [2, 1]


@pytest.mark.parametrize(
    ("target", "body", "reason"),
    [
        ("grow", {"input": {}}, "index: required with [validate]"),
        ("label", {"input": {}, "index": "x"}, "no query pipeline is run here"),
        ("narrow", {"input": {}, "index": "x"}, "no query pipeline is run here"),
        ("grow", {"input": {}, "index": ".querymill"}, "is the proxy's own"),
    ],
)
async def test_what_cannot_be_validated_is_refused(
    proxy: Client, shop: str, target: str, body: Any, reason: str
) -> None:
    """A 400 says why."""
    status, said = await refused(proxy, f"/_pipeline/{target}/_execute?validate=true", **body)
    assert (status, reason in said) == (400, True), said


async def test_validation_on_an_index_that_is_not_there(proxy: Client, shop: str) -> None:
    """Is no fault of the call: the backend's response is told."""
    done = await tried(proxy, "/_pipeline/grow/_execute?validate", index="missing-1", input={})
    assert (done["validation"]["valid"], done["validation"]["status"]) == (False, 404)


# What is nested deeply


@pytest.mark.parametrize("levels", [200, 245, 251, 255, 300])
async def test_deep_payloads_end_as_in_traffic(proxy: Client, shop: str, levels: int) -> None:
    """Done, or an error of the stage; never a fault of the proxy."""
    deep = b'{"size":1,"x":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"
    for query in ("", "?verbose=true", "?verbose=true&pretty"):
        response = await proxy.post(f"/_pipeline/grow/_execute{query}", b'{"input":' + deep + b"}")
        assert response.status == 200, response.body[:300]
        assert b'"outcome"' in response.body
    made = (
        f"def query(r, c):\n    x = 1\n    for _ in range({levels}): x = [x]\n    return {{'x': x}}"
    )
    given = {"grows": {"source": made}}
    for query in ("", "?verbose=true"):
        response = await proxy.post(
            f"/_pipeline/grow/_execute{query}", {"input": {}, "udfs": given}
        )
        assert response.status == 200
