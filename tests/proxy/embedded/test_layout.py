"""The folders and the configuration of one run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.embedded import ClusterOptions, EmbeddedError, Installation
from proxy.embedded.account import Account, service_account
from proxy.embedded.distributions import distribution
from proxy.embedded.java import Java
from proxy.embedded.launch import command
from proxy.embedded.layout import jvm_options, lay_out

SHIPPED = """\
# a comment
-Xms1g
-Xmx1g
11-:-XX:+UseG1GC
-Djava.io.tmpdir=${OPENSEARCH_TMPDIR}
-XX:HeapDumpPath=data
-XX:ErrorFile=logs/hs_err_pid%p.log
9-:-Xlog:gc*:file=logs/gc.log

20-:--add-modules=jdk.incubator.vector
21-:-javaagent:agent/opensearch-agent.jar
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")


@pytest.fixture
def installation(open_folder: Path, fake_java: Callable[..., Path]) -> Installation:
    """One with a configuration, and a Java that prints nothing but its version."""
    home = open_folder / "home"
    (home / "config" / "jvm.options.d").mkdir(parents=True)
    (home / "config" / "jvm.options").write_text(SHIPPED)
    return Installation(
        distribution=distribution("opensearch"),
        version="3.8.0",
        home=home,
        java=Java(home=fake_java(), version=25),
        account=service_account(),
    )


def test_java_options_keep_what_the_backend_needs() -> None:
    """Heap, logs and dumps are set elsewhere or left out; the rest stays as it was shipped."""
    assert jvm_options(SHIPPED, bundled=False).splitlines() == [
        "11-:-XX:+UseG1GC",
        "20-:--add-modules=jdk.incubator.vector",
        "21-:-javaagent:agent/opensearch-agent.jar",
    ]


def test_java_options_of_the_bundled_runtime_cure_it() -> None:
    """The module it lacks is not asked for, and locale data comes from ICU."""
    options = jvm_options(SHIPPED, bundled=True)
    assert "jdk.incubator.vector" not in options
    assert "-Djava.locale.providers=SPI,CLDR" in options


def test_a_run_has_folders_of_its_users(installation: Installation) -> None:
    """What the node writes belongs to its user and to no other; the log belongs to the caller."""
    layout = lay_out(installation, None)
    try:
        owner = installation.account.uid or os.geteuid()
        for folder in (layout.config, layout.temp, layout.data, layout.logs):
            assert folder.parent == layout.scratch
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder.stat().st_uid == owner
        assert (layout.config / "jvm.options").stat().st_uid == owner
        assert layout.scratch.stat().st_uid == os.geteuid()
        assert "appender.console" in (layout.config / "log4j2.properties").read_text()
    finally:
        layout.remove()
    assert not layout.scratch.exists()


def test_a_named_data_folder_stays(installation: Installation, open_folder: Path) -> None:
    """Data and log are in it; an old ports file, which would mislead, is not."""
    data = open_folder / "kept"
    (data / "logs").mkdir(parents=True)
    (data / "logs" / "http.ports").write_text("127.0.0.1:9200")
    layout = lay_out(installation, data)
    layout.remove()
    assert (layout.data, layout.console) == (data / "data", data / "backend.log")
    assert layout.data.is_dir()
    assert not layout.http_ports.exists()


@as_root
def test_a_data_folder_its_user_cannot_enter_is_refused(
    installation: Installation, tmp_path: Path
) -> None:
    """A folder closed to others is an error with the command that opens it."""
    tmp_path.chmod(0o700)
    with pytest.raises(EmbeddedError, match=r"cannot enter .*chmod o\+rx"):
        lay_out(installation, tmp_path)


def test_a_data_folder_that_is_a_file_is_refused(
    installation: Installation, open_folder: Path
) -> None:
    """The system's reason is told, and no temporary folder is left."""
    (open_folder / "file").write_text("x")
    with pytest.raises(EmbeddedError, match=r"making the folders of the backend in .*file failed"):
        lay_out(installation, open_folder / "file")


@as_root
def test_a_temporary_place_of_roots_own_is_passed_over(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where TMPDIR is closed to the node's user, the system's own is taken."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    layout = lay_out(installation, None)
    layout.remove()
    assert layout.scratch.parent == Path("/tmp")
    assert list(closed.iterdir()) == []


def test_a_java_that_cannot_parse_its_options_is_reported(
    installation: Installation, open_folder: Path, fake_java: Callable[..., Path]
) -> None:
    """What it printed, the heap, and what to change are in the error."""
    failing = Installation(
        distribution=installation.distribution,
        version=installation.version,
        home=installation.home,
        java=Java(home=fake_java(name="failing", exit_code=1), version=25),
        account=installation.account,
    )
    layout = lay_out(failing, None)
    options = ClusterOptions(heap_mb=256)
    try:
        with pytest.raises(EmbeddedError, match=r"3\.8\.0 does not accept .* -Xmx256m"):
            command(failing, layout, options)
        (failing.java.command).unlink()
        with pytest.raises(EmbeddedError, match=r"cannot be started with .*QUERYMILL_JAVA"):
            command(failing, layout, options)
    finally:
        layout.remove()


def test_settings_of_the_callers_come_last(installation: Installation) -> None:
    """They replace ours of the same name; the environment of the caller does not leak in."""
    layout = lay_out(installation, None)
    try:
        options = ClusterOptions(port=9333, extra_settings={"node.name": "mine", "a.b": "c"})
        made = command(installation, layout, options)
    finally:
        layout.remove()
    assert "-Enode.name=mine" in made.argv
    assert "-Enode.name=querymill" not in made.argv
    assert {"-Ehttp.port=9333", "-Etransport.port=0", "-Ea.b=c"} <= set(made.argv)
    assert set(made.env) == {"PATH", "LANG", "HOME", "OPENSEARCH_TMPDIR", "OPENSEARCH_JAVA_OPTS"}


def test_without_bash_elasticsearch_is_refused(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its launcher is a bash script."""
    monkeypatch.setenv("PATH", "")
    product = distribution("elasticsearch")
    elastic = Installation(
        distribution=product,
        version="9.5.0",
        home=installation.home,
        java=installation.java,
        account=installation.account,
    )
    layout = lay_out(elastic, None)
    try:
        with pytest.raises(EmbeddedError, match=r"Elasticsearch 9\.5\.0 .*install bash"):
            command(elastic, layout, ClusterOptions(distribution="elasticsearch"))
    finally:
        layout.remove()


@as_root
def test_a_folder_is_judged_by_asking_the_kernel(open_folder: Path) -> None:
    """Parents count, not only the folder's own mode."""
    inner = open_folder / "a" / "b"
    inner.mkdir(parents=True)
    account = service_account()
    assert account.can_enter(inner)
    inner.parent.chmod(0o700)
    assert not account.can_enter(inner)
    assert Account("me").can_enter(inner)
