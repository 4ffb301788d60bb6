"""The order of versions, and which are no releases."""

from __future__ import annotations

import random

import pytest

from pipelines.definitions.versions import is_prerelease, version_key

ORDERED = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc1",
    "1.0.0-rc2",
    "1.0.0-rc10",
    "1.0.0",
    "1.0.0.post1",
    "1.0.1",
    "1.9",
    "v1.10",
    "2024.01.15",
]


def test_versions_come_in_the_order_of_their_numbers() -> None:
    """Ten comes after nine, a pre-release before its release, a later patch of it after it."""
    shuffled = random.Random(1).sample(ORDERED, len(ORDERED))
    assert sorted(shuffled, key=version_key) == ORDERED


def test_versions_that_say_the_same_have_one_order() -> None:
    """Which of them is the highest does not depend on who came first."""
    for versions in (["1.0", "1_0", "v1.0", "01.0"], ["01.0", "v1.0", "1.0", "1_0"]):
        assert max(versions, key=version_key) == "v1.0"


@pytest.mark.parametrize(
    "version",
    [
        "2.0.0-rc1",
        "2.0.0-1",
        "v2.0.0-anything",
        "2.0.0-beta+build.5",
        "2.0rc1",
        "2.0b2",
        "2.0a1",
        "2.0.dev3",
        "2-beta",
        "2.0-SNAPSHOT",
        "2.0.M1",
        "beta",
        "draft-3",
    ],
)
def test_pre_releases_are_reported(version: str) -> None:
    """By SemVer's hyphen or by the words that are in use for it, in any case."""
    assert is_prerelease(version)


@pytest.mark.parametrize(
    "version", ["2.0.0", "2", "v2.0", "2.0.0+rc1", "2.0.post1", "2024-01-15", "stable", "2.0.0_1"]
)
def test_releases_are_no_pre_releases(version: str) -> None:
    """Dates, build metadata and names are versions like any other."""
    assert not is_prerelease(version)
