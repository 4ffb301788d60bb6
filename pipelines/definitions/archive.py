"""Zip archives of an upload: counted before they are read, read within bounds, or refused."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipelines.definitions.limits import DIRECTORY_MAX, ENTRIES_MAX
from pipelines.errors import DefinitionError

_END: Final = struct.Struct("<4s4H2LH")
_END_SIGN: Final = b"PK\5\6"
_COMMENT_LENGTH: Final = 65_535
_LOCATOR_SIGN: Final = b"PK\6\7"
_LOCATOR_BYTES: Final = 20
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_END64_SIGN: Final = b"PK\6\6"

# What macOS and Windows put beside the files of a folder; nobody means to send it.
_LITTER_FOLDER: Final = "__MACOSX/"
_LITTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})

_ENCRYPTED: Final = 0x1
_UTF8: Final = 0x800
_METHODS: Final[Mapping[int, str]] = {
    9: "deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "zstandard",
    95: "xz",
    98: "PPMd",
    99: "AES",
}
_BROKEN: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What `zipfile` raises on archives that are none; it has no one base class for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """How many files an archive may hold, of how many bytes, beside one of `source` bytes."""

    files: int
    total: int
    source: int


def read_archive(body: bytes, limits: ArchiveLimits) -> dict[str, bytes]:
    """The files of a zip, by name, without what an operating system adds.

    Raises `DefinitionError` that says what is wrong with it.
    """
    try:
        _check_directory(body)
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            infos = archive.infolist()
            if len(infos) > ENTRIES_MAX:
                raise zipfile.BadZipFile("it holds more entries than its end says")
            members = _members(infos, limits)
            return {name: _content(archive, name, info) for name, info in members.items()}
    except UnicodeDecodeError as error:
        raise DefinitionError("zip", "has a name that is not UTF-8") from error
    except _BROKEN as error:
        reason = str(error)[:200] or type(error).__name__
        raise DefinitionError("zip", f"cannot be read: {reason}") from error


def _check_directory(body: bytes) -> None:
    """Refuse a central directory that is too long, from what its end says, before it is read."""
    entries, size = _directory(body)
    if entries > ENTRIES_MAX:
        raise DefinitionError("zip", f"has {entries} entries; {ENTRIES_MAX} are allowed")
    if size > DIRECTORY_MAX:
        reason = f"has a directory of {size} bytes; {DIRECTORY_MAX} are allowed"
        raise DefinitionError("zip", reason)


def _directory(body: bytes) -> tuple[int, int]:
    """Entries and bytes of the central directory, found as `zipfile` finds it."""
    at = len(body) - _END.size
    if at < 0 or body[at : at + 4] != _END_SIGN or body[-2:] != b"\0\0":
        at = body.rfind(_END_SIGN, max(0, at - _COMMENT_LENGTH))
    if at < 0 or at + _END.size > len(body):
        raise zipfile.BadZipFile("it is no zip file, or its end is missing")
    _, _, _, _, entries, size, _, _ = _END.unpack_from(body, at)
    locator = at - _LOCATOR_BYTES
    if locator >= _END64.size and body[locator : locator + 4] == _LOCATOR_SIGN:
        end64 = locator - _END64.size
        if body[end64 : end64 + 4] == _END64_SIGN:
            entries, size = _END64.unpack_from(body, end64)[7:9]
    return entries, size


def _members(infos: list[zipfile.ZipInfo], limits: ArchiveLimits) -> dict[str, zipfile.ZipInfo]:
    """The files by name; all is checked that can be without inflating anything."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = _name(info)
        if info.is_dir() or _is_litter(name):
            continue
        place = f"zip[{name[:100]}]"
        if name in members:
            raise DefinitionError(place, "is there twice")
        if info.flag_bits & _ENCRYPTED:
            raise DefinitionError(place, "is encrypted; send it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
            reason = f"is compressed with {method}; use deflate (the usual one) or none"
            raise DefinitionError(place, reason)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DefinitionError(place, "is a symbolic link; send the file itself")
        members[name] = info
    if len(members) > limits.files + 1:
        raise DefinitionError("zip", f"has {len(members)} files; {limits.files} are allowed")
    if sum(info.file_size for info in members.values()) > limits.total + limits.source:
        raise DefinitionError("zip", f"inflates to more than {limits.total} bytes")
    return members


def _name(info: zipfile.ZipInfo) -> str:
    """The name as UTF-8; many tools write that without saying so, which reads as code page 437."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8 and not name.isascii():
        name = name.encode("cp437").decode()
    if "\0" in name:
        raise DefinitionError(f"zip[{name[:100]!r}]", "has a null character in its name")
    return name


def _is_litter(name: str) -> bool:
    return name.startswith(_LITTER_FOLDER) or name.rpartition("/")[2] in _LITTER


def _content(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> bytes:
    """A file; never more of it than its directory says, which was found to be within limits."""
    try:
        content = archive.read(info)
    except _BROKEN as error:
        reason = f"cannot be read: [{name[:100]}] {str(error)[:200] or type(error).__name__}"
        raise DefinitionError("zip", reason) from error
    if len(content) != info.file_size:
        reason = f"holds {len(content)} bytes and not the {info.file_size} its directory says"
        raise DefinitionError(f"zip[{name[:100]}]", reason)
    return content
