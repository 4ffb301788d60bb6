"""Which Java runs the backend, found by running the ones there are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from proxy.embedded.account import Account
from proxy.embedded.errors import EmbeddedError, JavaUnfit

SYSTEM_JAVAS = Path("/usr/lib/jvm")

_VERSION = re.compile(r'version "(?:1\.)?(\d+)[^"]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaNeeds:
    """What a backend asks of a runtime: its lowest and highest feature release, its modules."""

    lowest: int
    highest: int | None
    modules: Collection[str]

    def __str__(self) -> str:
        if self.highest is None:
            return f"Java {self.lowest} or newer"
        return f"Java {self.lowest} to {self.highest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A runtime that was run and found fit; `bundled` is the trimmed one that needs cures."""

    home: Path
    version: int
    bundled: bool = False

    @property
    def command(self) -> Path:
        return self.home / "bin" / "java"


def probe(home: Path, needs: JavaNeeds, account: Account) -> Java:
    """Run the Java in `home` as the account the backend will have.

    Raises JavaUnfit with the reason it cannot be used.
    """
    command = home / "bin" / "java"
    banner = _said(command, "-version", account)
    found = _VERSION.search(banner)
    if found is None:
        raise JavaUnfit(f"{command} does not tell its version: {banner.strip()[:200]!r}")
    version = int(found[1])
    if version < needs.lowest or (needs.highest is not None and version > needs.highest):
        raise JavaUnfit(f"{command} is Java {version}, and {needs} is needed")
    listed = _said(command, "--list-modules", account).splitlines()
    modules = {line.split("@")[0].strip() for line in listed}
    missing = sorted(set(needs.modules) - modules)
    if missing:
        raise JavaUnfit(f"{command} lacks the module {', '.join(missing)}: install a full JDK")
    return Java(home=home, version=version)


def candidates(
    environ: Mapping[str, str], own_variable: str, system: Path = SYSTEM_JAVAS
) -> Iterator[Path]:
    """Java homes named by the environment, then PATH, then installed ones; each only once."""
    named = [environ.get(own_variable), environ.get("JAVA_HOME")]
    homes = [Path(home) for home in named if home]
    on_path = which("java", path=environ.get("PATH", ""))
    if on_path:
        homes.append(Path(on_path).resolve().parent.parent)
    homes += sorted(system.glob("*/")) if system.is_dir() else []
    seen: set[Path] = set()
    for home in homes:
        if home.resolve() not in seen and (home / "bin" / "java").exists():
            seen.add(home.resolve())
            yield home


def find_java(homes: Iterator[Path], needs: JavaNeeds, account: Account) -> Java:
    """The first fit runtime. Raises JavaUnfit that says of each why it is not."""
    reasons = []
    for home in homes:
        try:
            return probe(home, needs, account)
        except JavaUnfit as error:
            reasons.append(str(error))
    listed = "\n".join(f"- {reason}" for reason in reasons) or "- no Java was found at all"
    raise JavaUnfit(
        f"{needs} is needed, and this machine has none that fits:\n{listed}\n"
        "install a full JDK, or set JAVA_HOME to one that every user may read"
    )


def _said(command: Path, option: str, account: Account) -> str:
    """What Java prints; `-version` goes to standard error. Raises JavaUnfit."""
    try:
        done = account.run([command, option], env={}, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JavaUnfit(f"{command} cannot be run as user {account.name}: {error}") from error
    if done.returncode != 0:
        raise JavaUnfit(
            f"{command} {option} ended with {done.returncode} as user {account.name}: "
            f"{(done.stderr or done.stdout).strip()[:300]}"
        )
    return done.stdout + done.stderr


def chosen_home(choice: str) -> Path | None:
    """The Java home a caller named instead of a way to find one; None for the three words.

    Raises EmbeddedError when it is no folder with a Java in it.
    """
    if choice in ("auto", "machine", "bundled"):
        return None
    home = Path(choice).expanduser().absolute()
    if not (home / "bin" / "java").exists():
        raise EmbeddedError(
            f"QUERYMILL_JAVA is {choice!r}, and {home / 'bin' / 'java'} does not exist: "
            "set it to auto, machine, bundled or the home of a Java"
        )
    return home
