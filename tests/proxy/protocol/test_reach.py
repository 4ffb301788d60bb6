"""Which index expressions reach the store, and what keeps it out of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.errors import ErrorResponse
from proxy.protocol.reach import LEFT_OUT, expands_hidden, narrowed
from proxy.protocol.store_guard import check_target
from proxy.protocol.target import read_target

LEFT = f",{LEFT_OUT}"


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/*?expand_wildcards=all", f"/*{LEFT}?expand_wildcards=all"),
        ("/_all/_search?expand_wildcards=open,hidden", None),
        ("/_search?expand_wildcards=hidden&a=b", f"?expand_wildcards=hidden&a=b&index=*{LEFT}"),
        ("/_stats?index=&expand_wildcards=all", f"?expand_wildcards=all&index=*{LEFT}"),
        ("/_search?index=.*&size=1", f"?size=1&index=.*{LEFT}"),
        ("/%2Eq*,a%2Fb/_count?q=a+b", f"/%2Eq*,a%2Fb{LEFT}/_count?q=a+b"),
        ("//.q*//_search/", f"//.q*{LEFT}//_search/"),
        ("/_cat/indices/.*?h=index", f"/_cat/indices/.*{LEFT}?h=index"),
        ("/_cluster/state?expand_wildcards=all", f"?expand_wildcards=all&indices=*{LEFT}"),
        ("/_cluster/state/_all/.q*", f"/_cluster/state/_all/.q*{LEFT}"),
        ("/self:.q*,.q*/_search", f"/self:.q*,.q*,self:{LEFT_OUT}{LEFT}/_search"),
        (f"/.q*{LEFT}/_search", f"/.q*{LEFT}/_search"),
        (f"/*{LEFT},.q*/_search", f"/*{LEFT},.q*{LEFT}/_search"),
        ("/*/_search", "/*/_search"),
        (
            "/*mill/_search?expand_wildcards=open,closed",
            "/*mill/_search?expand_wildcards=open,closed",
        ),
        ("/.other*/_search?expand_wildcards=all", "/.other*/_search?expand_wildcards=all"),
        ("/-.q*/_search", "/-.q*/_search"),
        ("/_data_stream/*?expand_wildcards=all", "/_data_stream/*?expand_wildcards=all"),
        ("/a/_doc/.querymill", "/a/_doc/.querymill"),
        ("/a/_search?index=.querymill", "/a/_search?index=.querymill"),
    ],
)
def test_a_target_without_the_store(target: str, sent: str | None) -> None:
    """What is added stands behind the names; every other byte is as it came."""
    narrow = check_target(read_target("GET", target))
    wanted = sent or f"/*{LEFT}/_search?expand_wildcards=open,hidden"
    assert narrow.line == (target.partition("?")[0] + wanted if wanted[0] == "?" else wanted)
    assert narrow.narrowed == (narrow.line != target)
    assert not narrow.narrowed or narrow.names[-1] == LEFT_OUT
    assert check_target(narrow) == narrow


@given(
    st.lists(
        st.sampled_from(
            ["*", ".*", ".q*", "a", "_all", "x:*", "x:.q*", "-.q*", "-a", LEFT_OUT, "*l"]
        ),
        min_size=1,
    ),
    st.booleans(),
)
def test_nothing_is_left_to_leave_out(names: list[str], hidden: bool) -> None:
    """What was added is enough, and behind every pattern that needs it."""
    more = narrowed(names, hidden=hidden)
    assert narrowed([*names, *more], hidden=hidden) == []


@pytest.mark.parametrize(
    "name",
    [
        ".querymill",
        "a:.querymill",
        "*:.querymill",
        ".querymill::data",
        "<.querymill>",
        "<.query\\mill>",
        "<.q*>",
        "<.query{now{'mill'}}>",
        "<.querymill>::data",
        "a:<.querymill>",
    ],
)
def test_the_stores_own_name_is_refused(name: str) -> None:
    """Wherever it stands among others."""
    for names in ([name], ["a", name], [name, LEFT_OUT]):
        with pytest.raises(ErrorResponse) as refused:
            narrowed(names, hidden=False)
        assert refused.value.status == 403


@pytest.mark.parametrize(
    ("expand", "hidden"),
    [
        (None, False),
        ("", False),
        ("open,closed", False),
        ("none", False),
        ("all", True),
        ("open,hidden", True),
        ("Hidden", True),
    ],
)
def test_what_expands_to_hidden_names(expand: str | None, hidden: bool) -> None:
    """As the backend reads the parameter, and more rather than less."""
    assert expands_hidden(expand) is hidden
