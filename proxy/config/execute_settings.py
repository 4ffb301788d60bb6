"""The rows of the SETTINGS table that are about ``_execute``: what one call may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.config.option import Setting

_MB: Final = 1024 * 1024

EXECUTE_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "execute_timeout",
        "seconds",
        120.0,
        "Seconds that the pipelines of one `_execute` may run, on all its inputs together.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "execute_max_bytes",
        "bytes",
        16 * _MB,
        "Largest body of `_execute`.",
        minimum=1024,
        maximum=100 * _MB,
    ),
    Setting(
        "execute_max_answer",
        "bytes",
        64 * _MB,
        "Largest that the payloads in an answer of `_execute` may be together, in characters.",
        minimum=1024,
        maximum=1024 * _MB,
    ),
    Setting(
        "execute_max_inputs",
        "count",
        100,
        "Inputs of one `_execute`.",
        minimum=1,
        maximum=10_000,
    ),
    Setting(
        "execute_max_pipelines",
        "count",
        20,
        "Pipelines of one `_execute`.",
        minimum=1,
        maximum=1000,
    ),
    Setting(
        "execute_max_udfs",
        "count",
        20,
        "UDFs that may come with one `_execute`; 0 allows none.",
        minimum=0,
        maximum=1000,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteLimits:
    """The values of those settings."""

    timeout: float
    max_bytes: int
    max_answer: int
    max_inputs: int
    max_pipelines: int
    max_udfs: int
