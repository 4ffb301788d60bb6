# @udf: name=ml_reranker
# @udf: version=1.1.0
# @udf: category=result_pipeline
"""Orders a page of hits by a linear model: the weighted sum of four features, each 0 to 1.

    original_score   the backend's score as a share of the best one
    title_length     length of the title as a share of `full_title_length`, at most 1
    has_description  1 with a description that is not blank, else 0
    popularity       the field `popularity`, cut to 0 to 1

The sum becomes the `_score`, the backend's own stays with the hit as `_original_score`. Hits whose
sums are equal keep their order. A page the client had sorted by something else is left alone.

The stage declares what is read here as its `input`, so that nothing else of the hits comes along.

Parameters
    weights            {"original_score": 0.5, "title_length": 0.2, "has_description": 0.1,
                       "popularity": 0.2}; those left out keep these values
    full_title_length  40; characters
"""

WEIGHTS = {"original_score": 0.5, "title_length": 0.2, "has_description": 0.1, "popularity": 0.2}


def merged_weights(given):
    """All four weights. A name that is no feature is a `ValueError`."""
    if unknown := sorted(given.keys() - WEIGHTS):
        raise ValueError(f"parameter weights.{unknown[0]}: is none of {', '.join(WEIGHTS)}")
    return WEIGHTS | given


def number(value):
    """`value`, or 0.0 for whatever is no number (null, text, true, missing)."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else 0.0


def share(value, whole):
    """`value` of `whole`, cut to 0 to 1."""
    return max(min(number(value), whole), 0.0) / whole if whole > 0 else 0.0


def text(value):
    return value.strip() if isinstance(value, str) else ""


def features(hit, best_score, full_title_length):
    """The four features of a hit; what it lacks counts nothing."""
    return {
        "original_score": share(hit.get("_score"), best_score),
        "title_length": share(len(text(hit.get("_source.title"))), full_title_length),
        "has_description": float(bool(text(hit.get("_source.description")))),
        "popularity": share(hit.get("_source.popularity"), 1.0),
    }


def weighted_sums(hits, weights, full_title_length):
    """The new score of each hit."""
    best_score = max(number(hit.get("_score")) for hit in hits)
    sums = {}
    for hit in hits:
        values = features(hit, best_score, full_title_length)
        sums[hit] = sum(weights[name] * value for name, value in values.items())
    return sums


def result(response, context):
    """Reorders the hits and sets their scores; one the backend gave no score gets none."""
    hits = context.hits
    if not hits or any("sort" in hit for hit in hits):
        return
    weights = merged_weights(context.params.get("weights", {}))
    sums = weighted_sums(hits, weights, context.params.get("full_title_length", 40))
    for hit, score in sums.items():
        if hit.get("_score") is not None:
            hit.set("_original_score", hit["_score"])
            hit.set("_score", score)
    hits.sort(key=sums.get, reverse=True)
