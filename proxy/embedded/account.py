"""The user the backend runs as: the caller, or an unprivileged one when the caller is root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.embedded.errors import EmbeddedError

# Accounts that own no files on a usual system, most fitting first.
_NAMES = ("nobody", "daemon")


@dataclass(frozen=True, slots=True)
class Account:
    """A user for child processes; `uid` and `gid` are None for the caller's own."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @property
    def groups(self) -> list[int] | None:
        """Supplementary groups for a child: none at all for another user, else inherited."""
        return None if self.uid is None else []

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path = Path("/"),
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a short command as this user and return its captured text, whatever its exit.

        Raises OSError when it cannot be executed, TimeoutExpired after `timeout` seconds.
        """
        return subprocess.run(
            argv,
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may reach and list the folder, asked of the kernel, not of modes."""
        if self.uid is None:
            return os.access(folder, os.R_OK | os.X_OK)
        argv = ["/bin/sh", "-c", 'test -r "$0" && test -x "$0"', str(folder)]
        return self.run(argv, env={}).returncode == 0

    def own(self, *paths: Path) -> None:
        """Give the paths to this user; nothing to do for the caller's own account."""
        if self.uid is not None and self.gid is not None:
            for path in paths:
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def service_account() -> Account:
    """The account to run the backend as; never root, which the backend refuses.

    Raises EmbeddedError when the caller is root and the machine knows no other user.
    """
    if os.geteuid() != 0:
        return Account(name=str(os.geteuid()))
    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    named = [entries[name] for name in _NAMES if name in entries]
    others = [entry for entry in entries.values() if entry.pw_uid != 0]
    for entry in [*named, *others]:
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "the backend may not run as root, and /etc/passwd names no other user: "
        "add one (for example nobody), or start as a user that is not root"
    )
