"""Log lines: one object a line for machines, readable ones for people; other libraries' too."""

from __future__ import annotations

import errno
import io
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import orjson
import pytest
import structlog

from pipelines.execution.log_limit import LogLimit
from proxy.telemetry import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines() -> None:
    """A line is one JSON object with level, time and fields; a traceback is text in it."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    log = structlog.get_logger("x")
    log.debug("hidden")
    log.info("shown", count=3, odd={1, 2})
    try:
        raise ValueError("broken")
    except ValueError as exc:
        log.error("failed", exc_info=exc)
    first, second = map(orjson.loads, stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["count"]) == ("shown", "info", 3)
    assert first["timestamp"].endswith("Z")
    assert "ValueError: broken" in second["exception"]


def test_libraries_log_the_same_way() -> None:
    """The standard library's loggers write the same lines, from warning on."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    logging.getLogger("some.library").info("hidden")
    logging.getLogger("some.library").warning("shown %s", 1)
    (line,) = map(orjson.loads, stream.getvalue().splitlines())
    assert (line["event"], line["level"]) == ("shown 1", "warning")


def test_console_lines() -> None:
    """For people a line is text, without colours where there is no terminal."""
    stream = io.StringIO()
    logs.configure("warning", "console", stream)
    structlog.get_logger("x").info("hidden")
    structlog.get_logger("x").warning("shown", count=3)
    assert "shown" in stream.getvalue()
    assert "count=3" in stream.getvalue()
    assert "hidden" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


NASTY = "a\x1b[31m\x00\r\n\x85\x9b\u2028\u202e\ud800b"


@pytest.mark.parametrize("format", ["json", "console"])
def test_nothing_but_text_reaches_the_stream(format: str) -> None:
    """Names and values of clients and UDFs, exceptions and what libraries say, in both formats."""
    stream = io.StringIO()
    logs.configure("info", format, stream)
    log = structlog.get_logger("x")
    log.info(NASTY, index=NASTY, many=[NASTY], **{NASTY: NASTY})
    log.warning("run failed", pipeline="p", detail=f"Traceback:\n  File\n{NASTY}")
    try:
        raise ValueError(NASTY)
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("%s", NASTY)
    text = stream.getvalue()
    for line in text.split("\n"):
        assert line.isprintable()
        assert line.isascii()
    if format == "json":
        first, second, third, fourth = map(orjson.loads, text.encode().splitlines())
        assert first["event"].startswith("a\x1b")
        assert second["detail"].startswith("Traceback:\n  File\na\x1b")
        assert "ValueError: a\x1b" in third["exception"]
        assert "ValueError: a\x1b" in fourth["exception"]
    else:
        entries = [line for line in text.split("\n") if line and not line.startswith("    ")]
        assert len(entries) == 4
        assert "\n      File\n    a\\x1b[31m\\x00" in text
        assert "index='a\\x1b[31m\\x00\\r\\n\\x85\\x9b\\u2028\\u202e\\ud800b'" in text


@pytest.mark.parametrize("format", ["json", "console"])
def test_long_values_are_cut(format: str) -> None:
    """A line is bounded whatever its values are; the end of a traceback is kept."""
    stream = io.StringIO()
    logs.configure("info", format, stream, max_value=100)
    structlog.get_logger("x").info("e" * 9000, a="x" * 9000, b=["y" * 9000])
    assert len(stream.getvalue()) < 1000
    assert "[8900 characters more]" in stream.getvalue()
    try:
        raise ValueError("v" * 9000 + "the end")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert len(stream.getvalue()) < 2000
    assert "the end" in stream.getvalue()


def test_one_kind_of_line_does_not_drown_the_others() -> None:
    """So many a second of each; the next one tells what was left out. Pipelines have their own."""
    now = 0.0
    stream = io.StringIO()
    logs.configure("info", "json", stream, limit=LogLimit(2, 0, lambda: now))
    log = structlog.get_logger("x")
    for _ in range(100):
        log.warning("request failed")
        logging.getLogger("library").warning("other")
        log.warning("run failed", pipeline="p")
    now = 1.0
    log.warning("request failed")
    log.warning("request failed")
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    events = [line["event"] for line in lines]
    assert (events.count("request failed"), events.count("other")) == (12, 10)
    assert events.count("run failed") == 100
    assert [line.get("left_out") for line in lines[-2:]] == [90, None]


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_stream_that_fails_fails_nothing() -> None:
    """A full disk, a reader that is gone, or a closed stream lose the line and no more."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, Full()):
        logs.configure("info", "json", stream)
        structlog.get_logger("x").info("lost")
        logging.getLogger("library").warning("lost")


def test_a_record_whose_arguments_do_not_fit() -> None:
    """A library's mistake is still a line."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logging.getLogger("library").warning("%d of %d", "x")
    assert "%d of %d ('x',)" in orjson.loads(stream.getvalue())["event"]


def test_what_is_wanted_at_every_level() -> None:
    """That the command serves, or ends, is said however little else is."""
    stream = io.StringIO()
    logs.configure("error", "json", stream)
    logs.say("serves")
    logs.say_error("ends")
    levels = [orjson.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert levels == ["info", "error"]


def _pipe() -> tuple[int, int]:
    return os.pipe()


def _socket_pair() -> tuple[int, int]:
    reader, writer = socket.socketpair()
    return reader.detach(), writer.detach()


@pytest.mark.parametrize("pair", [_pipe, _socket_pair])
def test_a_reader_that_stops_holds_up_nobody(pair: Callable[[], tuple[int, int]]) -> None:
    """Lines without room are lost whole and counted; what was begun is ended, all else goes on."""
    reader, writer = pair()
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream:
        logs.configure("info", "json", stream, limit=LogLimit(0, 0))
        log = structlog.get_logger("x")
        for number in range(2000):
            log.info("line", number=number, more="x" * 1000)
        assert os.get_blocking(writer)
        before = _drained(reader)
        log.info("again")
        after = _drained(reader)
    os.close(reader)
    *first, again, reported = map(orjson.loads, (before + after).splitlines())
    assert [line["number"] for line in first] == list(range(len(first)))
    assert 0 < len(first) < 2000
    assert again["event"] == "again"
    assert (reported["count"], reported["level"]) == (2000 - len(first), "warning")


def _drained(reader: int) -> bytes:
    pieces = []
    with suppress(BlockingIOError):
        while piece := os.read(reader, 65536):
            pieces.append(piece)
    return b"".join(pieces)
