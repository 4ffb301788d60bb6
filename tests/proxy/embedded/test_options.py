"""The options of an embedded backend: defaults, and bounds in pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.embedded import ClusterOptions, EmbeddedError
from proxy.embedded.distributions import distribution


def test_each_distribution_has_its_own_version() -> None:
    """A version left out is the one this release was tested with."""
    assert ClusterOptions().version == "3.8.0"
    assert ClusterOptions(distribution="elasticsearch").version == "9.5.0"
    assert ClusterOptions(version="2.19.4").version == "2.19.4"


def test_the_environment_names_cache_and_java(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QUERYMILL_CACHE_DIR and QUERYMILL_JAVA are the defaults where they are set."""
    monkeypatch.setenv("QUERYMILL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("QUERYMILL_JAVA", "bundled")
    assert (ClusterOptions().cache_dir, ClusterOptions().java) == (tmp_path, "bundled")
    monkeypatch.delenv("QUERYMILL_CACHE_DIR")
    monkeypatch.delenv("QUERYMILL_JAVA")
    assert ClusterOptions().cache_dir.name == "querymill"
    assert ClusterOptions().java == "auto"


def test_folders_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of the working directory does not move them."""
    monkeypatch.chdir(tmp_path)
    options = ClusterOptions(data_dir=Path("data"), cache_dir=Path("cache"))
    assert (options.data_dir, options.cache_dir) == (tmp_path / "data", tmp_path / "cache")


@pytest.mark.parametrize(
    "chosen",
    [
        {"port": 0},
        {"port": 65_535},
        {"transport_port": 9300},
        {"heap_mb": 128},
        {"start_timeout": 1},
    ],
)
def test_bounds_obeyed(chosen: dict[str, Any]) -> None:
    """The bounds themselves are allowed."""
    name, value = next(iter(chosen.items()))
    assert getattr(ClusterOptions(**chosen), name) == value


@pytest.mark.parametrize(
    ("chosen", "reported"),
    [
        ({"port": -1}, "port -1 is out of bounds: choose one from 0 to 65535"),
        ({"port": 65_536}, "port 65536"),
        ({"transport_port": 70_000}, "transport_port 70000"),
        ({"heap_mb": 127}, "heap_mb 127"),
        ({"start_timeout": 0}, "start_timeout 0"),
        ({"stop_timeout": -1}, "stop_timeout -1"),
        ({"version": "../../etc"}, "is none: write three numbers"),
        ({"version": "latest"}, "is none: write three numbers"),
        ({"distribution": "solr"}, "'solr' is unknown: choose one of opensearch, elasticsearch"),
    ],
)
def test_bounds_violated(chosen: dict[str, Any], reported: str) -> None:
    """What is out of bounds is refused with its name and the bounds."""
    with pytest.raises(EmbeddedError, match=reported):
        ClusterOptions(**chosen)


def test_each_version_has_its_java() -> None:
    """Newer majors than the known ones need what the newest known one needs."""
    opensearch = distribution("opensearch")
    assert opensearch.java_range("3.8.0") == (21, None)
    assert opensearch.java_range("4.0.0") == (21, None)
    assert opensearch.java_range("2.19.4") == (11, 23)
    with pytest.raises(EmbeddedError, match=r"OpenSearch 1\.3\.0 is too old .* choose 2\.x"):
        opensearch.java_range("1.3.0")


def test_only_tested_versions_have_a_pinned_checksum() -> None:
    """Any other version is checked against what the repository publishes."""
    opensearch = distribution("opensearch")
    assert opensearch.archive("3.8.0").sha256 is not None
    assert opensearch.archive("3.7.0").sha256 is None
