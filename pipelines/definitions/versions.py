"""The order of UDF versions, and which of them are no releases."""

from __future__ import annotations

import re
from typing import Final

# SemVer: whatever stands behind a hyphen after the three numbers is a pre-release.
_SEMVER_PRE: Final = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+-")
_TOKEN: Final = re.compile(r"[0-9]+|[A-Za-z]+")
_PRE_WORDS: Final = frozenset(
    {"a", "alpha", "b", "beta", "c", "rc", "cr", "pre", "preview", "prerelease", "m", "milestone"}
    | {"dev", "snapshot", "nightly", "canary", "draft", "experimental", "test", "unstable", "wip"}
)
_AFTER_WORDS: Final = frozenset({"post", "patch", "hotfix", "sp"})

Key = tuple[tuple[int, int, str], ...]


def is_prerelease(version: str) -> bool:
    """Whether a version is for trying: ``2.0.0-anything`` as in SemVer, or a word like ``rc``.

    What follows a ``+`` is build metadata and says nothing.
    """
    release = version.partition("+")[0].lower()
    if _SEMVER_PRE.match(release):
        return True
    return any(token in _PRE_WORDS for token in _TOKEN.findall(release))


def version_key(version: str) -> tuple[Key, str]:
    """Orders versions: numbers by value, 1.0-rc2 < 1.0-rc10 < 1.0 < 1.0.post1 < 1.0.1.

    Equal ones (1.0 and v1.0) come in the order of their text, so that every proxy decides alike.
    """
    keys: list[tuple[int, int, str]] = []
    for token in _TOKEN.findall(version.lower().removeprefix("v")):
        if token.isdigit():
            keys.append((3, int(token), ""))
        else:
            keys.append((2 if token in _AFTER_WORDS else 0, 0, token))
    # A closing marker between the words of pre-releases and all that comes after a release.
    return (*keys, (1, 0, "")), version
