"""One version of a UDF as it is run: its source and its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class Package:
    """One version of a UDF. `digest` is a SHA-256 over all of it, name and version included."""

    name: str
    version: str
    source: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        hasher = hashlib.sha256()
        parts = [self.name.encode(), self.version.encode(), self.source.encode()]
        for name in sorted(self.files):
            parts += [name.encode(), self.files[name]]
        for part in parts:
            # lengths, so that no two packages share one stream of bytes
            hasher.update(len(part).to_bytes(8, "big"))
            hasher.update(part)
        object.__setattr__(self, "digest", hasher.hexdigest())

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"
