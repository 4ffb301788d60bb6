"""Log lines: structured, on standard error, as JSON or for reading; the standard library's too."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.typing import Processor

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(level: str, format: str, stream: TextIO | None = None) -> None:
    """Send every log line of `level` and above to `stream` (standard error).

    `level` is debug, info, warning or error; `format` is json or console. Called once by a command.
    """
    stream = stream or sys.stderr
    renderers = _renderers(format, stream)
    structlog.configure(
        processors=[*_SHARED, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(_SHARED),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries are of interest when something is wrong with them.
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))


def _renderers(format: str, stream: TextIO) -> list[Processor]:
    if format == "console":
        # Its default shows the values of variables, among them what clients sent.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_json),
    ]


def _json(event: object, **_: Any) -> str:
    return orjson.dumps(event, default=repr).decode()
