"""The command line: options from the table, one-line errors, clean ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy import __version__
from proxy.cli.commands import main
from proxy.config.settings import SETTINGS
from tests.command import read_until, started


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_version() -> None:
    """--version names the release."""
    assert CliRunner().invoke(main, ["--version"]).output.strip().endswith(__version__)


def test_every_setting_is_in_the_help() -> None:
    """The help of serve has each setting's option and variable, but no option for secrets."""
    text = CliRunner().invoke(main, ["serve", "--help"], terminal_width=300).output
    for setting in SETTINGS:
        assert (f"{setting.option} " in text) == setting.on_command_line
        assert (setting.env in text) == setting.on_command_line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "localhost:9200"], "--backend: expected a backend URL"),
        (["--listen", "nowhere"], "--listen: expected HOST:PORT"),
        (["--sandbox-threads", "0"], "--sandbox-threads: expected a value from 1 to 64"),
        (["--config", "/nowhere.toml"], "/nowhere.toml: cannot be read"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_wrong_settings(arguments: list[str], message: str) -> None:
    """A wrong setting is exit code 2 and a line that names it."""
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-such-option"], "No such option '--no-such-option'; see querymill serve --help"),
        (["--listen"], "Option '--listen' requires an argument; see querymill serve --help"),
        (["more"], "Got unexpected extra argument (more); see querymill serve --help"),
        (["--config", "."], "is a directory; see querymill serve --help"),
        (["--sandbox-threads", "0"], "--sandbox-threads: expected a value from 1 to 64"),
    ],
)
@pytest.mark.parametrize("in_environment", [True, False])
def test_a_wrong_command_line_where_lines_are_json(
    arguments: list[str], message: str, in_environment: bool
) -> None:
    """It is one log line, whether that is said on the line or in the environment."""
    env = {"QUERYMILL_LOG_FORMAT": "json"} if in_environment else {}
    option = [] if in_environment else ["--log-format=json"]
    result = CliRunner().invoke(main, ["serve", *option, *arguments], env=env)
    assert result.exit_code == 2
    reported = json.loads(result.output)
    assert reported["level"] == "error"
    assert message in reported["event"]


def test_wrong_variable() -> None:
    """A wrong environment variable is named too."""
    result = CliRunner().invoke(main, ["serve"], env={"QUERYMILL_LISTEN": "x"})
    assert result.exit_code == 2
    assert "QUERYMILL_LISTEN: expected HOST:PORT" in result.output


@pytest.mark.parametrize("command", ["serve", "prepare", "cluster", "demo"])
def test_unknown_variable(command: str) -> None:
    """Every command refuses a variable that is none of ours, before it does anything."""
    result = CliRunner().invoke(main, [command], env={"QUERYMILL_BACKND": "http://x"})
    assert result.exit_code == 2
    assert "QUERYMILL_BACKND: no such environment variable; did you mean" in result.output


def test_file_named_in_the_environment(tmp_path: Path) -> None:
    """QUERYMILL_CONFIG stands for --config."""
    path = tmp_path / "config.toml"
    path.write_text('compat = "maybe"\n')
    result = CliRunner().invoke(main, ["serve"], env={"QUERYMILL_CONFIG": str(path)})
    assert result.exit_code == 2
    assert f"{path}: compat: expected one of auto, off" in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_reported_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """serve says where it listens, answers, and ends with 0 when it is told to."""
    config = tmp_path / "config.toml"
    config.write_text('backend = "http://127.0.0.1:9"\nlog_format = "json"\n')
    with started("serve", "--listen", "127.0.0.1:0", "--config", str(config)) as process:
        match = read_until(process, r"querymill \S+ on 127\.0\.0\.1:(\d+), backend http://127")
        connection = http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=30)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert (response.status, b"backend_unreachable" in response.read()) == (502, True)
        process.send_signal(number)
        _, rest = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in rest
        connection.close()


def test_serve_on_a_taken_port(taken_port: int) -> None:
    """A taken port is exit code 1 and one line that names the address."""
    with started("serve", "--listen", f"127.0.0.1:{taken_port}", "--log-level", "error") as process:
        _, text = process.communicate(timeout=50)
        assert process.returncode == 1
        (line,) = text.strip().splitlines()
        assert line.startswith(f"querymill: cannot listen on 127.0.0.1:{taken_port}: ")


def test_serve_without_a_usable_cache_folder(tmp_path: Path) -> None:
    """A cache folder that cannot be one is exit code 1, and is named."""
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    with started("serve", "--cache-dir", str(blocker), "--listen", "127.0.0.1:0") as process:
        _, text = process.communicate(timeout=50)
        assert process.returncode == 1
        assert str(blocker) in text
        assert "Traceback" not in text


def test_cluster_on_a_taken_port(taken_port: int) -> None:
    """cluster refuses a taken port before it downloads or starts anything."""
    result = CliRunner().invoke(main, ["cluster", "--port", str(taken_port)])
    assert result.exit_code == 1
    assert str(taken_port) in result.output


def test_cluster_with_a_wrong_version() -> None:
    """A version that is none is exit code 1 and said in words."""
    result = CliRunner().invoke(main, ["cluster", "--version", "latest"])
    assert result.exit_code == 1
    assert "version 'latest'" in result.output


@pytest.mark.timeout(240)
def test_cluster_until_interrupted() -> None:
    """cluster says where the backend answers, and takes it along when it is interrupted."""
    with started("cluster", "--port", "0", "--heap-mb", "256") as process:
        match = read_until(process, r"opensearch \S+ on http://127\.0\.0\.1:(\d+)")
        connection = http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "stopped" in rest
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(match[1])))
