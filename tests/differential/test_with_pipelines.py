"""With pipelines that change nothing, the responses are the same JSON, on both backends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from tests.conftest import StartOn
from tests.differential.calls import Call
from tests.differential.compare import CALLS, SEED, compare, identical, port_of, prepare
from tests.differential.decoded import same_response, value_of
from tests.differential.material import DOCUMENTS, STATIC
from tests.differential.sides import Seen, Side
from tests.proxy.wire import Client, request

CALLS_WITH_PIPELINES = CALLS // 3
JSON = "Content-Type: application/json"
UDFS = {
    "query": b"def query(request, context):\n    return request\n",
    "result": b"def result(response, context):\n    return response\n",
    "document": b"def document(doc, context):\n    return doc\n",
}


async def attach(port: int, *indices: str) -> None:
    """Attach a pipeline that changes nothing, of each type, to the indices of the proxied side."""
    client = await Client.connect(port)
    for phase, source in UDFS.items():
        name = f"same-{phase}"
        stage = {"name": "same", "type": "python", "config": {"udf_name": name}}
        # The result pipeline reads by id, too.
        more = {"applies_to": ["search", "get"]} if phase == "result" else {}
        definition = orjson.dumps({"type": phase, "stages": [stage], **more})
        for message in (
            request(f"/_udf/{name}", "PUT", source, "Content-Type: text/x-python"),
            request(f"/_pipeline/{name}", "PUT", definition, JSON),
        ):
            assert (await client.ask(message)).status == 200
        for index in indices:
            body = orjson.dumps({f"index.{phase}.default_pipeline": name})
            got = await client.ask(request(f"/{index}/_settings", "PUT", body, JSON))
            assert got.status == 200, got.body
    client.close()


def readable(call: Call) -> bool:
    """Whether pipelines can read what is answered: SMILE they cannot, which is a 406."""
    return "format=smile" not in call.target


def readable_on_elasticsearch(call: Call) -> bool:
    """The same, less templates: the distribution for tests cannot render them."""
    return readable(call) and "template" not in call.target


def equal(call: Call, direct: Seen, proxied: Seen) -> bool:
    """Whether the responses are the same JSON and no pipeline was left out.

    What the proxy has to read itself before any pipeline (a template, the lines of a bulk) it
    refuses in words of its own, and so does the backend an id of ours where it takes none. A search
    in YAML of a point in time goes on in JSON, where its errors have other positions.
    """
    warnings = [value for name, value in proxied.fields if name == b"Warning"]
    if any(b"did not run" in text or b"degraded" in text for text in warnings):
        return False
    misplaced = b"PIT" in call.body and STATIC in call.target
    own_words = misplaced or "template" in call.target or "_bulk" in call.target
    if own_words and direct.status == proxied.status >= 400:
        return True
    if identical(call, direct, proxied) or same_response(direct, proxied):
        return True
    turned = b"PIT" in call.body and any("yaml" in field for field in call.fields)
    if not (turned and direct.status == proxied.status == 400):
        return False
    return bool(_unplaced(value_of(direct)) == _unplaced(value_of(proxied)))


def _unplaced(value: Any) -> Any:
    """A value less the positions in a body."""
    if isinstance(value, dict):
        return {n: _unplaced(member) for n, member in value.items() if n not in ("line", "col")}
    return [_unplaced(element) for element in value] if isinstance(value, list) else value


@pytest.mark.timeout(300)
async def test_with_pipelines_that_change_nothing(
    each_backend: EmbeddedCluster, start_on: StartOn
) -> None:
    """All calls, in JSON, YAML and CBOR: equal but for attachments shown and ids of ours."""
    server = await start_on(each_backend, public_address=each_backend.url.removeprefix("http://"))
    assert server.address is not None
    direct = port_of(each_backend.url)
    await prepare(direct)
    await attach(server.address.port, STATIC, "diff-p-*")
    on_elasticsearch = each_backend.options.distribution == "elasticsearch"
    report = await compare(
        direct,
        server.address.port,
        seed=SEED,
        count=CALLS_WITH_PIPELINES,
        same=equal,
        sane=True,
        wanted=readable_on_elasticsearch if on_elasticsearch else readable,
    )
    assert report.different == [], str(report)
    assert report.statuses[200] + report.statuses[201] > CALLS_WITH_PIPELINES / 5


PAGE = {"size": 130, "sort": ["n"], "track_total_hits": True}
SCROLLED = {"scroll": "1m", "scroll_id": "SCROLL"}
# Every way to ask for the next page of a scroll.
NEXT_PAGES = (
    ("POST", "/_search/scroll", SCROLLED),
    ("GET", "/_search/scroll?scroll=1m&scroll_id=SCROLL", None),
    ("POST", "/_search/scroll/SCROLL", {"scroll": "1m"}),
    ("GET", "/_search/scroll/SCROLL?scroll=1m", None),
    ("POST", "/_search/scroll/wrong?scroll_id=wrong", SCROLLED),
)
CLOSINGS = (
    ("/_search/scroll", {"scroll_id": ["SCROLL"]}),
    ("/_search/scroll/SCROLL", None),
    ("/_search/scroll?scroll_id=SCROLL", None),
)


def asked(method: str, target: str, body: Any) -> Call:
    fields = (JSON,) if body is not None else ()
    return Call(method, target, fields, b"" if body is None else orjson.dumps(body), once=True)


async def both_hits(sides: tuple[Side, Side], call: Call) -> list[Any]:
    """Ask both sides, compare them, and return the hits of the proxied response."""
    one, other = [await side.see(call) for side in sides]
    assert (one.status, value_of(one)) == (other.status, value_of(other)), call
    assert one.status == 200, one.body
    return list(orjson.loads(other.whole)["hits"]["hits"])


@pytest.fixture
async def sides(
    each_backend: EmbeddedCluster, start_on: StartOn
) -> AsyncIterator[tuple[Side, Side]]:
    """A client of the backend itself, and one of a proxy with such pipelines in front of it."""
    server = await start_on(each_backend, public_address=each_backend.url.removeprefix("http://"))
    assert server.address is not None
    direct = port_of(each_backend.url)
    await prepare(direct)
    await attach(server.address.port, STATIC, "diff-p-*")
    both = Side(direct, "diff-d-0"), Side(server.address.port, "diff-p-0")
    yield both
    for side in both:
        side.close()


@pytest.mark.parametrize("closing", CLOSINGS)
async def test_a_scroll_page_by_page(
    sides: tuple[Side, Side], closing: tuple[str, dict[str, Any] | None]
) -> None:
    """Every page to the last, however the id is passed on, and closed in every way there is."""
    hits = await both_hits(sides, asked("POST", f"/{STATIC}/_search?scroll=1m", PAGE))
    found = [hit["_id"] for hit in hits]
    for method, target, body in NEXT_PAGES:
        assert sides[1].names["SCROLL"].startswith("qm1.")
        hits = await both_hits(sides, asked(method, target, body))
        found += [hit["_id"] for hit in hits]
    assert found == [str(number) for number in range(DOCUMENTS)]
    assert hits == []
    target, body = closing
    one, other = [await side.see(asked("DELETE", target, body)) for side in sides]
    assert (one.status, one.body) == (other.status, other.body)
    assert orjson.loads(other.body)["num_freed"] == 1
    one, other = [await side.see(asked("POST", "/_search/scroll", SCROLLED)) for side in sides]
    assert (one.status, other.status) == (404, 404)


async def test_a_point_in_time_page_by_page(
    sides: tuple[Side, Side], each_backend: EmbeddedCluster
) -> None:
    """Every page to the last, and closed."""
    place, closing = "_search/point_in_time", dict[str, Any](pit_id=["PIT"])
    if each_backend.options.distribution == "elasticsearch":
        place, closing = "_pit", {"id": "PIT"}
    for side in sides:
        assert (
            await side.see(asked("POST", f"/{STATIC}/{place}?keep_alive=1m", None))
        ).status == 200
    assert sides[1].names["PIT"].startswith("qm1.")
    found: list[str] = []
    page: dict[str, Any] = {**PAGE, "pit": {"id": "PIT", "keep_alive": "1m"}}
    while hits := await both_hits(sides, asked("POST", "/_search", page)):
        found += [hit["_id"] for hit in hits]
        page["search_after"] = hits[-1]["sort"]
    assert found == [str(number) for number in range(DOCUMENTS)]
    one, other = [await side.see(asked("DELETE", f"/{place}", closing)) for side in sides]
    assert (one.status, value_of(one)) == (other.status, value_of(other))
    assert one.status == 200
