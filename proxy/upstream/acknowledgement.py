"""Whether the other end of a connection still acknowledges what it is sent.

A peer that was turned off, or that a firewall has forgotten, says nothing, and neither does a busy
one. But the system of a busy peer acknowledges what arrives, as fast as the network allows, also
while the program there takes nothing. Linux tells how that stands; elsewhere nothing is known.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from typing import Final

# struct tcp_info of linux/tcp.h: eight bytes, then words; the rest is not looked at.
_INFO: Final = struct.Struct("8B13I")
_RETRANSMITS, _UNACKED, _LAST_ACK = 2, 8 + 4, 8 + 12
_OPTION: Final[int | None] = getattr(socket, "TCP_INFO", None)


# How the system asks a peer that owes a response: after half of the time, and then thrice.
_ASKS: Final = 3
_NAMES: Final = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")


class Acknowledgement:
    """Of one connection, looked at now and then while it is lent."""

    __slots__ = ("_transport", "_unsure_since")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._unsure_since = math.inf

    def ask(self, seconds: float) -> None:
        """Let the system ask the peer where nothing is sent, and end the connection after about
        that time (4 seconds at least) without an acknowledgement.
        """
        peer = self._transport.get_extra_info("socket")
        if peer is None or not all(hasattr(socket, name) for name in _NAMES):
            return
        times = (max(1, int(seconds / 2)), max(1, int(seconds / 2 / _ASKS)), _ASKS)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in zip(_NAMES, times, strict=True):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def begin(self) -> None:
        """What comes is another request."""
        self._unsure_since = math.inf

    def is_missing(self, now: float, seconds: float) -> bool:
        """Whether for so long what was sent is sent again and again, and nothing comes back.

        That is so since the look that first found it, unless something was acknowledged since.
        """
        repeated, silent = self._state()
        if not repeated:
            self._unsure_since = math.inf
            return False
        self._unsure_since = min(self._unsure_since, now)
        return now - self._unsure_since >= seconds and silent >= seconds

    def _state(self) -> tuple[bool, float]:
        """Whether something is sent again, and the seconds since the last acknowledgement."""
        peer = self._transport.get_extra_info("socket")
        if _OPTION is None or peer is None or self._transport.is_closing():
            return False, 0.0
        try:
            words = _INFO.unpack(peer.getsockopt(socket.IPPROTO_TCP, _OPTION, _INFO.size))
        except (OSError, ValueError, struct.error):
            # It was closed just now, or the system tells less.
            return False, 0.0
        repeated = words[_RETRANSMITS] > 0 and words[_UNACKED] > 0
        return repeated, words[_LAST_ACK] / 1000
