"""Before each request: take in what another worker has told its client is in force."""

from __future__ import annotations

import asyncio

from proxy.backend.resolver import Resolver
from proxy.control.definitions import Definitions
from proxy.workers.board import Notices


class Sync:
    """Reads the store again, or forgets what names mean, when another worker has changed them."""

    def __init__(self, notices: Notices, definitions: Definitions, resolver: Resolver) -> None:
        self._notices = notices
        self._definitions = definitions
        self._resolver = resolver
        self._reading = asyncio.Lock()
        self.due = notices.unread
        """Whether there is anything to take in; the call itself, as each request makes it."""

    async def __call__(self) -> None:
        """Take it in; requests that come meanwhile wait for the same reading."""
        async with self._reading:
            if not self._notices.unread():
                return
            look = self._notices.look()
            self._resolver.forget()
            if "definitions" in look.kinds:
                await self._definitions.look()
                if self._definitions.problem:
                    # The store cannot be read just now: the next request tries again.
                    return
            self._notices.done(look)
