"""How deep the stack is between a search and the sandbox that it runs in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import pytest

from pipelines.wasm.pool.inline import Paces
from pipelines.wasm.sandbox import Sandbox
from proxy.embedded import EmbeddedCluster
from tests.conftest import StartOn, connect

MOST: Final = 6
"""Frames of ours from the handler, which counts, to the sandbox, which does not."""
HANDLERS: Final = "proxy.handlers."
OURS: Final = ("proxy.", "pipelines.")


def module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def above(frame: FrameType) -> list[str]:
    """What stands above a run in a sandbox, up to the handler it is for."""
    found: list[str] = []
    caller = frame.f_back
    while caller is not None:
        if module(caller).startswith(OURS):
            found.append(f"{module(caller)}.{caller.f_code.co_qualname}")
        caller = caller.f_back
    handlers = [place for place, name in enumerate(found) if name.startswith(HANDLERS)]
    return found[: handlers[-1] + 1] if handlers else []


@contextmanager
def stacks() -> Iterator[list[list[str]]]:
    """Of each run in a sandbox on this thread."""
    found: list[list[str]] = []

    def called(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is Sandbox.run.__code__:
            found.append(above(frame))

    sys.setprofile(called)
    try:
        yield found
    finally:
        sys.setprofile(None)


async def test_a_warm_search_is_few_calls_above_its_sandbox(
    start_on: StartOn, opensearch: EmbeddedCluster, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame there is what every search pays for, and what a reader has to hold in mind."""
    async with connect(await start_on(opensearch)) as client:
        await client.define("one", "query", "def query(r, c): return {**r, 'size': 1}")
        await client.index(index_name, {"1": {}, "2": {}})
        await client.attach(index_name, query="one")
        search = f"/{index_name}/_search"
        assert len((await client.post(search, {})).ids) == 1
        # However busy this machine is, the warm sandbox runs where the request is.
        monkeypatch.setattr(Paces, "is_quick", lambda paces, key: True)
        with stacks() as found:
            assert len((await client.post(search, {})).ids) == 1
    (stack,) = found
    assert stack, "no handler stands above it"
    assert len(stack) <= MOST, "\n".join(stack)
