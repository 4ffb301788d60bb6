"""The settings of where the proxy serves, and of how many processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxy.config.option import Address, setting


@dataclass(frozen=True, kw_only=True)
class ListenSettings:
    """What they are set to."""

    listen: Address = setting(
        "address", Address("127.0.0.1", 9280), "HOST:PORT to serve clients on."
    )
    admin_listen: Address | None = setting(
        "address",
        None,
        "HOST:PORT for administration alone; the main address then refuses those calls.",
    )
    public_address: Address | None = setting(
        "address",
        None,
        "HOST:PORT that clients which ask for the cluster's nodes are told; without it, the one "
        "by which they came.",
        minimum=1,
    )
    workers: int = setting(
        "count",
        0,
        "Worker processes; 0 takes one for each processor core, within the container's quota.",
        minimum=0,
        maximum=64,
    )
    shutdown_timeout: float = setting(
        "seconds",
        30.0,
        "Seconds requests in flight are given to finish when the proxy stops.",
        minimum=0,
        maximum=600,
    )
    admin_token: str | None = setting(
        "secret", None, "Token every administration call has to carry."
    )
    cache_dir: Path | None = setting("path", None, "Folder for what is built once and reused.")
