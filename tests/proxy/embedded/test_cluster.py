"""Real nodes: they answer, they go with their caller, and they say what went wrong."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from proxy.embedded import ClusterOptions, EmbeddedCluster, EmbeddedError
from proxy.embedded.account import service_account
from proxy.embedded.distributions import MODULES
from proxy.embedded.errors import JavaUnfit
from proxy.embedded.java import JavaNeeds, candidates, find_java
from tests.proxy.embedded.processes import group_members, unmeasured, until

# The first run downloads, and the machine may have other work to do.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[3]

# Starts a cluster, tells its process as soon as it has one, and goes on to wait for it.
CALLER = """
import json
from contextlib import contextmanager
from proxy.embedded import ClusterOptions, EmbeddedCluster, Silent, exit_on_signals

class Telling(Silent):
    @contextmanager
    def bar(self, title, total, unit):
        if unit == "seconds":
            told = {"node": cluster.pid, "folder": str(cluster.log_path.parent)}
            print(json.dumps(told), flush=True)
        yield lambda amount: None

cluster = EmbeddedCluster(ClusterOptions(port=0), progress=Telling())
with exit_on_signals(), cluster:
    cluster.wait()
"""


def call(cluster: EmbeddedCluster, method: str, path: str, body: object = None) -> Any:
    """Ask the backend, and return the JSON of its response."""
    address = cluster.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        given = None if body is None else json.dumps(body)
        connection.request(method, path, given, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        assert response.status < 300, text
        return json.loads(text)
    finally:
        connection.close()


def machine_has_a_full_java() -> bool:
    """Whether Elasticsearch can run here."""
    needs = JavaNeeds(lowest=21, highest=None, modules=MODULES)
    try:
        return bool(find_java(candidates(os.environ, "ES_JAVA_HOME"), needs, service_account()))
    except JavaUnfit:
        return False


@pytest.fixture
def cluster(opensearch: EmbeddedCluster) -> EmbeddedCluster:
    """The OpenSearch of the whole session, for the tests that do it no harm."""
    return opensearch


def test_it_is_the_version_asked_for(cluster: EmbeddedCluster, index_name: str) -> None:
    """A real OpenSearch answers at its address, and is ready for writing at once."""
    assert call(cluster, "GET", "/")["version"]["number"] == "3.8.0"
    assert call(cluster, "PUT", f"/{index_name}")["acknowledged"]
    call(cluster, "PUT", f"/{index_name}/_doc/1?refresh=true", {"title": "red shoes"})
    found = call(cluster, "GET", f"/{index_name}/_search?q=title:shoes")
    assert found["hits"]["total"]["value"] == 1
    call(cluster, "DELETE", f"/{index_name}")


def test_it_does_not_run_as_root(cluster: EmbeddedCluster) -> None:
    """Whoever started it; only the loopback is listened on."""
    process = psutil.Process(cluster.pid)
    assert process.uids().real != 0
    assert {connection.laddr.ip for connection in process.net_connections("tcp4")} <= {"127.0.0.1"}


def test_its_log_can_be_read_while_it_runs(cluster: EmbeddedCluster) -> None:
    """It tells of the start."""
    assert "started" in cluster.log_path.read_text()


def test_waiting_is_bounded(cluster: EmbeddedCluster) -> None:
    """While it runs, a wait with a timeout ends with False."""
    assert cluster.wait(0.01) is False


def test_one_object_is_one_node(cluster: EmbeddedCluster) -> None:
    """A second start is refused, and the first node goes on."""
    with pytest.raises(EmbeddedError, match="already running: stop it first"):
        cluster.start()
    assert call(cluster, "GET", "/_cluster/health")["status"] in ("green", "yellow")


@pytest.mark.parametrize("option", ["port", "transport_port"])
def test_a_taken_port_is_reported_before_anything_starts(
    cluster: EmbeddedCluster, option: str
) -> None:
    """The process that holds it is named."""
    port = int(cluster.url.rpartition(":")[2])
    chosen: dict[str, Any] = {"port": 0, option: port}
    with pytest.raises(EmbeddedError, match=rf"{port} on 127\.0\.0\.1 is taken by process \d+"):
        EmbeddedCluster(ClusterOptions(**chosen)).start()


def test_a_node_that_dies_while_starting_shows_its_last_lines() -> None:
    """The setting that is wrong is among them, and start fails at once, not at its timeout."""
    options = ClusterOptions(port=0, extra_settings={"node.attr.zone": ""}, start_timeout=500)
    cluster = EmbeddedCluster(options)
    with pytest.raises(EmbeddedError) as caught:
        cluster.start()
    message = str(caught.value)
    assert "OpenSearch 3.8.0 ended while starting (exit code " in message
    assert "setting [node.attr.zone] must not be empty" in message
    with pytest.raises(EmbeddedError, match="is not running"):
        _ = cluster.pid
    assert cluster.wait() is True


def test_a_node_that_is_not_ready_in_time_is_stopped() -> None:
    """The last thing seen is told."""
    with pytest.raises(EmbeddedError, match=r"was not ready after 1 s \(last seen: no answer"):
        EmbeddedCluster(ClusterOptions(port=0, start_timeout=1)).start()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_caller_that_goes_takes_everything_along(sign: signal.Signals) -> None:
    """Killed, interrupted or asked to end in the middle of a start: no process, no folder."""
    with subprocess.Popen(
        [sys.executable, "-c", CALLER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=unmeasured() if sign == signal.SIGKILL else None,
    ) as caller:
        assert caller.stdout is not None
        reported = json.loads(caller.stdout.readline())
        assert group_members(reported["node"])
        caller.send_signal(sign)
        expected = {signal.SIGTERM: 143, signal.SIGHUP: 129}.get(sign, -sign)
        assert caller.wait(60) == expected
    until(lambda: not group_members(reported["node"]), "the node lives on")
    until(lambda: not Path(reported["folder"]).exists(), "its folder is still there")


def test_the_bundled_java_runs_it_and_a_crash_is_reported(open_folder: Path) -> None:
    """Indices and the Thai analyzer work without a Java on the machine; data stays in its folder;
    a node that is killed ends the wait of its caller with what happened.
    """
    options = ClusterOptions(port=0, java="bundled", data_dir=open_folder / "kept")
    with EmbeddedCluster(options) as cluster:
        assert "java-" in psutil.Process(cluster.pid).exe()
        call(cluster, "PUT", "/fine/_doc/1", {"title": "shoes"})
        asked = {"analyzer": "thai", "text": "การที่ได้ต้องแสดงว่างานดี"}
        tokens = call(cluster, "POST", "/_analyze", asked)["tokens"]
        assert [token["token"] for token in tokens] == ["แสดง", "งาน", "ดี"]
        os.kill(cluster.pid, signal.SIGKILL)
        with pytest.raises(EmbeddedError, match=r"has ended by itself \(killed by signal 9\)"):
            cluster.wait(60)
    assert (open_folder / "kept" / "backend.log").exists()
    assert any((open_folder / "kept" / "data").iterdir())


@pytest.mark.skipif(not machine_has_a_full_java(), reason="needs a full JDK 21 or newer")
def test_elasticsearch_runs_too() -> None:
    """Its launcher and its server both end, and a stop from elsewhere ends a wait."""
    with EmbeddedCluster(ClusterOptions(port=0, distribution="elasticsearch")) as cluster:
        group = cluster.pid
        call(cluster, "PUT", "/fine/_doc/1?refresh=true", {"title": "shoes"})
        assert call(cluster, "GET", "/fine/_search")["hits"]["total"]["value"] == 1
        assert len(group_members(group)) >= 1
        ended: list[bool] = []
        waiting = threading.Thread(target=lambda: ended.append(cluster.wait(60)))
        waiting.start()
        cluster.stop()
        waiting.join(60)
        assert ended == [True]
        assert group_members(group) == []
