"""The command ends at once when it is told to, at any moment, and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.command import read_until, started, wait_until_gone

pytestmark = pytest.mark.timeout(120)

# What was wrong took 50 seconds; a busy machine may take several for what takes none.
AT_ONCE = 15.0
# What a worker without a supervisor may take, and as much again for a busy machine.
BOUNDED = 10.0
READY = r"querymill \S+ on 127\.0\.0\.1:(\d+), backend"


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a backend that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as backend:
        yield f"http://127.0.0.1:{backend.getsockname()[1]}"


@contextmanager
def serving(
    backend: str, folder: Path, *options: str, workers: int = 2
) -> Iterator[subprocess.Popen[str]]:
    """The command; what it puts into temporary files goes into `folder`."""
    arguments = ("--backend", backend, "--workers", str(workers), *options)
    with started(
        "serve", "--listen", "127.0.0.1:0", *arguments, env={"TMPDIR": str(folder)}
    ) as process:
        yield process


def ends(process: subprocess.Popen[str], number: signal.Signals, *codes: int) -> None:
    """Send the signal; the command has to be gone with one of the exit codes, and without words."""
    process.send_signal(number)
    _, text = process.communicate(timeout=AT_ONCE)
    wait_until_gone(process, AT_ONCE)
    assert process.returncode in codes
    assert "Traceback" not in text
    assert "Exception ignored" not in text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_live(port: int) -> None:
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/_querymill/livez")
            assert connection.getresponse().status == 200
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
        finally:
            connection.close()


@pytest.mark.parametrize("moment", [n / 10 for n in range(1, 21)])
def test_stopped_at_any_moment_of_the_start(silent: str, tmp_path: Path, moment: float) -> None:
    """However early, whatever the workers wait for: exit code 0 and nothing left.

    Before the interpreter runs any of our code the signal itself is what ends it.
    """
    with serving(silent, tmp_path) as process:
        time.sleep(moment)
        ends(process, signal.SIGTERM, 0, -signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("count", [1, 2])
def test_stopped_while_workers_start(
    silent: str, tmp_path: Path, number: signal.Signals, count: int
) -> None:
    """As soon as so many workers are there; the backend keeps them from being ready."""
    with serving(silent, tmp_path) as process:
        supervisor = psutil.Process(process.pid)
        while len(supervisor.children()) < count:
            time.sleep(0.001)
        ends(process, number, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.2, 1.0])
def test_stopped_as_soon_as_it_responds(tmp_path: Path, pause: float) -> None:
    """One worker that answers is enough to be stopped well, though another is still starting."""
    port = free_port()
    options = ("--listen", f"127.0.0.1:{port}")
    with serving("http://127.0.0.1:9", tmp_path, *options, workers=3) as process:
        wait_until_live(port)
        time.sleep(pause)
        ends(process, signal.SIGTERM, 0)


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_stopped_during_a_reload(tmp_path: Path, pause: float) -> None:
    """An idle client, whom a reload would wait for, and new workers that start hold nothing up."""
    with serving("http://127.0.0.1:9", tmp_path) as process:
        match = read_until(process, READY)
        with socket.create_connection(("127.0.0.1", int(match[1]))):
            process.send_signal(signal.SIGHUP)
            time.sleep(pause)
            ends(process, signal.SIGTERM, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_started_without_standard_streams(closed: str) -> None:
    """It serves as if they led nowhere."""
    port = free_port()
    serve = ("serve", "--backend", "http://127.0.0.1:9", "--listen", f"127.0.0.1:{port}")
    shell = ("sh", "-c", f'exec "$@" {closed}', "sh")
    command = (*shell, sys.executable, "-m", "proxy", *serve, "--workers", "1")
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            wait_until_live(port)
            process.send_signal(signal.SIGTERM)
            assert process.wait(AT_ONCE) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_reload_while_it_is_loading_does_not_end_it(tmp_path: Path) -> None:
    """SIGHUP before any setting is read asks for what comes anyway."""
    with serving("http://127.0.0.1:9", tmp_path) as process:
        while not _catches(process.pid, signal.SIGTERM):
            time.sleep(0.001)
        process.send_signal(signal.SIGHUP)
        read_until(process, READY)
        ends(process, signal.SIGTERM, 0)


def _catches(pid: int, number: signal.Signals) -> bool:
    words = Path(f"/proc/{pid}/status").read_text().split()
    return bool(int(words[words.index("SigCgt:") + 1], 16) >> (number - 1) & 1)


def test_a_reload_before_it_serves_does_not_end_it(tmp_path: Path) -> None:
    """SIGHUP while workers start is a reload; the command goes on."""
    with serving("http://127.0.0.1:9", tmp_path) as process:
        while not psutil.Process(process.pid).children():
            time.sleep(0.001)
        process.send_signal(signal.SIGHUP)
        read_until(process, "replacing the workers")
        ends(process, signal.SIGTERM, 0)


@pytest.mark.parametrize("command", ["serve", "prepare"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stopped_while_the_sandbox_is_built(
    tmp_path: Path, command: str, number: signal.Signals
) -> None:
    """The build ends with the command, also where that is killed; the next one begins anew."""
    cache, scratch = tmp_path / "cache", tmp_path / "scratch"
    scratch.mkdir()
    arguments = [command, "--cache-dir", str(cache)]
    arguments += ["--listen", "127.0.0.1:0"] if command == "serve" else []
    with started(*arguments, env={"TMPDIR": str(scratch)}) as process:
        read_until(process, "building the sandbox")
        while not psutil.Process(process.pid).children():
            time.sleep(0.001)
        time.sleep(0.3)
        if number == signal.SIGKILL:
            process.kill()
            wait_until_gone(process, BOUNDED)
            return
        ends(process, number, 0 if command == "serve" else 128 + number)
    assert list(scratch.iterdir()) == []
    assert [path.name for path in (cache / "sandbox").iterdir()] == ["build.lock"]


# The supervisor is killed


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_end_with_their_supervisor(tmp_path: Path, workers: int) -> None:
    """Killed, it takes them along; its address is free, and its folder gone, for the next one."""
    with serving("http://127.0.0.1:9", tmp_path, workers=workers) as process:
        port = int(read_until(process, READY)[1])
        with socket.create_connection(("127.0.0.1", port)):
            process.kill()
            _, text = process.communicate(timeout=BOUNDED)
            wait_until_gone(process, BOUNDED)
    assert text.count("the supervisor is gone; this worker ends") == workers
    assert "Traceback" not in text
    with socket.create_server(("127.0.0.1", port)):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_workers_that_start_end_with_their_supervisor(
    silent: str, tmp_path: Path, moment: float
) -> None:
    """Also those that had no time to notice anything yet."""
    with serving(silent, tmp_path) as process:
        while not psutil.Process(process.pid).children():
            time.sleep(0.001)
        time.sleep(moment)
        process.kill()
        wait_until_gone(process, BOUNDED)


@pytest.mark.parametrize("pause", [0.0, 0.2, 1.0])
def test_old_and_new_workers_end_with_their_supervisor(tmp_path: Path, pause: float) -> None:
    """Killed in the middle of a reload, which waits for an idle client."""
    with serving("http://127.0.0.1:9", tmp_path) as process:
        port = int(read_until(process, READY)[1])
        with socket.create_connection(("127.0.0.1", port)):
            process.send_signal(signal.SIGHUP)
            time.sleep(pause)
            process.kill()
            wait_until_gone(process, BOUNDED)
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_worker_that_stands_still_ends_with_its_supervisor(tmp_path: Path) -> None:
    """One that was stopped goes on only to end."""
    with serving("http://127.0.0.1:9", tmp_path) as process:
        read_until(process, READY)
        stopped = psutil.Process(process.pid).children()[0]
        stopped.suspend()
        process.kill()
        os.kill(stopped.pid, signal.SIGCONT)
        wait_until_gone(process, BOUNDED)
