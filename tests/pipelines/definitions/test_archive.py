"""Zip archives of an upload: each broken kind is refused, and says what is wrong with it."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest

from pipelines.definitions.archive import ArchiveLimits, read_archive
from pipelines.definitions.limits import DIRECTORY_MAX, ENTRIES_MAX
from pipelines.errors import DefinitionError

LIMITS = ArchiveLimits(files=100, total=10 * 1024 * 1024, source=0)
TEXT = b"some text, some more text, and some text again\n" * 20


def zipped(
    *files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        # One name twice is what a test wants.
        warnings.simplefilter("ignore")
        for name, content in files:
            archive.writestr(name, content, compress_type=method)
    return buffer.getvalue()


def fault(body: bytes, limits: ArchiveLimits = LIMITS) -> str:
    with pytest.raises(DefinitionError) as caught:
        read_archive(body, limits)
    assert caught.value.path.startswith("zip")
    return str(caught.value)


def changed(body: bytes, at_local: int, at_central: int, value: bytes) -> bytes:
    """The archive of one file with a field of both its headers set."""
    data = bytearray(body)
    central = data.index(b"PK\1\2")
    data[at_local : at_local + len(value)] = value
    data[central + at_central : central + at_central + len(value)] = value
    return bytes(data)


def method(number: int, body: bytes | None = None) -> bytes:
    return changed(body or zipped(("a", TEXT)), 8, 10, struct.pack("<H", number))


def flags(bits: int, body: bytes | None = None) -> bytes:
    return changed(body or zipped(("a", TEXT)), 6, 8, struct.pack("<H", bits))


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def test_files_come_as_they_went_in() -> None:
    """Deflated or stored, in folders, with a comment, behind another program's bytes."""
    files = (("a.txt", TEXT), ("sub/b.bin", b"\xff\x00"), ("sub/empty", b""))
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        body = zipped(*files, method=how)
        assert read_archive(body, LIMITS) == dict(files)
        assert read_archive(b"#!/bin/sh\n" + body, LIMITS) == dict(files)
        assert read_archive(body[:-2] + b"\x04\x00" + b"some", LIMITS) == dict(files)
    assert read_archive(zipped(("folder/", b""), *files), LIMITS) == dict(files)


def test_names_are_utf_8_whether_marked_as_such_or_not() -> None:
    """Many tools write UTF-8 without saying so."""
    body = zipped(("wörter.txt", TEXT))
    assert list(read_archive(body, LIMITS)) == ["wörter.txt"]
    assert list(read_archive(flags(0, body), LIMITS)) == ["wörter.txt"]


NOT_UTF8 = zipped(("w--rter.txt", TEXT)).replace(b"w--rter", b"w\xff\xferter")

BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "zip: cannot be read: it is no zip file"),
    "text": (b"not a zip", "zip: cannot be read: it is no zip file"),
    "only an end": (b"PK\5\6", "zip: cannot be read: it is no zip file"),
    "cut": (zipped(("a", TEXT))[:-30], "zip: cannot be read: it is no zip file"),
    "cut in front": (zipped(("a", TEXT))[20:], "zip"),
    "bzip2": (zipped(("a", TEXT), method=zipfile.ZIP_BZIP2), "zip[a]: is compressed with bzip2"),
    "LZMA": (zipped(("a", TEXT), method=zipfile.ZIP_LZMA), "zip[a]: is compressed with LZMA"),
    "bzip2 over other data": (method(12), "zip[a]: is compressed with bzip2; use deflate"),
    "LZMA over other data": (method(14), "zip[a]: is compressed with LZMA"),
    "deflate64": (method(9), "zip[a]: is compressed with deflate64"),
    "zstandard": (method(93), "zip[a]: is compressed with zstandard"),
    "unknown": (method(77), "zip[a]: is compressed with method 77"),
    "deflate over other data": (
        method(8, zipped(("a", TEXT), method=zipfile.ZIP_STORED)),
        "zip: cannot be read: [a]",
    ),
    "encrypted": (flags(1), "zip[a]: is encrypted; send it without a password"),
    "not UTF-8": (NOT_UTF8, "zip: has a name that is not UTF-8"),
    "not UTF-8, marked": (flags(0x800, NOT_UTF8), "zip: has a name that is not UTF-8"),
    "null": (
        zipped(("a-b", TEXT)).replace(b"a-b", b"a\0b"),
        "zip['a\\x00b']: has a null character",
    ),
    "twice": (zipped(("a", b"1"), ("a", b"2")), "zip[a]: is there twice"),
    "link": (zipped((link("a"), b"/etc/passwd")), "zip[a]: is a symbolic link"),
    "size too small": (
        changed(zipped(("a", TEXT)), 22, 24, struct.pack("<L", 5)),
        "zip: cannot be read: [a] Bad CRC-32",
    ),
    "size too large": (
        changed(zipped(("a", TEXT)), 22, 24, struct.pack("<L", 5000)),
        "zip[a]: holds 940 bytes and not the 5000",
    ),
    "other checksum": (
        changed(zipped(("a", TEXT)), 14, 16, b"\1\2\3\4"),
        "zip: cannot be read: [a] Bad CRC-32",
    ),
    "other local name": (
        zipped(("abc", TEXT)).replace(b"abc", b"abd", 1),
        "zip: cannot be read: [abc]",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_archive_is_refused(kind: str) -> None:
    """With the file at fault, if it is one file's."""
    body, message = BROKEN[kind]
    assert fault(body).startswith(message)


def many(entries: int) -> bytes:
    """A directory of that many files that share one local header."""
    one = zipped(("a", b""), method=zipfile.ZIP_STORED)
    at = one.index(b"PK\1\2")
    record = one[at : one.index(b"PK\5\6")]
    directory = record * entries
    head = one[:at]
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, *[min(entries, 0xFFFF)] * 2, len(directory), len(head), 0
    )
    return head + directory + end


def with_end64(body: bytes, entries: int) -> bytes:
    """The same with the end that archives of more than 65,535 entries have."""
    at = body.rindex(b"PK\5\6")
    directory = body.index(b"PK\1\2")
    end64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, at - directory, directory
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return body[:at] + end64 + locator + body[at:]


def test_the_number_of_entries_at_and_over_its_limit() -> None:
    """Folders count among them."""
    folders = [(f"{n}/", b"") for n in range(ENTRIES_MAX - 1)]
    assert read_archive(zipped(*folders, ("a", TEXT)), LIMITS) == {"a": TEXT}
    assert (
        fault(zipped(*folders, ("a", b""), ("b", b""))) == "zip: has 1001 entries; 1000 are allowed"
    )


@pytest.mark.parametrize("entries", [5000, 65_534, 340_000])
def test_entries_are_counted_before_they_are_read(entries: int) -> None:
    """By what the end of the archive says: the count, or the bytes they take."""
    assert fault(many(entries)).startswith(f"zip: has {min(entries, 65_535)} entries")
    assert fault(with_end64(many(entries), entries)).startswith(f"zip: has {entries} entries")
    lying = bytearray(many(entries))
    at = lying.rindex(b"PK\5\6")
    lying[at + 8 : at + 12] = struct.pack("<HH", 1, 1)
    assert "zip: has a directory of" in fault(bytes(lying)) or 47 * entries <= DIRECTORY_MAX
    assert fault(bytes(lying)).startswith("zip: ")


def test_an_archive_with_the_long_end_is_read() -> None:
    """Some tools write it always."""
    body = zipped(("a", TEXT), ("b", b""))
    assert read_archive(with_end64(body, 2), LIMITS) == {"a": TEXT, "b": b""}


def test_the_number_and_size_of_files_at_and_over_their_limits() -> None:
    """Both are checked before anything is inflated."""
    two = zipped(("a", b"12"), ("b", b"345"))
    assert len(read_archive(two, ArchiveLimits(files=1, total=3, source=2))) == 2
    none = ArchiveLimits(files=0, total=5, source=0)
    assert fault(two, none) == "zip: has 2 files; 0 are allowed"
    small = ArchiveLimits(files=2, total=2, source=2)
    assert fault(two, small) == "zip: inflates to more than 2 bytes"


def test_an_archive_in_an_archive_is_a_file() -> None:
    """Nobody looks into it."""
    inner = zipped(*((f"{n}", TEXT) for n in range(200)))
    body = zipped(("inner.zip", inner), method=zipfile.ZIP_STORED)
    assert read_archive(body, LIMITS) == {"inner.zip": inner}


def flipped(body: bytes, random: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(random.randint(1, 4)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def cut(body: bytes, random: random.Random) -> bytes:
    at = random.randrange(len(body))
    return body[:at] + body[at + random.randint(1, 20) :]


@pytest.mark.parametrize("damage", [flipped, cut])
def test_any_damage_is_read_or_refused(damage: Callable[[bytes, random.Random], bytes]) -> None:
    """Nothing but a `DefinitionError` comes out of it."""
    chance = random.Random(7)
    whole = zipped(("udf.py", TEXT), ("wörter.txt", b"x" * 50), ("sub/", b""))
    for body in (whole, with_end64(whole, 3)):
        for _ in range(1500):
            with suppress(DefinitionError):
                read_archive(damage(body, chance), LIMITS)
