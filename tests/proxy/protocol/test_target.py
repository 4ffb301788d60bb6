"""Reading what a request is from its method and raw target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.endpoints import ENDPOINTS, SAFE_BELOW_INDEX, SAFE_ON_CLUSTER, Operation
from proxy.protocol.target import read_target


@pytest.mark.parametrize(
    ("method", "target", "operation", "names", "doc_id"),
    [
        ("GET", "/_search", Operation.SEARCH, (), None),
        ("POST", "/a,b*/_search?x=1", Operation.SEARCH, ("a", "b*"), None),
        ("GET", "/_all/_search", Operation.SEARCH, ("_all",), None),
        ("GET", "/_search?index=a,-b", Operation.SEARCH, ("a", "-b"), None),
        ("GET", "/a/_search?index=b", Operation.SEARCH, ("a",), None),
        ("GET", "//a//_search", Operation.SEARCH, ("a",), None),
        ("GET", "/a/_search/", Operation.SEARCH, ("a",), None),
        ("GET", "/%61/%5Fsearch", Operation.SEARCH, ("a",), None),
        ("GET", "/remote%3Aa/_search", Operation.SEARCH, ("remote:a",), None),
        (
            "GET",
            "/%3Clogs-%7Bnow%2Fd%7D%3E/_search",
            Operation.SEARCH,
            ("<logs-{now/d}>",),
            None,
        ),
        ("GET", "/a/t/_search", Operation.SEARCH, ("a",), None),
        ("DELETE", "/a/_search", Operation.OTHER, ("a",), None),
        ("POST", "/a/_msearch", Operation.MSEARCH, ("a",), None),
        ("POST", "/_msearch/template", Operation.MSEARCH_TEMPLATE, (), None),
        ("GET", "/a/_search/template", Operation.SEARCH_TEMPLATE, ("a",), None),
        ("GET", "/_search/scroll/abc%3D%3D", Operation.SCROLL, (), "abc=="),
        ("DELETE", "/_search/scroll", Operation.CLEAR_SCROLL, (), None),
        ("POST", "/a/_pit", Operation.OPEN_PIT, ("a",), None),
        ("DELETE", "/_search/point_in_time", Operation.CLOSE_PIT, (), None),
        ("PUT", "/a/_doc/x%2Fy", Operation.DOCUMENT, ("a",), "x/y"),
        ("POST", "/a/_doc", Operation.DOCUMENT, ("a",), None),
        ("PUT", "/a/_doc", Operation.OTHER, ("a",), None),
        ("PUT", "/a/_create/1", Operation.DOCUMENT, ("a",), "1"),
        ("PUT", "/a/t/1", Operation.DOCUMENT, ("a",), "1"),
        ("POST", "/a/t", Operation.DOCUMENT, ("a",), None),
        ("POST", "/a/t/1/_update", Operation.UPDATE, ("a",), "1"),
        ("POST", "/a/_doc/1/_update", Operation.UPDATE, ("a",), "1"),
        ("GET", "/a/t/1/_source", Operation.GET_SOURCE, ("a",), "1"),
        ("POST", "/a/t/_bulk", Operation.BULK, ("a",), None),
        ("GET", "/a/_doc/1", Operation.GET_DOCUMENT, ("a",), "1"),
        ("DELETE", "/a/_doc/1", Operation.SAFE, ("a",), "1"),
        ("HEAD", "/a/_source/1", Operation.GET_SOURCE, ("a",), "1"),
        ("POST", "/_bulk", Operation.BULK, (), None),
        ("PUT", "/a", Operation.CREATE_INDEX, ("a",), None),
        ("DELETE", "/a", Operation.DELETE_INDEX, ("a",), None),
        ("HEAD", "/a", Operation.SAFE, ("a",), None),
        ("PUT", "/_settings", Operation.PUT_SETTINGS, (), None),
        ("GET", "/a/_settings/index.x", Operation.GET_SETTINGS, ("a",), None),
        ("POST", "/_reindex", Operation.REINDEX, (), None),
        ("PUT", "/a/_clone/b", Operation.COPY_INDEX, ("a",), None),
        ("GET", "/", Operation.SAFE, (), None),
        ("GET", "/_cat/indices", Operation.SAFE, (), None),
        ("GET", "/_cat/count/a", Operation.DATA, ("a",), None),
        ("GET", "/a/_mapping", Operation.SAFE, ("a",), None),
        ("GET", "/a/_unheard_of", Operation.OTHER, ("a",), None),
        ("GET", "/_unheard_of", Operation.OTHER, (), None),
    ],
)
def test_requests_are_reported_apart(
    method: str, target: str, operation: Operation, names: tuple[str, ...], doc_id: str | None
) -> None:
    """Routed on the raw bytes, decoded once, by either spelling of old and new versions."""
    read = read_target(method, target)
    assert (read.operation, read.names, read.id) == (operation, names, doc_id)
    assert read.query.after(read.path) == target


def test_what_nobody_knows_can_bypass_everything() -> None:
    """So that it is refused on a protected index, while the lists of safe ones are not."""
    assert read_target("GET", "/a/_new").bypasses == {"query", "result", "document"}
    assert read_target("GET", "/_new").bypasses == {"query", "result", "document"}
    for name in SAFE_BELOW_INDEX:
        assert not read_target("GET", f"/a/{name}").bypasses, name
    for name in SAFE_ON_CLUSTER:
        assert not read_target("GET", f"/{name}").bypasses, name


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.text)
def test_every_line_of_the_table_is_found(endpoint: object) -> None:
    """With and without an index, as its line says; what runs on it cannot bypass it."""
    assert hasattr(endpoint, "path")
    line = next(e for e in ENDPOINTS if e is endpoint)
    below = "/".join(part.strip("{}") for part in line.path)
    for method in line.methods:
        if line.index != "none":
            found = read_target(method, f"/i/{below}")
            assert (found.operation, found.bypasses) == (line.operation, line.bypasses)
            assert found.names == ("i",)
        if line.index != "required":
            found = read_target(method, f"/{below}")
            assert (found.operation, found.bypasses) == (line.operation, line.bypasses)
    assert not line.phases & line.bypasses


@given(st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]), st.text(max_size=80))
def test_any_target_is_read(method: str, text: str) -> None:
    """No target leads to an exception, and none loses a byte."""
    read = read_target(method, f"/{text}")
    assert read.query.after(read.path) in (f"/{text}", f"/{text.removesuffix('?')}")


@pytest.mark.parametrize("text", ["/a/_search", "/a/_search?", "/a/_search??", "/a/_search?&"])
def test_a_target_goes_on_as_it_came(text: str) -> None:
    """A question mark with nothing after it, too, also where a parameter would be taken out."""
    target = read_target("GET", text)
    assert target.query.after(target.path) == text
    assert target.query.without({"pipeline"}).after(target.path) == text
