"""The settings of what clients may ask for at once, and how slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.config.option import setting

_KB: Final = 1024
_MB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """What they are set to."""

    max_in_flight: int = setting(
        "count",
        512,
        "Requests a worker answers at once, but for administration.",
        minimum=1,
        maximum=65536,
    )
    max_waiting: int = setting(
        "count",
        512,
        "Requests that wait for their turn in a worker; more are refused with a 429.",
        minimum=0,
        maximum=65536,
    )
    queue_timeout: float = setting(
        "seconds",
        1.0,
        "Seconds a request waits for its turn before it is refused with a 429.",
        minimum=0.01,
        maximum=60,
    )
    index_max_in_flight: int = setting(
        "count",
        0,
        "Requests to one index name, as written, that a worker answers at once; as many may wait. "
        "0 sets no limit.",
        minimum=0,
        maximum=65536,
    )
    keepalive_timeout: float = setting(
        "seconds",
        75.0,
        "Seconds a client connection on which nothing comes is kept open, before its first request "
        "as after others.",
        minimum=1,
        maximum=3600,
    )
    header_timeout: float = setting(
        "seconds",
        10.0,
        "Seconds a client has to send the head of a request, from its first byte.",
        minimum=0.1,
        maximum=300,
    )
    body_timeout: float = setting(
        "seconds",
        60.0,
        "Seconds without a byte from a client whose request body is awaited.",
        minimum=0.1,
        maximum=3600,
    )
    write_timeout: float = setting(
        "seconds",
        60.0,
        "Seconds in which a client takes nothing of its response before its connection is closed.",
        minimum=0.1,
        maximum=3600,
    )
    client_min_rate: int = setting(
        "bytes",
        500,
        "Bytes a second a client has to manage, sending a body (else 408) or taking a response "
        "(else its connection is closed); 0 sets no limit.",
        minimum=0,
        maximum=_MB,
    )
    client_grace: float = setting(
        "seconds", 20.0, "Seconds a client may be behind that rate.", minimum=0.1, maximum=3600
    )
    max_request_bytes: int = setting(
        "bytes", 100 * _MB, "Largest request body passed on.", minimum=_KB, maximum=2048 * _MB
    )
