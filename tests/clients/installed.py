"""The clients that are not among the project's own packages, installed once into the cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from proxy.embedded.options import default_cache_dir

HERE: Final = Path(__file__).parent
NODE_LOWEST: Final = 20
GO_LOWEST: Final = (1, 24)
JAVA_LOWEST: Final = 17
# A download over a slow network; nothing waits for it when all is well.
_PATIENCE: Final = 300
# The Go that is installed; none is downloaded.
_GO: Final = MappingProxyType({"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"})


def python_client(name: str) -> Path:
    """A folder for PYTHONPATH with what ``{name}.txt`` pins.

    What else the client needs comes from the project's own environment.
    """
    pinned = HERE / f"{name}.txt"

    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, "--no-deps", "--require-hashes", "-r", str(pinned), "--target", str(folder)])

    # What pip compiles depends on the Python that runs it.
    salt = "{}.{}".format(*sys.version_info)
    return _once(f"{name}-{salt}", [pinned], install)


def javascript_clients() -> Path:
    """A folder with the JavaScript clients and the programs that use them."""
    source = HERE / "js"
    files = sorted(path for path in source.iterdir() if path.is_file())

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run(["npm", "ci", *quiet], cwd=folder)

    return _once("javascript", files, install)


def lacks_node() -> str | None:
    """Why JavaScript cannot run here; None if it can."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return f"node {NODE_LOWEST} or newer and npm are needed, and are not installed"
    version = _run(["node", "--version"]).strip()
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdigit() or int(major) < NODE_LOWEST:
        return f"node {version} is installed, and {NODE_LOWEST} or newer is needed"
    return None


def go_program() -> Path:
    """The program on opensearch-go, built."""
    source = HERE / "go"
    files = sorted(path for path in source.rglob("*") if path.is_file())

    def install(folder: Path) -> None:
        _run(["go", "build", "-o", str(folder / "opensearch"), "./opensearch"], source, _GO)

    return _once("go", files, install) / "opensearch"


def lacks_go() -> str | None:
    """Why Go cannot be built here; None if it can."""
    wanted = ".".join(map(str, GO_LOWEST))
    if shutil.which("go") is None:
        return f"go {wanted} or newer is needed, and is not installed"
    version = _run(["go", "env", "GOVERSION"], environment=_GO).strip()
    numbers = re.findall(r"[0-9]+", version)[:2]
    if tuple(map(int, numbers)) < GO_LOWEST:
        return f"{version} is installed, and go {wanted} or newer is needed"
    return None


def java_program() -> str:
    """The class path of the program on elasticsearch-java."""
    source = HERE / "java"
    files = sorted(path for path in source.iterdir() if path.is_file())

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        jars = "dependency:copy-dependencies"
        _run(["mvn", "-B", "-q", "-ntp", jars, "-DoutputDirectory=jars"], folder)
        sources = [path.name for path in files if path.suffix == ".java"]
        _run(["javac", "-nowarn", "-cp", "jars/*", "-d", "classes", *sources], folder)

    folder = _once("java", files, install)
    return os.pathsep.join([f"{folder / 'jars'}/*", str(folder / "classes")])


def lacks_java() -> str | None:
    """Why Java cannot be built here; None if it can."""
    if missing := [name for name in ("mvn", "javac", "java") if shutil.which(name) is None]:
        return f"a JDK {JAVA_LOWEST} or newer and Maven are needed; {missing[0]} is not installed"
    version = _run(["javac", "-version"]).split()[-1]
    if int(version.partition(".")[0]) < JAVA_LOWEST:
        return f"javac {version} is installed, and {JAVA_LOWEST} or newer is needed"
    return None


def _once(name: str, inputs: Iterable[Path], install: Callable[[Path], None]) -> Path:
    """A folder in the cache that `install` filled, anew whenever an input changes."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
    clients = default_cache_dir() / "clients"
    folder = clients / f"{name}-{digest}"
    if not folder.exists():
        clients.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=clients))
        try:
            install(unfinished)
            os.rename(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return folder


def _run(
    command: Sequence[str],
    cwd: Path | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout
