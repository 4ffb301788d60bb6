"""What is read can be written back, equal writes change nothing, versions are never used again."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from tests.client import Client, Response
from tests.conftest import StartProxy, connect

ONE = "def query(request, context):\n    return {**request, 'size': 1}\n"
TWO = ONE.replace("1", "2")
HEADED = "# @udf: name=u\n# @udf: version=2.1.0\n# @udf: category=query_pipeline\n" + ONE
BOM = b"\xef\xbb\xbf"
STAGE = {"name": "s", "type": "python", "config": {"udf_name": "u", "udf_version": "1.0.0"}}
PIPELINE: dict[str, Any] = {"type": "query", "stages": [STAGE]}


async def put(
    proxy: Client, body: bytes | str, type: str = "text/x-python", query: str = ""
) -> Any:
    data = body.encode() if isinstance(body, str) else body
    return await proxy.call("PUT", f"/_udf/u{query}", data, {"Content-Type": type})


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


UPLOADS: dict[str, tuple[bytes, str]] = {
    "source": (ONE.encode(), "text/x-python"),
    "headers": (HEADED.encode(), "text/x-python"),
    "carriage returns": (HEADED.replace("\n", "\r\n").encode(), "text/x-python"),
    "marked source": (BOM + HEADED.encode(), "text/x-python"),
    "marked JSON": (
        BOM + b'{"source": "\\ufeff%b"}' % ONE.replace("\n", "\\n").encode(),
        "application/json",
    ),
    "zip": (
        zipped(
            udf_py=BOM + HEADED.encode(),
            words_txt="wörter\n".encode(),
            marked_txt=BOM + b"x",
            raw_bin=bytes(range(256)),
            zeros_bin=bytes(5000),
            large_txt=('"quoted" \\ \u2028 ' * 40_000).encode(),
            large_bin=b"\xff\x00\x01" * 100_000,
            empty_txt=b"",
        ),
        "application/zip",
    ),
}


@pytest.mark.parametrize("kind", UPLOADS)
async def test_a_udf_comes_back_as_it_is_shown(proxy: Client, kind: str) -> None:
    """Put back it is a noop, and under a name of its own the same package."""
    body, type = UPLOADS[kind]
    first = await put(proxy, body, type)
    assert (first.status, first.data["result"]) == (200, "created"), first.body
    assert (await put(proxy, body, type)).data["result"] == "noop"
    before = (await proxy.get("/_querymill/store")).data
    shown = await proxy.get("/_udf/u")
    again = await proxy.put("/_udf/u", shown.body)
    assert (again.status, again.data["result"]) == (200, "noop"), again.body
    assert again.data["version"] == shown.data["version"] == first.data["version"]
    assert (await proxy.get("/_querymill/store")).data == before
    assert not shown.data["source"].startswith("\ufeff")
    moved = {**shown.data, "name": "v", "source": ONE}
    assert (await proxy.put("/_udf/v", moved)).data["result"] == "created"
    assert (await proxy.get("/_udf/v")).data["files"] == shown.data["files"]


async def test_every_version_comes_back(proxy: Client) -> None:
    """As the newest does; beside `latest`, pre-releases too."""
    for version in ("1.0.0", "1.1.0", "2.0.0-rc1"):
        assert (await put(proxy, ONE, query=f"?version={version}")).status == 200
    versions = (await proxy.get("/_udf/u/_versions")).data
    assert versions["latest"] == "1.1.0"
    for version in versions["versions"]:
        shown = await proxy.get(f"/_udf/u?version={version}")
        assert (await proxy.put("/_udf/u", shown.body)).data["result"] == "noop"
    listed = (await proxy.get("/_udf")).data["udfs"]
    assert [each["latest"] for each in listed] == ["1.1.0"]


async def test_only_pre_releases_have_to_be_named(proxy: Client) -> None:
    """By who reads, runs and deletes one; who lists or deletes all need not."""
    await put(proxy, ONE, query="?version=1.0.0-rc1")
    shown = await proxy.get("/_udf/u")
    assert (shown.status, "only pre-releases" in shown.error["reason"]) == (404, True)
    stage = {**STAGE, "config": {"udf_name": "u"}}
    refused = await proxy.put("/_pipeline/p", {**PIPELINE, "stages": [stage]})
    assert refused.status == 400
    assert refused.error["reason"].startswith("stages[0].config.udf_version: ")
    named = {**STAGE, "config": {"udf_name": "u", "udf_version": "1.0.0-rc1"}}
    assert (await proxy.put("/_pipeline/p", {**PIPELINE, "stages": [named]})).status == 200
    assert (await proxy.get("/_udf/u/_versions")).data["latest"] is None
    assert (await proxy.get("/_udf")).data["udfs"][0]["latest"] is None
    assert (await proxy.delete("/_udf/u?version=latest")).status == 400
    assert (await proxy.delete("/_udf/u?force=true")).data["versions"] == ["1.0.0-rc1"]


async def test_a_new_pre_release_is_not_run(proxy: Client) -> None:
    """A pipeline on `latest` goes on with the release."""
    await put(proxy, ONE)
    stage = {**STAGE, "config": {"udf_name": "u"}}
    assert (await proxy.put("/_pipeline/p", {**PIPELINE, "stages": [stage]})).status == 200
    for version, size in (("1.1.0-rc1", 1), ("1.1.0", 2)):
        assert (await put(proxy, TWO, query=f"?version={version}")).status == 200
        run = await proxy.post("/_pipeline/p/_execute", {"input": {}})
        assert run.data["output"] == {"size": size}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"name": "p"},
        {"version": "1.0.0"},
        {"name": "p", "version": "1.0.0", "revision": 1},
    ],
)
async def test_an_equal_pipeline_is_a_noop(proxy: Client, changed: dict[str, Any]) -> None:
    """With what `GET` shows beside it, in any order of members; nothing is written."""
    await put(proxy, ONE)
    first = await proxy.put("/_pipeline/p", PIPELINE)
    assert (first.data["result"], first.data["revision"]) == ("created", 1)
    before = (await proxy.get("/_querymill/store")).data
    again = await proxy.put("/_pipeline/p", dict(reversed((PIPELINE | changed).items())))
    assert (again.data["result"], again.data["revision"]) == ("noop", 1)
    shown = await proxy.get("/_pipeline/p")
    assert (await proxy.put("/_pipeline/p", shown.body)).data == again.data
    assert (await proxy.get("/_querymill/store")).data == before
    assert (await proxy.put("/_pipeline/p?create=true", shown.body)).status == 409
    assert (await proxy.put("/_pipeline/p?if_revision=2", shown.body)).status == 409
    assert (await proxy.put("/_pipeline/p?if_revision=1", shown.body)).data["result"] == "noop"


@pytest.mark.parametrize(
    "changed",
    [
        {"version": "1.0"},
        {"description": ""},
        {"timeout_ms": 5000},
        {"stages": [{**STAGE, "enabled": True}]},
        {"stages": [{**STAGE, "config": {**STAGE["config"], "parameters": {"a": 1}}}]},  # type: ignore[dict-item]
    ],
)
async def test_any_other_pipeline_is_a_new_revision(proxy: Client, changed: dict[str, Any]) -> None:
    """Also where it says what would be so without."""
    await put(proxy, ONE)
    await proxy.put("/_pipeline/p", PIPELINE)
    again = await proxy.put("/_pipeline/p", PIPELINE | changed)
    assert (again.data["result"], again.data["revision"]) == ("updated", 2)


async def test_numbers_and_booleans_are_not_equal(proxy: Client) -> None:
    """As JSON has it: a UDF is given what was written."""
    await put(proxy, ONE)
    for revision, value in enumerate((1, 1.0, True, "1"), start=1):
        config = {**STAGE["config"], "parameters": {"a": value}}  # type: ignore[dict-item]
        response = await proxy.put(
            "/_pipeline/p", {**PIPELINE, "stages": [{**STAGE, "config": config}]}
        )
        assert response.data["revision"] == revision


async def test_an_equal_pipeline_whose_udf_is_gone_is_a_noop(proxy: Client) -> None:
    """What is read can be written back, whatever became of what it names."""
    await put(proxy, ONE)
    await proxy.put("/_pipeline/p", PIPELINE)
    assert (await proxy.delete("/_udf/u?force=true")).status == 200
    shown = await proxy.get("/_pipeline/p")
    assert (await proxy.put("/_pipeline/p", shown.body)).data["result"] == "noop"
    assert (await proxy.put("/_pipeline/p", {**PIPELINE, "version": "2"})).status == 400


@pytest.mark.parametrize("query", ["", "?version=1.0.0", "?force=true"])
async def test_a_deleted_version_is_given_to_nothing_else(
    start_proxy: StartProxy, query: str
) -> None:
    """Through no proxy and however it was deleted; the same content may come back."""

    def refused(response: Response) -> None:
        assert response.status == 409, response.body
        assert "was deleted, and existed with other content" in response.error["reason"]

    async with connect(await start_proxy()) as proxy:
        await put(proxy, ONE)
        assert (await proxy.delete(f"/_udf/u{query}")).data["versions"] == ["1.0.0"]
        refused(await put(proxy, TWO))
        assert (await proxy.get("/_udf")).data["count"] == 0
    async with connect(await start_proxy()) as other:
        refused(await put(other, TWO))
        assert (await put(other, ONE)).data["result"] == "created"
        assert (await put(other, TWO)).status == 409
        assert (await other.delete("/_udf/u")).status == 200
        refused(await put(other, TWO))
        assert (await put(other, TWO, query="?version=1.0.1")).data["result"] == "created"
        assert (await other.get("/_udf/u")).data["version"] == "1.0.1"
