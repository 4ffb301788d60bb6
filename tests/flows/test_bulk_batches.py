"""Bulks that are large enough to go through their pipelines in batches, on the real OpenSearch."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from proxy.handlers.writes.bulk_batches import LEAST_DOCUMENTS, SHARED_DOCUMENTS
from tests.client import Client, Response
from tests.conftest import StartProxy, connect

MIXED = """
runs = 0
def document(doc, context):
    global runs
    runs += 1
    kind = doc.get("kind")
    if kind == "fail":
        log("about to fail")
        raise ValueError("no luck")
    if kind == "reject":
        reject("not here", 422)
    if kind == "drop":
        drop()
    if kind == "endless":
        while True: pass
    if kind == "abort":
        import os
        os.abort()
    if kind == "memory":
        return {"all": [bytearray(2 ** 20) for _ in range(2 ** 20)]}
    if kind == "log":
        log("seen", context.id)
    if kind == "set":
        doc["new"] = {"id": context.id, "index": context.index}
    if kind == "count":
        doc["runs"] = runs
    return doc
"""
LINES = [
    '{"kind": "same",  "n": 1.0}',
    '{"kind":"set","n":1.10}',
    '{"kind": "set", "n": 123456789012345678901234567890}',
    '{"kind":"same","n":123456789012345678901234567890}',
    '{"kind":"fail"}',
    '{"kind":"reject"}',
    '{"kind":"drop"}',
    '{"kind":"log"}',
    '{"kind":"set","kind":"set","e":1e5}',
    '{"kind":NaN}',
    '["no object"]',
    '{"kind":"set","deep":' + "[" * 300 + "]" * 300 + "}",
    '{"kind":"set","text":"\\u00fc\\ud83d\\ude00"}',
    "{}",
]
UNREAD = {"mappings": {"dynamic": False}}


def written(lines: list[str], action: str = "index", **meta: Any) -> bytes:
    """A bulk with a header before each line; ids are places."""
    headers = (orjson.dumps({action: {"_id": str(n), **meta}}) for n in range(len(lines)))
    pairs = zip(headers, lines, strict=True)
    return b"".join(header + b"\n" + line.encode() + b"\n" for header, line in pairs)


def items(response: Response) -> list[dict[str, Any]]:
    """The items of a bulk's response, without what differs from run to run."""
    assert response.status == 200, response.body
    found = [dict(next(iter(item.values()))) for item in response.data["items"]]
    for item in found:
        for key in ("_seq_no", "_primary_term", "_index"):
            item.pop(key, None)
        if "error" in item:
            item["error"].pop("id", None)
    return found


async def sources(client: Client, index: str, count: int) -> list[bytes]:
    """The documents as they are stored, to the byte."""
    responses = [await client.get(f"/{index}/_source/{n}") for n in range(count)]
    return [response.body if response.status == 200 else b"" for response in responses]


async def figures(client: Client, name: str) -> dict[str, Any]:
    """What `_stats` counts of a pipeline, without times."""
    shown = (await client.get(f"/_pipeline/{name}/_stats")).data
    stages = {key: dict(value) for key, value in shown["stages"].items()}
    found = {**shown, "stages": stages}
    for each in (found, *stages.values()):
        for key in ("time_in_millis", "latency_ms", "retry_in_millis"):
            each.pop(key, None)
    return found


async def test_a_bulk_is_what_its_items_are_alone(proxy: Client, index_name: str) -> None:
    """Answers, stored bytes and figures are the same, item by item, whatever becomes of them."""
    lines = LINES * LEAST_DOCUMENTS
    whole, single = f"{index_name}-whole", f"{index_name}-single"
    for index in (whole, single):
        await proxy.put(f"/{index}", UNREAD)
        await proxy.define(index, "document", MIXED)
        await proxy.attach(index, document=index)
    response = await proxy.post(f"/{whole}/_bulk", written(lines))
    got = items(response)
    assert response.headers["Querymill-Pipelines"] == f"{whole}@1.0.0#1"
    assert response.headers["Server-Timing"].startswith(f"{whole};dur=")
    expected: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        body = b'{"index":{"_id":"%d"}}\n%s\n' % (number, line.encode())
        expected += items(await proxy.post(f"/{single}/_bulk", body))
    # What their reasons may differ in: the index's name, and the line in the body.
    reported = [re.sub(rf"{whole}|{single}|line \d+:", "", str(item)) for item in (*got, *expected)]
    assert reported[: len(lines)] == reported[len(lines) :]
    before = [
        text.replace(whole.encode(), single.encode())
        for text in await sources(proxy, whole, len(lines))
    ]
    assert before == await sources(proxy, single, len(lines))
    assert before[0] == lines[0].encode()
    counted = orjson.dumps(await figures(proxy, whole)).replace(whole.encode(), single.encode())
    assert orjson.loads(counted) == await figures(proxy, single)


async def test_documents_of_a_bulk_share_calls(start_proxy: StartProxy, index_name: str) -> None:
    """With sandboxes for one call each, documents of one batch still share theirs; those with
    `isolation: request`, and those of a bulk that is too small for a batch, do not.
    """
    async with connect(await start_proxy(sandbox_recycle_runs=1)) as proxy:
        await proxy.define("shared", "document", MIXED)
        await proxy.put_pipeline("own", "document", "shared", config={"isolation": "request"})
        seen = {}
        for pipeline, count in (("shared", 8), ("shared", 7), ("own", 8)):
            assert LEAST_DOCUMENTS == 8
            index = f"{index_name}-{pipeline}-{count}"
            body = written(['{"kind":"count"}'] * count)
            response = await proxy.post(f"/{index}/_bulk?pipeline={pipeline}", body)
            assert response.data["errors"] is False, response.body
            stored = await sources(proxy, index, count)
            seen[pipeline, count] = [orjson.loads(text)["runs"] for text in stored]
        assert seen["shared", 8] == list(range(1, 9))
        assert seen["shared", 7] == [1] * 7
        assert seen["own", 8] == [1] * 8


async def test_order_and_count_stay_in_a_large_bulk(proxy: Client, index_name: str) -> None:
    """Of many batches, with other actions and other indices in between."""
    await proxy.define("mixed", "document", MIXED)
    await proxy.define("other", "document", "def document(d, c):\n    return {**d, 'o': 1}\n")
    await proxy.put(f"/{index_name}")
    await proxy.put(f"/{index_name}-other")
    await proxy.attach(index_name, document="mixed")
    await proxy.attach(f"{index_name}-other", document="other")
    lines: list[Any] = []
    wanted: list[tuple[str, str, int]] = []
    for n in range(12 * SHARED_DOCUMENTS):
        match n % 6:
            case 0:
                lines += [{"index": {"_id": f"{n}"}}, {"kind": "set"}]
                wanted.append(("index", f"{n}", 201))
            case 1:
                lines += [{"create": {"_index": f"{index_name}-other", "_id": f"{n}"}}, {"a": 1}]
                wanted.append(("create", f"{n}", 201))
            case 2:
                lines += [{"delete": {"_id": f"{n}"}}]
                wanted.append(("delete", f"{n}", 404))
            case 3:
                lines += [{"index": {"_id": f"{n}"}}, {"kind": "reject"}]
                wanted.append(("index", f"{n}", 422))
            case 4:
                lines += [{"index": {"_id": f"{n}", "pipeline": "_none"}}, {"kind": "fail"}]
                wanted.append(("index", f"{n}", 201))
            case 5:
                lines += [{"update": {"_id": f"{n - 5}"}}, {"doc": {"u": 1}}]
                wanted.append(("update", f"{n - 5}", 200))
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    response = await proxy.post(f"/{index_name}/_bulk", body)
    got = [next(iter(item.items())) for item in response.data["items"]]
    assert [(action, item["_id"], item["status"]) for action, item in got] == wanted
    assert response.headers["Querymill-Pipelines"] == "mixed@1.0.0#1, other@1.0.0#1"
    stored = (await proxy.get(f"/{index_name}/_doc/6")).data["_source"]
    assert stored == {"kind": "set", "new": {"id": "6", "index": index_name}, "u": 1}
    other = (await proxy.get(f"/{index_name}-other/_doc/7")).data["_source"]
    assert other == {"a": 1, "o": 1}


@pytest.mark.parametrize("kind", ["endless", "abort", "memory", "fail"])
async def test_a_bad_document_fails_alone(proxy: Client, index_name: str, kind: str) -> None:
    """One that loops for ever, traps or takes all memory: each other one is stored."""
    await proxy.define("mixed", "document", MIXED, stage={"timeout_ms": 200})
    lines = ['{"kind":"set"}'] * 20
    lines[7] = orjson.dumps({"kind": kind}).decode()
    response = await proxy.post(f"/{index_name}/_bulk?pipeline=mixed", written(lines))
    statuses = [item["status"] for item in items(response)]
    # Time may be had at another try.
    assert statuses == [201] * 7 + [500 if kind == "endless" else 400] + [201] * 12
    error = response.data["items"][7]["index"]["error"]
    kinds = {"endless": "timeout", "abort": "trap", "memory": "memory", "fail": "udf_exception"}
    assert (error["type"], error["kind"]) == ("pipeline_execution_exception", kinds[kind])
    reported = await figures(proxy, "mixed")
    assert (reported["count"], reported["success"], reported["failure"]) == (20, 19, 1)
    assert reported["timeouts"] == (kind == "endless")


async def test_the_breaker_counts_documents_and_no_batches(
    start_proxy: StartProxy, index_name: str
) -> None:
    """One endless document in a bulk is one overrun, though its batch passed the deadline too."""
    server = await start_proxy(breaker_timeouts=2)
    async with connect(server) as proxy:
        await proxy.define("mixed", "document", MIXED, stage={"timeout_ms": 100})
        lines = ['{"kind":"set"}'] * 9
        body = written([*lines, '{"kind":"endless"}'])
        await proxy.post(f"/{index_name}/_bulk?pipeline=mixed", body)
        reported = (await proxy.get("/_pipeline/mixed/_stats")).data
        assert reported["breaker"]["state"] == "closed"
        await proxy.post(f"/{index_name}/_bulk?pipeline=mixed", written(['{"kind":"endless"}'] * 9))
        reported = (await proxy.get("/_pipeline/mixed/_stats")).data
        assert reported["breaker"]["state"] == "open"
        response = await proxy.post(f"/{index_name}/_bulk?pipeline=mixed", written(lines))
        kinds = {item["index"]["error"]["kind"] for item in response.data["items"]}
        assert kinds == {"breaker"}
        assert {item["index"]["status"] for item in response.data["items"]} == {500}
        assert (await proxy.get("/_pipeline/mixed/_stats")).data["turned_off"] >= 9


@pytest.mark.parametrize("on_error", ["fail", "skip", "pass", "dead_letter"])
async def test_on_error_holds_for_each_document(
    proxy: Client, index_name: str, on_error: str
) -> None:
    """What fails in a batch is refused, left out, stored as it was or kept apart, as alone."""
    letters = f"{index_name}-letters"
    options = {"dead_letter_index": letters} if on_error == "dead_letter" else {}
    await proxy.define("mixed", "document", MIXED, on_error=on_error, **options)
    lines = ['{"kind":"set"}'] * 10
    lines[4] = '{"kind": "fail"}'
    response = await proxy.post(f"/{index_name}/_bulk?pipeline=mixed", written(lines))
    item = response.data["items"][4]["index"]
    assert (item["status"], item.get("result")) == {
        "fail": (400, None),
        "skip": (200, "noop"),
        "pass": (201, "created"),
        "dead_letter": (200, "noop"),
    }[on_error]
    assert [each["status"] for each in items(response)].count(201) == 9 + (on_error == "pass")
    (stored,) = (await sources(proxy, index_name, 10))[4:5]
    assert stored == (b'{"kind": "fail"}' if on_error == "pass" else b"")
    assert ("Warning" in response.headers) is (on_error == "pass")
    if on_error == "dead_letter":
        kept = await proxy.get(f"/{letters}/_doc/{item['dead_letter']['_id']}")
        assert kept.data["_source"]["document"] == lines[4]
        assert kept.data["_source"]["id"] == "4"


async def test_retries_and_continue_hold_for_each_document(proxy: Client, index_name: str) -> None:
    """A document that fails in a batch has all the tries of its stage, or goes on as it was."""
    await proxy.define("tries", "document", MIXED, stage={"on_failure": "retry", "retries": 2})
    await proxy.put_udf("mixed", MIXED)
    await proxy.put_pipeline("goes", "document", "mixed", stage={"on_failure": "continue"})
    lines = ['{"kind":"set"}'] * 10
    lines[4] = '{"kind":"fail"}'
    response = await proxy.post(f"/{index_name}/_bulk?pipeline=tries", written(lines))
    assert items(response)[4]["status"] == 400
    stage = (await figures(proxy, "tries"))["stages"]["tries"]
    assert (stage["success"], stage["failure"], stage["retries"]) == (9, 1, 2)
    assert stage["errors"] == {"udf_exception": 3}
    response = await proxy.post(f"/{index_name}/_bulk?pipeline=goes", written(lines))
    assert response.data["errors"] is False
    reported = await figures(proxy, "goes")
    assert (reported["success"], reported["degraded"]) == (9, 1)


async def test_logs_are_reported_once_and_by_document(proxy: Client, index_name: str) -> None:
    """Each with the id of its own run, which is also that of its error."""
    await proxy.define("mixed", "document", MIXED)
    lines = ['{"kind":"log"}'] * 9 + ['{"kind":"fail"}', '{"kind":"reject"}']
    with capture_logs() as logs:
        response = await proxy.post(f"/{index_name}/_bulk?pipeline=mixed", written(lines))
    reported = [line for line in logs if line["event"] == "udf"]
    assert sorted(line["message"] for line in reported) == sorted(
        [*(f"seen {n}" for n in range(9)), "about to fail"]
    )
    assert len({line["id"] for line in reported}) == 10
    failed, rejected = (item["index"]["error"] for item in response.data["items"][9:])
    assert failed["id"] in {line["id"] for line in reported}
    assert rejected["pipeline"] == rejected["stage"] == "mixed"
    assert len(rejected["id"]) == len(failed["id"])


async def test_a_new_version_is_run_by_the_next_bulk(proxy: Client, index_name: str) -> None:
    """`latest` is what is latest when a bulk begins, and two pipelines run in their order."""
    source = (
        "# @udf: version={}\n"
        "def document(d, c):\n"
        "    return {{**d, 'by': d.get('by', '') + '{}'}}\n"
    )
    await proxy.put_udf("adds", source.format("1.0.0", "a"))
    await proxy.put_udf("ends", source.format("1.0.0", "."))
    await proxy.put_pipeline("adds", "document", "adds")
    await proxy.put_pipeline("ends", "document", "ends")
    target = f"/{index_name}/_bulk?pipeline=adds,ends"
    for version, letter in (("1.0.0", "a"), ("1.1.0", "b")):
        await proxy.put_udf("adds", source.format(version, letter))
        response = await proxy.post(target, written(["{}"] * 10))
        assert response.headers["Querymill-Pipelines"] == "adds@1.0.0#1, ends@1.0.0#1"
        stored = await sources(proxy, index_name, 10)
        assert stored == [orjson.dumps({"by": f"{letter}."})] * 10


async def test_items_of_an_unknown_pipeline_fail_by_themselves(
    proxy: Client, index_name: str
) -> None:
    """As they do in a small bulk: those of the other index are stored."""
    await proxy.define("mixed", "document", MIXED)
    await proxy.define("q", "query", "def query(request, context):\n    return request\n")
    body = written(["{}"] * 10, pipeline="mixed") + written(["{}"] * 10, "create", pipeline="q")
    response = await proxy.post(f"/{index_name}/_bulk", body)
    found = items(response)
    assert [item["status"] for item in found] == [201] * 10 + [400] * 10
    assert "is a query pipeline" in found[10]["error"]["reason"]
    assert [item["_id"] for item in found[10:]] == [str(n) for n in range(10)]


async def test_documents_over_the_size_for_pipelines_fail_by_themselves(
    start_proxy: StartProxy, index_name: str
) -> None:
    """One byte over the limit is a 413 for that item; at the limit and under it are stored."""
    async with connect(await start_proxy(max_transform_bytes=1024)) as proxy:
        await proxy.define("mixed", "document", MIXED)
        sizes = [1023, 1024, 1025] * 4
        lines = ['{"kind":"' + "x" * (size - len('{"kind":""}')) + '"}' for size in sizes]
        response = await proxy.post(f"/{index_name}/_bulk?pipeline=mixed", written(lines))
        statuses = [item["status"] for item in items(response)]
        assert statuses == [201, 201, 413] * 4
