"""What the command writes, from its first line to its last: in one format, and in one line."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from tests.command import read_until, started
from tests.documents import ROOT

pytestmark = pytest.mark.timeout(240)

NOBODY = ("--backend", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--workers", "2")
READY = r"querymill \S+ on 127\.0\.0\.1:(\d+)(?:, administration on 127\.0\.0\.1:(\d+))?, backend"


def lines_of(text: str) -> list[dict[str, Any]]:
    """The lines, each of which has to be an object with a time and a level."""
    lines = [orjson.loads(line) for line in text.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    return lines


def test_every_line_is_json(tmp_path: Path) -> None:
    """Start, a killed worker, a reload that fails and one that works, the end."""
    config = tmp_path / "config.toml"
    config.write_text('log_format = "json"\n')
    seen = ""
    with started("serve", "--config", str(config), *NOBODY) as process:
        assert process.stderr is not None

        def until(words: str) -> None:
            nonlocal seen
            for line in process.stderr or ():
                seen += line
                if re.search(words, line):
                    return
            raise AssertionError(words)

        until(READY)
        psutil.Process(process.pid).children()[0].kill()
        until("a worker died and is replaced")
        config.write_text('log_format = "json"\nsandbox_threads = 0\n')
        process.send_signal(signal.SIGHUP)
        until("the old ones stay")
        config.write_text('log_format = "json"\nlog_level = "warning"\n')
        process.send_signal(signal.SIGHUP)
        until("the store cannot be read")
        process.send_signal(signal.SIGTERM)
        seen += process.communicate(timeout=60)[1]
    events = [line["event"] for line in lines_of(seen)]
    assert re.match(READY, next(event for event in events if event.startswith("querymill")))
    assert "replacing the workers" not in events[: events.index("a worker died and is replaced")]
    assert any("SIGKILL" in event for event in events)


def test_a_reload_changes_the_format(tmp_path: Path) -> None:
    """Lines written after it are in the new one; a reload that fails changes nothing."""
    config = tmp_path / "config.toml"
    config.write_text('log_format = "console"\n')
    with started("serve", "--config", str(config), *NOBODY) as process:
        read_until(process, READY)
        config.write_text('log_format = "json"\nlog_level = "loud"\n')
        process.send_signal(signal.SIGHUP)
        read_until(process, r"\[error +\] the settings cannot be used; the old ones stay")
        blocker = tmp_path / "file"
        blocker.write_text("in the way")
        config.write_text(f'log_format = "json"\ncache_dir = "{blocker}"\n')
        process.send_signal(signal.SIGHUP)
        read_until(process, rf"\[error +\] the settings cannot be used.*{blocker}")
        config.write_text('log_format = "json"\n')
        process.send_signal(signal.SIGHUP)
        match = read_until(process, r"^(\{.*replacing the workers.*\})$")
        assert orjson.loads(match[1])["workers"] == 2


@pytest.mark.parametrize("where", ["option", "environment", "file"])
@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        (["--sandbox-threads", "0"], 2, "--sandbox-threads: expected"),
        (["--listen", "taken"], 1, "cannot listen on"),
        (["--cache-dir", "blocked"], 1, "cannot be used"),
    ],
)
def test_an_error_that_ends_the_command_is_json(
    tmp_path: Path, where: str, wrong: list[str], code: int, words: str
) -> None:
    """One line in the format that was asked for, wherever that was."""
    (tmp_path / "blocked").write_text("in the way")
    config = tmp_path / "config.toml"
    config.write_text('log_format = "json"\n' if where == "file" else "")
    arguments = ["--config", str(config), *NOBODY]
    arguments += ["--log-format", "json"] if where == "option" else []
    env = {"QUERYMILL_LOG_FORMAT": "json"} if where == "environment" else {}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = {"taken": f"127.0.0.1:{taken.getsockname()[1]}", "blocked": f"{tmp_path}/blocked"}
        arguments += [place.get(argument, argument) for argument in wrong]
        with started("serve", *arguments, env=env) as process:
            _, text = process.communicate(timeout=60)
    (line,) = lines_of(text)
    assert (process.returncode, line["level"]) == (code, "error")
    assert words in line["event"]


def test_building_the_sandbox_is_reported_in_json(tmp_path: Path) -> None:
    """Each step is a line."""
    arguments = (*NOBODY, "--log-format", "json", "--cache-dir", str(tmp_path / "cache"))
    with started("serve", *arguments) as process:
        match = read_until(process, r"^(.*building the sandbox.*)$")
        process.send_signal(signal.SIGTERM)
    assert lines_of(match[1])[0]["level"] == "info"


# One line


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """A disk with so much room; skips where there is no right to mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("there is no right to mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def said(*arguments: str, **env: str) -> tuple[int, str]:
    """The exit code and the last line; no line may be of a traceback."""
    with started(*arguments, env=env) as process:
        _, text = process.communicate(timeout=200)
    assert "Traceback" not in text
    assert '  File "' not in text
    return process.returncode, text.splitlines()[-1]


@pytest.mark.parametrize("size", ["64k", "1m"])
def test_a_full_disk(tmp_path: Path, size: str) -> None:
    """Of the cache or of temporary files: one line that says what is missing and where."""
    disk = tmp_path / "disk"
    with mounted(disk, size):
        code, line = said("prepare", "--cache-dir", str(disk / "cache"))
        assert (code, "No space left on device" in line) == (1, True)
        assert "it needs some 60 MB" in line
        code, line = said("prepare", "--cache-dir", str(tmp_path / "cache"), TMPDIR=str(disk))
        assert (code, "it needs some 60 MB" in line) == (1, True)


def test_a_read_only_disk(tmp_path: Path) -> None:
    """A cache folder that cannot be made is named."""
    disk = tmp_path / "disk"
    with mounted(disk, "1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for command in (["prepare"], ["serve", *NOBODY]):
            code, line = said(*command, "--cache-dir", str(disk / "cache"))
            assert (code, f"{disk}/cache" in line) == (1, True)
            assert "Read-only file system" in line
            assert "name another" in line


@pytest.mark.parametrize("kind", ["folder", "binary", "missing"])
def test_a_file_of_settings_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """It is named, and so is the option."""
    path = tmp_path / "config"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    code, line = said("serve", "--config", str(path))
    assert (code, "config" in line) == (2, True)


# Health


def test_the_health_check_of_the_image(tmp_path: Path) -> None:
    """With an address for administration both respond; the rest of it is on one alone."""
    with started("serve", *NOBODY, "--admin-listen", "127.0.0.1:0") as process:
        match = read_until(process, READY)
        for port in map(int, match.groups()):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/_querymill/livez")
            assert connection.getresponse().status == 200
            connection.close()
        listen = f"0.0.0.0:{match[1]}"
        # Its backend is not there, so it is not ready, which is a response all the same.
        assert check(listen) == 1
    assert check(listen) == 1
    assert check("nowhere") == 2


def check(listen: str) -> int:
    """Run what the Dockerfile has for it, beside a proxy in the environment that is no use."""
    (command,) = re.findall(r"HEALTHCHECK.*\\\n +CMD (\[.*\])", (ROOT / "Dockerfile").read_text())
    program, *arguments = orjson.loads(command)
    assert program.endswith("/python")
    assert shlex.join(arguments) in (ROOT / "docker-compose.yml").read_text().replace('", "', " ")
    env = os.environ | {"QUERYMILL_LISTEN": listen, "http_proxy": "http://127.0.0.1:9"}
    run = subprocess.run([sys.executable, *arguments], env=env, cwd=ROOT, check=False, timeout=60)
    return run.returncode
