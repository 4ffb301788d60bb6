"""The rows of the SETTINGS table that are about log lines."""

from __future__ import annotations

from typing import Final

from proxy.config.option import Setting

_KB: Final = 1024
_MB: Final = 1024 * 1024

LOG_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "log_level",
        "choice",
        "info",
        "Least important log line that is written.",
        choices=("debug", "info", "warning", "error"),
    ),
    Setting("log_format", "choice", "console", "How log lines look.", choices=("json", "console")),
    Setting(
        "log_lines_per_second",
        "count",
        50,
        "Log lines a worker writes on average of one pipeline, and of one kind of line; what goes "
        "beyond is counted. 0 sets no limit.",
        minimum=0,
        maximum=100_000,
    ),
    Setting(
        "log_bytes_per_second",
        "bytes",
        32 * _KB,
        "Bytes of such lines; 0 sets no limit.",
        minimum=0,
        maximum=100 * _MB,
    ),
    Setting(
        "log_max_value",
        "count",
        4096,
        "Characters of one value in a log line; the rest is left out, and its length told.",
        minimum=64,
        maximum=1_000_000,
    ),
)
