"""Log lines: one object a line for machines, readable ones for people; other libraries' too."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from proxy import logs


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
