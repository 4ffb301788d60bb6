"""The addresses of nodes become the proxy's; nothing else of the response changes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.handlers.nodes import (
    reached_at,
    with_cat_addresses,
    with_column_addresses,
    with_node_addresses,
)

NEW = "search.example:9280"


def node(*bound: str, publish: str) -> dict[str, Any]:
    http = {"bound_address": list(bound), "publish_address": publish, "max": 1e100}
    return {"name": "n", "transport": {"publish_address": "10.0.0.1:9300"}, "http": http}


NODES = orjson.dumps(
    {
        "_nodes": {"total": 3},
        "nodes": {
            "a": node("[::1]:9200", "127.0.0.1:9200", publish="es-1.example/10.0.0.1:9200"),
            "b": node("10.0.0.2:9200", publish="10.0.0.2:9200"),
            "c": {"name": "without", "settings": {"http": {"port": "9200"}}},
        },
    }
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "search.example:9280"}, "search.example:9280"),
        ({"Host": "127.0.0.1:1"}, "127.0.0.1:1"),
        ({"Host": "[::1]:9280"}, "[::1]:9280"),
        ({"Host": "[::1]"}, "[::1]:80"),
        ({"Host": "search.example"}, "search.example:80"),
        ({"Host": "search.example:"}, "search.example:80"),
        ({"Host": "search.example", "X-Forwarded-Proto": "HTTPS"}, "search.example:443"),
        ({"Host": "search.example:9280", "X-Forwarded-Proto": "https"}, "search.example:9280"),
        ({"Host": ""}, "[fe80::1]:9280"),
        ({"Host": ":9280"}, "[fe80::1]:9280"),
        ({"Host": "a:b"}, "[fe80::1]:9280"),
        ({}, "[fe80::1]:9280"),
    ],
)
def test_the_address_is_the_one_the_client_used(headers: dict[str, str], expected: str) -> None:
    """The Host header's; the socket's where that names none."""
    assert reached_at(headers, ("fe80::1", 9280)) == expected


def test_every_node_has_the_one_address() -> None:
    """The transport's stay, and all other text as it was written."""
    text = NODES.decode()
    expected = (
        text.replace('"[::1]:9200","127.0.0.1:9200"', f'"{NEW}"')
        .replace('"es-1.example/10.0.0.1:9200"', f'"{NEW}"')
        .replace('"10.0.0.2:9200"', f'"{NEW}"')
    )
    assert with_node_addresses(text, NEW) == expected
    for untouched in (
        "{}",
        '{"nodes": {}}',
        '{"nodes": {"a": {"http": {"total_opened": 7}}}}',
        '{"nodes": {"a": {"http": {"bound_address": []}}}}',
    ):
        assert with_node_addresses(untouched, NEW) == untouched
    one = '{"nodes": {"a": {"http": {"bound_address": "10.0.0.1:9200"}}}}'
    assert NEW in with_node_addresses(one, NEW)


def test_rows_of_cat_have_the_address() -> None:
    """By either name of the column; one without a value keeps none."""
    rows = '[{"http":"1.2.3.4:9200","n":1.50},{"http_address":"[::1]:9200"},{"http":null}]'
    assert with_cat_addresses(rows, NEW) == (
        f'[{{"http":"{NEW}","n":1.50}},{{"http_address":"{NEW}"}},{{"http":null}}]'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("10.0.0.1:9200\n", "s:1\n"),
        ("10.0.0.1:9200 a\n10.0.0.10:9200 b\n".replace("1:9200 a", "1:9200  a"), "s:1 a\ns:1 b\n"),
        ("http          name\n10.0.0.1:9200 a\n", "http name\ns:1  a\n"),
        ("name http_address    cpu\nred a 10.0.0.1:9200    7\n", None),
        ("  7 a 10.0.0.1:9200\n 99 b [fe80::1%eth0]:9200\n", "  7 a s:1\n 99 b s:1\n"),
        ("a 10.0.0.1:9200 x 10.0.0.1:9200\n", "a s:1 x s:1\n"),
        ("a 10.0.0.1:9200 x\nb               y\n", "a s:1 x\nb     y\n"),
        ("a 10.0.0.1:9200\nb\n", "a s:1\nb\n"),
        ("a 12.5 10.0.0.1\n", "a 12.5 10.0.0.1\n"),
        ("", ""),
    ],
)
def test_a_column_of_cat_has_the_address(before: str, after: str | None) -> None:
    """Its width follows, as it does in the backend; all other columns stay."""
    if after is None:
        before = "name  http_address  cpu\nred a 10.0.0.1:9200   7\n"
        after = "name  http_address cpu\nred a s:1            7\n"
    assert with_column_addresses(before, "s:1") == after
