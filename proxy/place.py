"""Where a proxy stands among the worker processes of its host."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

from proxy.workers.board import Notices
from proxy.workers.share import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a worker is given by its supervisor; the default is a proxy on its own.

    `listeners` are the sockets to serve on: the main one, and administration's where that has its
    own; none: the settings say where. `folder` is where workers tell each other their figures.
    """

    notices: Notices = field(default_factory=Notices)
    share: Share = field(default_factory=Share)
    folder: Path | None = None
    listeners: tuple[socket.socket, ...] = ()
