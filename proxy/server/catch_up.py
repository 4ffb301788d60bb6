"""What is asked before a request: whether other workers have told something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class CatchUp(Protocol):
    """Takes in what other workers have told; `due` says whether there is anything."""

    @property
    def due(self) -> Callable[[], bool]: ...

    async def __call__(self) -> None: ...
