"""The settings of connections to the backend, and of its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from proxy.config.option import setting

_KB: Final = 1024
_MB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BackendSettings:
    """What they are set to."""

    backend: tuple[str, ...] = setting(
        "origins", ("http://127.0.0.1:9200",), "URL of a backend node; may be given more than once."
    )
    backend_authorization: str | None = setting(
        "secret",
        None,
        "Authorization header of the proxy's own calls: reading definitions, resolving names.",
    )
    backend_ca: Path | None = setting(
        "authority",
        None,
        "File of certificates (PEM) that `https://` nodes are checked against, in place of the "
        "system's.",
    )
    compat: Literal["auto", "off"] = setting(
        "choice",
        "auto",
        "Serve Elasticsearch clients on an OpenSearch backend (auto), or touch nothing (off).",
    )
    backend_connect_timeout: float = setting(
        "seconds", 2.0, "Seconds to wait for a connection to the backend.", minimum=0.05, maximum=60
    )
    backend_timeout: float = setting(
        "seconds",
        60.0,
        "Seconds without a byte from the backend before a request fails.",
        minimum=0.1,
        maximum=3600,
    )
    backend_kept_timeout: float = setting(
        "seconds",
        10.0,
        "Seconds of silence on a kept connection to the backend after which a request that only "
        "reads is begun anew on a fresh one; and without an acknowledgement (TCP) on any, after "
        "which a request fails.",
        minimum=0.1,
        maximum=3600,
    )
    backend_keepalive_timeout: float = setting(
        "seconds",
        15.0,
        "Seconds a connection to the backend is kept without a request; less than the backend, or "
        "a balancer or firewall before it, keeps it.",
        minimum=0.1,
        maximum=3600,
    )
    backend_max_line: int = setting(
        "bytes",
        4 * _KB,
        "Longest request line the backend takes (its `http.max_initial_line_length`); a longer one "
        "is refused with 414.",
        minimum=_KB,
        maximum=64 * _KB,
    )
    backend_max_header: int = setting(
        "bytes",
        16 * _KB,
        "Largest header fields, all together, the backend takes (its `http.max_header_size`); "
        "larger ones are refused with 431.",
        minimum=_KB,
        maximum=128 * _KB,
    )
    max_response_bytes: int = setting(
        "bytes",
        200 * _MB,
        "Largest response of the backend that is read whole: to a bulk, msearch or mget, to a "
        "scroll, and to calls of the proxy's own; a larger one is a 502. What passes has no limit, "
        "what a result pipeline sees `max_transform_bytes`.",
        minimum=_MB,
        maximum=2048 * _MB,
    )
    backend_connections: int = setting(
        "count", 256, "Connections held to one backend node at most.", minimum=1, maximum=16384
    )
    reserved_connections: int = setting(
        "count",
        16,
        "Connections beside those, for administration, definitions and names of indices.",
        minimum=1,
        maximum=1024,
    )
