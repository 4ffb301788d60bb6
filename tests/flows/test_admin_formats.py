"""Administration calls in the formats that a backend speaks, on the real OpenSearch."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import cbor2
import orjson
import pytest
import yaml

from tests.client import Client

SAME = "def query(request, context):\n    return request\n"
STAGE = {"name": "s", "type": "python", "config": {"udf_name": "same"}}
PIPELINE: dict[str, Any] = {"type": "query", "version": "1.2.3", "stages": [STAGE]}
TRIED = {"input": {"query": {"match_all": {}}, "size": 3}}
INLINE = {**TRIED, "udfs": {"same": {"source": SAME}}, "pipeline": PIPELINE}
CALLS: list[tuple[str, str, Any]] = [
    ("PUT", "/_udf/same", {"version": "1.0.0", "source": SAME, "files": {"words.txt": "a"}}),
    ("PUT", "/_pipeline/p", PIPELINE),
    ("POST", "/_pipeline/p", PIPELINE),
    ("POST", "/_pipeline/p/_execute", TRIED),
    ("POST", "/_pipeline/_execute", INLINE),
]


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value).encode()


def as_flow(value: Any) -> bytes:
    """JSON is YAML, too."""
    return orjson.dumps(value)


FORMS = [
    ("application/yaml", as_yaml),
    ("application/yaml; charset=UTF-8", as_flow),
    ("application/x-yaml", as_yaml),
    ("text/yaml", as_yaml),
    ("text/x-yaml", as_yaml),
    ("application/vnd.elasticsearch+yaml;compatible-with=8", as_yaml),
    ("Application/CBOR", cbor2.dumps),
    ("application/vnd.opensearch+cbor", cbor2.dumps),
    ("application/json", orjson.dumps),
    ("application/vnd.elasticsearch+json;compatible-with=9", orjson.dumps),
]


@pytest.mark.parametrize(("media_type", "written"), FORMS)
async def test_every_call_takes_every_format(proxy: Client, media_type: str, written: Any) -> None:
    """What was written in YAML or CBOR is what the same in JSON is."""
    for method, target, body in CALLS:
        response = await proxy.call(method, target, written(body), {"Content-Type": media_type})
        assert response.status == 200, (target, response.body)
    assert (await proxy.get("/_pipeline/p")).data == {**PIPELINE, "name": "p", "revision": 1}
    shown = (await proxy.get("/_udf/same")).data
    assert (shown["source"], shown["files"]) == (SAME, {"words.txt": "a"})


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/x-ndjson"]
)
async def test_a_type_that_nobody_chose_is_that_of_json(proxy: Client, media_type: str) -> None:
    """As curl sends it with `-d`, and programs that set none; a UDF has to say what it is."""
    await proxy.put_udf("same", SAME)
    for method, target, body in CALLS[1:]:
        sent = orjson.dumps(body)
        response = await proxy.call(method, target, sent, {"Content-Type": media_type})
        assert response.status == 200, (target, response.body)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/smile",
        "application/xml",
        "multipart/form-data; boundary=x",
        "image/" + "x" * 999,
    ],
)
async def test_a_type_that_is_not_read_is_named(proxy: Client, media_type: str) -> None:
    """A 415 with the types that are taken, whatever the body holds; nothing is stored."""
    await proxy.put_udf("same", SAME)
    await proxy.put_pipeline("p", "query", "same")
    smile = b":)\n\x05\xfa\x83type\x44query\xfb"
    for method, target in (
        ("PUT", "/_pipeline/new"),
        ("POST", "/_pipeline/new"),
        ("PUT", "/_udf/new"),
        ("POST", "/_pipeline/_execute"),
        ("POST", "/_pipeline/p/_execute"),
    ):
        for body in (smile, orjson.dumps(PIPELINE)):
            response = await proxy.call(method, target, body, {"Content-Type": media_type})
            assert (response.status, response.error["type"]) == (415, "media_type_header_exception")
            reason = response.error["reason"]
            assert reason.startswith(f"Content-Type header [{media_type[:200]}] is not supported;")
            assert reason.endswith("application/json, application/yaml or application/cbor")
            assert ("text/x-python (source)" in reason) == ("_udf" in target)
    assert (await proxy.get("/_pipeline/new")).status == 404
    assert (await proxy.get("/_udf/new")).status == 404


@pytest.mark.parametrize(
    ("media_type", "body", "reason"),
    [
        ("application/yaml", b"type: [query", "the YAML body cannot be read: "),
        ("application/yaml", b"a: &x 1\nb: *x", "the YAML body cannot be read: it has aliases"),
        ("application/yaml", b"- 1", "the body must be an object, not an array"),
        ("application/yaml", b"\xff\xfe\xff", "the YAML body cannot be read: "),
        ("application/yaml", b" \n", "the body is empty; send a JSON object"),
        ("application/yaml", b"x: !!binary aGk=", "the body has binary data; send Base64"),
        ("application/cbor", b"\xa1", "the CBOR body cannot be read: "),
        ("application/cbor", b'{"type": "query"}', "the CBOR body cannot be read: "),
        ("application/cbor", cbor2.dumps({"x": b"\0"}), "the body has binary data; send Base64"),
        ("application/cbor", b"", "the body is empty; send a JSON object"),
    ],
)
async def test_a_body_that_is_not_in_its_format_is_refused(
    proxy: Client, media_type: str, body: bytes, reason: str
) -> None:
    """A 400 of every call says in which format it was read, and why it could not be."""
    await proxy.put_udf("same", SAME)
    await proxy.put_pipeline("p", "query", "same")
    for method, target, _ in CALLS:
        response = await proxy.call(method, target, body, {"Content-Type": media_type})
        assert response.status == 400, (target, response.body)
        assert response.error["reason"].startswith(reason), target


async def test_other_formats_have_the_limits_of_json(proxy: Client) -> None:
    """A definition above 1 MB is a 413, compressed or not; YAML has at most 1 MB anywhere."""
    await proxy.put_udf("same", SAME)
    await proxy.put_pipeline("p", "query", "same")
    large = {**PIPELINE, "description": "x" * 1024 * 1024}
    for media_type, written in (("application/yaml", as_flow), ("application/cbor", cbor2.dumps)):
        body = written(large)
        headers = {"Content-Type": media_type}
        assert (await proxy.call("PUT", "/_pipeline/p", body, headers)).status == 413
        headers["Content-Encoding"] = "gzip"
        response = await proxy.call("PUT", "/_pipeline/p", gzip.compress(body), headers)
        assert response.status == 413
        small = gzip.compress(written(PIPELINE))
        assert (await proxy.call("PUT", "/_pipeline/p", small, headers)).status == 200
    tried = {"input": {"query": {"match_all": {}}, "x": "x" * 1024 * 1024}}
    for media_type, written, status in (
        ("application/yaml", as_flow, 400),
        ("application/cbor", cbor2.dumps, 200),
    ):
        headers = {"Content-Type": media_type}
        response = await proxy.call("POST", "/_pipeline/p/_execute", written(tried), headers)
        assert response.status == status, response.body[:300]


async def test_a_binary_file_goes_as_base64(proxy: Client) -> None:
    """In YAML and CBOR as in JSON."""
    files = {"raw.bin": {"base64": base64.b64encode(b"\xff\0").decode()}}
    package = {"source": SAME, "files": files}
    for name, media_type, body in (
        ("a", "application/yaml", as_yaml(package)),
        ("b", "application/cbor", cbor2.dumps(package)),
    ):
        headers = {"Content-Type": media_type}
        assert (await proxy.call("PUT", f"/_udf/{name}", body, headers)).status == 200
        assert (await proxy.get(f"/_udf/{name}")).data["files"] == files
