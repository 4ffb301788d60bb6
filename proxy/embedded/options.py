"""What a caller may choose about an embedded backend, checked when it is chosen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path

from proxy.embedded.distributions import distribution
from proxy.embedded.errors import EmbeddedError

_VERSION = re.compile(r"\d+\.\d+\.\d+(-[A-Za-z0-9.]+)?")


def default_cache_dir() -> Path:
    """QUERYMILL_CACHE_DIR, or `querymill` in the user's cache folder."""
    chosen = os.environ.get("QUERYMILL_CACHE_DIR")
    return Path(chosen) if chosen else user_cache_path("querymill")


def default_java() -> str:
    """QUERYMILL_JAVA, or `auto`."""
    return os.environ.get("QUERYMILL_JAVA") or "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """An embedded backend of one node.

    port: where HTTP listens on 127.0.0.1; 0 takes a free one.
    transport_port: where the node's own protocol listens; None takes a free one.
    version: empty means the version this release was tested with.
    heap_mb: the Java heap, MiB; the process takes about 300 MiB more.
    data_dir: where data and log stay; None keeps them in a folder removed at the stop.
    cache_dir: where downloads are kept, and what is unpacked from them.
    java: `auto` (one on the machine, else the bundled one), `machine`, `bundled`, or a Java home.
    start_timeout, stop_timeout: seconds.
    extra_settings: backend settings by name, over the ones set here.

    Raises EmbeddedError naming the option and its bounds.
    """

    port: int = 9200
    transport_port: int | None = None
    version: str = ""
    heap_mb: int = 512
    distribution: Literal["opensearch", "elasticsearch"] = "opensearch"
    data_dir: Path | None = None
    cache_dir: Path = field(default_factory=default_cache_dir)
    java: str = field(default_factory=default_java)
    start_timeout: float = 120
    stop_timeout: float = 20
    extra_settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chosen = distribution(self.distribution)
        object.__setattr__(self, "version", self.version or chosen.default_version)
        object.__setattr__(self, "cache_dir", self.cache_dir.expanduser().absolute())
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", self.data_dir.expanduser().absolute())
        if not _VERSION.fullmatch(self.version):
            raise EmbeddedError(f"version {self.version!r} is none: write three numbers, as 3.8.0")
        _bounded("port", self.port, 0, 65_535)
        _bounded("transport_port", self.transport_port or 0, 0, 65_535)
        _bounded("heap_mb", self.heap_mb, 128, 1_048_576)
        _bounded("start_timeout", self.start_timeout, 1, 86_400)
        _bounded("stop_timeout", self.stop_timeout, 0, 86_400)


def _bounded(name: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        raise EmbeddedError(f"{name} {value} is out of bounds: choose one from {low} to {high}")
