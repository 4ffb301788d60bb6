"""Downloads: kept, shared, checked, and clear about what went wrong."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.embedded import EmbeddedError, Silent
from proxy.embedded.artifacts import Artifact, ArtifactStore
from proxy.embedded.progress import Advance, Unit
from tests.proxy.embedded.processes import unmeasured
from tests.proxy.embedded.repository import Repository, configure

BODY = b"the published bytes" * 1000
PINNED = Artifact("org.example", "tool", "1.2.3", "zip", hashlib.sha256(BODY).hexdigest())
UNPINNED = replace(PINNED, sha256=None)

FETCH = f"""
import resource, sys
from pathlib import Path
from proxy.embedded import EmbeddedError, Silent
from proxy.embedded.artifacts import Artifact, ArtifactStore
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    ArtifactStore(Path(sys.argv[1]), Silent()).fetch({PINNED!r})
except EmbeddedError as error:
    sys.exit(str(error))
"""


def fetch_in_process(folder: Path, limit: int = 0) -> subprocess.Popen[str]:
    """Fetch in a process of its own, whose files may be no larger than `limit` bytes."""
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, str(folder), str(limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env=unmeasured(),
    )


def left_in(folder: Path) -> list[str]:
    """The names of the files under a folder, locks aside."""
    names = [path.name for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in names if not name.endswith(".lock"))


@pytest.mark.parametrize("artifact", [PINNED, UNPINNED])
def test_a_file_is_downloaded_once(
    repository: Repository, tmp_path: Path, artifact: Artifact
) -> None:
    """The second fetch asks nobody; its checksum is pinned, or the one published beside it."""
    path = repository.put(artifact, BODY)
    store = ArtifactStore(tmp_path / "cache", Silent())
    first = store.fetch(artifact)
    assert first.read_bytes() == BODY
    assert store.fetch(artifact) == first
    assert repository.asked[path] == 1


def test_progress_adds_up_to_the_size(repository: Repository, tmp_path: Path) -> None:
    """A download tells its name, its size in bytes, and every byte of it."""
    reported: list[tuple[str, float, Unit]] = []
    amounts: list[float] = []

    class Recorder(Silent):
        @contextmanager
        def bar(self, title: str, total: float, unit: Unit) -> Iterator[Advance]:
            reported.append((title, total, unit))
            yield amounts.append

    repository.put(PINNED, BODY)
    ArtifactStore(tmp_path / "cache", Recorder()).fetch(PINNED)
    assert reported == [("downloading tool-1.2.3.zip", len(BODY), "bytes")]
    assert sum(amounts) == len(BODY)


def test_bytes_other_than_the_pinned_ones_are_refused(
    repository: Repository, tmp_path: Path
) -> None:
    """A download with a wrong sha256 is an error and deleted; the next try starts afresh."""
    repository.put(PINNED, b"something else")
    store = ArtifactStore(tmp_path / "cache", Silent())
    with pytest.raises(EmbeddedError, match=r"tool-1\.2\.3\.zip is damaged .* sha256 .* deleted"):
        store.fetch(PINNED)
    assert left_in(tmp_path / "cache") == []
    repository.put(PINNED, BODY)
    assert store.fetch(PINNED).read_bytes() == BODY


def test_bytes_other_than_the_published_ones_are_refused(
    repository: Repository, tmp_path: Path
) -> None:
    """Without a pinned checksum the repository's own decides."""
    repository.put(UNPINNED, BODY, sha1="0" * 40)
    with pytest.raises(EmbeddedError, match=r"sha1 is .* was expected"):
        ArtifactStore(tmp_path / "cache", Silent()).fetch(UNPINNED)
    assert left_in(tmp_path / "cache") == []


def test_an_empty_published_checksum_is_none(repository: Repository, tmp_path: Path) -> None:
    """A repository with an empty checksum file is not trusted."""
    repository.files[f"{repository.put(UNPINNED, BODY)}.sha1"] = b"\n"
    with pytest.raises(EmbeddedError, match="empty checksum for tool"):
        ArtifactStore(tmp_path / "cache", Silent()).fetch(UNPINNED)
    assert left_in(tmp_path / "cache") == []


@pytest.mark.parametrize("artifact", [PINNED, UNPINNED])
def test_a_cached_file_that_went_bad_is_found_and_deleted(
    repository: Repository, tmp_path: Path, artifact: Artifact
) -> None:
    """One changed byte in the cache is an error; running again mends it."""
    path = repository.put(artifact, BODY)
    store = ArtifactStore(tmp_path / "cache", Silent())
    cached = store.fetch(artifact)
    cached.write_bytes(b"X" + BODY[1:])
    with pytest.raises(EmbeddedError, match="run again to download it"):
        store.fetch(artifact)
    assert not cached.exists()
    assert store.fetch(artifact).read_bytes() == BODY
    assert repository.asked[path] == 2


def test_a_lost_published_checksum_counts_as_damage(repository: Repository, tmp_path: Path) -> None:
    """A cached file whose checksum file is gone is not trusted."""
    repository.put(UNPINNED, BODY)
    store = ArtifactStore(tmp_path / "cache", Silent())
    cached = store.fetch(UNPINNED)
    cached.with_name(f"{cached.name}.sha1").unlink()
    with pytest.raises(EmbeddedError, match="none was expected"):
        store.fetch(UNPINNED)


def test_without_a_network_the_message_says_what_to_do(
    closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection names the file, and the three ways out."""
    conf = configure(tmp_path, f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(conf))
    with pytest.raises(EmbeddedError) as caught:
        ArtifactStore(tmp_path / "cache", Silent()).fetch(PINNED)
    message = str(caught.value)
    assert "cannot download tool-1.2.3.zip" in message
    assert "run once with a network" in message
    assert "QUERYMILL_CACHE_DIR" in message
    assert left_in(tmp_path / "cache") == []


def test_maven_central_is_asked_when_no_other_is_named(
    closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a configuration file the default repository is used, through the proxy set."""
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "none.conf"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(EmbeddedError, match="cannot download tool") as caught:
        ArtifactStore(tmp_path / "cache", Silent()).fetch(PINNED)
    assert "maven" in str(caught.value)


def test_a_version_that_does_not_exist_is_reported_so(
    repository: Repository, tmp_path: Path
) -> None:
    """A 404 is about the version, not about the network."""
    with pytest.raises(EmbeddedError, match=r"tool-1\.2\.3\.zip is in no repository"):
        ArtifactStore(tmp_path / "cache", Silent()).fetch(PINNED)


def test_a_broken_off_download_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    """Fewer bytes than announced are an error, and no part of the file stays."""
    path = repository.put(PINNED, BODY)
    repository.cut[path] = 100
    with pytest.raises(EmbeddedError, match="cannot download"):
        ArtifactStore(tmp_path / "cache", Silent()).fetch(PINNED)
    assert left_in(tmp_path / "cache") == []


def test_a_download_larger_than_the_disk_is_refused_at_once(
    repository: Repository, tmp_path: Path
) -> None:
    """Space is compared with the announced size before the first byte is written."""
    path = repository.put(PINNED, BODY)
    repository.claimed[path] = 10**18
    with pytest.raises(EmbeddedError, match=r"needs 1000000000000 MB .* MB are free"):
        ArtifactStore(tmp_path / "cache", Silent()).fetch(PINNED)


def test_a_disk_that_fills_up_is_reported_so(repository: Repository, tmp_path: Path) -> None:
    """A write the system refuses for want of room is an error that names the folder."""
    repository.put(PINNED, BODY)
    process = fetch_in_process(tmp_path / "cache", limit=4096)
    _, reported = process.communicate(timeout=50)
    assert process.returncode == 1, reported
    assert "no space is left there" in reported
    assert str(tmp_path / "cache") in reported
    assert left_in(tmp_path / "cache") == []


def test_two_processes_download_once(repository: Repository, tmp_path: Path) -> None:
    """The second one waits for the first one's file."""
    path = repository.put(PINNED, BODY)
    repository.gate = threading.Event()
    both = [fetch_in_process(tmp_path / "cache") for _ in range(2)]
    assert repository.arrived.wait(50)
    repository.gate.set()
    ends = [process.communicate(timeout=50)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert repository.asked[path] == 1


def test_what_a_killed_process_left_is_cleared(repository: Repository, tmp_path: Path) -> None:
    """A process killed in the middle of a download neither blocks nor spoils the next one."""
    path = repository.put(PINNED, BODY)
    repository.gate = threading.Event()
    killed = fetch_in_process(tmp_path / "cache")
    assert repository.arrived.wait(50)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=50)
    folder = tmp_path / "cache" / PINNED.folder
    assert list(folder.glob(".*.new-*"))
    repository.gate.set()
    ArtifactStore(tmp_path / "cache", Silent()).fetch(PINNED)
    assert not list(folder.glob(".*.new-*"))
    assert repository.asked[path] == 2
