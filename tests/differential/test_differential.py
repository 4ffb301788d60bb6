"""No client can tell: thousands of random calls, direct and through the proxy, on both backends."""

from __future__ import annotations

import pytest

from proxy.embedded import EmbeddedCluster
from tests.conftest import StartOn
from tests.differential.compare import CALLS, SEED, compare, port_of, prepare


@pytest.mark.timeout(300)
async def test_without_a_pipeline(each_backend: EmbeddedCluster, start_on: StartOn) -> None:
    """Status, body and header fields are the same, byte for byte, but for times and made-up ids."""
    # Where nodes are listed the proxy names itself, so it has the backend's name here.
    server = await start_on(each_backend, public_address=each_backend.url.removeprefix("http://"))
    assert server.address is not None
    direct = port_of(each_backend.url)
    await prepare(direct)
    report = await compare(direct, server.address.port, seed=SEED, count=CALLS)
    assert report.different == [], str(report)
    # The calls are of all kinds, and enough of them are answered with more than an error.
    assert report.calls >= CALLS
    assert report.statuses[200] + report.statuses[201] > CALLS / 5
    assert {400, 404, 405, 406, 409} <= set(report.statuses)
