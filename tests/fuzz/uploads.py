"""Harnesses of uploads of UDFs, and of what lies in the store."""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson

from pipelines.definitions.udf import (
    package_json,
    package_of,
    read_package,
    source_headers,
    version_of,
)
from pipelines.errors import DefinitionError, NoJsonError
from proxy.store.records import KINDS, read_entry
from tests.fuzz.harness import Harness, declared


def run_zip(data: bytes) -> None:
    """An archive is a package, or refused with a reason."""
    _check(data, "zip")


def run_json(data: bytes) -> None:
    """JSON is, too; and whatever it says of files."""
    _check(data, "json")


def run_source(data: bytes) -> None:
    """A source; its headers are lines of it."""
    _check(data, "source")
    text = data.decode("utf-8", "replace")
    for key, value in source_headers(text).items():
        assert key in text
        assert value in text
        assert "\n" not in value


def _check(data: bytes, format: Literal["zip", "json", "source"]) -> None:
    """What was taken is the same when it comes back from the store."""
    package = declared((DefinitionError, NoJsonError), read_package, "u", data, format=format)
    if package is not None:
        again = package_of("u", orjson.loads(package_json(package)))
        assert again == package
        assert version_of(again) == version_of(package)


def run_record(data: bytes) -> None:
    """A record that anybody wrote: it is of a kind that is known, or has a fault."""
    try:
        source: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    ids = ["", "x", "pipeline:p", "udf:u@1", "udf:", "invented:x"]
    if isinstance(source, dict):
        ids.append(f"{source.get('kind')}:{source.get('name')}")
    for id in ids:
        entry = read_entry(id, (1, 1), source)
        assert entry.fault or (entry.kind in KINDS and entry.revision > 0)
        assert entry.bytes >= 0


_ZIP_TOKENS: Final = (
    *(b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"udf.py", b"a.py", b"../", b"/"),
    *(b"\0\0", b"\xff\xff", b"\xff\xff\xff\xff", b"\x08\0", b"\x0c\0", b"\x0e\0", b"\0\x08"),
)
_JSON_TOKENS: Final = tuple(
    b'"source"|"files"|"version"|"name"|"u"|{"base64":"QQ=="}|"base64"|"QQ="|"a/b"|"../a"|'
    b'"def query(r, c): return r"|"1.0.0"|"latest"|"\\ufeff|"\\u0000"|"\\ud83d"|:{|},|null|1'.split(
        b"|"
    )
)
_SOURCE_TOKENS: Final = tuple(
    b"# @udf: |name=u|version=1|=|category=query_pipeline|\n|\r|#|@udf:|\xef\xbb\xbf|\0|\t|"
    b"\xe2\x80\xa8|def query(r, c): return r".split(b"|")
)
_RECORD_TOKENS: Final = tuple(
    b'"kind"|"name"|"revision"|"updated"|"size"|"digest"|"category"|"body"|"pipeline"|"udf"|'
    b'"u@1"|"p"|"attachment"|"secret"|"deleted"|"invented"|:1|:-1|:1.5|:true|:null|:[]|:{}|,'.split(
        b"|"
    )
)

HARNESSES: Final = (
    Harness("upload_zip", run_zip, _ZIP_TOKENS),
    Harness("upload_json", run_json, _JSON_TOKENS),
    Harness("upload_source", run_source, _SOURCE_TOKENS),
    Harness("record", run_record, _RECORD_TOKENS),
)
