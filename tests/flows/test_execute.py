"""Trying stored pipelines: on several inputs, in the order of a request, without a trace of it."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.client import Client
from tests.flows.trials import query, refused, tried


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


# What is nested deeply


@pytest.mark.parametrize("levels", [200, 245, 251, 255, 300])
async def test_deep_payloads_end_as_in_traffic(proxy: Client, shop: str, levels: int) -> None:
    """Done, or an error of the stage; never a fault of the proxy."""
    deep = b'{"size":1,"x":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"
    for asked in ("", "?verbose=true", "?verbose=true&pretty"):
        response = await proxy.post(f"/_pipeline/grow/_execute{asked}", b'{"input":' + deep + b"}")
        assert response.status == 200, response.body[:300]
        assert b'"outcome"' in response.body
    made = (
        f"def query(r, c):\n    x = 1\n    for _ in range({levels}): x = [x]\n    return {{'x': x}}"
    )
    given = {"grows": {"source": made}}
    for asked in ("", "?verbose=true"):
        response = await proxy.post(
            f"/_pipeline/grow/_execute{asked}", {"input": {}, "udfs": given}
        )
        assert response.status == 200
