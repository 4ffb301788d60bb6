"""A Maven repository of our own on the loopback, filled by the tests."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from proxy.embedded.artifacts import Artifact


class Repository(ThreadingHTTPServer):
    """Serves the files put into it, counts what was asked, and breaks off where it is told to.

    cut: send only so many bytes of a path; claimed: tell another length than the real one.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.cut: dict[str, int] = {}
        self.claimed: dict[str, int] = {}
        # Where set, a response waits for it, so that two askers can meet.
        self.gate: threading.Event | None = None
        self.arrived = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, artifact: Artifact, body: bytes, *, sha1: str | None = None) -> str:
        """Publish a file with its checksum (a wrong one if given), and return its path."""
        path = f"/{artifact.folder.as_posix()}/{artifact.filename}"
        self.files[path] = body
        reported = sha1 or hashlib.sha1(body).hexdigest()
        self.files[f"{path}.sha1"] = f"{reported}  {artifact.filename}\n".encode()
        return path


class _Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        repository = self.server
        repository.asked[self.path] += 1
        repository.arrived.set()
        if repository.gate is not None:
            repository.gate.wait(30)
        body = repository.files.get(self.path)
        self.send_response(404 if body is None else 200)
        body = body or b""
        self.send_header("Content-Length", str(repository.claimed.get(self.path, len(body))))
        self.end_headers()
        self.wfile.write(body[: repository.cut.get(self.path, len(body))])

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def serving() -> Iterator[Repository]:
    """A repository that answers until the end of the block."""
    with Repository() as repository:
        thread = threading.Thread(target=repository.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield repository
        finally:
            repository.shutdown()
            thread.join()


def configure(folder: Path, url: str) -> Path:
    """A configuration file of jgo's that names `url` in the place of Maven Central."""
    file = folder / "jgo.conf"
    file.write_text(f"[repositories]\ncentral = {url}\n")
    return file
