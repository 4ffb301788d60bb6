"""The command that starts a node, for each distribution."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from proxy.embedded.errors import EmbeddedError
from proxy.embedded.installation import Installation
from proxy.embedded.layout import Layout
from proxy.embedded.options import ClusterOptions

_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to execute, with its whole environment: nothing of the caller's leaks into it."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path


def command(installation: Installation, layout: Layout, options: ClusterOptions) -> Command:
    """The command for one run. Raises EmbeddedError when its parts do not work."""
    settings = [f"-E{name}={value}" for name, value in _settings(installation, layout, options)]
    if installation.distribution.name == "opensearch":
        return _opensearch(installation, layout, options, settings)
    return _elasticsearch(installation, layout, options, settings)


def _settings(
    installation: Installation, layout: Layout, options: ClusterOptions
) -> list[tuple[str, str]]:
    settings: Mapping[str, str] = {
        "cluster.name": "querymill",
        "node.name": "querymill",
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": str(options.port),
        "transport.port": str(options.transport_port or 0),
        "path.data": str(layout.data),
        "path.logs": str(layout.logs),
        # The chosen ports are read from the files this writes.
        "node.portsfile": "true",
        # A development machine's disk is often fuller than a cluster would like.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        **installation.distribution.settings,
        **options.extra_settings,
    }
    return list(settings.items())


def _opensearch(
    installation: Installation, layout: Layout, options: ClusterOptions, settings: list[str]
) -> Command:
    """Java itself with the options its own parser makes of jvm.options.

    The shell launcher does the same after three more runs of Java, a third of the time to the
    first response on a small machine, and needs bash.
    """
    home = installation.home
    java = str(installation.java.command)
    env = {
        "PATH": _PATH,
        "LANG": "C.UTF-8",
        "HOME": str(layout.temp),
        "OPENSEARCH_TMPDIR": str(layout.temp),
        "OPENSEARCH_JAVA_OPTS": _heap(options),
    }
    argv = [
        java,
        *_parsed_options(installation, layout, env),
        f"-Djava.io.tmpdir={layout.temp}",
        f"-XX:ErrorFile={layout.logs}/hs_err_pid%p.log",
        f"-Dopensearch.path.home={home}",
        f"-Dopensearch.path.conf={layout.config}",
        "-Dopensearch.distribution.type=zip",
        "-Dopensearch.bundled_jdk=false",
        "-cp",
        f"{home}/lib/*",
        "org.opensearch.bootstrap.OpenSearch",
        *settings,
    ]
    return Command(argv=argv, env=env, cwd=home)


def _parsed_options(
    installation: Installation, layout: Layout, env: Mapping[str, str]
) -> list[str]:
    argv = [
        str(installation.java.command),
        "-cp",
        f"{installation.home}/lib/*",
        "org.opensearch.tools.launchers.JvmOptionsParser",
        str(layout.config),
    ]
    try:
        # The path of the agent among the options is relative to the installation.
        done = installation.account.run(argv, env=env, cwd=installation.home)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedError(
            f"{installation.title} cannot be started with {argv[0]}: {error}; "
            "set QUERYMILL_JAVA to another Java"
        ) from error
    if done.returncode != 0:
        raise EmbeddedError(
            f"{installation.title} does not accept its Java options with {argv[0]} and a heap of "
            f"{env['OPENSEARCH_JAVA_OPTS']}: {done.stderr.strip()[:1000]}\n"
            "choose a heap that fits this machine's memory, or another Java with QUERYMILL_JAVA"
        )
    return shlex.split(done.stdout)


def _elasticsearch(
    installation: Installation, layout: Layout, options: ClusterOptions, settings: list[str]
) -> Command:
    if which("bash") is None:
        raise EmbeddedError(f"{installation.title} is started by a bash script: install bash")
    env = {
        "PATH": os.environ.get("PATH", _PATH),
        "LANG": "C.UTF-8",
        "HOME": str(layout.temp),
        "ES_JAVA_HOME": str(installation.java.home),
        "ES_JAVA_OPTS": _heap(options),
        "ES_PATH_CONF": str(layout.config),
        "ES_TMPDIR": str(layout.temp),
    }
    argv = [str(installation.home / "bin" / "elasticsearch"), *settings]
    return Command(argv=argv, env=env, cwd=layout.temp)


def _heap(options: ClusterOptions) -> str:
    return f"-Xms{options.heap_mb}m -Xmx{options.heap_mb}m"
