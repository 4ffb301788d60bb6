"""Odd bodies: the proxy's response is the backend's own, on every endpoint, on both backends."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Final

import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from tests.conftest import StartOn
from tests.differential.calls import Call
from tests.differential.compare import TRIES, identical, port_of, prepare
from tests.differential.decoded import same_response
from tests.differential.material import STATIC
from tests.differential.oddities import calls
from tests.differential.sides import Seen, Side
from tests.differential.test_with_pipelines import attach
from tests.proxy.wire import Client, request

# `make differential` makes all calls; every other run a few of them, each time others.
COUNT: Final = int(os.environ.get("QUERYMILL_TEST_CALLS", "300"))
SEED: Final = os.environ.get("QUERYMILL_TEST_SEED") or str(random.randrange(10**6))
JSON: Final = "Content-Type: application/json"

Odd = tuple[str, str, Call]


def some_calls() -> list[Odd]:
    """So many of the calls at random, in their order."""
    every = list(calls())
    chosen = random.Random(SEED).sample(range(len(every)), min(COUNT, len(every)))
    return [every[number] for number in sorted(chosen)]


async def own_index(port: int, index: str) -> None:
    """Create a side's index anew, and nothing beside it."""
    client = await Client.connect(port)
    for name in (index, f"{index}-n", f"{index}-r"):
        await client.ask(request(f"/{name}", "DELETE"))
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    body = orjson.dumps({"settings": settings})
    assert (await client.ask(request(f"/{index}", "PUT", body, JSON))).status == 200
    client.close()


async def differences(
    direct: int, proxied: int, odd: list[Odd], same: Callable[[Call, Seen, Seen], bool]
) -> list[str]:
    """The calls whose responses are not the same on both ports, as text."""
    left, right = Side(direct, "odd-d"), Side(proxied, "odd-p")
    different: list[str] = []
    for side in (left, right):
        await own_index(direct, side.index)
    for endpoint, oddity, call in odd:
        for _ in range(1 if call.once else TRIES):
            one, other = await left.see(call), await right.see(call)
            if same(call, one, other):
                break
        else:
            reported = [f"{endpoint}, {oddity}: {call.body[:100]!r}"]
            reported += [
                f"  {seen.first_line!r} {seen.fields} {seen.body[:300]!r}" for seen in (one, other)
            ]
            different.append("\n".join(reported))
    client = await Client.connect(direct)
    for side in (left, right):
        side.close()
        # Readers of all indices would find what they cannot read.
        for name in (side.index, f"{side.index}-n", f"{side.index}-r"):
            await client.ask(request(f"/{name}", "DELETE"))
    client.close()
    return different


@pytest.mark.timeout(600)
async def test_odd_bodies_without_a_pipeline(
    each_backend: EmbeddedCluster, start_on: StartOn
) -> None:
    """Status, header fields and body are the backend's, byte for byte."""
    server = await start_on(each_backend)
    assert server.address is not None
    direct = port_of(each_backend.url)
    await prepare(direct)
    print("seed", SEED)  # noqa: T201
    found = await differences(direct, server.address.port, some_calls(), identical)
    assert found == [], f"{len(found)} calls differ, seed {SEED}:\n" + "\n".join(found)


def as_good(call: Call, direct: Seen, proxied: Seen) -> bool:
    """Whether both have the same status, and what is no error the same value."""
    if direct.status != proxied.status:
        return False
    return direct.status >= 400 or same_response(direct, proxied)


@pytest.mark.timeout(600)
async def test_odd_bodies_with_pipelines(each_backend: EmbeddedCluster, start_on: StartOn) -> None:
    """With pipelines that change nothing the status is the backend's, and so are good responses."""
    server = await start_on(each_backend)
    assert server.address is not None
    direct, proxied = port_of(each_backend.url), server.address.port
    await prepare(direct)
    await attach(proxied, STATIC, "odd-p*")
    print("seed", SEED)  # noqa: T201
    odd = some_calls()
    if each_backend.options.distribution == "elasticsearch":
        # The distribution for tests cannot render templates.
        odd = [each for each in odd if "template" not in each[2].target]
    found = await differences(direct, proxied, odd, as_good)
    assert found == [], f"{len(found)} calls differ, seed {SEED}:\n" + "\n".join(found)
