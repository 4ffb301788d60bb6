"""Requests that two HTTP parsers could read differently, and what the proxy has to make of each.

Every case is the bytes of one client and the requests that may come out of them at the backend. The
rules are those of RFC 9110 and RFC 9112; where these let a recipient choose, the stricter choice is
the expected one, as a proxy cannot know how lenient its backend is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.corpus.cases import (
    CHUNKED_ABC,
    GET_A,
    HIDDEN,
    Case,
    Sent,
    chunked,
    coding,
    get,
    length,
    passes,
    post,
    refused_target,
    target,
)

LENGTHS: Final[Mapping[str, Case]] = {
    "length and chunked": Case(
        post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked") + HIDDEN
    ),
    "chunked and length": Case(
        post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Content-Length: 5") + HIDDEN
    ),
    "length that hides a request in a chunk": Case(
        post(b"0\r\n\r\n" + HIDDEN, b"Content-Length: 40", b"Transfer-Encoding: chunked")
    ),
    "chunk that hides a request behind a length": Case(
        post(
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
            b"Content-Length: 4",
            b"Transfer-Encoding: chunked",
        )
    ),
    "length of nothing and chunked": Case(
        post(HIDDEN, b"Content-Length: 0", b"Transfer-Encoding: chunked")
    ),
    "two different lengths": Case(
        post(b"abcde", b"Content-Length: 5", b"Content-Length: 0") + HIDDEN
    ),
    "two equal lengths": Case(post(b"abcde", b"Content-Length: 5", b"Content-Length: 5") + HIDDEN),
    "length in another case twice": Case(
        post(b"abcde", b"Content-Length: 5", b"content-length: 5") + HIDDEN
    ),
    "list of equal lengths": length(b"5, 5"),
    "list of different lengths": length(b"5, 0"),
    "signed length": length(b"+5"),
    "negative length": length(b"-5"),
    "hexadecimal length": length(b"0x5"),
    "length with underscore": length(b"1_0", b"0123456789"),
    "length with exponent": length(b"5e0"),
    "fractional length": length(b"5.0"),
    "length in Arabic digits": length("\u0665".encode()),
    "length in fullwidth digits": length("\uff15".encode()),
    "superscript length": length("\u2075".encode()),
    "quoted length": length(b'"5"'),
    "length with a space in it": length(b"5 5"),
    "length with a tab in it": length(b"5\t5"),
    "length with a semicolon": length(b"5;"),
    "empty length": length(b""),
    "length above 64 bits": length(b"18446744073709551621"),
    "length far above 64 bits": length(b"9" * 400),
    "length with a null byte": length(b"5\x00"),
    "length with a vertical tab": length(b"\x0b5"),
    "length with a form feed": length(b"5\x0c"),
    "length with no-break space": length(b"\xa05"),
    "length with zeroes in front": passes(
        post(b"abcde", b"Content-Length: 0005"),
        Sent("POST", b"/a", b"abcde", (b"Content-Length: 5",)),
    ),
    "length between spaces": passes(
        post(b"abcde", b"Content-Length: \t 5 \t"), Sent("POST", b"/a", b"abcde")
    ),
    "no length": passes(post(b""), Sent("POST", b"/a")),
    "length of nothing": passes(
        post(b"", b"Content-Length: 0"), Sent("POST", b"/a", b"", (b"Content-Length: 0",))
    ),
    "body of a GET": passes(
        get(b"Content-Length: 3") + b"abc", Sent("GET", b"/a", b"abc", (b"Content-Length: 3",))
    ),
    "body that is a request": passes(
        post(HIDDEN, b"Content-Length: %d" % len(HIDDEN)), Sent("POST", b"/a", HIDDEN)
    ),
}

CODINGS: Final[Mapping[str, Case]] = {
    "unknown coding": coding(b"gzip"),
    "coding of a similar name": coding(b"xchunked"),
    "coding with more behind": coding(b"chunkedx"),
    "chunked before identity": coding(b"chunked, identity"),
    "identity alone": coding(b"identity", b""),
    "identity before chunked": coding(b"identity, chunked"),
    "gzip before chunked": coding(b"gzip, chunked"),
    "chunked twice in a list": coding(b"chunked, chunked"),
    "chunked in two fields": Case(chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked") + HIDDEN),
    "chunked and identity in two fields": Case(
        chunked(b"0\r\n\r\n", b"Transfer-Encoding: identity") + HIDDEN
    ),
    "chunked and an unknown coding in two fields": Case(
        post(b"0\r\n\r\n", b"Transfer-Encoding: x", b"Transfer-Encoding: chunked") + HIDDEN
    ),
    "chunked with a parameter": coding(b"chunked;a=b"),
    "quoted chunked": coding(b'"chunked"'),
    "chunked behind a comma": coding(b",chunked"),
    "chunked before a comma": coding(b"chunked,"),
    "chunked behind a vertical tab": coding(b"\x0bchunked"),
    "chunked before a vertical tab": coding(b"chunked\x0b"),
    "chunked behind a form feed": coding(b"\x0cchunked"),
    "chunked behind a null byte": coding(b"\x00chunked"),
    "chunked before a null byte": coding(b"chunked\x00"),
    "chunked behind a no-break space": coding(b"\xa0chunked"),
    "chunked with a Kelvin sign": coding("chun\u212aed".encode()),
    "empty coding": coding(b""),
    "chunked on a folded line": Case(
        post(b"0\r\n\r\n", b"Transfer-Encoding:\r\n chunked") + HIDDEN
    ),
    "chunked behind another folded line": Case(
        post(b"0\r\n\r\n", b"X-A: b\r\n Transfer-Encoding: chunked") + HIDDEN
    ),
    "chunked behind a lone return": Case(
        post(b"0\r\n\r\n", b"X-A: b\rTransfer-Encoding: chunked") + HIDDEN
    ),
    "chunked behind a lone line feed": Case(
        post(b"0\r\n\r\n", b"X-A: b\nTransfer-Encoding: chunked") + HIDDEN
    ),
    "chunked in HTTP/1.0": Case(
        post(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", version=b"1.0") + HIDDEN
    ),
    "space before the colon": Case(post(b"0\r\n\r\n", b"Transfer-Encoding : chunked") + HIDDEN),
    "tab before the colon": Case(post(b"0\r\n\r\n", b"Transfer-Encoding\t: chunked") + HIDDEN),
    "return before the colon": Case(post(b"0\r\n\r\n", b"Transfer-Encoding\r: chunked") + HIDDEN),
    "null byte in the name": Case(post(b"0\r\n\r\n", b"Transfer-\x00Encoding: chunked") + HIDDEN),
    "underscore in the name": passes(
        post(b"", b"Transfer_Encoding: chunked", b"Content_Length: 5"),
        Sent("POST", b"/a", b"", (b"Transfer_Encoding: chunked", b"Content_Length: 5")),
    ),
    "chunked in capitals": passes(
        post(b"3\r\nabc\r\n0\r\n\r\n", b"TRANSFER-ENCODING: CHUNKED"), CHUNKED_ABC
    ),
    "chunked behind a tab": passes(
        post(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding:\tchunked"), CHUNKED_ABC
    ),
    "chunked before spaces": coding(b"chunked \t"),
    "chunked without a space": passes(
        post(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding:chunked"), CHUNKED_ABC
    ),
    "chunked named by Connection": passes(
        chunked(b"3\r\nabc\r\n0\r\n\r\n", b"Connection: transfer-encoding, content-length"),
        CHUNKED_ABC,
    ),
    "length named by Connection": passes(
        post(b"abc", b"Content-Length: 3", b"Connection: content-length, host"),
        Sent("POST", b"/a", b"abc", (b"Content-Length: 3",)),
    ),
}

CHUNKS: Final[Mapping[str, Case]] = {
    "chunk": passes(chunked(b"3\r\nabc\r\n0\r\n\r\n"), CHUNKED_ABC),
    "two chunks": passes(chunked(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), CHUNKED_ABC),
    "size in capitals with zeroes": passes(
        chunked(b"00A\r\n0123456789\r\n000\r\n\r\n"),
        Sent("POST", b"/a", b"0123456789", (b"Transfer-Encoding: chunked",)),
    ),
    "chunk that is a request": passes(
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)), Sent("POST", b"/a", HIDDEN)
    ),
    "chunk extension": passes(chunked(b"3;a=b\r\nabc\r\n0;c\r\n\r\n"), CHUNKED_ABC),
    "quoted chunk extension": passes(chunked(b'3;a="b;c"\r\nabc\r\n0\r\n\r\n'), CHUNKED_ABC),
    "trailers": passes(chunked(b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", b"Trailer: X-T"), CHUNKED_ABC),
    "trailer that looks like a length": Case(
        chunked(b"3\r\nabc\r\n0\r\nContent-Length: 35\r\n\r\n") + HIDDEN
    ),
    "trailer that looks like a coding": Case(
        chunked(b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n") + HIDDEN
    ),
    "last chunk ended by line feeds": Case(chunked(b"0\n\r\n") + HIDDEN),
    "end of the body by line feed": Case(chunked(b"0\r\n\n") + HIDDEN),
    "size ended by a line feed": Case(chunked(b"3\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size ended by a return": Case(chunked(b"3\rXabc\r\n0\r\n\r\n") + HIDDEN),
    "chunk ended by a line feed": Case(chunked(b"3\r\nabc\n0\r\n\r\n") + HIDDEN),
    "chunk without an end": Case(chunked(b"3\r\nabc0\r\n\r\n") + HIDDEN),
    "chunk ended by other bytes": Case(chunked(b"3\r\nabcXX0\r\n\r\n") + HIDDEN),
    "extension with a line feed": Case(chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "extension with a return": Case(chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "extension with a null byte": Case(chunked(b"3;a\x00\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "last chunk's extension with a line feed": Case(chunked(b"0;\n\r\n\r\n") + HIDDEN),
    "signed size": Case(chunked(b"+3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "negative size": Case(chunked(b"-3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size with a prefix": Case(chunked(b"0x3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size with an underscore": Case(chunked(b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n") + HIDDEN),
    "size in Arabic digits": Case(chunked("\u0663".encode() + b"\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size behind a space": Case(chunked(b" 3\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size before a space": Case(chunked(b"3 \r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size before a tab": Case(chunked(b"3\t;a=b\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size with a letter": Case(chunked(b"3g\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "empty size": Case(chunked(b"\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size above 64 bits": Case(chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "size far above 64 bits": Case(chunked(b"f" * 300 + b"\r\nabc\r\n0\r\n\r\n") + HIDDEN),
    "trailer without a colon": Case(chunked(b"0\r\nX\r\n\r\n") + HIDDEN),
    "trailer with a space in its name": Case(chunked(b"0\r\nX T: 1\r\n\r\n") + HIDDEN),
    "trailer on a folded line": Case(chunked(b"0\r\nX-T: 1\r\n 2\r\n\r\n") + HIDDEN),
    "trailer ended by a line feed": Case(chunked(b"0\r\nX-T: 1\n\r\n") + HIDDEN),
    "trailer with a null byte": Case(chunked(b"0\r\nX-T: \x00\r\n\r\n") + HIDDEN),
}

HEADS: Final[Mapping[str, Case]] = {
    "two hosts": Case(get(b"Host: y") + HIDDEN),
    "same host twice": Case(get(b"Host: x") + HIDDEN),
    "no host": Case(b"GET /a HTTP/1.1\r\n\r\n" + HIDDEN),
    "host behind a space": Case(b"GET /a HTTP/1.1\r\n Host: x\r\n\r\n" + HIDDEN),
    "line feeds only": Case(b"GET /a HTTP/1.1\nHost: x\n\n" + HIDDEN),
    "line feed after the request line": Case(b"GET /a HTTP/1.1\nHost: x\r\n\r\n" + HIDDEN),
    "line feed after a field": Case(get(b"X-A: b\nX-C: d") + HIDDEN),
    "line feed at the end": Case(b"GET /a HTTP/1.1\r\nHost: x\r\n\n" + HIDDEN),
    "lone return in a value": Case(get(b"X-A: b\rX-C: d") + HIDDEN),
    "lone return at the end": Case(b"GET /a HTTP/1.1\r\nHost: x\r\n\r" + HIDDEN),
    "two returns": Case(get(b"X-A: b\r") + HIDDEN),
    "folded field": Case(get(b"X-A: b\r\n\tc") + HIDDEN),
    "null byte in a value": Case(get(b"X-A: b\x00c") + HIDDEN),
    "null byte in a name": Case(get(b"X\x00A: b") + HIDDEN),
    "control character in a value": Case(get(b"X-A: b\x01c") + HIDDEN),
    "delete character in a value": Case(get(b"X-A: b\x7fc") + HIDDEN),
    "space in a name": Case(get(b"X A: b") + HIDDEN),
    "letter outside ASCII in a name": Case(get("X-Ä: b".encode()) + HIDDEN),
    "field without a colon": Case(get(b"X-A") + HIDDEN),
    "field without a name": Case(get(b": b") + HIDDEN),
    "bracket in a name": Case(get(b"X[0]: b") + HIDDEN),
    "slash in a name": Case(get(b"X/A: b") + HIDDEN),
    "at sign in the host": Case(b"GET /a HTTP/1.1\r\nHost: x@y\r\n\r\n" + HIDDEN),
    "version 1.2": Case(get(version=b"1.2") + HIDDEN),
    "version 2.0": Case(get(version=b"2.0") + HIDDEN),
    "version 0.9": Case(b"GET /a\r\n\r\n" + HIDDEN),
    "version with a zero in front": Case(get(version=b"01.1") + HIDDEN),
    "version in lower case": Case(b"GET /a http/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "two spaces before the target": passes(b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", GET_A),
    "two spaces behind the target": passes(b"GET /a  HTTP/1.1\r\nHost: x\r\n\r\n", GET_A),
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
    "expectation of something else": Case(get(b"Expect: 200-ok") + HIDDEN, (), (417,)),
    "expectation of more": Case(
        post(b"abc", b"Content-Length: 3", b"Expect: 100-continue, x") + HIDDEN, (), (417,)
    ),
    "two expectations": Case(
        post(b"abc", b"Content-Length: 3", b"Expect: 100-continue", b"Expect: x") + HIDDEN,
        (),
        (417,),
    ),
    "target too long": Case(get(target=b"/" + b"a" * 65_536) + HIDDEN, statuses=(414,)),
    "value too long": Case(get(b"X-A: " + b"a" * 131_073) + HIDDEN, statuses=(431,)),
    "name too long": Case(get(b"a" * 131_073 + b": b") + HIDDEN, statuses=(431,)),
    "too many fields": Case(get(*[b"X-%d: b" % n for n in range(1024)]) + HIDDEN, statuses=(431,)),
    "long target": passes(get(target=b"/" + b"a" * 4_000), Sent("GET", b"/" + b"a" * 4_000)),
    "long value": passes(
        get(b"X-A: " + b"a" * 16_000), Sent("GET", b"/a", b"", (b"X-A: " + b"a" * 16_000,))
    ),
    "many fields": passes(
        get(*[b"X-%d: b" % n for n in range(1023)]), Sent("GET", b"/a", b"", (b"X-1022: b",))
    ),
    "empty value": passes(get(b"X-A:", b"X-B: "), Sent("GET", b"/a", b"", (b"X-A: ", b"X-B: "))),
    "field twice": passes(
        get(b"X-A: 1", b"x-a: 2"), Sent("GET", b"/a", b"", (b"X-A: 1", b"x-a: 2"))
    ),
    "bytes outside ASCII in a value": passes(
        get(b"X-A: \xe9\xff"), Sent("GET", b"/a", b"", (b"X-A: \xe9\xff",))
    ),
    "underscore in a name": passes(
        get(b"X_Forwarded_For: b"), Sent("GET", b"/a", b"", (b"X_Forwarded_For: b",))
    ),
    "strange but legal name": passes(
        get(b"!#$%&'*+.^`|~: b"), Sent("GET", b"/a", b"", (b"!#$%&'*+.^`|~: b",))
    ),
    "empty line before the request": passes(b"\r\n" + get(), GET_A),
    "fields named by Connection": passes(
        get(b"Connection: keep-alive, X-A, close-not", b"X-A: b", b"X-B: c"),
        Sent("GET", b"/a", b"", (b"X-B: c",)),
    ),
    "options of everything": passes(
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", Sent("OPTIONS", b"*")
    ),
    "everything of another method": Case(b"GET * HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN),
    "expectation in capitals": Case(
        post(b"abc", b"Content-Length: 3", b"Expect: 100-CONTINUE"),
        (Sent("POST", b"/a", b"abc"),),
        (200,),
    ),
}

TARGETS: Final[Mapping[str, Case]] = {
    "own host": passes(get(target=b"http://x/a?b"), Sent("GET", b"/a?b")),
    "own host in capitals": passes(get(target=b"HTTP://X/a"), GET_A),
    "own host without a path": passes(get(target=b"http://x"), Sent("GET", b"/")),
    "own host and a query": passes(get(target=b"http://x?b"), Sent("GET", b"/?b")),
    "other host": refused_target(b"http://y/a"),
    "own host with a port": refused_target(b"http://x:80/a"),
    "user and own host": refused_target(b"http://u@x/a"),
    "other scheme": refused_target(b"ftp://x/a"),
    "file scheme": refused_target(b"file:///etc/passwd"),
    "scheme without slashes": refused_target(b"http:/a"),
    "no scheme": refused_target(b"x/a"),
    "relative": refused_target(b"a"),
    "query alone": refused_target(b"?a"),
    "backslash first": refused_target(b"\\a"),
    "fragment": refused_target(b"/a#b"),
    "fragment in the query": refused_target(b"/a?b#c"),
    "raw byte": refused_target(b"/\xe9"),
    "raw byte in the query": refused_target(b"/a?\xff"),
    "space": refused_target(b"/a b"),
    "tab": refused_target(b"/a\tb"),
    "null byte": refused_target(b"/a\x00"),
    "return": refused_target(b"/a\rb"),
    "delete character": refused_target(b"/a\x7f"),
    "parents": target(b"/b/../a"),
    "encoded parents": target(b"/b/%2e%2e/a"),
    "parents of the root": target(b"/../../a"),
    "current folder": target(b"/./a/."),
    "encoded slash": target(b"/b%2fa%2F"),
    "twice encoded slash": target(b"/b%252fa"),
    "two slashes": target(b"//a"),
    "two slashes like a host": target(b"//y/a"),
    "many slashes": target(b"/a///b//"),
    "backslash": target(b"/b\\..\\a"),
    "encoded backslash": target(b"/b%5c..%5Ca"),
    "semicolon": target(b"/a;b=c/d"),
    "encoded null byte": target(b"/a%00"),
    "encoded line break": target(b"/a%0d%0aX:%20y"),
    "encoded bytes that are no UTF-8": target(b"/%ff%e9"),
    "overlong encoding": target(b"/%c0%ae%c0%ae/a"),
    "broken escape": target(b"/%zz%4"),
    "query of questions": target(b"/a??b?"),
    "empty query": target(b"/a?"),
    "characters that need no escape": target(b"/a!$&'()*+,;=:@-._~[]{}|^`\"<>"),
}

CONNECTIONS: Final[Mapping[str, Case]] = {
    "pipelined": passes(
        get(target=b"/1") + post(b"abc", b"Content-Length: 3") + get(target=b"/3"),
        Sent("GET", b"/1"),
        Sent("POST", b"/a", b"abc"),
        Sent("GET", b"/3"),
    ),
    "pipelined behind chunks": passes(
        chunked(b"3\r\nabc\r\n0\r\n\r\n") + get() + chunked(b"3\r\nabc\r\n0\r\n\r\n"),
        CHUNKED_ABC,
        GET_A,
        CHUNKED_ABC,
    ),
    "pipelined behind trailers": passes(
        chunked(b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n") + get(), CHUNKED_ABC, GET_A
    ),
    "empty lines between requests": passes(get() + b"\r\n\r\n" + get(), GET_A, GET_A),
    "upgrade nobody connected": passes(
        get(b"Upgrade: websocket") + get(target=b"/2"), GET_A, Sent("GET", b"/2")
    ),
    "HTTP/1.0 kept alive": passes(
        get(b"Connection: keep-alive", version=b"1.0") + get(target=b"/2"),
        GET_A,
        Sent("GET", b"/2"),
    ),
}
