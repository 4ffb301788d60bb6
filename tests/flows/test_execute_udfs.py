"""Trying UDFs that are given with the call and stored nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client
from tests.flows.trials import GROWS, query, refused, stage, tried

# UDFs that are stored nowhere


async def test_a_given_udf_is_run_and_stored_nowhere(proxy: Client, shop: str) -> None:
    """In place of the stored one, by a stored and by an inline pipeline; traffic has its own."""
    given = {"grows": {"source": "def query(request, context): return {**request, 'size': 7}"}}
    stored = await tried(proxy, "/_pipeline/grow/_execute", input={"size": 1}, udfs=given)
    assert stored["output"] == {"size": 7}
    assert (stored["stages"][0]["udf"], stored["stages"][0]["udf_given"]) == ("grows@1.0.0", True)
    inline = await tried(
        proxy, "/_pipeline/_execute", pipeline=query("grows"), input={"size": 1}, udfs=given
    )
    assert inline["output"] == {"size": 7}
    plain = await tried(proxy, "/_pipeline/grow/_execute", input={"size": 1})
    assert (plain["output"], plain["stages"][0]["udf_given"]) == ({"size": 2}, False)
    assert (await proxy.get("/_udf/grows")).data["source"] == GROWS
    assert (await proxy.get("/_udf/grows/_versions")).data["versions"] == ["1.0.0"]
    figures = (await proxy.get("/_pipeline/grow/_stats")).data
    assert figures["count"] == 0


async def test_a_given_udf_need_not_be_stored_at_all(proxy: Client, shop: str) -> None:
    """With its files; the name is free afterwards as before."""
    source = "def query(request, context): return {**request, 'size': int(resource('n.txt'))}"
    given = {"brand_new": {"source": source, "files": {"n.txt": "9"}, "version": "3.0.0"}}
    done = await tried(
        proxy, "/_pipeline/_execute", pipeline=query("brand_new"), input={}, udfs=given
    )
    assert (done["output"], done["stages"][0]["udf"]) == ({"size": 9}, "brand_new@3.0.0")
    assert (await proxy.get("/_udf/brand_new")).status == 404


@pytest.mark.parametrize(
    ("version", "pinned", "runs"),
    [
        (None, "latest", True),
        (None, "1.0.0", True),
        ("2.0.0", "latest", True),
        ("2.0.0", "2.0.0", True),
        ("2.0.0", "1.0.0", False),
        ("1.0.0", "1.0.0", True),
    ],
)
async def test_which_version_a_given_udf_stands_for(
    proxy: Client, shop: str, version: str | None, pinned: str, runs: bool
) -> None:
    """Its own and `latest`; without one, any. What nothing would run is told."""
    given: dict[str, Any] = {"source": "def query(request, context): return {'size': 7}"}
    if version is not None:
        given["version"] = version
    body = {
        "pipeline": {"type": "query", "stages": [stage("grows", udf_version=pinned)]},
        "input": {},
        "udfs": {"grows": given},
    }
    if runs:
        assert (await tried(proxy, "/_pipeline/_execute", **body))["output"] == {"size": 7}
    else:
        status, reason = await refused(proxy, "/_pipeline/_execute", **body)
        assert (status, reason.startswith("udfs.grows: no stage that is enabled")) == (400, True)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"grows": {"sourc": "x"}}, "udfs.grows.sourc: unknown key; did you mean source?"),
        ({"grows": {}}, "udfs.grows.source: required"),
        ({"grows": 3}, "udfs.grows: must be an object, not a number"),
        ({"grows": {"source": "def query(:"}}, "udfs.grows.source: UDF [grows@1.0.0]: cannot be"),
        ({"grows": {"source": "def query(r): return r"}}, "write `def query(request, context):`"),
        ({"grows": {"source": "x = 1"}}, "udfs.grows.source: defines none of udf_main()"),
        ({"grows": {"source": "# @udf: memory_mb=1\n" + GROWS}}, "udfs.grows.memory_mb: [1] is"),
        ({"a b": {"source": GROWS}}, "udfs.a b: [a b] must be 1 to 100 letters"),
        ({"grow": {"source": GROWS}}, "udfs.grow: no stage that is enabled runs it"),
    ],
)
async def test_given_udfs_are_checked_as_uploads_are(
    proxy: Client, shop: str, given: Any, reason: str
) -> None:
    """A 400 with the place in the body."""
    status, said = await refused(proxy, "/_pipeline/grow/_execute", input={}, udfs=given)
    assert (status, reason in said) == (400, True), said


async def test_what_is_tried_leaves_the_sandboxes_of_traffic_alone(
    proxy: Client, shop: str
) -> None:
    """None is made there, none is kept, and an endless one holds up nobody."""

    async def sandboxes() -> list[bytes]:
        lines = (await proxy.get("/_querymill/metrics")).body.splitlines()
        return [line for line in lines if line.startswith(b"querymill_sandbox")]

    before = await sandboxes()
    endless = "def query(request, context):\n    while True: pass"
    short = {"type": "query", "stages": [{**stage("grows"), "timeout_ms": 100}]}
    for n in range(3):
        given = {"grows": {"source": f"{GROWS}\n# {n}"}}
        await tried(proxy, "/_pipeline/grow/_execute", input={}, udfs=given)
        await tried(proxy, "/_pipeline/_execute", pipeline=query("grows"), input={})
        given = {"grows": {"source": f"{endless}\n# {n}"}}
        over = await tried(proxy, "/_pipeline/_execute", pipeline=short, input={}, udfs=given)
        assert over["stages"][0]["error"]["kind"] == "timeout"
    assert before
    assert await sandboxes() == before
