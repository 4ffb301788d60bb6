"""The settings of ``_execute``: what one call may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.config.option import setting

_MB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ExecuteSettings:
    """What they are set to."""

    execute_timeout: float = setting(
        "seconds",
        120.0,
        "Seconds that the pipelines of one `_execute` may run, on all its inputs together.",
        minimum=0.1,
        maximum=3600,
    )
    execute_max_bytes: int = setting(
        "bytes", 16 * _MB, "Largest body of `_execute`.", minimum=1024, maximum=100 * _MB
    )
    execute_max_answer: int = setting(
        "bytes",
        64 * _MB,
        "Largest that the payloads in a response of `_execute` may be together, in characters.",
        minimum=1024,
        maximum=1024 * _MB,
    )
    execute_max_inputs: int = setting(
        "count", 100, "Inputs of one `_execute`.", minimum=1, maximum=10_000
    )
    execute_max_pipelines: int = setting(
        "count", 20, "Pipelines of one `_execute`.", minimum=1, maximum=1000
    )
    execute_max_udfs: int = setting(
        "count",
        20,
        "UDFs that may come with one `_execute`; 0 allows none.",
        minimum=0,
        maximum=1000,
    )
