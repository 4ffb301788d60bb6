"""The administration calls, through HTTP on the real OpenSearch."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.admin.routes import admin_routes
from tests.client import Client
from tests.conftest import StartProxy, connect

SAME = "def query(request, context):\n    return request\n"
STAGE = {"name": "s", "type": "python", "config": {"udf_name": "same"}}
PIPELINE: dict[str, Any] = {"type": "query", "version": "1.2.3", "stages": [STAGE]}


async def test_a_pipeline_lives_from_put_to_delete(proxy: Client) -> None:
    """Created, read back, listed by type, updated with a new revision, deleted."""
    await proxy.put_udf("same", SAME)
    made = await proxy.put("/_pipeline/p", PIPELINE)
    expected = {"acknowledged": True, "name": "p", "version": "1.2.3", "revision": 1}
    assert made.data == {**expected, "result": "created"}
    read = (await proxy.get("/_pipeline/p")).data
    assert read == {**PIPELINE, "name": "p", "revision": 1}
    listed = (await proxy.get("/_pipeline?type=query")).data
    assert [(p["name"], p["type"], p["stages"]) for p in listed["pipelines"]] == [
        ("p", "query", ["s"])
    ]
    assert (await proxy.get("/_pipeline?type=result")).data == {"count": 0, "pipelines": []}
    again = await proxy.post("/_pipeline/p", {**read, "version": "1.2.4"})
    assert (again.data["version"], again.data["revision"]) == ("1.2.4", 2)
    assert (await proxy.delete("/_pipeline/p")).data == {"acknowledged": True, "name": "p"}
    assert (await proxy.get("/_pipeline/p")).status == 404


async def test_create_and_revisions_guard_against_overwriting(proxy: Client) -> None:
    """`create` refuses a taken name, `if_revision` any other revision than that."""
    await proxy.put_udf("same", SAME)
    assert (await proxy.put("/_pipeline/p?create=true", PIPELINE)).status == 200
    taken = await proxy.put("/_pipeline/p?create=true", PIPELINE)
    assert (taken.status, taken.error["type"]) == (409, "version_conflict_exception")
    assert taken.error["reason"] == "pipeline [p] already exists"
    other = {**PIPELINE, "version": "1.2.4"}
    assert (await proxy.put("/_pipeline/p?if_revision=1", other)).data["revision"] == 2
    stale = await proxy.put("/_pipeline/p?if_revision=1", PIPELINE)
    assert stale.status == 409
    assert "is at revision 2, not 1" in stale.error["reason"]
    assert (await proxy.put("/_pipeline/new?if_revision=4", PIPELINE)).status == 409
    assert (await proxy.put("/_pipeline/p?if_revision=x", PIPELINE)).status == 400


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "the body is not usable JSON: "),
        (b"", 400, "the body is empty; send a JSON object"),
        (b"[]", 400, "the body must be an object, not an array"),
        (b'{"a":' * 190_000, 400, "the body is not usable JSON"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, 400, "the body is not usable JSON"),
        (b"[" * 10 * 1024 * 1024, 413, "larger than the limit of 1048576 bytes"),
        (b'{"x": "' + b"x" * 1024 * 1024 + b'"}', 413, "larger than the limit"),
        (b"\xff", 400, "the body is not usable JSON"),
        ({**PIPELINE, "type": "nothing"}, 400, "type: [nothing] is not one of"),
        ({**PIPELINE, "extra": 1}, 400, "extra: unknown key"),
        ({**PIPELINE, "stages": [STAGE, STAGE]}, 400, "stages[1].name: [s] is the name"),
        ({**PIPELINE, "type": "document"}, 400, "stages[0].config.udf_name: udf [same@1.0.0]"),
        (
            {**PIPELINE, "stages": [{**STAGE, "config": {"udf_name": "missing"}}]},
            400,
            "stages[0].config.udf_name: udf [missing] does not exist",
        ),
        (
            {
                **PIPELINE,
                "stages": [{**STAGE, "config": {"udf_name": "same", "udf_version": "9"}}],
            },
            400,
            "stages[0].config.udf_version: udf [same@9] does not exist; its versions are 1.0.0",
        ),
    ],
)
async def test_a_bad_definition_is_refused_and_not_stored(
    proxy: Client, body: Any, status: int, reason: str
) -> None:
    """A 4xx in the backend's envelope names the place; the name stays free."""
    await proxy.put_udf("same", SAME)
    response = await proxy.put("/_pipeline/p", body)
    assert response.status == status
    assert reason in response.error["reason"]
    assert (await proxy.get("/_pipeline/p")).status == 404


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"\xff", b"PK\3\4"])
async def test_what_is_no_json_is_reported_alike_everywhere(proxy: Client, body: bytes) -> None:
    """A `parse_exception` that speaks of the body, and names no place in it."""
    await proxy.put_udf("same", SAME)
    await proxy.put_pipeline("p", "query", "same")
    json = {"Content-Type": "application/json"}
    calls = (
        ("PUT", "/_pipeline/q"),
        ("PUT", "/_udf/other"),
        ("POST", "/_pipeline/_execute"),
        ("POST", "/_pipeline/p/_execute"),
    )
    for method, target in calls:
        response = await proxy.call(method, target, body, json)
        assert (response.status, response.error["type"]) == (400, "parse_exception"), target
        assert response.error["reason"].startswith("the body is "), target
        assert "path" not in response.error, target
        response = await proxy.call(method, target, b"[]", json)
        assert response.error["reason"] == "the body must be an object, not an array", target


TWICE = {
    "a definition": ("/_pipeline/q", b'{"type": "query", "stages": [], "type": "result"}', "type"),
    "parameters": (
        "/_pipeline/q",
        b'{"type": "query", "stages": [{"name": "s", "type": "python",'
        b' "config": {"udf_name": "same", "parameters": {"a": 1, "\\u0061": 2}}}]}',
        "a",
    ),
    "a source": ("/_udf/other", b'{"source": "a = 1", "source": "b = 2"}', "source"),
    "a file": ("/_udf/other", b'{"source": "a = 1", "files": {"x": "1", "x": "2"}}', "x"),
    "a large file": (
        "/_udf/other",
        b'{"source": "a = 1", "files": {"x": "%b", "x": "2"}}' % (b"y" * 300_000),
        "x",
    ),
    "an input": ("/_pipeline/p/_execute", b'{"input": {"size": 1, "size": 2}}', "size"),
    "a member": ("/_pipeline/p/_execute", b'{"input": {}, "input": {"a:b": 1}}', "input"),
    "a UDF to try": (
        "/_pipeline/p/_execute",
        b'{"input": {}, "udfs": {"same": {"source": "a = 1"}, "same": {"source": "b = 2"}}}',
        "same",
    ),
}


@pytest.mark.parametrize("place", TWICE)
async def test_a_key_that_comes_twice_is_refused(proxy: Client, place: str) -> None:
    """By name, in every body of administration, and nothing is stored: one of the two was meant."""
    target, body, key = TWICE[place]
    await proxy.put_udf("same", SAME)
    await proxy.put_pipeline("p", "query", "same")
    method = "POST" if target.endswith("_execute") else "PUT"
    response = await proxy.call(method, target, body, {"Content-Type": "application/json"})
    assert (response.status, response.error["type"]) == (400, "parse_exception")
    assert f"the key [{key}] comes twice" in response.error["reason"]
    for stored in ("/_pipeline/q", "/_udf/other"):
        assert (await proxy.get(stored)).status == 404


async def test_colons_in_text_are_no_keys(proxy: Client) -> None:
    """What only looks like a key that comes twice is taken as it is."""
    await proxy.put_udf("same", SAME)
    await proxy.put_pipeline("p", "query", "same")
    body = b'{"input": {"a": "\\u003a", "b": ["{\\"a\\":1,\\"a\\":2}"], "c": {"a": 1}}}'
    response = await proxy.call(
        "POST", "/_pipeline/p/_execute", body, {"Content-Type": "application/json"}
    )
    assert response.status == 200, response.body
    assert response.data["output"]["a"] == ":"


async def test_head_is_get_without_the_body(proxy: Client) -> None:
    """Load balancers ask so for health; 405 names HEAD wherever GET is taken."""
    await proxy.put_udf("same", SAME)
    for target, status in (
        ("/_querymill/livez", 200),
        ("/_querymill/readyz", 200),
        ("/_udf/same", 200),
        ("/_udf/none", 404),
        ("/_pipeline/_execute", 405),
    ):
        response = await proxy.call("HEAD", target)
        assert (response.status, response.body) == (status, b""), target
    health = await proxy.call("POST", "/_querymill/livez")
    assert (health.status, health.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_missing_name_is_reported_how_to_make_it_if_it_can_be(proxy: Client) -> None:
    """What can be no name is told the rule of names in place of a call that would be refused."""
    for what, how in (("pipeline", "create"), ("udf", "upload")):
        response = await proxy.get(f"/_{what}/new")
        reason = f"{what} [new] does not exist; {how} it with PUT /_{what}/new"
        assert (response.status, response.error["reason"]) == (404, reason)
        for name in ("*", "a,b", "-a"):
            response = await proxy.get(f"/_{what}/{name}")
            assert response.status == 404
            assert response.error["reason"].startswith(
                f"{what} [{name}] does not exist; a name must"
            )
        response = await proxy.get(f"/_{what}/_all")
        assert "; [_all] is no name: it must be 1 to 100 letters" in response.error["reason"]


async def test_names_that_are_none_are_refused(proxy: Client) -> None:
    """For pipelines and for UDFs alike."""
    await proxy.put_udf("same", SAME)
    headers = {"Content-Type": "text/x-python"}
    for name in ("a,b", "a%20b", "a%2Fb", "x" * 101, "-a", "%F0%9F%98%80", "a*"):
        assert (await proxy.put(f"/_pipeline/{name}", PIPELINE)).status == 400, name
        assert (await proxy.call("PUT", f"/_udf/{name}", SAME.encode(), headers)).status == 400


async def test_calls_that_do_not_exist_say_what_does(proxy: Client) -> None:
    """404 lists the calls, 405 the methods."""
    nothing = await proxy.get("/_pipeline/a/b/c")
    assert nothing.status == 404
    assert "/_pipeline/{name}/_stats" in nothing.error["reason"]
    method = await proxy.call("PATCH", "/_pipeline/p")
    assert (method.status, method.headers["Allow"]) == (405, "DELETE, GET, HEAD, POST, PUT")
    for target in ("/_pipeline/_none", "/_querymill", "/_udf/_x"):
        assert (await proxy.get(target)).status == 404
    assert (await proxy.get("/_pipeline?type=odd")).status == 400


async def test_a_misspelt_parameter_does_nothing(proxy: Client) -> None:
    """What was to delete one version deletes none, a lock that is none keeps what is there."""
    headers = {"Content-Type": "text/x-python"}
    await proxy.put_udf("same", SAME)
    assert (await proxy.put("/_pipeline/p", PIPELINE)).data["revision"] == 1
    source = SAME.encode() + b"#"
    for method, target in (
        ("DELETE", "/_udf/same?verison=1.0.0&force=true"),
        ("DELETE", "/_pipeline/p?forse=true"),
        ("DELETE", "/_pipeline/p?force=maybe"),
        ("PUT", "/_pipeline/p?if_revison=7"),
        ("PUT", "/_pipeline/p?dry_run=true"),
        ("POST", "/_pipeline/p?if_revision=1&if_revision=2"),
        ("PUT", "/_udf/same?verzion=2"),
    ):
        body = source if "_udf" in target else PIPELINE
        response = await proxy.call(method, target, body, headers if "_udf" in target else None)
        assert (response.status, response.error["type"]) == (400, "illegal_argument_exception"), (
            target
        )
    assert (await proxy.get("/_udf/same/_versions")).data["versions"] == ["1.0.0"]
    assert (await proxy.get("/_pipeline/p")).data["revision"] == 1


async def test_a_response_has_the_form_that_is_asked_for(proxy: Client) -> None:
    """What client libraries add to any call: `pretty`, `filter_path`, `format`, and no more."""
    await proxy.put_udf("same", SAME)
    await proxy.put("/_pipeline/p", PIPELINE)
    read = await proxy.get("/_pipeline/p?filter_path=name,stages.config&human&error_trace=false")
    assert read.data == {"name": "p", "stages": [{"config": {"udf_name": "same"}}]}
    listed = await proxy.get("/_pipeline?filter_path=-pipelines&pretty=true")
    assert listed.body == b'{\n  "count": 1\n}\n'
    yaml = await proxy.get("/_pipeline?format=yaml&filter_path=count")
    assert yaml.headers["Content-Type"] == "application/yaml"
    assert yaml.body.split() == [b"---", b"count:", b"1"]


async def test_execute_shows_every_stage(proxy: Client) -> None:
    """With verbose: input, output, diff, time and log of each stage; nothing is counted."""
    await proxy.put_udf(
        "grow", "def query(r, c):\n    log('from', r)\n    return {**r, 'size': 1}\n"
    )
    await proxy.put_pipeline("p", "query", "grow")
    body: dict[str, Any] = {"input": {"query": {"match_all": {}}}}
    short = (await proxy.post("/_pipeline/p/_execute", body)).data
    assert (short["outcome"], short["output"]["size"]) == ("done", 1)
    assert "input" not in short["stages"][0]
    full = (await proxy.post("/_pipeline/p/_execute?verbose=true", body)).data
    (stage,) = full["stages"]
    assert stage["input"] == body["input"]
    assert stage["output"] == {**body["input"], "size": 1}
    assert stage["diff"] == [{"op": "add", "path": "/size", "value": 1}]
    assert len(stage["log"]) == 1
    assert stage["took_ms"] > 0
    assert (await proxy.get("/_pipeline/p/_stats")).data["count"] == 0


async def test_execute_takes_inline_definitions_and_shows_failures(proxy: Client) -> None:
    """A definition that is not stored runs all the same; its faults are named under `pipeline`."""
    await proxy.put_udf("bad", "def document(d, c):\n    raise KeyError('price')\n")
    await proxy.put_udf("no", "def document(d, c):\n    reject('no', 422)\n")
    await proxy.put_udf("gone", "def document(d, c):\n    drop()\n")

    async def run(udf: str) -> Any:
        stage = {"name": "s", "type": "python", "config": {"udf_name": udf}}
        inline = {"type": "document", "stages": [stage]}
        return (await proxy.post("/_pipeline/_execute", {"pipeline": inline, "input": {}})).data

    failed = await run("bad")
    assert (failed["outcome"], failed["error"]["kind"]) == ("failed", "udf_exception")
    assert "line 2" in failed["error"]["detail"]
    assert "output" not in failed
    rejected = await run("no")
    assert (rejected["outcome"], rejected["error"]["status"]) == ("rejected", 422)
    assert (await run("gone"))["outcome"] == "dropped"
    wrong = await proxy.post("/_pipeline/_execute", {"pipeline": {"type": "x"}, "input": {}})
    assert wrong.error["reason"].startswith("pipeline.type: ")


async def test_execute_reads_real_documents_and_searches(proxy: Client, index_name: str) -> None:
    """By index and id, or with a search whose response is the input; nothing is written."""
    await proxy.index(index_name, {"7": {"title": "lamp"}})
    await proxy.define(
        "up", "document", "def document(d, c):\n    return {'t': d['title'].upper()}\n"
    )
    await proxy.define(
        "count", "result", "def result(r, c):\n    return {'n': len(r['hits']['hits'])}\n"
    )
    await proxy.define("q", "query", "def query(r, c):\n    return {**r, 'size': 1}\n")
    real = (await proxy.post("/_pipeline/up/_execute", {"index": index_name, "id": "7"})).data
    assert real["output"] == {"t": "LAMP"}
    search = {"index": index_name, "request": {"query": {"match_all": {}}}}
    assert (await proxy.post("/_pipeline/count/_execute", search)).data["output"] == {"n": 1}
    assert (await proxy.post("/_pipeline/q/_execute", search)).data["output"]["size"] == 1
    assert (await proxy.get(f"/{index_name}/_source/7")).data == {"title": "lamp"}
    for body, status in [
        ({}, 400),
        ({"index": index_name}, 400),
        ({"index": index_name, "id": "8"}, 404),
        ({"index": ".querymill", "id": "udf:up@1.0.0"}, 400),
        ({"input": []}, 400),
        ({"surprise": 1}, 400),
    ]:
        assert (await proxy.post("/_pipeline/up/_execute", body)).status == status, body
    assert (await proxy.post("/_pipeline/count/_execute", {"index": index_name})).status == 400
    assert (await proxy.post("/_pipeline/none/_execute", {"input": {}})).status == 404


async def test_statistics_have_percentiles(proxy: Client, index_name: str) -> None:
    """P50, P95 and P99 of the pipeline and of each stage, in order."""
    await proxy.index(index_name, {"1": {}})
    await proxy.define("same", "query", SAME)
    for _ in range(20):
        await proxy.get(f"/{index_name}/_search?pipeline=same")
    stats = (await proxy.get("/_pipeline/same/_stats")).data
    assert (stats["count"], stats["success"]) == (20, 20)
    for latency in (stats["latency_ms"], stats["stages"]["same"]["latency_ms"]):
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert (await proxy.get("/_pipeline/none/_stats")).status == 404


async def test_health_and_metrics(proxy: Client) -> None:
    """Alive, ready, and counted."""
    assert (await proxy.get("/_querymill/livez")).data["status"] == "alive"
    assert (await proxy.get("/_querymill/readyz")).data == {"status": "ready", "warning": None}
    await proxy.get("/_cat/health")
    response = await proxy.get("/_querymill/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert b'querymill_requests_total{operation="safe",status="2xx"} 1.0' in response.body
    await proxy.get("/x/_search?pipeline=nothing")
    after = await proxy.get("/_querymill/metrics")
    assert b'querymill_requests_total{operation="search",status="4xx"} 1.0' in after.body


async def test_without_a_backend_the_proxy_starts_and_says_why_it_is_not_ready(
    start_proxy: StartProxy,
) -> None:
    """Traffic is a 502 in the backend's envelope; health tells liveness from readiness."""
    async with connect(await start_proxy(backend=("http://127.0.0.1:9",))) as proxy:
        assert (await proxy.get("/_querymill/livez")).status == 200
        ready = await proxy.get("/_querymill/readyz")
        assert (ready.status, "127.0.0.1:9" in ready.data["reason"]) == (503, True)
        search = await proxy.get("/x/_search")
        assert (search.status, search.error["type"]) == (502, "backend_unreachable_exception")
        stored = await proxy.put("/_pipeline/p", PIPELINE)
        assert stored.status == 502


async def test_an_admin_token_is_asked_for(start_proxy: StartProxy) -> None:
    """All calls need it but health and metrics."""
    async with connect(await start_proxy(admin_token="s3cret-token")) as proxy:
        assert (await proxy.get("/_pipeline")).status == 401
        wrong = {"Querymill-Admin-Token": "other"}
        assert (await proxy.call("GET", "/_pipeline", None, wrong)).status == 401
        right = {"Querymill-Admin-Token": "s3cret-token"}
        assert (await proxy.call("GET", "/_pipeline", None, right)).status == 200
        assert (await proxy.get("/_querymill/readyz")).status == 200


def test_every_administration_call_is_documented() -> None:
    """docs/API.md has each method and path of the table."""
    text = (Path(__file__).parents[2] / "docs" / "API.md").read_text()
    documented = set(re.findall(r"`([A-Z]+) (/_[^`?]*)", text))
    # No handler is called, so none of what they work with is needed.
    nothing: Any = SimpleNamespace(registry=None)
    table = {(route.method, route.path) for route in admin_routes(*[nothing] * 6)}
    assert table <= documented, table - documented
