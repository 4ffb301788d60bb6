"""Slow clients: how long one may keep a request waiting, in both directions."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Final

from proxy.config.client_settings import ClientSettings

# How much later than allowed a client that takes nothing is noticed, at most.
_LONGEST_LOOK: Final = 1.0


class Pace:
    """The seconds a client may still be waited for; one for each body, used while it comes.

    It begins with the grace, is used by waiting and filled again by what comes, never above the
    grace: so many bytes sent early are no leave to keep a request open for ever.
    """

    __slots__ = ("_grace", "_rate", "left")

    def __init__(self, patience: ClientSettings) -> None:
        self._rate = patience.client_min_rate
        self._grace = patience.client_grace
        self.left = patience.client_grace if patience.client_min_rate else float("inf")

    def moved(self, size: int, seconds: float) -> None:
        """`size` bytes came after waiting for `seconds`."""
        if self._rate:
            self.left = min(self.left - seconds + size / self._rate, self._grace)


class Outflow:
    """Watches a response that waits for its client to take it, from `begin` to `end`.

    `give_up` is called, once, with the reason where that takes longer than `patience` has.
    """

    def __init__(self, patience: ClientSettings, give_up: Callable[[str], None]) -> None:
        self._patience = patience
        self._give_up = give_up
        self._period = min(patience.write_timeout, patience.client_grace, 4 * _LONGEST_LOOK) / 4
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """The transport holds more than it likes; look from now on whether it goes away."""
        loop = asyncio.get_running_loop()
        self._transport = transport
        self._pace = Pace(self._patience)
        self._waiting = _unsent(transport)
        self._looked = self._moved = loop.time()
        self._timer = loop.call_later(self._period, self._look, loop)

    def end(self) -> None:
        """The client took it, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now, waiting = loop.time(), _unsent(self._transport)
        taken = max(self._waiting - waiting, 0)
        self._pace.moved(taken, now - self._looked)
        self._looked, self._waiting = now, waiting
        if taken:
            self._moved = now
        if now - self._moved >= self._patience.write_timeout:
            self._give_up(
                f"nothing was taken for {self._patience.write_timeout:g} s (write_timeout)"
            )
        elif self._pace.left <= 0:
            self._give_up(
                f"less than {self._patience.client_min_rate} bytes a second (client_min_rate)"
            )
        else:
            self._timer = loop.call_later(self._period, self._look, loop)


def _unsent(transport: asyncio.Transport) -> int:
    """The bytes of a response that the client's system has not confirmed yet.

    The system sends megabytes that this process is rid of; and it takes more only once a good part
    of those has gone, so that what waits here stands still while a client reads slowly.
    """
    waiting: int = transport.get_write_buffer_size()
    peer = transport.get_extra_info("socket")
    if peer is None:
        return waiting
    try:
        response = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        # Not a system that tells.
        return waiting
    return waiting + int(struct.unpack("i", response)[0])
