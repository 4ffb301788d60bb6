"""When a port is free, and when a node answers on it."""

from __future__ import annotations

import errno
import http.client
import json
import socket
from pathlib import Path

import psutil

from proxy.embedded.errors import EmbeddedError

HOST = "127.0.0.1"
READY = frozenset({"green", "yellow", "locked"})


def require_free_port(port: int, option: str) -> None:
    """Raise EmbeddedError when something listens on the port; 0, any free one, always passes."""
    if port == 0:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A port that was just let go of is free, though the kernel still remembers it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise EmbeddedError(
                    f"{option} {port} on {HOST} cannot be used: {error.strerror}; "
                    "choose another, above 1023"
                ) from error
            raise EmbeddedError(
                f"{option} {port} on {HOST} is taken{_holder(port)}: "
                "stop what listens there, or choose another port"
            ) from error


def _holder(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port
        ]
        pid = next(pid for pid in listening if pid is not None)
        return f" by process {pid} ({psutil.Process(pid).name()})"
    except (psutil.Error, StopIteration):
        return ""


def bound_port(ports_file: Path) -> int | None:
    """The HTTP port on 127.0.0.1 a node tells in its ports file, None before it does."""
    try:
        lines = ports_file.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    for line in lines:
        address, _, port = line.rpartition(":")
        if address == HOST:
            return int(port)
    return None


def health(port: int, timeout: float) -> str:
    """The cluster's health: `green`, `yellow` or `red`, or why there is no response.

    Every primary shard is there from `yellow` on. `locked` is a backend that is up and wants
    credentials, which only settings of the caller's own can bring about.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", "/_cluster/health")
        response = connection.getresponse()
        body = response.read()
        if response.status == 401:
            return "locked"
        if response.status != 200:
            return f"HTTP {response.status}"
        status = json.loads(body)["status"]
        return str(status)
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
