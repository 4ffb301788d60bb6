"""Turns what went wrong in a UDF into the error the host reads: kind, reason and traceback."""

import json
import linecache
from types import TracebackType
from typing import Any

from runtime.hints import hint

REASON_CHARS = 2_000
_FRAMES = 20
_LINE_CHARS = 400

# made beforehand: when memory has run out there may be none left to make it with
OUT_OF_MEMORY = '{"error":{"kind":"memory","reason":"MemoryError","traceback":""}}\n'

_encode = json.JSONEncoder(separators=(",", ":")).encode


class InvalidResult(Exception):
    """The UDF came to its end and what it returned cannot be used."""


class TooLarge(Exception):
    """What the UDF returned is over the limit."""


def report(kind: str, reason: str, traceback: str = "") -> str:
    """The response of an export that failed."""
    error = {"kind": kind, "reason": _sendable(reason)[:REASON_CHARS]}
    error["traceback"] = _sendable(traceback)
    return _encode({"error": error}) + "\n"


def raised(kind: str, error: BaseException, filename: str) -> str:
    """The response after the UDF raised `error`; `filename` marks the frames that are its own."""
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    frames = _own_frames(error.__traceback__, filename)
    reason = describe(error, filename)
    if frames and not isinstance(error, SyntaxError):
        line, function, _ = frames[-1]
        where = f"line {line}" if function == "<module>" else f"line {line}, in {function}()"
        reason = f"{reason[: REASON_CHARS - 100]} ({filename} {where})"
    return report(kind, reason, _traceback(frames, filename))


def describe(error: BaseException, filename: str) -> str:
    """One line on `error`. Its own `__str__` is the UDF's code and may do anything."""
    name = type(error).__name__
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r}); a UDF ends by returning"
    if isinstance(error, SyntaxError) and error.filename == filename:
        text = (error.text or "").strip()[:_LINE_CHARS]
        return f"{name}: {error.msg} ({filename} line {error.lineno}: {text})"
    try:
        text = str(error)
    except BaseException as again:
        return f"{name} (its __str__ raised {type(again).__name__})"
    reported = f"{name}: {text}" if text else name
    more = hint(error)
    return f"{reported}; {more}" if more else reported


def _own_frames(tb: TracebackType | None, filename: str) -> list[tuple[int, str, str]]:
    frames: list[tuple[int, str, str]] = []
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename == filename:
            text = linecache.getline(filename, tb.tb_lineno).strip()[:_LINE_CHARS]
            frame = (tb.tb_lineno, code.co_name, text)
            # a runaway recursion has thousands of frames: twice the same tells it
            if frames[-2:] != [frame, frame]:
                frames.append(frame)
            if len(frames) > _FRAMES:
                del frames[_FRAMES // 2]
        tb = tb.tb_next
    return frames


def _traceback(frames: list[tuple[int, str, str]], filename: str) -> str:
    lines = [
        f'  File "{filename}", line {line}, in {function}\n    {text}'
        for line, function, text in frames
    ]
    return "\n".join(lines)


def _sendable(text: Any) -> str:
    """Half a surrogate pair cannot leave the sandbox."""
    return str(text).encode("utf-8", "backslashreplace").decode()
