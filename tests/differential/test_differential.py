"""No client can tell: thousands of random calls, direct and through the proxy, on both backends."""

from __future__ import annotations

import json
import os
import re
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import pytest
import uvloop

from proxy.embedded import EmbeddedCluster
from tests.conftest import StartOn
from tests.differential.calls import Call
from tests.differential.compare import compare, prepare
from tests.differential.material import STATIC
from tests.differential.sides import Seen
from tests.proxy.wire import Client, request

# A short run belongs to every test run; `make differential` makes thousands of calls.
CALLS = int(os.environ.get("QUERYMILL_TEST_CALLS", "1500"))
CALLS_WITH_PIPELINES = CALLS // 3
# Where this is not set, every run makes the same calls; a failure shows what it was.
SEED: Final = os.environ.get("QUERYMILL_TEST_SEED", "1")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Run the tests here on the event loop the proxy runs on."""
    return {"uvloop": uvloop.new_event_loop}


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.mark.timeout(300)
async def test_without_a_pipeline(each_backend: EmbeddedCluster, start_on: StartOn) -> None:
    """Status, body and header fields are the same, byte for byte, but for times and made-up ids."""
    server = await start_on(each_backend)
    assert server.address is not None
    direct = port_of(each_backend.url)
    await prepare(direct)
    report = await compare(direct, server.address.port, seed=SEED, count=CALLS)
    assert report.different == [], str(report)
    # The calls are of all kinds, and enough of them are answered with more than an error.
    assert report.calls >= CALLS
    assert report.statuses[200] + report.statuses[201] > CALLS / 5
    assert {400, 404, 405, 406, 409} <= set(report.statuses)


UDFS = {
    "query": b"def query(request, context):\n    return request\n",
    "result": b"def result(response, context):\n    return response\n",
    "document": b"def document(doc, context):\n    return doc\n",
}


async def attach(port: int) -> None:
    """Attach a pipeline that changes nothing, of each type, to the indices of the proxied side."""
    client = await Client.connect(port)
    json_type = "Content-Type: application/json"
    for phase, source in UDFS.items():
        name = f"same-{phase}"
        stage = {"name": "same", "type": "python", "config": {"udf_name": name}}
        definition = orjson.dumps({"type": phase, "stages": [stage]})
        for message in (
            request(f"/_udf/{name}", "PUT", source, "Content-Type: text/x-python"),
            request(f"/_pipeline/{name}", "PUT", definition, json_type),
        ):
            assert (await client.ask(message)).status == 200
        for index in (STATIC, "diff-p-*"):
            body = orjson.dumps({f"index.{phase}.default_pipeline": name})
            got = await client.ask(request(f"/{index}/_settings", "PUT", body, json_type))
            assert got.status == 200, got.body
    client.close()


def in_json(call: Call) -> bool:
    """Whether the answer is JSON in which nothing of ours stands.

    Settings show attachments, and ids that carry a search on are ours where pipelines run; a
    template is rendered first, so that what is wrong with it is told in other words.
    """
    path, _, query = call.target.partition("?")
    bare = path.count("/") < 2 and not path.startswith("/_")
    carried = "scroll" in call.target or "_pit" in path or "point_in_time" in path
    carried = carried or b'"pit"' in call.body or "template" in path
    return not (bare or carried or "_settings" in path or re.search("format=(?!json)", query))


# What no two answers share, wherever it stands.
VOLATILE: Final = frozenset({"took", "creation_time", "throttled_millis", "index_uuid", "batches"})
MADE_ID: Final = re.compile(r"[\w+/-]{20,}={0,2}")


def shape(value: Any) -> Any:
    """A parsed answer without what no two answers share; numbers are text already."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items() if name not in VOLATILE}
    if isinstance(value, list):
        return [shape(member) for member in value]
    return MADE_ID.sub("ID", value) if isinstance(value, str) else value


def equal_json(direct: Seen, proxied: Seen) -> bool:
    """Whether both answers are the same JSON, with every number written the same way."""
    if direct.status != proxied.status:
        return False
    if not direct.whole.startswith((b"{", b"[")):
        return direct.body == proxied.body
    one, other = (
        json.loads(seen.whole, parse_int=number, parse_float=number) for seen in (direct, proxied)
    )
    return bool(shape(one) == shape(other))


def number(text: str) -> tuple[str]:
    return (text,)


@pytest.mark.timeout(300)
async def test_with_pipelines_that_change_nothing(
    each_backend: EmbeddedCluster, start_on: StartOn
) -> None:
    """With a pipeline of each type that changes nothing, the answers are the same JSON."""
    server = await start_on(each_backend)
    assert server.address is not None
    direct = port_of(each_backend.url)
    await prepare(direct)
    await attach(server.address.port)
    report = await compare(
        direct,
        server.address.port,
        seed=SEED,
        count=CALLS_WITH_PIPELINES,
        same=equal_json,
        sane=True,
        wanted=in_json,
    )
    assert report.different == [], str(report)
    assert report.statuses[200] + report.statuses[201] > CALLS_WITH_PIPELINES / 5
