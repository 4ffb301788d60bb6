"""The administration of UDFs, through HTTP on the real OpenSearch."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

import pytest

from tests.client import Client
from tests.flows.test_admin import PIPELINE, SAME


async def test_a_udf_has_immutable_versions(proxy: Client) -> None:
    """The same content again is a noop, other content under a version a 409."""
    headers = {"Content-Type": "text/x-python"}

    async def put(source: str, query: str = "") -> Any:
        return await proxy.call("PUT", f"/_udf/same{query}", source.encode(), headers)

    assert (await put(SAME)).data["result"] == "created"
    assert (await put(SAME)).data["result"] == "noop"
    conflict = await put(SAME + "#")
    assert conflict.status == 409
    assert "versions are immutable" in conflict.error["reason"]
    assert (await put(SAME + "#", "?version=1.1.0")).data["version"] == "1.1.0"
    assert (await proxy.get("/_udf/same/_versions")).data == {
        "name": "same",
        "latest": "1.1.0",
        "versions": ["1.0.0", "1.1.0"],
    }
    assert (await proxy.get("/_udf/same?version=1.0.0")).data["source"] == SAME
    assert (await proxy.get("/_udf/same?version=2")).status == 404
    listed = (await proxy.get("/_udf")).data
    assert listed["udfs"][0]["latest"] == "1.1.0"


async def test_udfs_come_as_source_json_or_zip(proxy: Client) -> None:
    """Data files come back as they went in, and the UDF reads them."""
    source = (
        "def query(request, context):\n    return {**request, 'size': int(resource('size.txt'))}\n"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("udf.py", source)
        archive.writestr("size.txt", "1")
        archive.writestr("raw.bin", b"\xff")
    zipped = await proxy.call(
        "PUT", "/_udf/zipped", buffer.getvalue(), {"Content-Type": "application/zip"}
    )
    assert zipped.status == 200
    package = (await proxy.get("/_udf/zipped")).data
    assert package["files"] == {
        "size.txt": "1",
        "raw.bin": {"base64": base64.b64encode(b"\xff").decode()},
    }
    package.pop("name")
    assert (await proxy.put("/_udf/again", package)).status == 200
    await proxy.put_pipeline("p", "query", "again")
    response = await proxy.post("/_pipeline/p/_execute", {"input": {"size": 9}})
    assert response.data["output"] == {"size": 1}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def query(:\n", "line 1"),
        ("x = 1\n", "defines none of udf_main(), query(), document(), result()"),
        ("raise ValueError('at load')\n", "at load"),
        ("import nothing_like_it\n", "nothing_like_it"),
        ("def query(request): return request\n", "write `def query(request, context):` (line 1)"),
        ("async def document(doc, context): return doc\n", "document() is an `async def`"),
        ("def result(r, c):\n    yield r\n", "result() has a `yield` in it"),
        ("def udf_main(query): return query\n", "udf_main(query) cannot be called without"),
        ("query = {}\n", "query is no function but a value of type dict"),
        ("# @udf: memory_mb=31\n" + SAME, "memory_mb: [31] is no number of 32 to 1024"),
        ("# @udf: memory_mb=1025\n" + SAME, "memory_mb: [1025] is no number of 32 to 1024"),
        ("# @udf: memory_mb=lots\n" + SAME, "memory_mb: [lots] is no number of 32 to 1024"),
        ("x = bytearray(90_000_000)\n" + SAME, "for the check of an upload: # @udf: memory_mb="),
        ("while True:\n    pass\n", "2000 ms"),
    ],
)
async def test_a_udf_that_does_not_load_is_refused(proxy: Client, source: str, reason: str) -> None:
    """Found at upload, not at run time; nothing is stored."""
    headers = {"Content-Type": "text/x-python"}
    response = await proxy.call("PUT", "/_udf/bad", source.encode(), headers)
    assert response.status == 400
    assert reason in response.error["reason"], response.error["reason"]
    assert (await proxy.get("/_udf/bad")).status == 404


async def test_an_upload_is_checked_with_the_memory_it_asks_for(proxy: Client) -> None:
    """What a large stage can load can be uploaded, and its pipeline is checked as it will run."""
    source = "x = bytearray(90_000_000)\n" + SAME
    await proxy.put_udf("large", f"# @udf: memory_mb=192\n{source}")
    stage = {"name": "s", "type": "python", "config": {"udf_name": "large"}}
    small = await proxy.put("/_pipeline/p", {"type": "query", "stages": [stage]})
    assert (small.status, small.error["path"]) == (400, "stages[0].config.parameters")
    assert "its limit is 64 MB" in small.error["reason"]
    stage["config"]["memory_mb"] = 192  # type: ignore[index]
    assert (await proxy.put("/_pipeline/p", {"type": "query", "stages": [stage]})).status == 200
    ran = await proxy.post("/_pipeline/p/_execute", {"input": {"size": 1}})
    assert ran.data["outcome"] == "done"


async def test_a_declared_path_that_matches_nothing_is_refused(proxy: Client) -> None:
    """At upload, with the spelling that was meant."""
    await proxy.put_udf("r", "def result(response, context): pass\n")
    config = {"udf_name": "r", "input": ["_score", "hits.hits._source.price"]}
    stage = {"name": "s", "type": "python", "config": config}
    response = await proxy.put("/_pipeline/p", {"type": "result", "stages": [stage]})
    assert (response.status, response.error["path"]) == (400, "stages[0].config.input[1]")
    assert response.error["reason"].endswith("write _source.price")
    assert (await proxy.get("/_pipeline/p")).status == 404


async def test_an_unknown_media_type_is_refused(proxy: Client) -> None:
    """The response says which ones are taken."""
    response = await proxy.call("PUT", "/_udf/x", b"x", {"Content-Type": "image/png"})
    assert response.status == 415
    assert "text/x-python" in response.error["reason"]


async def test_a_udf_in_use_cannot_be_deleted_unawares(proxy: Client) -> None:
    """A version that nobody names goes; the last one only with force, then its pipeline fails."""
    headers = {"Content-Type": "text/x-python"}
    await proxy.put_udf("same", SAME)
    await proxy.call("PUT", "/_udf/same?version=2", SAME.encode() + b"#", headers)
    await proxy.put("/_pipeline/p", PIPELINE)
    assert (await proxy.delete("/_udf/same?version=2")).data["versions"] == ["2"]
    refused = await proxy.delete("/_udf/same")
    assert (refused.status, "is used by p" in refused.error["reason"]) == (409, True)
    assert (await proxy.delete("/_udf/same?force=true")).status == 200
    run = (await proxy.post("/_pipeline/p/_execute", {"input": {}})).data
    assert run["error"]["kind"] == "load"
    assert (await proxy.delete("/_udf/same")).status == 404


async def test_a_new_version_is_latest_from_the_next_run_on(proxy: Client, index_name: str) -> None:
    """Pipelines that name no version follow without being touched."""
    await proxy.index(index_name, {"1": {}, "2": {}, "3": {}})
    await proxy.define("size", "query", "def query(r, c):\n    return {**r, 'size': 1}\n")
    await proxy.attach(index_name, query="size")
    assert len((await proxy.get(f"/{index_name}/_search")).ids) == 1
    newer = b"def query(r, c):\n    return {**r, 'size': 2}\n"
    await proxy.call("PUT", "/_udf/size?version=1.10.0", newer, {"Content-Type": "text/x-python"})
    response = await proxy.get(f"/{index_name}/_search")
    assert len(response.ids) == 2
