"""What is unpacked once, where, and for whom. The distributions here are tiny zip files."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.embedded import ClusterOptions, EmbeddedCluster, EmbeddedError, prepare
from proxy.embedded.account import service_account
from proxy.embedded.distributions import MODULES, distribution
from proxy.embedded.installation import runnable_place
from tests.proxy.embedded.repository import Repository

VERSION = "3.99.0"
ARCHIVE = distribution("opensearch").archive(VERSION)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")


def zipped(*names: str) -> bytes:
    """A zip file; what lies in a `bin` may be executed."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o100755 if "/bin/" in name else 0o100600) << 16
            file.writestr(member, name)
    return body.getvalue()


@pytest.fixture
def options(open_folder: Path, fake_java: Callable[..., Path]) -> Callable[..., ClusterOptions]:
    """Options with a cache that every user can read, and a Java that has every module."""
    java = fake_java("25.0.1", tuple(MODULES))

    def make(**chosen: Any) -> ClusterOptions:
        given = {"version": VERSION, "cache_dir": open_folder / "cache", "java": str(java)}
        return ClusterOptions(**{**given, **chosen})

    return make


def test_a_distribution_is_unpacked_once(
    repository: Repository, options: Callable[..., ClusterOptions]
) -> None:
    """All may read it, programs can be run, and the second time nobody is asked for anything."""
    path = repository.put(ARCHIVE, zipped("top/bin/run", "top/lib/a.jar"))
    made = prepare(options())
    assert made.title == f"OpenSearch {VERSION}"
    assert (made.home / "bin" / "run").stat().st_mode & 0o777 == 0o755
    assert (made.home / "lib" / "a.jar").stat().st_mode & 0o777 == 0o644
    assert prepare(options()) == made
    assert repository.asked[path] == 1


def test_a_file_that_is_no_zip_is_reported(
    repository: Repository, options: Callable[..., ClusterOptions]
) -> None:
    """A published file of another kind is an error, and nothing half unpacked stays."""
    repository.put(ARCHIVE, b"no zip at all")
    chosen = options()
    with pytest.raises(EmbeddedError, match="is no zip file"):
        prepare(chosen)
    assert not [path for path in chosen.cache_dir.iterdir() if path.name.startswith("opensearch")]


def test_an_archive_of_another_shape_is_reported(
    repository: Repository, options: Callable[..., ClusterOptions]
) -> None:
    """A distribution has one folder at its top."""
    repository.put(ARCHIVE, zipped("one/a", "two/b"))
    with pytest.raises(EmbeddedError, match="holds 2 folders at its top"):
        prepare(options())


def test_members_that_point_outside_stay_inside(
    repository: Repository, options: Callable[..., ClusterOptions], open_folder: Path
) -> None:
    """A member's path cannot leave the folder it is unpacked in."""
    repository.put(ARCHIVE, zipped("top/a", "top/../../../evil"))
    made = prepare(options())
    assert list(open_folder.rglob("evil")) == [made.home / "evil"]


def test_a_java_without_its_module_is_reported(
    options: Callable[..., ClusterOptions], fake_java: Callable[..., Path]
) -> None:
    """The Java a caller names is not replaced by another one; the missing module is named."""
    lacking = fake_java(modules=tuple(MODULES - {"jdk.incubator.vector"}), name="lacking")
    with pytest.raises(EmbeddedError, match=r"lacks the module jdk\.incubator\.vector"):
        prepare(options(java=str(lacking)))


def test_elasticsearch_is_not_run_on_the_bundled_java(
    options: Callable[..., ClusterOptions],
) -> None:
    """It adds a module by itself that the bundled runtime lacks; the cure is named."""
    chosen = options(distribution="elasticsearch", version="9.99.0", java="bundled")
    with pytest.raises(EmbeddedError, match="does not run on the bundled Java: install a full JDK"):
        prepare(chosen)


def test_a_backend_too_old_for_the_bundled_java_is_reported(
    options: Callable[..., ClusterOptions],
) -> None:
    """The bundled runtime is checked like any other."""
    with pytest.raises(EmbeddedError, match="Java 11 to 23 is needed"):
        prepare(options(java="bundled", version="2.99.0"))


@pytest.mark.parametrize(
    ("run_code", "reported"),
    [(1, "does not accept its Java options"), (0, r"ended while starting \(exit code 0\)")],
)
def test_a_start_that_fails_leaves_no_folder(
    repository: Repository,
    options: Callable[..., ClusterOptions],
    fake_java: Callable[..., Path],
    open_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_code: int,
    reported: str,
) -> None:
    """Whether Java refuses its options or ends at once, the temporary folder goes."""
    temporary = open_folder / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    repository.put(ARCHIVE, zipped("top/config/jvm.options"))
    java = fake_java("25.0.1", tuple(MODULES), name="failing", run_code=run_code)
    with pytest.raises(EmbeddedError, match=reported):
        EmbeddedCluster(options(java=str(java), port=0)).start()
    assert list(temporary.iterdir()) == []


@as_root
def test_a_cache_closed_to_the_nodes_user_is_not_run_from(
    tmp_path: Path, open_folder: Path
) -> None:
    """The first shared place is taken that only root can write and the user can read."""
    writable = open_folder / "writable"
    writable.mkdir()
    writable.chmod(0o777)
    (open_folder / "file").write_text("x")
    good = open_folder / "good"
    places = (open_folder / "file" / "x", writable, good)
    (tmp_path / "cache").mkdir(mode=0o700)
    assert runnable_place(tmp_path / "cache", service_account(), places) == good
    assert good.stat().st_mode & 0o777 == 0o755


@as_root
def test_a_cache_others_can_write_is_not_run_from(open_folder: Path) -> None:
    """What another user could have put there is not executed for root."""
    cache = open_folder / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(EmbeddedError, match=r"cannot read .*QUERYMILL_CACHE_DIR"):
        runnable_place(cache, service_account(), (cache,))


def test_a_cache_that_cannot_be_made_is_reported(open_folder: Path) -> None:
    """A file in its place is an error that names it."""
    (open_folder / "file").write_text("x")
    with pytest.raises(EmbeddedError, match=r"making the cache in .*file/cache failed"):
        runnable_place(open_folder / "file" / "cache", service_account())
