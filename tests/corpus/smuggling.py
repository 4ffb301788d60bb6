"""Requests that two HTTP parsers could read differently, and what the proxy has to make of each.

Every case is the bytes of one client and the requests that may come out of them at the backend. The
rules are those of RFC 9110 and RFC 9112; where these let a recipient choose, the stricter choice is
the expected one, as a proxy cannot know how lenient its backend is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# What ends a refused connection: if any of it comes out at the backend, a request was smuggled.
HIDDEN: Final = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request the backend gets; `fields` are lines it must have, without regard to others."""

    method: str
    target: bytes
    body: bytes = b""
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """`data` from a client; what the backend gets of it, in order, and the statuses answered.

    A last status of 400 or more means that the proxy closes the connection after it.
    """

    data: bytes
    sent: tuple[Sent, ...] = ()
    statuses: tuple[int, ...] = (400,)

    @property
    def refused(self) -> bool:
        """Whether the connection ends with this."""
        return self.statuses[-1] >= 400


def _get(*fields: bytes, target: bytes = b"/a", version: bytes = b"1.1") -> bytes:
    lines = [b"GET %b HTTP/%b" % (target, version), b"Host: x", *fields]
    return b"\r\n".join([*lines, b"", b""])


def _post(body: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    lines = [b"POST /a HTTP/%b" % version, b"Host: x", *fields]
    return b"\r\n".join([*lines, b"", body])


def _chunked(body: bytes, *fields: bytes) -> bytes:
    return _post(body, b"Transfer-Encoding: chunked", *fields)


def _length(value: bytes, body: bytes = b"abcde") -> Case:
    return Case(_post(body, b"Content-Length: " + value) + HIDDEN)


def _coding(value: bytes, body: bytes = b"0\r\n\r\n") -> Case:
    return Case(_post(body, b"Transfer-Encoding: " + value) + HIDDEN)


def _passes(data: bytes, *sent: Sent) -> Case:
    return Case(data, sent, (200,) * len(sent))


def _target(target: bytes) -> Case:
    return _passes(_get(target=target), Sent("GET", target))


def _refused_target(target: bytes) -> Case:
    return Case(_get(target=target) + HIDDEN)


_ABC: Final = Sent("POST", b"/a", b"abc", (b"Transfer-Encoding: chunked",))
_A: Final = Sent("GET", b"/a")

LENGTHS: Final[Mapping[str, Case]] = {
    "length and chunked": Case(
        _post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked") + HIDDEN
    ),
    "chunked and length": Case(
        _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Content-Length: 5") + HIDDEN
    ),
    "length that hides a request in a chunk": Case(
        _post(b"0\r\n\r\n" + HIDDEN, b"Content-Length: 40", b"Transfer-Encoding: chunked")
    ),
    "chunk that hides a request behind a length": Case(
        _post(
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
            b"Content-Length: 4",
            b"Transfer-Encoding: chunked",
        )
    ),
    "length of nothing and chunked": Case(
        _post(HIDDEN, b"Content-Length: 0", b"Transfer-Encoding: chunked")
    ),
    "two different lengths": Case(
        _post(b"abcde", b"Content-Length: 5", b"Content-Length: 0") + HIDDEN
    ),
    "two equal lengths": Case(_post(b"abcde", b"Content-Length: 5", b"Content-Length: 5") + HIDDEN),
    "length in another case twice": Case(
        _post(b"abcde", b"Content-Length: 5", b"content-length: 5") + HIDDEN
    ),
    "list of equal lengths": _length(b"5, 5"),
    "list of different lengths": _length(b"5, 0"),
    "signed length": _length(b"+5"),
    "negative length": _length(b"-5"),
    "hexadecimal length": _length(b"0x5"),
    "length with underscore": _length(b"1_0", b"0123456789"),
    "length with exponent": _length(b"5e0"),
    "fractional length": _length(b"5.0"),
    "length in Arabic digits": _length("\u0665".encode()),
    "length in fullwidth digits": _length("\uff15".encode()),
    "superscript length": _length("\u2075".encode()),
    "quoted length": _length(b'"5"'),
    "length with a space in it": _length(b"5 5"),
    "length with a tab in it": _length(b"5\t5"),
    "length with a semicolon": _length(b"5;"),
    "empty length": _length(b""),
    "length above 64 bits": _length(b"18446744073709551621"),
    "length far above 64 bits": _length(b"9" * 400),
    "length with a null byte": _length(b"5\x00"),
    "length with a vertical tab": _length(b"\x0b5"),
    "length with a form feed": _length(b"5\x0c"),
    "length with no-break space": _length(b"\xa05"),
    "length with zeroes in front": _passes(
        _post(b"abcde", b"Content-Length: 0005"),
        Sent("POST", b"/a", b"abcde", (b"Content-Length: 5",)),
    ),
    "length between spaces": _passes(
        _post(b"abcde", b"Content-Length: \t 5 \t"), Sent("POST", b"/a", b"abcde")
    ),
    "no length": _passes(_post(b""), Sent("POST", b"/a")),
    "length of nothing": _passes(
        _post(b"", b"Content-Length: 0"), Sent("POST", b"/a", b"", (b"Content-Length: 0",))
    ),
    "body of a GET": _passes(
        _get(b"Content-Length: 3") + b"abc", Sent("GET", b"/a", b"abc", (b"Content-Length: 3",))
    ),
    "body that is a request": _passes(
        _post(HIDDEN, b"Content-Length: %d" % len(HIDDEN)), Sent("POST", b"/a", HIDDEN)
    ),
}

CODINGS: Final[Mapping[str, Case]] = {
    "unknown coding": _coding(b"gzip"),
    "coding of a similar name": _coding(b"xchunked"),
    "coding with more behind": _coding(b"chunkedx"),
    "chunked before identity": _coding(b"chunked, identity"),
    "identity alone": _coding(b"identity", b""),
    "identity before chunked": _coding(b"identity, chunked"),
    "gzip before chunked": _coding(b"gzip, chunked"),
    "chunked twice in a list": _coding(b"chunked, chunked"),
    "chunked in two fields": Case(_chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked") + HIDDEN),
    "chunked and identity in two fields": Case(
        _chunked(b"0\r\n\r\n", b"Transfer-Encoding: identity") + HIDDEN
    ),
    "chunked and an unknown coding in two fields": Case(
        _post(b"0\r\n\r\n", b"Transfer-Encoding: x", b"Transfer-Encoding: chunked") + HIDDEN
    ),
    "chunked with a parameter": _coding(b"chunked;a=b"),
    "quoted chunked": _coding(b'"chunked"'),
    "chunked behind a comma": _coding(b",chunked"),
    "chunked before a comma": _coding(b"chunked,"),
    "chunked behind a vertical tab": _coding(b"\x0bchunked"),
    "chunked before a vertical tab": _coding(b"chunked\x0b"),
    "chunked behind a form feed": _coding(b"\x0cchunked"),
    "chunked behind a null byte": _coding(b"\x00chunked"),
    "chunked before a null byte": _coding(b"chunked\x00"),
    "chunked behind a no-break space": _coding(b"\xa0chunked"),
    "chunked with a Kelvin sign": _coding("chun\u212aed".encode()),
    "empty coding": _coding(b""),
    "chunked on a folded line": Case(
        _post(b"0\r\n\r\n", b"Transfer-Encoding:\r\n chunked") + HIDDEN
    ),
    "chunked behind another folded line": Case(
        _post(b"0\r\n\r\n", b"X-A: b\r\n Transfer-Encoding: chunked") + HIDDEN
    ),
    "chunked behind a lone return": Case(
        _post(b"0\r\n\r\n", b"X-A: b\rTransfer-Encoding: chunked") + HIDDEN
    ),
    "chunked behind a lone line feed": Case(
        _post(b"0\r\n\r\n", b"X-A: b\nTransfer-Encoding: chunked") + HIDDEN
    ),
    "chunked in HTTP/1.0": Case(
        _post(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", version=b"1.0") + HIDDEN
    ),
    "space before the colon": Case(_post(b"0\r\n\r\n", b"Transfer-Encoding : chunked") + HIDDEN),
    "tab before the colon": Case(_post(b"0\r\n\r\n", b"Transfer-Encoding\t: chunked") + HIDDEN),
    "return before the colon": Case(_post(b"0\r\n\r\n", b"Transfer-Encoding\r: chunked") + HIDDEN),
    "null byte in the name": Case(_post(b"0\r\n\r\n", b"Transfer-\x00Encoding: chunked") + HIDDEN),
    "underscore in the name": _passes(
        _post(b"", b"Transfer_Encoding: chunked", b"Content_Length: 5"),
        Sent("POST", b"/a", b"", (b"Transfer_Encoding: chunked", b"Content_Length: 5")),
    ),
    "chunked in capitals": _passes(
        _post(b"3\r\nabc\r\n0\r\n\r\n", b"TRANSFER-ENCODING: CHUNKED"), _ABC
    ),
    "chunked behind a tab": _passes(
        _post(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding:\tchunked"), _ABC
    ),
    "chunked before spaces": _coding(b"chunked \t"),
    "chunked without a space": _passes(
        _post(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding:chunked"), _ABC
    ),
    "chunked named by Connection": _passes(
        _chunked(b"3\r\nabc\r\n0\r\n\r\n", b"Connection: transfer-encoding, content-length"), _ABC
    ),
    "length named by Connection": _passes(
        _post(b"abc", b"Content-Length: 3", b"Connection: content-length, host"),
        Sent("POST", b"/a", b"abc", (b"Content-Length: 3",)),
    ),
}

CHUNKS: Final[Mapping[str, Case]] = {
    "chunk": _passes(_chunked(b"3\r\nabc\r\n0\r\n\r\n"), _ABC),
    "two chunks": _passes(_chunked(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), _ABC),
    "size in capitals with zeroes": _passes(
        _chunked(b"00A\r\n0123456789\r\n000\r\n\r\n"),
        Sent("POST", b"/a", b"0123456789", (b"Transfer-Encoding: chunked",)),
    ),
    "chunk that is a request": _passes(
        _chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)), Sent("POST", b"/a", HIDDEN)
    ),
    "chunk extension": _passes(_chunked(b"3;a=b\r\nabc\r\n0;c\r\n\r\n"), _ABC),
    "quoted chunk extension": _passes(_chunked(b'3;a="b;c"\r\nabc\r\n0\r\n\r\n'), _ABC),
    "trailers": _passes(_chunked(b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", b"Trailer: X-T"), _ABC),
    "trailer that looks like a length": Case(
        _chunked(b"3\r\nabc\r\n0\r\nContent-Length: 35\r\n\r\n") + HIDDEN
    ),
    "trailer that looks like a coding": Case(
        _chunked(b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n") + HIDDEN
    ),
    "last chunk ended by line feeds": Case(_chunked(b"0\n\r\n") + HIDDEN),
    "end of the body by line feed": Case(_chunked(b"0\r\n\n") + HIDDEN),
    "size ended by a line feed": Case(_chunked(b"3\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size ended by a return": Case(_chunked(b"3\rXabc\r\n0\r\n\r\n") + HIDDEN),
    "chunk ended by a line feed": Case(_chunked(b"3\r\nabc\n0\r\n\r\n") + HIDDEN),
    "chunk without an end": Case(_chunked(b"3\r\nabc0\r\n\r\n") + HIDDEN),
    "chunk ended by other bytes": Case(_chunked(b"3\r\nabcXX0\r\n\r\n") + HIDDEN),
    "extension with a line feed": Case(_chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "extension with a return": Case(_chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "extension with a null byte": Case(_chunked(b"3;a\x00\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "last chunk's extension with a line feed": Case(_chunked(b"0;\n\r\n\r\n") + HIDDEN),
    "signed size": Case(_chunked(b"+3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "negative size": Case(_chunked(b"-3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size with a prefix": Case(_chunked(b"0x3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size with an underscore": Case(_chunked(b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n") + HIDDEN),
    "size in Arabic digits": Case(_chunked("\u0663".encode() + b"\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size behind a space": Case(_chunked(b" 3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size before a space": Case(_chunked(b"3 \r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size before a tab": Case(_chunked(b"3\t;a=b\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size with a letter": Case(_chunked(b"3g\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "empty size": Case(_chunked(b"\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size above 64 bits": Case(_chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size far above 64 bits": Case(_chunked(b"f" * 300 + b"\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "trailer without a colon": Case(_chunked(b"0\r\nX\r\n\r\n") + HIDDEN),
    "trailer with a space in its name": Case(_chunked(b"0\r\nX T: 1\r\n\r\n") + HIDDEN),
    "trailer on a folded line": Case(_chunked(b"0\r\nX-T: 1\r\n 2\r\n\r\n") + HIDDEN),
    "trailer ended by a line feed": Case(_chunked(b"0\r\nX-T: 1\n\r\n") + HIDDEN),
    "trailer with a null byte": Case(_chunked(b"0\r\nX-T: \x00\r\n\r\n") + HIDDEN),
}

HEADS: Final[Mapping[str, Case]] = {
    "two hosts": Case(_get(b"Host: y") + HIDDEN),
    "same host twice": Case(_get(b"Host: x") + HIDDEN),
    "no host": Case(b"GET /a HTTP/1.1\r\n\r\n" + HIDDEN),
    "host behind a space": Case(b"GET /a HTTP/1.1\r\n Host: x\r\n\r\n" + HIDDEN),
    "line feeds only": Case(b"GET /a HTTP/1.1\nHost: x\n\n" + HIDDEN),
    "line feed after the request line": Case(b"GET /a HTTP/1.1\nHost: x\r\n\r\n" + HIDDEN),
    "line feed after a field": Case(_get(b"X-A: b\nX-C: d") + HIDDEN),
    "line feed at the end": Case(b"GET /a HTTP/1.1\r\nHost: x\r\n\n" + HIDDEN),
    "lone return in a value": Case(_get(b"X-A: b\rX-C: d") + HIDDEN),
    "lone return at the end": Case(b"GET /a HTTP/1.1\r\nHost: x\r\n\r" + HIDDEN),
    "two returns": Case(_get(b"X-A: b\r") + HIDDEN),
    "folded field": Case(_get(b"X-A: b\r\n\tc") + HIDDEN),
    "null byte in a value": Case(_get(b"X-A: b\x00c") + HIDDEN),
    "null byte in a name": Case(_get(b"X\x00A: b") + HIDDEN),
    "control character in a value": Case(_get(b"X-A: b\x01c") + HIDDEN),
    "delete character in a value": Case(_get(b"X-A: b\x7fc") + HIDDEN),
    "space in a name": Case(_get(b"X A: b") + HIDDEN),
    "letter outside ASCII in a name": Case(_get("X-Ä: b".encode()) + HIDDEN),
    "field without a colon": Case(_get(b"X-A") + HIDDEN),
    "field without a name": Case(_get(b": b") + HIDDEN),
    "bracket in a name": Case(_get(b"X[0]: b") + HIDDEN),
    "slash in a name": Case(_get(b"X/A: b") + HIDDEN),
    "at sign in the host": Case(b"GET /a HTTP/1.1\r\nHost: x@y\r\n\r\n" + HIDDEN),
    "version 1.2": Case(_get(version=b"1.2") + HIDDEN),
    "version 2.0": Case(_get(version=b"2.0") + HIDDEN),
    "version 0.9": Case(b"GET /a\r\n\r\n" + HIDDEN),
    "version with a zero in front": Case(_get(version=b"01.1") + HIDDEN),
    "version in lower case": Case(b"GET /a http/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "two spaces before the target": _passes(b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", _A),
    "two spaces behind the target": _passes(b"GET /a  HTTP/1.1\r\nHost: x\r\n\r\n", _A),
    "tab before the target": Case(b"GET\t/a HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "space behind the version": Case(b"GET /a HTTP/1.1 \r\nHost: x\r\n\r\n" + HIDDEN),
    "space before the method": Case(b" GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "method in lower case": Case(b"get /a HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "unknown method": Case(b"FETCH /a HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "method with a colon": Case(b"GET: /a HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "other protocol": Case(b"GET /a ICE/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "start of HTTP/2": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN),
    "start of TLS": Case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + HIDDEN),
    "connect": Case(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n" + HIDDEN),
    "connect with a path": Case(b"CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN, (), (405,)),
    "trace": Case(b"TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN, (), (405,)),
    "expectation of something else": Case(_get(b"Expect: 200-ok") + HIDDEN, (), (417,)),
    "expectation of more": Case(
        _post(b"abc", b"Content-Length: 3", b"Expect: 100-continue, x") + HIDDEN, (), (417,)
    ),
    "two expectations": Case(
        _post(b"abc", b"Content-Length: 3", b"Expect: 100-continue", b"Expect: x") + HIDDEN,
        (),
        (417,),
    ),
    "target too long": Case(_get(target=b"/" + b"a" * 65_536) + HIDDEN, statuses=(414,)),
    "value too long": Case(_get(b"X-A: " + b"a" * 131_073) + HIDDEN, statuses=(431,)),
    "name too long": Case(_get(b"a" * 131_073 + b": b") + HIDDEN, statuses=(431,)),
    "too many fields": Case(_get(*[b"X-%d: b" % n for n in range(1024)]) + HIDDEN, statuses=(431,)),
    "long target": _passes(_get(target=b"/" + b"a" * 4_000), Sent("GET", b"/" + b"a" * 4_000)),
    "long value": _passes(
        _get(b"X-A: " + b"a" * 16_000), Sent("GET", b"/a", b"", (b"X-A: " + b"a" * 16_000,))
    ),
    "many fields": _passes(
        _get(*[b"X-%d: b" % n for n in range(1023)]), Sent("GET", b"/a", b"", (b"X-1022: b",))
    ),
    "empty value": _passes(_get(b"X-A:", b"X-B: "), Sent("GET", b"/a", b"", (b"X-A: ", b"X-B: "))),
    "field twice": _passes(
        _get(b"X-A: 1", b"x-a: 2"), Sent("GET", b"/a", b"", (b"X-A: 1", b"x-a: 2"))
    ),
    "bytes outside ASCII in a value": _passes(
        _get(b"X-A: \xe9\xff"), Sent("GET", b"/a", b"", (b"X-A: \xe9\xff",))
    ),
    "underscore in a name": _passes(
        _get(b"X_Forwarded_For: b"), Sent("GET", b"/a", b"", (b"X_Forwarded_For: b",))
    ),
    "strange but legal name": _passes(
        _get(b"!#$%&'*+.^`|~: b"), Sent("GET", b"/a", b"", (b"!#$%&'*+.^`|~: b",))
    ),
    "empty line before the request": _passes(b"\r\n" + _get(), _A),
    "fields named by Connection": _passes(
        _get(b"Connection: keep-alive, X-A, close-not", b"X-A: b", b"X-B: c"),
        Sent("GET", b"/a", b"", (b"X-B: c",)),
    ),
    "options of everything": _passes(
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", Sent("OPTIONS", b"*")
    ),
    "everything of another method": Case(b"GET * HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "expectation in capitals": Case(
        _post(b"abc", b"Content-Length: 3", b"Expect: 100-CONTINUE"),
        (Sent("POST", b"/a", b"abc"),),
        (200,),
    ),
}

TARGETS: Final[Mapping[str, Case]] = {
    "own host": _passes(_get(target=b"http://x/a?b"), Sent("GET", b"/a?b")),
    "own host in capitals": _passes(_get(target=b"HTTP://X/a"), _A),
    "own host without a path": _passes(_get(target=b"http://x"), Sent("GET", b"/")),
    "own host and a query": _passes(_get(target=b"http://x?b"), Sent("GET", b"/?b")),
    "other host": _refused_target(b"http://y/a"),
    "own host with a port": _refused_target(b"http://x:80/a"),
    "user and own host": _refused_target(b"http://u@x/a"),
    "other scheme": _refused_target(b"ftp://x/a"),
    "file scheme": _refused_target(b"file:///etc/passwd"),
    "scheme without slashes": _refused_target(b"http:/a"),
    "no scheme": _refused_target(b"x/a"),
    "relative": _refused_target(b"a"),
    "query alone": _refused_target(b"?a"),
    "backslash first": _refused_target(b"\\a"),
    "fragment": _refused_target(b"/a#b"),
    "fragment in the query": _refused_target(b"/a?b#c"),
    "raw byte": _refused_target(b"/\xe9"),
    "raw byte in the query": _refused_target(b"/a?\xff"),
    "space": _refused_target(b"/a b"),
    "tab": _refused_target(b"/a\tb"),
    "null byte": _refused_target(b"/a\x00"),
    "return": _refused_target(b"/a\rb"),
    "delete character": _refused_target(b"/a\x7f"),
    "parents": _target(b"/b/../a"),
    "encoded parents": _target(b"/b/%2e%2e/a"),
    "parents of the root": _target(b"/../../a"),
    "current folder": _target(b"/./a/."),
    "encoded slash": _target(b"/b%2fa%2F"),
    "twice encoded slash": _target(b"/b%252fa"),
    "two slashes": _target(b"//a"),
    "two slashes like a host": _target(b"//y/a"),
    "many slashes": _target(b"/a///b//"),
    "backslash": _target(b"/b\\..\\a"),
    "encoded backslash": _target(b"/b%5c..%5Ca"),
    "semicolon": _target(b"/a;b=c/d"),
    "encoded null byte": _target(b"/a%00"),
    "encoded line break": _target(b"/a%0d%0aX:%20y"),
    "encoded bytes that are no UTF-8": _target(b"/%ff%e9"),
    "overlong encoding": _target(b"/%c0%ae%c0%ae/a"),
    "broken escape": _target(b"/%zz%4"),
    "query of questions": _target(b"/a??b?"),
    "empty query": _target(b"/a?"),
    "characters that need no escape": _target(b"/a!$&'()*+,;=:@-._~[]{}|^`\"<>"),
}

CONNECTIONS: Final[Mapping[str, Case]] = {
    "pipelined": _passes(
        _get(target=b"/1") + _post(b"abc", b"Content-Length: 3") + _get(target=b"/3"),
        Sent("GET", b"/1"),
        Sent("POST", b"/a", b"abc"),
        Sent("GET", b"/3"),
    ),
    "pipelined behind chunks": _passes(
        _chunked(b"3\r\nabc\r\n0\r\n\r\n") + _get() + _chunked(b"3\r\nabc\r\n0\r\n\r\n"),
        _ABC,
        _A,
        _ABC,
    ),
    "pipelined behind trailers": _passes(
        _chunked(b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n") + _get(), _ABC, _A
    ),
    "empty lines between requests": _passes(_get() + b"\r\n\r\n" + _get(), _A, _A),
    "upgrade nobody connected": _passes(
        _get(b"Upgrade: websocket") + _get(target=b"/2"), _A, Sent("GET", b"/2")
    ),
    "HTTP/1.0 kept alive": _passes(
        _get(b"Connection: keep-alive", version=b"1.0") + _get(target=b"/2"),
        _A,
        Sent("GET", b"/2"),
    ),
}

# What ends a connection: nothing behind it is read.
_UPGRADE: Final = (b"Connection: upgrade", b"Upgrade: h2c")
_SOCKET: Final = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
ENDINGS: Final[Mapping[str, Case]] = {
    "close": Case(_get(b"Connection: close") + HIDDEN, (_A,), (200,)),
    "close in a list": Case(_get(b"Connection: X-A, close") + HIDDEN, (_A,), (200,)),
    "close in capitals": Case(_get(b"CONNECTION: CLOSE") + HIDDEN, (_A,), (200,)),
    "HTTP/1.0": Case(_get(version=b"1.0") + HIDDEN, (_A,), (200,)),
    "HTTP/1.0 without a host": Case(b"GET /a HTTP/1.0\r\n\r\n" + HIDDEN, (_A,), (200,)),
    "upgrade to HTTP/2": Case(_get(*_UPGRADE) + HIDDEN, (_A,), (200,)),
    "upgrade to HTTP/2 with a body": Case(
        _post(b"abc", b"Content-Length: 3", *_UPGRADE) + HIDDEN,
        (Sent("POST", b"/a", b"abc"),),
        (200,),
    ),
    "upgrade to HTTP/2 with chunks": Case(
        _chunked(b"3\r\nabc\r\n0\r\n\r\n", *_UPGRADE) + HIDDEN, (_ABC,), (200,)
    ),
    "upgrade to a web socket": Case(_get(*_SOCKET) + HIDDEN, (_A,), (200,)),
    "upgrade to a web socket with a body": Case(
        _post(b"abc", b"Content-Length: 3", *_SOCKET) + HIDDEN,
        (Sent("POST", b"/a", b"abc"),),
        (200,),
    ),
    "upgrade twice": Case(_get(*_SOCKET) + _get(*_UPGRADE) + HIDDEN, (_A,), (200,)),
}
