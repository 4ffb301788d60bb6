"""The differential tests run on the event loop the proxy runs on."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """uvloop and nothing else."""
    return {"uvloop": uvloop.new_event_loop}
