"""What the backend would not read of a head is refused, and costs no connection."""

from __future__ import annotations

import orjson
import pytest

from proxy.backend.client import Backend
from proxy.upstream.client import UpstreamRequest
from proxy.upstream.request_head import FieldsTooLargeError, HeadLimits, LineTooLongError
from tests.proxy.conftest import OpenUpstream, Proxy, StartBare, get
from tests.proxy.wire import Client, ScriptedBackend, http_response, request

VIA = "querymill-test"
# What the proxy adds: Host and Via, as the backend counts them.
ADDED = len(f"Host: 127.0.0.1:00000Via: 1.1 {VIA}")


def line(size: int) -> str:
    """A target whose request line has so many bytes."""
    return "/" + "a" * (size - len("GET / HTTP/1.1"))


@pytest.mark.parametrize(
    ("size", "refused"), [(4095, False), (4096, False), (4097, True), (60_000, True)]
)
async def test_request_line_at_its_limit(
    backend: ScriptedBackend, client: Client, size: int, refused: bool
) -> None:
    """Above the limit it is a 414 in the envelope; the connections on both sides stay."""
    got = await client.ask(request(line(size)))
    if refused:
        error = orjson.loads(got.body)
        assert (got.status, error["status"]) == (414, 414)
        assert error["error"]["type"] == "too_long_http_line_exception"
        assert b"backend_max_line" in got.body
        assert backend.received == []
    else:
        assert got.status == 200
    assert (await client.ask(request("/"))).status == 200
    assert backend.accepted == 1


def head_fields(size: int, *, count: int) -> tuple[tuple[bytes, bytes], ...]:
    """Fields that, with what the proxy adds, have so many bytes without their line ends."""
    few = tuple((b"X-%03d" % number, b"b") for number in range(count))
    used = ADDED + count * len(b"X-000: b") + len(b"Cookie: ")
    return (*few, (b"Cookie", b"c" * (size - used)))


@pytest.mark.parametrize("count", [0, 1, 200])
async def test_fields_at_their_limit(
    backend: ScriptedBackend, open_upstream: OpenUpstream, count: int
) -> None:
    """Counted as the backend does: all that is sent, but for line ends."""
    upstream = await open_upstream(via=VIA)
    extra = len(str(backend.port)) - len("00000")
    for size, refused in ((16_383, False), (16_384, False), (16_385, True), (17_000, True)):
        fields = head_fields(size - extra, count=count)
        sent = UpstreamRequest(method="GET", target="/", headers=fields)
        if refused:
            with pytest.raises(FieldsTooLargeError, match="backend_max_header"):
                await upstream.send(sent)
        else:
            with await upstream.send(sent) as response:
                await response.read(10)
            (message, *rest) = backend.received
            backend.received.clear()
            assert rest == []
            assert sum(len(n) + 2 + len(v) for n, v in message.fields) == size
    # A refusal costs no connection.
    assert backend.accepted == 1


async def test_the_body_s_length_counts(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """A Content-Length that the proxy adds is a field like any other."""
    upstream = await open_upstream(limits=HeadLimits(line=4096, fields=100))
    room = 100 - len(f"Host: 127.0.0.1:{backend.port}") - len("A: ")
    fits = ((b"A", b"b" * room),)
    with await upstream.send(UpstreamRequest(method="GET", target="/", headers=fits)) as response:
        await response.read(10)
    with pytest.raises(FieldsTooLargeError):
        await upstream.send(UpstreamRequest(method="POST", target="/", headers=fits, body=b"{}"))


HEADS = {
    "cookie": [f"Cookie: {'a' * 17_000}"],
    "authorization": [f"Authorization: Bearer {'a' * 20_000}"],
    "many fields": [f"X-{number}: {'b' * 20}" for number in range(800)],
    "one name": [f"{'a' * 17_000}: b"],
}
CALLS = {
    "get": ("GET", b""),
    "small body": ("POST", b'{"size":1}'),
    "large body": ("POST", b" " * 100_000),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("fields", HEADS.values(), ids=HEADS.keys())
async def test_large_heads(
    backend: ScriptedBackend, client: Client, fields: list[str], call: tuple[str, bytes]
) -> None:
    """A 431 in the envelope, whatever makes the head large and whatever stands behind it."""
    method, body = call
    got = await client.ask(request("/a/_search", method, body, *fields))
    error = orjson.loads(got.body)
    assert (got.status, error["status"]) == (431, 431)
    assert error["error"]["type"] == "too_long_http_header_exception"
    assert (await client.ask(request("/"))).status == 200
    assert backend.targets == ["/"]


async def test_limits_of_the_settings(backend: ScriptedBackend, start_bare: StartBare) -> None:
    """A backend that takes more, or less, is told of by the settings."""
    small: Proxy = await start_bare(backend_max_line="1kb", backend_max_header="1kb")
    large: Proxy = await start_bare(backend_max_line="32kb", backend_max_header="64kb")
    cookie = request("/", "GET", b"", f"Cookie: {'a' * 30_000}")
    for sent, status in ((request(line(5000)), 414), (cookie, 431)):
        assert (await (await large.client()).ask(sent)).status == 200
        assert (await (await small.client()).ask(sent)).status == status
    assert (await (await small.client()).ask(request(line(1024)))).status == 200
    assert (await (await small.client()).ask(request(line(1025)))).status == 414


async def test_own_calls_that_are_too_long(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Whoever makes a call for the proxy gets the 400 that the backend would answer."""
    upstream = await open_upstream()
    said = await Backend(upstream).call("GET", "/_resolve/index/" + "a," * 3000)
    assert (said.status, said.data["status"]) == (400, 400)
    assert await get(upstream) == b"{}"


async def test_the_check_forgets_nothing(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Heads are remembered, and checked all the same by who has lower limits."""
    backend.reply = http_response()
    fields = ((b"A", b"b" * 2000),)
    sent = UpstreamRequest(method="GET", target="/", headers=fields)
    for _ in range(2):
        with await (await open_upstream()).send(sent) as response:
            await response.read(10)
    strict = await open_upstream(limits=HeadLimits(fields=1024, line=1024))
    with pytest.raises(FieldsTooLargeError):
        await strict.send(sent)
    with pytest.raises(LineTooLongError):
        await strict.send(UpstreamRequest(method="GET", target=line(1025)))
