"""The origin of a backend node: scheme, host and port, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit


class BadOriginError(ValueError):
    """A backend URL is no origin; the message says what is wrong with it."""


@dataclass(frozen=True)
class Origin:
    """One backend node. `host` has no brackets, also where it is an IPv6 address."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Return the origin of `url`, as in ``http://search-1:9200``. Raises BadOriginError."""
        example = "expected a backend URL such as http://127.0.0.1:9200"
        try:
            parts = urlsplit(url)
            port = parts.port
            host = parts.hostname
        except ValueError as exc:
            raise BadOriginError(f"{example}, got {url!r}: {exc}") from exc
        if "@" in parts.netloc:
            # Not quoted: the message ends up in logs, the password must not.
            raise BadOriginError(
                "a backend URL cannot carry a user name or password: clients send their own"
            )
        if parts.scheme not in ("http", "https") or not host or not host.isprintable():
            raise BadOriginError(f"{example}, got {url!r}")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise BadOriginError(f"a backend URL has no path or query, got {url!r}")
        if any(char.isspace() for char in url):
            raise BadOriginError(f"{example}, got {url!r} with a space in it")
        return cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))

    @cached_property
    def authority(self) -> str:
        """The value of the Host header: ``host:port``, without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"
