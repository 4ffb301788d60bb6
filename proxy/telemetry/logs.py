"""Log lines: structured, on standard error, as JSON or for reading; the standard library's too."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from pipelines.execution.log_limit import LogLimit
from pipelines.execution.run_logs import RUN_LINES, UDF_LINE
from proxy.telemetry import log_text
from proxy.telemetry.log_outlet import Outlet

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_log = structlog.get_logger("proxy.telemetry.logs")

# Texts of several lines, which are shown as such.
_BLOCKS: Final = ("detail", "exception", "stack")
# What a line takes beside its values.
_FRAME_BYTES: Final = 100


def configure(
    level: str,
    format: str,
    stream: TextIO | None = None,
    *,
    limit: LogLimit | None = None,
    max_value: int = sys.maxsize,
) -> None:
    """Send every log line of `level` and above to `stream` (standard error).

    `level` is debug, info, warning or error; `format` is json or console. Of each kind of line, but
    for those of pipelines, so many are written as `limit` says; of a value, `max_value` characters.
    Called by a command as it starts,
    and again where its settings change.
    """
    lines = _Lines(stream or sys.stderr)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    flood = _Flood(limit or LogLimit())
    renderers = _renderers(format, lines.stream, max_value)
    structlog.configure(
        processors=[flood, *shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: lines,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[flood, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries are of interest when something is wrong with them.
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))


def say(event: str) -> None:
    """Write a line that is wanted at every level, such as that the command serves."""
    _at_any_level().info(event)


def say_error(event: str) -> None:
    """Write a line on what ends the command."""
    _at_any_level().error(event)


def _at_any_level() -> structlog.typing.FilteringBoundLogger:
    lines = structlog.get_config()["logger_factory"]()
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        lines, wrapper_class=wrapper
    )
    return logger


def take_over() -> None:
    """Have what Python itself would write to standard error written as log lines.

    Warnings, and exceptions that nobody catches. For a process that is ours alone.
    """
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    _log.critical("uncaught exception", exc_info=(kind, error, traceback))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else None
    _log.critical("uncaught exception in a thread", thread=name, exc_info=args.exc_value)


def _unraisable(args: UnraisableHookArgs) -> None:
    _log.error(
        "exception ignored", where=repr(args.object), reason=args.err_msg, exc_info=args.exc_value
    )


class _Lines:
    """Every line on its way out; what was lost on that way is told once there is room again."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._outlet = Outlet(stream)

    def msg(self, line: str) -> None:
        if lost := self._outlet.put(line):
            _log.warning("log lines were lost, as nobody read them", count=lost)

    log = debug = info = warn = warning = error = critical = exception = fatal = failure = err = msg


class _Handler(logging.Handler):
    """The standard library's lines, which go the same way."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(structlog.DropEvent):
            try:
                line = self.format(record)
            except (TypeError, ValueError, KeyError):
                # Its arguments do not fit its message.
                record.msg, record.args = f"{record.msg} {record.args}", None
                line = self.format(record)
            self._lines.msg(line)


class _Flood:
    """Lets through of each kind of line what its limit allows, and tells how many it did not.

    A kind is an event and the pipeline it is of, if any, or a library. Lines of runs have limits of
    their own where they are written.
    """

    def __init__(self, limit: LogLimit) -> None:
        self._limit = limit

    def __call__(self, logger: WrappedLogger, name: str, fields: EventDict) -> EventDict:
        event = str(fields.get("event"))
        if event == UDF_LINE or event in RUN_LINES.values():
            return fields
        record = fields.get("_record")
        kind = record.name if record is not None else f"{event} {fields.get('pipeline', '')}"
        size = sum(len(each) for each in fields.values() if isinstance(each, str))
        if not self._limit.admit(kind, size + _FRAME_BYTES):
            raise structlog.DropEvent
        left_out = self._limit.take(kind)
        return {**fields, "left_out": left_out} if left_out else fields


def _renderers(format: str, stream: TextIO, max_value: int) -> list[Processor]:
    if format == "console":
        console = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=_traceback(max_value)
        )
        return [_readable(max_value), console]
    return [structlog.processors.format_exc_info, _bounded(max_value), _json]


def _json(logger: WrappedLogger, name: str, fields: EventDict) -> str:
    return log_text.json_line(fields)


def _bounded(max_value: int) -> Processor:
    """For machines: values are short, names print."""

    def bounded(logger: WrappedLogger, name: str, fields: EventDict) -> EventDict:
        made: EventDict = {}
        for key, value in fields.items():
            if key in _BLOCKS and isinstance(value, str):
                made[key] = log_text.cut_middle(value, max_value)
            else:
                made[log_text.key(key)] = log_text.shown(value, max_value)
        return made

    return bounded


def _readable(max_value: int) -> Processor:
    """For people: as `_bounded`, each value on one line but for tracebacks, which stand below."""

    def readable(logger: WrappedLogger, name: str, fields: EventDict) -> EventDict:
        made: EventDict = {}
        blocks = []
        for key, value in fields.items():
            if key in _BLOCKS and isinstance(value, str):
                blocks.append(log_text.block(log_text.cut_middle(value, max_value)))
            elif key in ("exc_info", "timestamp", "level"):
                made[key] = value
            elif key == "event":
                made[key] = log_text.escaped(log_text.cut(str(value), max_value))
            else:
                made[log_text.key(key)] = _one_line(value, max_value)
        if blocks:
            made["stack"] = "\n".join(blocks)
        return made

    return readable


class _Shown:
    """A value that is written as it says."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _one_line(value: object, max_value: int) -> object:
    short = log_text.shown(value, max_value)
    if not isinstance(value, str):
        plain = value is None or isinstance(value, bool | int | float)
        return short if plain else _Shown(log_text.escaped(str(short)))
    return short if str(short).isprintable() else _Shown(repr(short))


def _traceback(max_value: int) -> Callable[[TextIO, ExcInfo], None]:
    # The default of structlog shows the values of variables, among them what clients sent.
    def write(stream: TextIO, exc_info: ExcInfo) -> None:
        whole = io.StringIO()
        structlog.dev.plain_traceback(whole, exc_info)
        text = log_text.cut_middle(whole.getvalue().strip("\n"), max_value)
        stream.write("\n" + log_text.block(text))

    return write
