"""Whether what a UDF returned is the kind of thing it has to return, as far as that is certain.

A backend refuses a clause that is not one member with an object, whatever plugins it has, and a
request whose only member is named like a clause; so what is told of here could never have worked.
"""

from typing import Any

from runtime.failure import InvalidResult

# The members of a search request, of both backends.
_REQUEST = frozenset(
    """
    _source aggregations aggs collapse derived docvalue_fields explain ext fields from highlight
    include_named_queries_score indices_boost knn min_score pit point_in_time post_filter profile
    query rank rescore retriever runtime_mappings script_fields search_after search_pipeline
    seq_no_primary_term size slice sort stats stored_fields sub_searches suggest terminate_after
    timeout track_scores track_total_hits verbose_pipeline version
    """.split()  # noqa: SIM905  (one name a line would hide the list)
)
# Kinds of clauses that no member of a request is called.
_KINDS = frozenset(
    """
    bool boosting combined_fields constant_score dis_max distance_feature exists function_score
    fuzzy geo_bounding_box geo_distance geo_polygon geo_shape has_child has_parent hybrid ids
    intervals match match_all match_bool_prefix match_none match_phrase match_phrase_prefix
    more_like_this multi_match nested neural neural_sparse parent_id percolate pinned prefix
    query_string rank_feature range regexp rule script script_score semantic simple_query_string
    span_containing span_first span_multi span_near span_not span_or span_term span_within
    sparse_vector term terms terms_set text_expansion wildcard wrapper
    """.split()  # noqa: SIM905
)
_CLAUSE = '{"match": {"title": "tent"}}'


def check_clause(clause: dict, before: Any) -> None:
    """Raises `InvalidResult` where the clause that `udf_main` returned is a whole request."""
    if len(clause) == 1 and "query" not in clause:
        (body,) = clause.values()
        if isinstance(body, dict):
            return
    names = clause.keys()
    if not names or not names <= _REQUEST or (isinstance(before, dict) and before.keys() == names):
        return
    raise InvalidResult(
        f"udf_main() returned a search request (with {_named(names)}), and in a query stage it has "
        f"to return the query clause alone, such as {_CLAUSE}; a function query(request, context) "
        "returns the whole request"
    )


def check_request(request: dict, before: dict) -> None:
    """Raises `InvalidResult` where the request that `query` returned is a query clause."""
    (kind,) = request
    if kind in _KINDS and kind not in before:
        raise InvalidResult(
            f"query() returned a query clause ({kind}), and it has to return the whole search "
            f'request, such as {{**request, "query": {{"{kind}": ...}}}}'
        )


def check_document(document: dict, before: dict) -> None:
    """Raises `InvalidResult` where a hit was returned instead of the document in it."""
    if isinstance(document["_source"], dict) and "_source" not in list(before):
        raise InvalidResult(
            "a document was returned inside a hit (as its _source); return what is in _source"
        )


def check_response(response: dict, before: dict, function: str) -> None:
    """Raises `InvalidResult` where a part was returned in place of the response."""
    if not isinstance(before.get("hits"), dict):
        return
    hits = response.get("hits")
    if isinstance(hits, list):
        what = "a list in place of the response's `hits`"
    elif hits is None and "_id" in response and "_id" not in before:
        what = "one hit"
    else:
        return
    raise InvalidResult(
        f"{function}() returned {what}; it has to return the whole response, in which the hits "
        'stand in response["hits"]["hits"]'
    )


def _named(names: Any) -> str:
    listed = sorted(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
