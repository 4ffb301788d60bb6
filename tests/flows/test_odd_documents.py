"""Documents that pipelines cannot be given go on as they came, and the response says so."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.client import Client
from tests.flows.odd_texts import GUARD, JSON, TAKEN, warned

pytestmark = pytest.mark.usefixtures("nothing_stays")

MARK = "def document(doc, context):\n    doc['marked'] = True\n    return doc\n"
# What it refuses.
REFUSED = {
    "a key twice": b'{"s":1,"s":2}',
    "a key twice inside": b'{"o":{"a":[{"s":1,"s":2}]}}',
    "a key twice by an escape": b'{"s":1,"\\u0073":2}',
    "broken": b'{"s":',
    "words behind": b'{"s":1} xyz',
    "a number that is none": b'{"s":NaN}',
    "no UTF-8": b'{"s":"\xff"}',
    "an array": b"[1]",
    "white": b"  ",
}
# What is JSON once it is read as a backend does.
SPELLED = {
    "comments": b'{/* " */"s":"x"} // "',
    "a mark": b'\xef\xbb\xbf{"s":"x"}',
    "UTF-16": '{"s":"x"}'.encode("utf-16-le"),
    "UTF-32": '{"s":"x"}'.encode("utf-32-le"),
    "too many bytes": b'{"s":"\xc1\xb8"}',
}


async def stored(direct: Client, index: str, doc_id: str) -> Any:
    return json.loads((await direct.get(f"/{index}/_source/{doc_id}")).body)


@pytest.fixture
async def marked(proxy: Client, index_name: str) -> str:
    """An index whose documents are marked."""
    await proxy.put(f"/{index_name}", {"mappings": {"dynamic": False}})
    await proxy.define("mark", "document", MARK)
    await proxy.attach(index_name, document="mark")
    return index_name


async def test_documents_that_cannot_be_given(proxy: Client, direct: Client, marked: str) -> None:
    """Are stored as they came, with a Warning."""
    for number, (oddity, body) in enumerate(TAKEN.items()):
        response = await proxy.put(f"/{marked}/_doc/1", body, **JSON)
        assert response.status == (200 if number else 201), (oddity, response.body)
        assert warned(response, "mark"), oddity
        source = (await direct.get(f"/{marked}/_source/1")).body
        assert source == body


async def test_documents_that_are_refused(proxy: Client, direct: Client, marked: str) -> None:
    """Are refused by the backend, in its own words: also where a key comes twice."""
    for oddity, body in REFUSED.items():
        for method, target in (("PUT", "_doc/1"), ("POST", "_doc"), ("PUT", "_create/1")):
            got = await proxy.call(method, f"/{marked}/{target}", body, JSON)
            wanted = await direct.call(method, f"/{marked}/{target}", body, JSON)
            assert (got.status, got.data) == (wanted.status, wanted.data), oddity
            assert got.status == 400


async def test_documents_in_another_spelling(proxy: Client, direct: Client, marked: str) -> None:
    """Are given to pipelines as the plain JSON that they mean."""
    for number, (oddity, body) in enumerate(SPELLED.items()):
        response = await proxy.put(f"/{marked}/_doc/1", body, **JSON)
        assert response.status == (200 if number else 201), (oddity, response.body)
        assert "Warning" not in response.headers
        assert await stored(direct, marked, "1") == {"s": "x", "marked": True}


async def test_odd_documents_of_a_bulk(proxy: Client, direct: Client, marked: str) -> None:
    """Each is taken or refused by itself, as direct; the others are marked."""
    bodies = {**TAKEN, **{k: v for k, v in REFUSED.items() if k != "white"}}
    action = b'{"index":{"_id":"%d"}}\n'
    lines = [action % n + body + b"\n" for n, body in enumerate(bodies.values())]
    lines.append(action % 99 + b'{"s":"x"}\n')
    await direct.put(f"/{marked}-direct", {"mappings": {"dynamic": False}})
    got = await proxy.post(f"/{marked}/_bulk", b"".join(lines))
    wanted = await direct.post(f"/{marked}-direct/_bulk", b"".join(lines))
    statuses = [
        [item["index"]["status"] for item in response.data["items"]] for response in (got, wanted)
    ]
    assert statuses[0] == statuses[1]
    assert set(statuses[0]) == {201, 400}
    assert warned(got, "mark")
    assert await stored(direct, marked, "99") == {"s": "x", "marked": True}
    assert await stored(direct, marked, "0") == {"s": "a \ud83d b"}


async def test_comments_between_the_items_of_a_bulk(
    proxy: Client, direct: Client, marked: str
) -> None:
    """Are no items, so that all others are marked."""
    body = b'// x\n{"index":{"_id":"1"}}\n{"s":1}\n/* " */\n{"index":{"_id":"2"}}\n{"s":2}\n'
    response = await proxy.post(f"/{marked}/_bulk", body)
    assert [item["index"]["status"] for item in response.data["items"]] == [201, 201]
    assert "Warning" not in response.headers
    assert await stored(direct, marked, "1") == {"s": 1, "marked": True}
    assert await stored(direct, marked, "2") == {"s": 2, "marked": True}


async def test_a_broken_action_refuses_all(proxy: Client, direct: Client, marked: str) -> None:
    """As the backend does, and nothing is stored."""
    body = b'{"index":{"_id":"1"}}\n{"s":"x"}\n{"index":\n{"s":"y"}\n'
    got = await proxy.post(f"/{marked}/_bulk", body)
    assert (got.status, got.data) == (400, (await direct.post(f"/{marked}/_bulk", body)).data)
    assert (await direct.get(f"/{marked}/_doc/1")).status == 404


async def test_final_document_pipelines(proxy: Client, direct: Client, index_name: str) -> None:
    """Refuse what they cannot be given; of a bulk that item, or all where no action can be read."""
    await proxy.put(f"/{index_name}", {"mappings": {"dynamic": False}})
    await proxy.define("guard", "document", GUARD)
    await proxy.put(f"/{index_name}/_settings", {"index.document.final_pipeline": "guard"})
    for body in (*TAKEN.values(), *REFUSED.values()):
        response = await proxy.put(f"/{index_name}/_doc/1", body, **JSON)
        assert response.status == 400
        assert "[guard] always runs here" in response.data["error"]["reason"]
        if body.strip():
            lines = b'{"index":{"_id":"1"}}\n' + body + b'\n{"index":{"_id":"2"}}\n{"s":1}\n'
            items = (await proxy.post(f"/{index_name}/_bulk", lines)).data["items"]
            assert items[0]["index"]["status"] == 400
    assert (await proxy.post(f"/{index_name}/_bulk", b'{"index":\n{}\n')).status == 400
    assert (await direct.get(f"/{index_name}/_doc/1")).status == 404
    spelled = '{"secret":1} // x'.encode("utf-16-le")
    assert (await proxy.put(f"/{index_name}/_doc/1", spelled, **JSON)).status == 422


async def test_deep_documents(proxy: Client, direct: Client, marked: str) -> None:
    """On traffic too: done up to 250 levels, passed on above them."""
    for levels in (19, 250, 251, 252, 253, 254, 255, 256, 300):
        body = b'{"a":' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"
        got = await proxy.put(f"/{marked}/_doc/{levels}", body, **JSON)
        wanted = await direct.put(f"/{marked}/_doc/{levels}-direct", body, **JSON)
        assert got.status == wanted.status == (201 if levels == 19 else 400), levels
        assert warned(got, "mark") is (levels > 250)


async def test_gzip_and_deflate(proxy: Client, direct: Client, marked: str) -> None:
    """Are read whatever their ratio; what breaks off is read as far as it goes."""
    line = b'{"index":{}}\n{"message":"GET /index.html 200","level":"info"}\n'
    for coding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        body = pack(line * 2000)
        assert len(line) * 2000 / len(body) > 200
        headers = {**JSON, "Content-Encoding": coding}
        response = await proxy.call("POST", f"/{marked}/_bulk", body, headers)
        assert response.status == 200
        assert response.data["errors"] is False
    cut = gzip.compress(b'{"s":"x"}')[:-4]
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert (await proxy.call("PUT", f"/{marked}/_doc/cut", cut, headers)).status == 201
    assert await stored(direct, marked, "cut") == {"s": "x", "marked": True}
