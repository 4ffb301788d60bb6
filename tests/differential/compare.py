"""The same calls on two sides at once, over several connections, and a list of what came out."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import orjson

from tests.differential.calls import Call, Calls
from tests.differential.material import DOCUMENTS, STATIC, document
from tests.differential.sides import Seen, Side
from tests.proxy.wire import Client, request

# A short run belongs to every test run; `make differential` makes thousands of calls.
CALLS: Final = int(os.environ.get("QUERYMILL_TEST_CALLS", "1500"))
# Where this is not set, every run makes the same calls; a failure shows what it was.
SEED: Final = os.environ.get("QUERYMILL_TEST_SEED", "1")
WORKERS = 4
# A call that may be repeated is, as the state of the cluster can change between two responses.
TRIES = 4
SHOWN = 12


@dataclass
class Report:
    """What a comparison found. `statuses` counts the responses of the direct side."""

    seed: str
    calls: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shown = "\n\n".join(self.different[:SHOWN])
        return f"{len(self.different)} of {self.calls} calls differ, seed {self.seed}:\n{shown}"


Same = Callable[[Call, Seen, Seen], bool]


def port_of(url: str) -> int:
    """The port at the end of a URL without a path."""
    return int(url.rpartition(":")[2])


def identical(call: Call, direct: Seen, proxied: Seen) -> bool:
    """Whether nothing differs; where the backend hangs up on a client, the proxy says 502."""
    return direct == proxied or (direct.status, proxied.status) == (0, 502)


async def prepare(port: int) -> None:
    """Create the index that all sides share."""
    client = await Client.connect(port)
    json = "Content-Type: application/json"
    await client.ask(request(f"/{STATIC}", "DELETE"))
    mappings = {"properties": {"place": {"type": "geo_point"}, "exact": {"type": "long"}}}
    body = {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "mappings": mappings,
        "aliases": {f"{STATIC}-alias": {}},
    }
    assert (await client.ask(request(f"/{STATIC}", "PUT", orjson.dumps(body), json))).status == 200
    lines = b"".join(
        b'{"index":{"_id":"%d"}}\n%b\n' % (number, orjson.dumps(document(number)))
        for number in range(DOCUMENTS)
    )
    bulk = request(f"/{STATIC}/_bulk?refresh=true", "POST", lines, json)
    assert b'"errors":false' in (await client.ask(bulk)).body
    # One segment and nothing running: scores and orders stay what they are.
    await client.ask(request(f"/{STATIC}/_forcemerge?max_num_segments=1", "POST"))
    await client.ask(request(f"/{STATIC}/_refresh", "POST"))
    client.close()


def any_call(call: Call) -> bool:
    """A filter that takes every call."""
    return call is not None


async def compare(
    direct: int,
    proxied: int,
    *,
    seed: str,
    count: int,
    same: Same = identical,
    sane: bool = False,
    wanted: Callable[[Call], bool] = any_call,
) -> Report:
    """Make `count` calls on both ports and return where the responses are not `same`.

    Only calls that are `wanted` are made.
    """
    report = Report(seed)
    numbers = itertools.count()

    async def work(worker: int) -> None:
        calls = Calls(f"{seed}-{worker}", sane=sane)
        # Names of one length, so that the responses have one length too.
        left, right = Side(direct, f"diff-d-{worker}"), Side(proxied, f"diff-p-{worker}")
        for side in (left, right):
            await _own_index(direct, side.index)
        while next(numbers) < count:
            call = calls.next()
            while not wanted(call):
                call = calls.next()
            await _compare_one(call, left, right, report, same)
        left.close()
        right.close()

    async with asyncio.TaskGroup() as group:
        for worker in range(WORKERS):
            group.create_task(work(worker))
    return report


async def _own_index(port: int, index: str) -> None:
    client = await Client.connect(port)
    body = orjson.dumps({"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    # What calls may have left here before; a backend may refuse to delete by a pattern.
    for name in (index, f"{index}-r", f"{index}-n", f"{index}-copy"):
        await client.ask(request(f"/{name}", "DELETE"))
    json = "Content-Type: application/json"
    await client.ask(request(f"/{index}", "PUT", body, json))
    client.close()


async def _compare_one(call: Call, left: Side, right: Side, report: Report, same: Same) -> None:
    report.calls += 1
    for _ in range(1 if call.once else TRIES):
        one, other = await _both(call, left, right)
        if same(call, one, other):
            break
        if not call.once and other.matches(one, await left.see(call)):
            break
    else:
        report.different.append(_reported(call, one, other))
    report.statuses[one.status] += 1


async def _both(call: Call, left: Side, right: Side) -> tuple[Seen, Seen]:
    one, other = await asyncio.gather(left.see(call), right.see(call))
    return one, other


def _reported(call: Call, one: Seen, other: Seen) -> str:
    lines = [f"{call.method} {call.target} {list(call.fields)} chunked={call.chunked}"]
    if call.body:
        lines.append(f"  body {call.body[:300]!r}")
    for name, seen in (("direct", one), ("proxied", other)):
        lines.append(f"  {name} {seen.first_line!r} {list(seen.fields)}")
    at = next((n for n, (a, b) in enumerate(zip(one.body, other.body, strict=False)) if a != b), 0)
    at = max(0, at - 60)
    lines += [f"  {one.body[at : at + 300]!r}", f"  {other.body[at : at + 300]!r}"]
    return "\n".join(lines)
