"""Bodies that are no plain JSON, or JSON that not every reader can hold, for every endpoint.

What the backends say of each was found out by asking them; docs/decisions has the table.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.differential.calls import Call
from tests.differential.material import STATIC

JSON: Final = "Content-Type: application/json"
NDJSON: Final = "Content-Type: application/x-ndjson"
# Stands for a value in the bodies below: the text that a search or document is about.
X: Final = '"X"'

WHOLE: Final[Mapping[str, tuple[str, str, str]]] = {
    "search": ("POST", f"/{STATIC}/_search", '{"size":1,"query":{"match":{"title":"X"}}}'),
    "search by GET": ("GET", f"/{STATIC}/_search", '{"size":1,"query":{"match":{"title":"X"}}}'),
    "search of all": (
        "POST",
        f"/_search?index={STATIC}",
        '{"size":1,"query":{"match":{"title":"X"}}}',
    ),
    "search with URL": (
        "POST",
        f"/{STATIC}/_search?size=1&sort=n",
        '{"query":{"match":{"title":"X"}}}',
    ),
    "count": ("POST", f"/{STATIC}/_count", '{"query":{"match":{"title":"X"}}}'),
    "validate": ("POST", f"/{STATIC}/_validate/query", '{"query":{"match":{"title":"X"}}}'),
    "explain": ("POST", f"/{STATIC}/_explain/1", '{"query":{"match":{"title":"X"}}}'),
    "mget": ("POST", f"/{STATIC}/_mget", '{"ids":["1","X"]}'),
    "mget of all": ("POST", "/_mget", '{"docs":[{"_index":"diff-static","_id":"X"}]}'),
    "termvectors": ("POST", f"/{STATIC}/_mtermvectors", '{"ids":["X"]}'),
    "template": (
        "POST",
        f"/{STATIC}/_search/template",
        '{"source":{"size":1,"query":{"match":{"title":"X"}}}}',
    ),
    "render": ("POST", "/_render/template", '{"source":{"query":{"match":{"title":"X"}}}}'),
    "scroll": ("POST", "/_search/scroll", '{"scroll":"1m","scroll_id":"X"}'),
    "clear scroll": ("DELETE", "/_search/scroll", '{"scroll_id":"X"}'),
    "rank": (
        "POST",
        f"/{STATIC}/_rank_eval",
        '{"requests":[{"id":"q","request":{"query":{"match":{"title":"X"}}},"ratings":[]}],'
        '"metric":{"precision":{}}}',
    ),
    "analyze": ("POST", f"/{STATIC}/_analyze", '{"text":"X"}'),
    "field caps": (
        "POST",
        f"/{STATIC}/_field_caps?fields=n",
        '{"index_filter":{"term":{"n":"X"}}}',
    ),
    "document": ("PUT", "/TWIN/_doc/1?refresh=true", '{"s":"X"}'),
    "create": ("PUT", "/TWIN/_create/1", '{"s":"X"}'),
    "update": ("POST", "/TWIN/_update/1", '{"doc":{"s":"X"},"doc_as_upsert":true}'),
    "delete by query": ("POST", "/TWIN/_delete_by_query", '{"query":{"match":{"none":"X"}}}'),
    "settings": ("PUT", "/TWIN/_settings", '{"index":{"refresh_interval":"X"}}'),
    "create index": ("PUT", "/TWIN-n", '{"settings":{"number_of_replicas":"X"}}'),
    "mapping": ("PUT", "/TWIN/_mapping", '{"_meta":{"s":"X"}}'),
    "aliases": ("POST", "/_aliases", '{"actions":[{"add":{"index":"TWIN","alias":"X"}}]}'),
    "alias": ("PUT", "/TWIN/_alias/TWIN-a", '{"routing":"X"}'),
    "reindex": (
        "POST",
        "/_reindex?refresh=true",
        '{"max_docs":1,"source":{"index":"TWIN","query":{"match":{"s":"X"}}},'
        '"dest":{"index":"TWIN-r"}}',
    ),
}
WRITES: Final = frozenset(
    {
        *("document", "create", "update", "settings", "mapping", "aliases", "alias", "reindex"),
        *("create index", "delete by query", "clear scroll"),
    }
)


def _deep(levels: int) -> str:
    return "[" * levels + "1" + "]" * levels


ODDITIES: Final[Mapping[str, Callable[[str], bytes]]] = {
    "plain": lambda t: t.encode(),
    "half a pair": lambda t: t.replace("X", "a \\ud83d b").encode(),
    "the other half": lambda t: t.replace("X", "\\ude00").encode(),
    "half a pair in a key": lambda t: t.replace("{", '{"\\ud83d":1,', 1).encode(),
    "an escape and no brace": lambda t: t.replace("X", "\\u0041")[:-1].encode(),
    "an escape and words behind": lambda t: t.replace("X", "\\u0041").encode() + b" xyz",
    "1e400": lambda t: t.replace(X, "1e400").encode(),
    "-1e400": lambda t: t.replace(X, "-1e400").encode(),
    "1E+400": lambda t: t.replace(X, "1E+400").encode(),
    "1e-400": lambda t: t.replace(X, "1e-400").encode(),
    "400 digits": lambda t: t.replace(X, "1" + "0" * 400).encode(),
    "1001 digits": lambda t: t.replace(X, "1" * 1001).encode(),
    "20 digits": lambda t: t.replace(X, "12345678901234567890").encode(),
    "-0": lambda t: t.replace(X, "-0").encode(),
    "0e0": lambda t: t.replace(X, "0e0").encode(),
    "01": lambda t: t.replace(X, "01").encode(),
    "+1": lambda t: t.replace(X, "+1").encode(),
    "1.": lambda t: t.replace(X, "1.").encode(),
    "NaN": lambda t: t.replace(X, "NaN").encode(),
    "-Infinity": lambda t: t.replace(X, "-Infinity").encode(),
    "comment": lambda t: t.replace("{", '{/* " */', 1).encode(),
    "line comment": lambda t: t.replace("{", '{// "\n', 1).encode(),
    "comment behind": lambda t: t.encode() + b"/* x */",
    "comment before": lambda t: b"/* x */" + t.encode(),
    "open comment": lambda t: t.encode() + b"/* x",
    "hash": lambda t: t.replace("{", "{# x\n", 1).encode(),
    "mark": lambda t: b"\xef\xbb\xbf" + t.encode(),
    "UTF-16": lambda t: t.encode("utf-16-le"),
    "UTF-16 with mark": lambda t: t.encode("utf-16"),
    "UTF-16 the other way": lambda t: t.encode("utf-16-be"),
    "UTF-32": lambda t: t.encode("utf-32-le"),
    "UTF-32 the other way": lambda t: t.encode("utf-32-be"),
    "too many bytes": lambda t: t.encode().replace(b"X", b"\xc1\xb1"),
    "three bytes too many": lambda t: t.encode().replace(b"X", b"\xe0\x81\xb1"),
    "half a pair in bytes": lambda t: t.encode().replace(b"X", b"\xed\xa0\xbd"),
    "no UTF-8": lambda t: t.encode().replace(b"X", b"\xff"),
    "Latin-1": lambda t: t.encode().replace(b"X", b"\xe9"),
    "control": lambda t: t.encode().replace(b"X", b"\x01"),
    "tab in a text": lambda t: t.encode().replace(b"X", b"a\tb"),
    "line in a text": lambda t: t.encode().replace(b"X", b"a\nb"),
    "zero": lambda t: t.encode().replace(b"X", b"\x00"),
    "zero behind": lambda t: t.encode() + b"\x00",
    "zero as an escape": lambda t: t.replace("X", "\\u0000").encode(),
    "unknown escape": lambda t: t.replace("X", "\\x41").encode(),
    "short escape": lambda t: t.replace("X", "\\u41").encode(),
    "single quotes": lambda t: t.replace('"', "'").encode(),
    "no quotes": lambda t: t.replace('"', "").encode(),
    "key twice": lambda t: (t[:-1] + "," + t[1:]).encode(),
    "key twice inside": lambda t: t.replace(X, '{"a":1,"a":2}').encode(),
    "key twice by an escape": lambda t: t.replace(X, '{"a":1,"\\u0061":2}').encode(),
    "brace behind": lambda t: t.encode() + b"}",
    "object behind": lambda t: t.encode() + b"{}",
    "words behind": lambda t: t.encode() + b" xyz",
    "comma behind": lambda t: t.encode() + b",",
    "no brace": lambda t: t[:-1].encode(),
    "half of it": lambda t: t[: len(t) // 2].encode(),
    "comma at the end": lambda t: (t[:-1] + ",}").encode(),
    "comma first": lambda t: ("{," + t[1:]).encode(),
    "no colon": lambda t: t.replace(":", " ", 1).encode(),
    "white": lambda t: b" \n\t ",
    "array": lambda t: b"[]",
    "null": lambda t: b"null",
    "text": lambda t: b'"text"',
    "number": lambda t: b"1",
    "carriage returns": lambda t: t.replace(",", ",\r").encode() + b"\r",
    "form feed": lambda t: t.encode() + b"\x0c",
    "251 deep": lambda t: t.replace(X, _deep(251)).encode(),
    "255 deep": lambda t: t.replace(X, _deep(255)).encode(),
    "300 deep": lambda t: t.replace(X, _deep(300)).encode(),
    "1100 deep": lambda t: t.replace(X, _deep(1100)).encode(),
    "long key": lambda t: t.replace(X, '{"' + "k" * 60_000 + '":1}').encode(),
}

# A backend reads the first ones forever, and with them its network thread; the names that the
# others make are in the state of the cluster, where they can be read no more.
LEFT_OUT: Final = frozenset(
    ("termvectors", oddity)
    for oddity in (
        *("white", "array", "null", "text", "number", "no colon", "half of it", "long key"),
        *("comma at the end", "comma first", "key twice inside", "key twice by an escape"),
        *("251 deep", "255 deep", "300 deep", "1100 deep"),
    )
) | frozenset(
    (endpoint, oddity)
    for endpoint in ("aliases", "alias", "create index")
    for oddity in ("half a pair", "the other half", "half a pair in bytes")
)

CODINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
    "nonsense": bytes,
    "gzip, identity": gzip.compress,
}

_S: Final = b'{"size":1,"sort":["n"]}\n'
_H: Final = b'{"index":"diff-static"}\n'
MSEARCHES: Final[Mapping[str, bytes]] = {
    "plain": _H + _S,
    "empty header": b"{}\n" + _S,
    "empty line first": b"\n{}\n" + _S,
    "two empty lines first": b"\n\n{}\n" + _S,
    "empty line as header": b"\n" + _S,
    "white header": b" \n" + _S,
    "return first": b"\r\n{}\n" + _S,
    "no header": _S,
    "empty line between": _H + _S + b"\n" + _S,
    "empty line as body": b"{}\n\n",
    "empty line behind": _H + _S + b"\n",
    "two empty lines behind": _H + _S + b"\n\n",
    "white behind": _H + _S + b"  \n",
    "CRLF": (_H + _S).replace(b"\n", b"\r\n"),
    "returns alone": (_H + _S).replace(b"\n", b"\r"),
    "no last line feed": (_H + _S)[:-1],
    "header alone": _H,
    "header without a body behind": _H + _S + _H,
    "line feed alone": b"\n",
    "two line feeds alone": b"\n\n",
    "unknown key": b'{"zz":1}\n' + _S,
    "broken header": b'{"index":\n' + _S,
    "array as header": b"[]\n" + _S,
    "null as header": b"null\n" + _S,
    "text as header": b'"x"\n' + _S,
    "words as header": b"x\n" + _S,
    "comment in a header": b'{/*c*/"index":"diff-static"}\n' + _S,
    "words behind a header": b'{"index":"diff-static"} xyz\n' + _S,
    "brace behind a header": b'{"index":"diff-static"}}\n' + _S,
    "key twice in a header": b'{"index":"diff-static","index":"diff-static"}\n' + _S,
    "number as index": b'{"index":5}\n' + _S,
    "object as index": b'{"index":{"a":"b"}}\n' + _S,
    "half a pair as index": b'{"index":"\\ud83d"}\n' + _S,
    "too many bytes in a header": b'{"index":"diff-stati\xc1\xa3"}\n' + _S,
    "mark": b"\xef\xbb\xbf" + _H + _S,
    "UTF-16 header": '{"index":"diff-static"}'.encode("utf-16-le") + b"\n" + _S,
    "deep header": b'{"index":' + b"[" * 300 + b"]" * 300 + b"}\n" + _S,
    "broken body": _H + b'{"size":\n' + _H + _S,
    "words behind a body": _H + b'{"size":0} xyz\n' + _H + _S,
    "key twice in a body": _H + b'{"size":0,"size":1}\n' + _H + _S,
    "comment in a body": _H + b'{"size":0/*c*/}\n' + _H + _S,
    "half a pair in a body": _H + b'{"query":{"match":{"title":"\\ud83d"}}}\n' + _H + _S,
    "1e400 in a body": _H + b'{"min_score":1e400}\n' + _H + _S,
    "no UTF-8 in a body": _H + b'{"query":{"match":{"title":"\xff"}}}\n' + _H + _S,
}

_I: Final = b'{"index":{"_index":"TWIN","_id":"1"}}\n'
_U: Final = b'{"update":{"_index":"TWIN","_id":"1"}}\n'
_D: Final = b'{"s":"x"}\n'
BULKS: Final[Mapping[str, bytes]] = {
    "plain": _I + _D,
    "empty line first": b"\n" + _I + _D,
    "two empty lines first": b"\n\n" + _I + _D,
    "return first": b"\r\n" + _I + _D,
    "white first": b" \n" + _I + _D,
    "empty line between": _I + _D + b"\n" + _I + _D,
    "empty line behind": _I + _D + b"\n",
    "CRLF": (_I + _D).replace(b"\n", b"\r\n"),
    "returns alone": (_I + _D).replace(b"\n", b"\r"),
    "no last line feed": (_I + _D)[:-1],
    "action alone": _I,
    "action without a document behind": _I + _D + _I,
    "empty line as document": _I + b"\n" + _I + _D,
    "line feed alone": b"\n",
    "broken action": b'{"index":\n' + _D,
    "unknown action": b'{"zz":{}}\n' + _D,
    "unknown key": b'{"index":{"_index":"TWIN","zz":1}}\n' + _D,
    "two actions": b'{"index":{"_index":"TWIN","_id":"1"},"x":1}\n' + _D,
    "words behind an action": b'{"index":{"_index":"TWIN","_id":"1"}} xyz\n' + _D,
    "array as action": b"[]\n" + _D,
    "null as action": b"null\n" + _D,
    "object as id": b'{"index":{"_index":"TWIN","_id":{"a":1}}}\n' + _D,
    "number as id": b'{"index":{"_index":"TWIN","_id":5}}\n' + _D,
    "fraction as id": b'{"index":{"_index":"TWIN","_id":1.50}}\n' + _D,
    "truth as id": b'{"index":{"_index":"TWIN","_id":true}}\n' + _D,
    "key twice in an action": b'{"index":{"_index":"TWIN","_id":"1","_id":"1"}}\n' + _D,
    "comment in an action": b'{/**/"index":{"_index":"TWIN","_id":"1"}}\n' + _D,
    "half a pair as id": b'{"index":{"_index":"TWIN","_id":"\\ud83d"}}\n' + _D,
    "mark": b"\xef\xbb\xbf" + _I + _D,
    "null action": b'{"index":null}\n' + _D,
    "half a pair": _I + b'{"s":"a \\ud83d b"}\n' + _I + _D,
    "half a pair in a key": _I + b'{"\\ud83d":1}\n' + _I + _D,
    "key twice": _I + b'{"s":"x","s":"y"}\n' + _I + _D,
    "key twice inside": _I + b'{"o":{"a":1,"a":2}}\n' + _I + _D,
    "broken document": _I + b'{"s":\n' + _I + _D,
    "words behind a document": _I + b'{"s":"x"} xyz\n' + _I + _D,
    "array as document": _I + b"[]\n" + _I + _D,
    "null as document": _I + b"null\n" + _I + _D,
    "comment": _I + b'{"s":/*c*/"x"}\n' + _I + _D,
    "1e400": _I + b'{"s":1e400}\n' + _I + _D,
    "no UTF-8": _I + b'{"s":"\xff"}\n' + _I + _D,
    "deep": _I + b'{"l":' + b"[" * 300 + b"]" * 300 + b"}\n" + _I + _D,
    "update with a key twice": _I + _D + _U + b'{"doc":{"s":"y"},"doc":{"s":"y"}}\n',
    "update with a key twice inside": _I + _D + _U + b'{"doc":{"s":"y","s":"z"}}\n',
    "update that is broken": _I + _D + _U + b'{"doc":\n',
    "update with words behind": _I + _D + _U + b'{"doc":{"s":"y"}} xyz\n',
    "update with half a pair": _I + _D + _U + b'{"doc":{"s":"\\ud83d"}}\n',
}


def calls() -> Iterator[tuple[str, str, Call]]:
    """Every oddity for every endpoint: what each is called, and the call."""
    for endpoint, (method, target, text) in WHOLE.items():
        once = endpoint in WRITES
        for oddity, make in ODDITIES.items():
            if (endpoint, oddity) not in LEFT_OUT:
                yield endpoint, oddity, Call(method, target, (JSON,), make(text), once=once)
        for coding, pack in CODINGS.items():
            fields = (JSON, f"Content-Encoding: {coding}")
            if coding.lower() == "gzip":
                fields = (JSON, f"content-encoding: {coding}")
            if "TWIN" not in text:
                yield endpoint, coding, Call(method, target, fields, pack(text.encode()), once=once)
    for oddity, body in MSEARCHES.items():
        yield "msearch", oddity, Call("POST", f"/{STATIC}/_msearch", (NDJSON,), body)
        yield "msearch of all", oddity, Call("GET", f"/_msearch?index={STATIC}", (JSON,), body)
    for oddity, body in BULKS.items():
        yield "bulk", oddity, Call("POST", "/_bulk?refresh=true", (NDJSON,), body, once=True)
