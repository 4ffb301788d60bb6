"""Ports and answers."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from proxy.embedded import EmbeddedError
from proxy.embedded.ready import bound_port, health, require_free_port


@pytest.fixture
def serving() -> Iterator[Callable[[int, bytes], int]]:
    """Starts servers that give one response to everything, and returns their ports."""
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def serve(status: int, body: bytes) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return None

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return server.server_port

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_taken_port_is_reported_with_its_holder() -> None:
    """The message names the port, the process that listens there, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError) as caught:
            require_free_port(port, "port")
    message = str(caught.value)
    assert message.startswith(f"port {port} on 127.0.0.1 is taken by process {os.getpid()} (")
    assert "choose another port" in message


def test_a_port_taken_by_nobody_known_is_reported_all_the_same() -> None:
    """A port that is bound but not listened on has no holder to name."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"port {port} on 127.0.0.1 is taken: stop"):
            require_free_port(port, "port")


def test_a_free_port_passes(closed_port: int) -> None:
    """A port nobody holds is free, and 0 always is."""
    require_free_port(closed_port, "port")
    require_free_port(0, "port")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may bind every port")
def test_a_port_this_user_may_not_bind_is_reported() -> None:
    """Other refusals of the system are told as they are."""
    with pytest.raises(EmbeddedError, match=r"port 1 on 127\.0\.0\.1 cannot be used"):
        require_free_port(1, "port")


def test_the_ports_file_reports_the_port(tmp_path: Path) -> None:
    """The address of version 4 counts; before the node writes it there is none."""
    file = tmp_path / "http.ports"
    assert bound_port(file) is None
    file.write_text("[::1]:9201\n")
    assert bound_port(file) is None
    file.write_text("[::1]:9201\n127.0.0.1:9202\n")
    assert bound_port(file) == 9202


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, b'{"status": "green"}', "green"),
        (200, b'{"status": "red"}', "red"),
        (401, b"", "locked"),
        (503, b"{}", "HTTP 503"),
    ],
)
def test_health_is_read_from_the_response(
    serving: Callable[[int, bytes], int], status: int, body: bytes, state: str
) -> None:
    """A backend's own word, or the status it answers with."""
    assert health(serving(status, body), 10) == state


@pytest.mark.parametrize(
    ("body", "reported"), [(b"no json", "JSONDecodeError"), (b"{}", "KeyError")]
)
def test_a_response_that_is_none_is_reported(
    serving: Callable[[int, bytes], int], body: bytes, reported: str
) -> None:
    """Something else listening there does not count as a backend."""
    assert health(serving(200, body), 10).startswith(reported)


def test_no_response_is_reported(closed_port: int) -> None:
    """A refused connection is a reason, not an exception."""
    assert health(closed_port, 10).startswith("ConnectionRefusedError")
