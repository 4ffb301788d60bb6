"""Hashes: in names, of all that went in; beside a file, since code must not be loaded half."""

from __future__ import annotations

import hashlib
from pathlib import Path


def key(*parts: bytes) -> str:
    """A short hash for a name."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()[:24]


def checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def checksum(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_intact(path: Path) -> bool:
    """Whether `path` is there as it was written."""
    try:
        return checksum_file(path).read_text() == checksum(path)
    except (OSError, ValueError):
        return False
