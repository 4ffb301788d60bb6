"""Where a proxy stands among the worker processes of its host."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path

from proxy.workers.board import Notices
from proxy.workers.share import Share


def new_name() -> str:
    """A name for the processes of one proxy that no other proxy has."""
    return f"querymill-{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a worker is given by its supervisor; the default is a proxy on its own.

    `listeners` are the sockets to serve on: the main one, and administration's where that has its
    own; none: the settings say where. `name` is that of all its processes in the field Via.
    `folder` is where workers tell each other their figures.
    """

    notices: Notices = field(default_factory=Notices)
    share: Share = field(default_factory=Share)
    name: str = field(default_factory=new_name)
    folder: Path | None = None
    listeners: tuple[socket.socket, ...] = ()
