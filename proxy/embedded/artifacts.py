"""Files of a Maven repository: downloaded once, kept in the cache, checked before every use."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.maven import Artifact as MavenArtifact
from jgo.maven import MavenContext, PythonResolver

from proxy.embedded.errors import EmbeddedError
from proxy.embedded.folders import fill, require_space, storage_errors
from proxy.embedded.progress import Advance, Progress

# Seconds a repository may stay silent, not the time a download may take.
_PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file, by its Maven coordinates; `sha256` is None where this release pins none."""

    group: str
    name: str
    version: str
    packaging: str
    sha256: str | None = None

    @property
    def filename(self) -> str:
        """Its name in the repository and in the cache."""
        return f"{self.name}-{self.version}.{self.packaging}"

    @property
    def folder(self) -> Path:
        """Where it lies, relative to the root of a repository."""
        return Path(*self.group.split("."), self.name, self.version)


class ArtifactStore:
    """The download cache of one folder, safe to share between processes.

    A repository named in jgo's own configuration file is asked as well as Maven Central, and
    one named `central` there is asked instead.
    """

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress

    def fetch(self, artifact: Artifact) -> Path:
        """The local path of the file, its checksum verified.

        Raises EmbeddedError when it cannot be had, and when its bytes are not the published
        ones; such a file is deleted, so that the next try downloads it anew.
        """
        waited = f"waiting for {artifact.filename}: another process is downloading it"
        with storage_errors(f"downloading {artifact.filename}", self._folder):
            path = fill(
                self._folder / artifact.folder / artifact.filename,
                lambda folder: self._download(artifact, folder),
                lambda: self._progress.say(waited),
            )
            self._verify(artifact, path)
        return path

    def _download(self, artifact: Artifact, folder: Path) -> Path:
        resolver = PythonResolver(progress_callback=self._bar_in(folder))
        context = MavenContext(
            resolver=resolver, repo_cache=folder, remote_repos=_repositories(), timeout=_PATIENCE
        )
        component = context.project(artifact.group, artifact.name).at_version(artifact.version)
        path = self._resolve(component.artifact(packaging=artifact.packaging))
        if artifact.sha256 is None:
            # The published checksum is a file of its own beside the artifact.
            published = self._resolve(component.artifact(packaging=f"{artifact.packaging}.sha1"))
            shutil.move(published, self._folder / artifact.folder / published.name)
        return path

    def _resolve(self, wanted: MavenArtifact) -> Path:
        # jgo raises RuntimeError when no repository has the file, and an OSError without an
        # errno (of the HTTP library beneath) when none can be reached.
        cure = (
            "run once with a network, set QUERYMILL_CACHE_DIR to a cache that is filled, "
            "or name a mirror in the [repositories] of jgo's configuration file"
        )
        try:
            return wanted.resolve()
        except RuntimeError as error:
            raise EmbeddedError(
                f"{wanted.filename} is in no repository ({error}): check the version, or {cure}"
            ) from error
        except IndexError as error:
            raise EmbeddedError(
                f"the repository publishes an empty checksum for {wanted.filename}: "
                "name another one in the [repositories] of jgo's configuration file"
            ) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise EmbeddedError(f"cannot download {wanted.filename}: {error}\n{cure}") from error

    def _bar_in(
        self, folder: Path
    ) -> Callable[[str, int], AbstractContextManager[Callable[[int], None]]]:
        @contextmanager
        def bar(filename: str, total: int) -> Iterator[Advance]:
            require_space(f"downloading {filename}", folder, total)
            with self._progress.bar(f"downloading {filename}", total, "bytes") as advance:
                yield advance

        return bar

    def _verify(self, artifact: Artifact, path: Path) -> None:
        sha1 = path.with_name(f"{path.name}.sha1")
        if artifact.sha256 is not None:
            method, wanted = "sha256", artifact.sha256
        else:
            method, wanted = "sha1", _first_word(sha1)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, method).hexdigest()
        if found == wanted:
            return
        path.unlink(missing_ok=True)
        sha1.unlink(missing_ok=True)
        raise EmbeddedError(
            f"{path} is damaged or not what was published: its {method} is {found}, "
            f"{wanted or 'none'} was expected. It has been deleted: run again to download it "
            "anew; if that repeats, distrust the network or the mirror"
        )


def _repositories() -> dict[str, str] | None:
    named = dict(GlobalSettings.load().repositories)
    if not named:
        return None
    return {**MavenContext().remote_repos, **named}


def _first_word(path: Path) -> str:
    """A checksum file holds the checksum, and at times the file's name after it."""
    try:
        words = path.read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError:
        return ""
    return words[0].lower() if words else ""
