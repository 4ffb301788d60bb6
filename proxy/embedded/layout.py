"""The folders of one run: configuration, scratch space, data and log, owned by who needs them."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from proxy.embedded.account import Account
from proxy.embedded.errors import EmbeddedError
from proxy.embedded.folders import storage_errors
from proxy.embedded.installation import Installation

# The node's own files would keep the same lines up to eight times; one stream is enough here.
_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %marker %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""

# Options that point at files relative to the installation, or that are set by the launch.
_UNWANTED = (
    "OPENSEARCH_TMPDIR",
    "-Xms",
    "-Xmx",
    "-Xlog",
    "-Xloggc",
    "HeapDump",
    "ErrorFile",
    "GCLog",
    "PrintGC",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where one run keeps its files. `scratch` goes at its end; it holds all of them unless the
    caller named a data folder, which then holds `data`, `logs` and `console`.
    """

    scratch: Path
    config: Path
    temp: Path
    data: Path
    logs: Path
    console: Path

    @property
    def http_ports(self) -> Path:
        """Written by the node once HTTP listens: one `address:port` a line."""
        return self.logs / "http.ports"

    def remove(self) -> None:
        """Remove what is temporary."""
        shutil.rmtree(self.scratch, ignore_errors=True)


def lay_out(installation: Installation, data_dir: Path | None) -> Layout:
    """Make the folders and the configuration of one run.

    Raises EmbeddedError when they cannot be written, or not be reached by the backend's user.
    """
    account = installation.account
    scratch = _scratch(account)
    try:
        with storage_errors("making the folders of the backend", data_dir or scratch):
            base = data_dir or scratch
            base.mkdir(parents=True, exist_ok=True)
            layout = Layout(
                scratch=scratch,
                config=scratch / "config",
                temp=scratch / "tmp",
                data=base / "data",
                logs=base / "logs",
                console=base / "backend.log",
            )
            _configure(installation, layout)
            for folder in (layout.temp, layout.data, layout.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
                account.own(folder)
            layout.http_ports.unlink(missing_ok=True)
        if not account.can_enter(base):
            raise EmbeddedError(
                f"user {account.name}, who runs the backend for root, cannot enter {base}: "
                "allow it (chmod o+rx, parents too), or choose another data folder"
            )
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return layout


def _scratch(account: Account) -> Path:
    """A new folder in the first temporary place that the account can enter."""
    for place in (None, "/tmp", "/var/tmp"):
        with storage_errors("making a temporary folder", Path(place or tempfile.gettempdir())):
            folder = Path(tempfile.mkdtemp(prefix="querymill-backend-", dir=place))
            folder.chmod(0o755)
        if account.can_enter(folder):
            return folder
        folder.rmdir()
    raise EmbeddedError(
        f"user {account.name}, who runs the backend for root, can enter no temporary folder: "
        "set TMPDIR to one that every user can enter"
    )


def _configure(installation: Installation, layout: Layout) -> None:
    shutil.copytree(installation.home / "config", layout.config)
    (layout.config / "log4j2.properties").write_text(_LOGGING)
    options = layout.config / "jvm.options"
    options.write_text(jvm_options(options.read_text(), bundled=installation.java.bundled))
    # The node makes its keystore here.
    layout.config.chmod(0o700)
    installation.account.own(layout.config, *layout.config.rglob("*"))


def jvm_options(shipped: str, *, bundled: bool) -> str:
    """The distribution's own options, less files beside the installation and what is missing in
    the bundled runtime, whose Thai text breaking comes from ICU instead.
    """
    unwanted = (*_UNWANTED, "jdk.incubator.vector") if bundled else _UNWANTED
    kept = [
        line
        for line in shipped.splitlines()
        if line.strip() and not line.startswith("#") and not any(word in line for word in unwanted)
    ]
    if bundled:
        kept.append("-Djava.locale.providers=SPI,CLDR")
    return "\n".join(kept) + "\n"
