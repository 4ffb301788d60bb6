"""UDF packages: reading an upload, and the versions held under each name."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from weakref import WeakValueDictionary

import orjson

from pipelines.context import Phase
from pipelines.definitions.archive import ArchiveLimits, read_archive
from pipelines.definitions.fields import (
    NAME,
    NAME_RULE,
    VERSION,
    VERSION_RULE,
    Fields,
    hint_to_make,
)
from pipelines.definitions.limits import (
    FILES_MAX,
    JSON_MAX,
    MEMORY_MAX_MB,
    MEMORY_MB,
    MEMORY_MIN_MB,
    PACKAGE_MAX,
    SOURCE_MAX,
)
from pipelines.definitions.package import Package
from pipelines.definitions.spelling import nearest
from pipelines.definitions.versions import is_prerelease, version_key
from pipelines.errors import ConflictError, DefinitionError, MissingError, NoJsonError
from pipelines.jsontext.pieces import base64_decoded, dump_file, joined, loads

SOURCE_NAMES = ("udf.py", "main.py")
LATEST = "latest"

UploadFormat = Literal["source", "json", "zip"]

_HEADER_SIGN = "@udf:"
_HEADERS = ("name", "version", "category", "memory_mb")
_HEADER_KEY = re.compile(r"[A-Za-z_]{1,100}")
_SHOWN = 100
_CATEGORIES: Mapping[str, Phase] = {
    "query_pipeline": "query",
    "document_pipeline": "document",
    "result_pipeline": "result",
}


def source_headers(source: str) -> dict[str, str]:
    """The ``# @udf: key=value`` lines of a source; the first of a key counts."""
    headers: dict[str, str] = {}
    for key, value in _header_lines(source):
        headers.setdefault(key, value)
    return headers


def _header_lines(source: str) -> Iterator[tuple[str, str]]:
    # Line by line, each part found once: a pattern over the whole would try all ways to split it.
    for line in source.split("\n"):
        if not line.startswith("#"):
            continue
        text = line[1:].lstrip()
        if not text.startswith(_HEADER_SIGN):
            continue
        key, sign, value = text[len(_HEADER_SIGN) :].partition("=")
        if sign and _HEADER_KEY.fullmatch(key := key.strip()):
            yield key, value.strip()


def _check_headers(source: str) -> None:
    """Refuse, at upload, what is ours misspelt. Other keys are the author's own."""
    headers = source_headers(source)
    for key in headers:
        meant = None if key in _HEADERS else nearest(key, _HEADERS, like=0.75)
        if meant is not None:
            reason = f"the header [{key}] is none; did you mean [{meant}]?"
            raise DefinitionError("source", reason)
    for key, value in _header_lines(source):
        if key in _HEADERS and value != headers[key]:
            reason = f"the header [{key}] says [{headers[key][:_SHOWN]}], then [{value[:_SHOWN]}]"
            raise DefinitionError("source", f"{reason}; say it once")
    category = headers.get("category")
    if category is not None and category not in _CATEGORIES:
        reason = f"the header says [{category[:_SHOWN]}], which is not one of"
        raise DefinitionError("category", f"{reason} {', '.join(_CATEGORIES)}")


def category_phase(package: Package) -> Phase | None:
    """The pipeline type a UDF's ``category`` header names; None when it names none of ours."""
    return _CATEGORIES.get(source_headers(package.source).get("category", ""))


def upload_memory_mb(package: Package) -> int:
    """The memory that an upload is checked with: as its ``memory_mb`` header says.

    Raises `DefinitionError` where a stage could not have that.
    """
    text = source_headers(package.source).get("memory_mb")
    if text is None:
        return MEMORY_MB
    usable = text.isascii() and text.isdigit() and len(text) < 9
    if not usable or not MEMORY_MIN_MB <= int(text) <= MEMORY_MAX_MB:
        reason = f"[{text[:20]}] is no number of {MEMORY_MIN_MB} to {MEMORY_MAX_MB}"
        raise DefinitionError("memory_mb", f"{reason}; write # @udf: memory_mb=128")
    return int(text)


def read_package(
    name: str, body: bytes, *, format: UploadFormat, version: str | None = None
) -> Package:
    """Read an upload of plain source, JSON (``{"name", "version", "source", "files"}``) or a zip.

    `version` is the one asked for beside the body; neither it nor the name may differ from those
    inside. A byte order mark before the source is no part of it. Raises `DefinitionError` naming
    the part at fault. Takes a while for what is large: not for the event loop.
    """
    if not NAME.fullmatch(name):
        raise DefinitionError("name", f"[{name[:100]}] {NAME_RULE}")
    files: Mapping[str, bytes] = {}
    inside: str | None = None
    if format == "source":
        source = _text(body, "source")
    elif format == "json":
        source, files, inside = _read_value(name, _json(body))
    else:
        source, files = _read_zip(body)
    package = _package(name, source, files, version, inside)
    _check_headers(package.source)
    return package


def _package(name: str, source: str, files: Mapping[str, bytes], *given: str | None) -> Package:
    """The package, whose version is the one `given` or in the source."""
    source = source.lstrip("\ufeff")
    if len(source.encode("utf-8", "surrogatepass")) > SOURCE_MAX:
        raise DefinitionError("source", f"is larger than {SOURCE_MAX} bytes")
    if not source.strip():
        raise DefinitionError("source", "is empty")
    if "\0" in source:
        raise DefinitionError("source", "contains a null character")
    headers = source_headers(source)
    if headers.get("name", name) != name:
        reason = f"the header says [{headers['name'][:_SHOWN]}], the upload is for [{name}]"
        raise DefinitionError("source", reason)
    versions = {v for v in (*given, headers.get("version")) if v is not None}
    if len(versions) > 1:
        listed = ", ".join(sorted(each[:_SHOWN] for each in versions))
        raise DefinitionError("version", f"is given differently: {listed}")
    chosen = versions.pop() if versions else "1.0.0"
    if not VERSION.fullmatch(chosen) or chosen == LATEST:
        raise DefinitionError("version", f"[{chosen[:100]}] {VERSION_RULE}")
    return Package(name=name, version=chosen, source=source, files=files)


def package_json(package: Package) -> bytes:
    """A package as the store keeps it and the JSON upload takes it; binary files as base64."""
    parts = [b'{"source":', orjson.dumps(package.source), b',"files":{']
    for position, (name, content) in enumerate(package.files.items()):
        parts += [b"," if position else b"", orjson.dumps(name), b":", *dump_file(content)]
    parts += [b'},"version":', orjson.dumps(package.version), b"}"]
    return joined(parts)


def package_of(name: str, body: object) -> Package:
    """The package kept as `body` (see `package_json`)."""
    return _package(name, *_read_value(name, body))


def _text(body: bytes, path: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8 at byte {error.start}; save it as UTF-8"
        raise DefinitionError(path, reason) from error


def _json(body: bytes) -> object:
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise NoJsonError("the body is empty; send a JSON object")
    try:
        return loads(body, most=JSON_MAX)
    except ValueError as error:
        raise NoJsonError(f"the body is not valid JSON: {error}") from error


def _read_value(name: str, value: object) -> tuple[str, Mapping[str, bytes], str | None]:
    fields = Fields(value, "", ("name", "source", "files", "version"))
    own_name = fields.string("name", default=name)
    if own_name != name:
        reason = f"[{own_name[:_SHOWN]}] differs from the [{name}] it is uploaded to"
        raise DefinitionError("name", reason)
    source = fields.string("source", longest=SOURCE_MAX + 1)
    version = fields.string("version", default=None, longest=64)
    entries = fields.object("files", default={})
    files = {name: _file(name, content) for name, content in entries.items()}
    return source, _checked_files(files), version


def _file(name: str, content: object) -> bytes:
    path = f"files[{name[:100]}]"
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, dict) and set(content) == {"base64"}:
        try:
            return base64_decoded(content["base64"])
        except (TypeError, ValueError) as error:
            raise DefinitionError(f"{path}.base64", f"is not base64: {error}") from error
    raise DefinitionError(path, 'must be a string, or {"base64": "..."} for binary content')


def _checked_files(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    if len(files) > FILES_MAX:
        raise DefinitionError("files", f"has {len(files)} files; {FILES_MAX} are allowed")
    total = 0
    for name, content in files.items():
        parts = name.split("/")
        if not name or len(name) > 200 or "\\" in name or any(p in ("", ".", "..") for p in parts):
            raise DefinitionError(f"files[{name[:100]}]", "is not a relative file name")
        total += len(content)
    if total > PACKAGE_MAX:
        raise DefinitionError("files", f"hold {total} bytes; {PACKAGE_MAX} are allowed")
    return files


def _read_zip(body: bytes) -> tuple[str, Mapping[str, bytes]]:
    limits = ArchiveLimits(files=FILES_MAX, total=PACKAGE_MAX, source=SOURCE_MAX)
    content = read_archive(body, limits)
    sources = [name for name in content if name in SOURCE_NAMES] or [
        name for name in content if name.endswith(".py")
    ]
    if len(sources) != 1:
        found = ", ".join(each[:_SHOWN] for each in sources[:10]) or "none"
        reason = f"needs exactly one source: udf.py, main.py or a single .py; found {found}"
        raise DefinitionError("zip", reason)
    source = _text(content.pop(sources[0]), f"zip[{sources[0][:_SHOWN]}]")
    return source, _checked_files(content)


def missing_udf(name: str) -> MissingError:
    """No version of a UDF is there."""
    return MissingError("udf", name, hint_to_make("udf", name))


@dataclass(frozen=True, slots=True, kw_only=True)
class UdfVersion:
    """What is known of a UDF version without its package.

    `category` is the type of pipelines it is made for, None where that is any.
    """

    name: str
    version: str
    digest: str
    category: Phase | None = None


def version_of(package: Package) -> UdfVersion:
    """What is to be known of a package; reads its source."""
    return UdfVersion(
        name=package.name,
        version=package.version,
        digest=package.digest,
        category=category_phase(package),
    )


class UdfRegistry:
    """All UDFs by name and version, those too that were deleted: a version never changes.

    Of packages only those are held that a stage of some pipeline holds, and those that were `put`.
    """

    def __init__(self) -> None:
        self._versions: dict[str, dict[str, UdfVersion]] = {}
        self._deleted: dict[tuple[str, str], str] = {}
        self._latest: dict[str, str | None] = {}
        self._own: dict[str, Package] = {}
        self._packages: WeakValueDictionary[str, Package] = WeakValueDictionary()

    def copy(self) -> UdfRegistry:
        """One that can be changed without this one; they share the packages."""
        twin = UdfRegistry()
        twin._versions = {name: dict(versions) for name, versions in self._versions.items()}
        twin._deleted, twin._latest = dict(self._deleted), dict(self._latest)
        twin._own, twin._packages = self._own, self._packages
        return twin

    def check(self, package: Package) -> bool:
        """Whether `package` is new; raises `ConflictError` if that version has other content.

        A deleted one counts: nobody who names a version may be given another one.
        """
        known = self._versions.get(package.name, {}).get(package.version)
        digest = known.digest if known else self._deleted.get((package.name, package.version))
        if digest is not None and digest != package.digest:
            exists = "exists" if known else "was deleted, and existed"
            raise ConflictError(
                f"udf [{package.name}] version [{package.version}] {exists} with other content;"
                " versions are immutable, upload it under a new version"
            )
        return known is None

    def put(self, package: Package) -> None:
        """Add a version (see `check`) with its package."""
        if self.check(package):
            self.know(version_of(package), package)
            self._own[package.digest] = package

    def know(self, found: UdfVersion, package: Package | None = None) -> None:
        """Add a version; its package is there as long as somebody else holds it."""
        self._versions.setdefault(found.name, {})[found.version] = found
        self._latest.pop(found.name, None)
        if package is not None:
            self.lend(package)

    def lend(self, package: Package) -> None:
        """Make a package known as long as somebody holds it."""
        self._packages[package.digest] = package

    def get(self, name: str, version: str = LATEST) -> UdfVersion:
        """A version; for ``latest`` the highest that is no pre-release. Raises `MissingError`."""
        versions = self._versions.get(name)
        if not versions:
            raise missing_udf(name)
        if version == LATEST:
            found = self.latest(name)
            if found is None:
                known = ", ".join(self.versions(name)[:_SHOWN])
                advice = f"there are only pre-releases, which have to be named: {known}"
                raise MissingError("udf", f"{name}@{version}", advice)
            version = found
        if version not in versions:
            known = ", ".join(self.versions(name)[:_SHOWN])
            raise MissingError("udf", f"{name}@{version}", f"its versions are {known}")
        return versions[version]

    def package(self, found: UdfVersion) -> Package | None:
        """The package of a version, if it is held."""
        return self._packages.get(found.digest)

    def latest(self, name: str) -> str | None:
        """The highest version that is no pre-release, None where there is none."""
        if name not in self._latest:
            releases = [each for each in self._versions.get(name, ()) if not is_prerelease(each)]
            self._latest[name] = max(releases, key=version_key, default=None)
        return self._latest[name]

    def versions(self, name: str) -> list[str]:
        """The versions of a UDF, lowest first; empty when there is none."""
        return sorted(self._versions.get(name, {}), key=version_key)

    def names(self) -> list[str]:
        return sorted(self._versions)

    def remove(self, name: str, versions: Iterable[str]) -> None:
        """Take versions out; a name without versions is gone."""
        held = self._versions.get(name, {})
        for version in versions:
            gone = held.pop(version, None)
            if gone is not None:
                self._own.pop(gone.digest, None)
        self._latest.pop(name, None)
        if not held:
            self._versions.pop(name, None)

    def bury(self, name: str, version: str, digest: str) -> None:
        """Remember what a deleted version was, so that it is given to nothing else."""
        self._deleted[name, version] = digest

    def buried(self, name: str, version: str) -> bool:
        """Whether that version was deleted once."""
        return (name, version) in self._deleted
