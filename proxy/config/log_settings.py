"""The settings of log lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxy.config.option import setting

_KB: Final = 1024
_MB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What they are set to."""

    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "choice", "info", "Least important log line that is written."
    )
    log_format: Literal["json", "console"] = setting("choice", "console", "How log lines look.")
    log_lines_per_second: int = setting(
        "count",
        50,
        "Log lines a worker writes on average of one pipeline, and of one kind of line; what goes "
        "beyond is counted. 0 sets no limit.",
        minimum=0,
        maximum=100_000,
    )
    log_bytes_per_second: int = setting(
        "bytes", 32 * _KB, "Bytes of such lines; 0 sets no limit.", minimum=0, maximum=100 * _MB
    )
    log_max_value: int = setting(
        "count",
        4096,
        "Characters of one value in a log line; the rest is left out, and its length told.",
        minimum=64,
        maximum=1_000_000,
    )
