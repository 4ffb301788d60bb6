"""Reading UDF uploads, and their versions."""

from __future__ import annotations

import base64
import contextlib
import io
import zipfile

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.definitions.limits import FILES_MAX, PACKAGE_MAX, SOURCE_MAX
from pipelines.definitions.package import Package
from pipelines.definitions.udf import (
    UdfRegistry,
    UploadFormat,
    category_phase,
    package_json,
    package_of,
    read_package,
    source_headers,
)
from pipelines.errors import ConflictError, DefinitionError, MissingError

SOURCE = """# @udf: name=expander
# @udf: version=1.2.0
# @udf: category=query_pipeline
def udf_main():
    return get_field_string("query")
"""
PLAIN = "def query(request, context):\n    return request\n"


def upload(body: bytes | str, format: UploadFormat = "source", **options: str) -> Package:
    data = body.encode() if isinstance(body, str) else body
    return read_package(options.pop("name", "expander"), data, format=format, **options)


def fault(body: bytes | str, format: UploadFormat = "source", **options: str) -> str:
    with pytest.raises(DefinitionError) as caught:
        upload(body, format, **options)
    return str(caught.value)


def zipped(files: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_headers_of_a_plain_source_are_read() -> None:
    """Name, version and category come from the `# @udf:` lines."""
    package = upload(SOURCE)
    assert (package.name, package.version) == ("expander", "1.2.0")
    assert category_phase(package) == "query"


def test_headers_are_lines_of_their_own() -> None:
    """The first of a key counts, white space around its parts does not, and nothing else is one."""
    lines = [
        "  # @udf: a=indented",
        "x = 1  # @udf: b=behind code",
        "#\t @udf:  c =  one two = three  \r",
        "# @udf: c=again",
        "#@udf:d=",
        "# @udf: e-f=no name",
        "# @udf: no value",
        "#",
        "@udf: g=no comment",
        "# @udf: h=last",
    ]
    expected = {"c": "one two = three", "d": "", "h": "last"}
    assert source_headers("\n".join(lines)) == expected


@pytest.mark.parametrize(
    "line",
    [
        "# @udf: a=x{}y",
        "#{}@udf: a=x",
        "# @udf:{}a=x",
        "# @udf: a{}=x",
        "# @udf: a={}",
        "{}",
        "#{}",
    ],
)
@pytest.mark.parametrize("filling", [" ", "\t", "\r", "=", "#", "a", "\n", "#\n", "# @udf: a=\n"])
def test_a_source_of_any_shape_is_read_in_one_pass(line: str, filling: str) -> None:
    """Whatever fills a line, up to the limit of a source; twice as much takes twice as long."""
    source = line.format(filling * ((SOURCE_MAX - len(line)) // len(filling))) + "\n"
    assert len(source_headers(source)) <= 1
    assert len(source_headers(source * 4)) <= 1


BOM = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_the_source() -> None:
    """In every form of upload; the package is the one without it."""
    plain = upload(SOURCE)
    marked = BOM + SOURCE.encode()
    as_json = orjson.dumps({"source": marked.decode()})
    for package in (
        upload(marked),
        upload(as_json, "json"),
        upload(BOM + as_json, "json"),
        upload(zipped({"udf.py": marked}), "zip"),
        upload(BOM + BOM + marked),
    ):
        assert package == plain
        assert package.digest == plain.digest
    assert upload(zipped({"udf.py": PLAIN, "a": BOM}), "zip").files == {"a": BOM}


def test_a_source_without_headers_gets_the_version_asked_for_or_the_first() -> None:
    """The version comes from the header, the body or the call, and is 1.0.0 without any."""
    assert upload(PLAIN).version == "1.0.0"
    assert upload(PLAIN, version="7").version == "7"
    assert category_phase(upload(PLAIN)) is None


def test_versions_that_disagree_are_refused() -> None:
    """Nobody has to guess which of two versions was meant."""
    assert fault(SOURCE, version="2.0.0") == "version: is given differently: 1.2.0, 2.0.0"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff\xfe", "source: is not UTF-8 at byte 0"),
        (b"  \n", "source: is empty"),
        (b"x = '\0'", "source: contains a null character"),
        (SOURCE.replace("name=expander", "name=other"), "source: the header says [other]"),
        (SOURCE.replace("1.2.0", "latest"), "version: [latest] must be"),
        (SOURCE.replace("1.2.0", "1 2"), "version: [1 2] must be"),
        (SOURCE.replace("version", "vesion"), "source: the header [vesion] is none; did you mean"),
        (SOURCE.replace("name", "nme"), "source: the header [nme] is none; did you mean [name]?"),
        (SOURCE.replace("category", "Category"), "source: the header [Category] is none"),
        ("# @udf: memory=128\n" + PLAIN, "source: the header [memory] is none; did you mean"),
        ("\ufeff# @udf: versoin=2\n" + PLAIN, "source: the header [versoin] is none"),
        (SOURCE + "# @udf: version=2\n", "source: the header [version] says [1.2.0], then [2]"),
        (
            SOURCE.replace("query_pipeline", "query"),
            "category: the header says [query], which is not one of query_pipeline, document_",
        ),
    ],
)
def test_a_bad_source_is_refused(body: bytes | str, message: str) -> None:
    """The message says what is wrong with it."""
    assert fault(body).startswith(message)


def test_headers_of_an_author_s_own_are_left_alone() -> None:
    """Keys that are like none of ours, and what was stored before keys were looked at."""
    own = "# @udf: author=anna\n# @udf: description=widens\n# @udf: team=search\n" + PLAIN
    assert upload(own).source == own
    stored = {"source": "# @udf: vesion=2\n# @udf: category=x\n" + PLAIN, "version": "1.0.0"}
    assert package_of("expander", stored).version == "1.0.0"


def test_a_bad_name_is_refused() -> None:
    """A UDF's name follows the rule of all names."""
    assert fault(PLAIN, name="_x").startswith("name: [_x] must be")


def test_the_size_of_a_source_at_and_over_its_limit() -> None:
    """256 KiB of source are allowed, one byte more is not."""
    filled = PLAIN + "#" * (SOURCE_MAX - len(PLAIN))
    assert len(upload(filled).source) == SOURCE_MAX
    assert fault(filled + "#").startswith("source: is larger")


def test_json_uploads_carry_text_and_binary_files() -> None:
    """A file is a string, or base64 for what is not text."""
    body = orjson.dumps(
        {
            "source": PLAIN,
            "version": "3",
            "files": {"a.txt": "é", "sub/b": {"base64": base64.b64encode(b"\xff").decode()}},
        }
    )
    package = upload(body, "json")
    assert package.version == "3"
    assert package.files == {"a.txt": "é".encode(), "sub/b": b"\xff"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not valid JSON"),
        (b"", "the body is empty; send a JSON object"),
        (b"[]", "the body must be an object, not an array"),
        (b"{}", "source: required"),
        (b'{"source": 1}', "source: must be a string, not a number"),
        (b'{"source": "x", "name": "other"}', "name: [other] differs from the [expander]"),
        (b'{"source": "x", "name": 1}', "name: must be a string"),
        (
            b'{"source": "x", "extra": 1}',
            "extra: unknown key; known are files, name, source, v",
        ),
        (b'{"sorce": "x"}', "sorce: unknown key; did you mean source? known are"),
        (b'{"source": "x", "files": []}', "files: must be an object"),
        (b'{"source": "x", "files": {"a": 1}}', "files[a]: must be a string, or"),
        (b'{"source": "x", "files": {"a": {"base64": "%"}}}', "files[a].base64: is not base64"),
        (b'{"source": "x", "files": {"a": {"base64": 1}}}', "files[a].base64: is not base64"),
        (b'{"source": "x", "files": {"../a": ""}}', "files[../a]: is not a relative file name"),
        (b'{"source": "x", "files": {"/a": ""}}', "files[/a]: is not a relative file name"),
        (b'{"source": "x", "files": {"": ""}}', "files[]: is not a relative file name"),
    ],
)
def test_a_bad_json_upload_is_refused(body: bytes, message: str) -> None:
    """The message begins with the member at fault."""
    assert fault(body, "json").startswith(message)


def test_a_zip_holds_one_source_and_its_files() -> None:
    """`udf.py`, `main.py` or the only Python file is the source, the rest are data files."""
    package = upload(zipped({"udf.py": SOURCE, "data/words.txt": "a"}), "zip")
    assert (package.version, package.files) == ("1.2.0", {"data/words.txt": b"a"})
    assert upload(zipped({"anything.py": PLAIN}), "zip").source == PLAIN


def test_what_an_operating_system_adds_to_a_zip_is_left_out() -> None:
    """The only Python file is the source, though macOS puts another beside it."""
    litter: dict[str, bytes | str] = {
        "__MACOSX/._expander.py": b"\0\5\x16\7",
        "__MACOSX/data/._words.txt": b"\0\5\x16\7",
        ".DS_Store": b"\0\xff",
        "data/.DS_Store": b"\0\xff",
        "data/Thumbs.db": b"\xd0",
        "desktop.ini": "[x]",
    }
    package = upload(zipped({"expander.py": PLAIN, **litter, "data/words.txt": "a"}), "zip")
    assert (package.source, package.files) == (PLAIN, {"data/words.txt": b"a"})
    assert fault(zipped(litter), "zip").endswith("found none")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"not a zip", "zip: cannot be read"),
        (zipped({"a.txt": "x"}), "zip: needs exactly one source"),
        (zipped({"a.py": PLAIN, "b.py": PLAIN}), "zip: needs exactly one source"),
        (zipped({"udf.py": PLAIN, "../x": ""}), "files[../x]: is not a relative file name"),
        (zipped({f"{n}": "" for n in range(FILES_MAX + 2)}), "zip: has 102 files"),
        (zipped({"udf.py": b"\xff"}), "zip[udf.py]: is not UTF-8"),
    ],
)
def test_a_bad_zip_is_refused(body: bytes, message: str) -> None:
    """The message says which part of the archive is at fault."""
    assert fault(body, "zip").startswith(message)


def test_a_zip_that_inflates_beyond_the_limit_is_refused_before_it_is_inflated() -> None:
    """A small archive cannot become a large package."""
    bomb = zipped({"udf.py": PLAIN, "zeroes": b"\0" * (PACKAGE_MAX + SOURCE_MAX)})
    assert len(bomb) < 100_000
    assert fault(bomb, "zip") == f"zip: inflates to more than {PACKAGE_MAX} bytes"


def test_a_damaged_zip_is_refused() -> None:
    """A member whose bytes do not fit its checksum is an error of the upload."""
    good = bytearray(zipped({"udf.py": PLAIN, "data": "some text that compresses not at all"}))
    position = good.index(b"data") + 8
    good[position] ^= 0xFF
    assert fault(bytes(good), "zip").startswith("zip: cannot be read")


def test_the_size_of_all_files_at_and_over_its_limit() -> None:
    """10 MiB of files are allowed, one byte more is not."""

    def body(size: int) -> bytes:
        return orjson.dumps({"source": PLAIN, "files": {"a": "x" * size}})

    assert upload(body(PACKAGE_MAX), "json")
    assert fault(body(PACKAGE_MAX + 1), "json").startswith("files: hold")


def test_the_number_of_files_at_and_over_its_limit() -> None:
    """A hundred files are allowed, one more is not."""

    def body(count: int) -> bytes:
        return orjson.dumps({"source": PLAIN, "files": {str(n): "" for n in range(count)}})

    assert upload(body(FILES_MAX), "json")
    assert fault(body(FILES_MAX + 1), "json").startswith("files: has 101 files")


def test_a_package_survives_the_store() -> None:
    """Text and binary files come back as they were."""
    files = {"a": "é".encode(), "b": b"\xff\x00"}
    package = Package(name="expander", version="1.2.0", source=SOURCE, files=files)
    again = package_of("expander", orjson.loads(package_json(package)))
    assert again == package
    assert again.digest == package.digest


@given(st.binary(max_size=200), st.sampled_from(["source", "json", "zip"]))
def test_any_bytes_are_read_or_refused(body: bytes, format: UploadFormat) -> None:
    """No upload leads to anything but a package or a `DefinitionError`."""
    with contextlib.suppress(DefinitionError):
        assert upload(body, format).source


def version(number: str, source: str = PLAIN) -> Package:
    return Package(name="u", version=number, source=source, files={})


def test_latest_is_the_highest_version_whatever_the_order_of_uploads() -> None:
    """All proxies agree on it, and an old version uploaded late changes nothing."""
    registry = UdfRegistry()
    for number in ("1.0.0", "1.10.0", "1.9.0"):
        registry.put(version(number))
    assert registry.get("u").version == "1.10.0"
    assert registry.get("u", "1.0.0").version == "1.0.0"
    assert registry.versions("u") == ["1.0.0", "1.9.0", "1.10.0"]


def test_latest_is_never_a_pre_release() -> None:
    """Where there is nothing else, it has to be named."""
    registry = UdfRegistry()
    registry.put(version("2.0.0-rc1"))
    with pytest.raises(MissingError, match=r"only pre-releases, which have to be named: 2\.0"):
        registry.get("u")
    assert registry.get("u", "2.0.0-rc1").version == "2.0.0-rc1"
    assert registry.latest("u") is None
    registry.put(version("1.0.0"))
    registry.put(version("2.0.dev1"))
    assert registry.get("u").version == registry.latest("u") == "1.0.0"


def test_a_version_never_changes() -> None:
    """The same content again is no conflict, other content is."""
    registry = UdfRegistry()
    registry.put(version("1"))
    assert not registry.check(version("1"))
    registry.put(version("1"))
    with pytest.raises(ConflictError, match="versions are immutable"):
        registry.put(version("1", PLAIN + "#"))


def test_what_is_not_there_is_named() -> None:
    """An unknown UDF and an unknown version are told apart."""
    registry = UdfRegistry()
    with pytest.raises(MissingError, match=r"udf \[u\] does not exist"):
        registry.get("u")
    registry.put(version("1"))
    with pytest.raises(MissingError, match="its versions are 1"):
        registry.get("u", "2")


def test_removing_the_last_version_removes_the_name() -> None:
    """A name without versions is not listed."""
    registry = UdfRegistry()
    registry.put(version("1"))
    registry.put(version("2"))
    registry.remove("u", ["2"])
    assert (registry.names(), registry.get("u").version) == (["u"], "1")
    registry.remove("u", ["1"])
    assert (registry.names(), registry.versions("u")) == ([], [])
