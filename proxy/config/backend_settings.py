"""The rows of the SETTINGS table that are about connections to the backend, and its limits."""

from __future__ import annotations

from typing import Final

from proxy.config.option import Setting

_KB: Final = 1024

BACKEND_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "backend_connect_timeout",
        "seconds",
        2.0,
        "Seconds to wait for a connection to the backend.",
        minimum=0.05,
        maximum=60,
    ),
    Setting(
        "backend_timeout",
        "seconds",
        60.0,
        "Seconds without a byte from the backend before a request fails.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "backend_kept_timeout",
        "seconds",
        10.0,
        "Seconds of silence on a kept connection to the backend after which a request that only "
        "reads is begun anew on a fresh one; and without an acknowledgement (TCP) on any, after "
        "which a request fails.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "backend_keepalive_timeout",
        "seconds",
        15.0,
        "Seconds a connection to the backend is kept without a request; less than the backend, or "
        "a balancer or firewall before it, keeps it.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "backend_max_line",
        "bytes",
        4 * _KB,
        "Longest request line the backend takes (its `http.max_initial_line_length`); a longer one "
        "is refused with 414.",
        minimum=_KB,
        maximum=64 * _KB,
    ),
    Setting(
        "backend_max_header",
        "bytes",
        16 * _KB,
        "Largest header fields, all together, the backend takes (its `http.max_header_size`); "
        "larger ones are refused with 431.",
        minimum=_KB,
        maximum=128 * _KB,
    ),
    Setting(
        "backend_connections",
        "count",
        256,
        "Connections held to one backend node at most.",
        minimum=1,
        maximum=16384,
    ),
    Setting(
        "reserved_connections",
        "count",
        16,
        "Connections beside those, for administration, definitions and names of indices.",
        minimum=1,
        maximum=1024,
    ),
)
