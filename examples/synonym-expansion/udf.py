# @udf: name=synonym_expander
# @udf: version=1.0.0
# @udf: category=query_pipeline
"""Lets a search for one word find its synonyms too, with a lower boost than what the user typed.

{"match": {"title": "laptop"}} becomes a `bool` whose `should` holds the original clause and one
clause for each synonym, wherever in the query the match stands. synonyms.json holds `equivalent`
groups, whose members stand for each other, and `one_way` rules, which hold from left to right.

Parameters
    boost_original  2.0  what the score of the user's own words is multiplied by
    boost_synonym   0.8  the same for each synonym
    max_expansions  24   so many synonym clauses at most are added to one request
"""

import json

from querymill import get_field_string, get_param_float, get_param_int, resource, rewrite

EXACT_TYPES = {"phrase", "phrase_prefix", "bool_prefix"}
CARRIED = ("fields", "type", "tie_breaker", "analyzer", "lenient")


def load_synonyms(text):
    """{words of a phrase: the phrases that may stand for it}, from the text of synonyms.json."""
    rules = json.loads(text)
    groups = [(phrase, group) for group in rules["equivalent"] for phrase in group]
    synonyms = {}
    for phrase, others in [*groups, *rules["one_way"].items()]:
        known = synonyms.setdefault(tuple(phrase.lower().split()), [])
        known += [other for other in others if other != phrase and other not in known]
    return synonyms


SYNONYMS = load_synonyms(resource("synonyms.json"))
LONGEST = max(map(len, SYNONYMS), default=0)


def find_phrases(words):
    """(phrase, start, end) of phrases with synonyms: leftmost first, then longest, no overlaps."""
    lowered = [word.lower().strip(".,;:!?\"'()") for word in words]
    start = 0
    while start < len(words):
        for end in range(min(start + LONGEST, len(words)), start, -1):
            if tuple(lowered[start:end]) in SYNONYMS:
                yield tuple(lowered[start:end]), start, end
                start = end - 1
                break
        start += 1


def match_on(field):
    """Builds clauses for one field: `match`, or `match_phrase` for a synonym of several words."""

    def build(options, exact=False):
        if not exact:
            return {"match": {field: options}}
        # match_phrase refuses `lenient`
        return {"match_phrase": {field: {k: v for k, v in options.items() if k != "lenient"}}}

    return build


def multi_match(options, exact=False):
    """Builds clauses over several fields, of the type `phrase` for a synonym of several words."""
    return {"multi_match": {**options, "type": "phrase"} if exact else options}


def without(options, *names):
    return {name: value for name, value in options.items() if name not in names}


class Expansion:
    """The expansion of one request: is shown each clause, keeps count of what it adds."""

    def __init__(self):
        self.boost_original = get_param_float("boost_original", 2.0)
        self.boost_synonym = get_param_float("boost_synonym", 0.8)
        self.left = get_param_int("max_expansions", 24)

    def visit(self, kind, body):
        """The `bool` to stand in for a clause with synonyms; None leaves the clause alone."""
        if not isinstance(body, dict):
            return None
        if kind == "match" and len(body) == 1:
            ((field, options),) = body.items()
            options = options if isinstance(options, dict) else {"query": options}
            return self.expand(match_on(field), options)
        if kind == "multi_match" and body.get("type") not in EXACT_TYPES:
            return self.expand(multi_match, body)
        return None

    def expand(self, build, options):
        """The user's own clause with all its options, boosted, beside one for each synonym."""
        if not isinstance(options.get("query"), str):
            return None
        added = [self.synonym_clause(build, options, *found) for found in self.choose(options)]
        if not added:
            return None
        boost = float(options.get("boost", 1.0)) * self.boost_original
        original = build({**without(options, "_name"), "boost": boost})
        name = {"_name": options["_name"]} if "_name" in options else {}
        return {"bool": {"should": [original, *added], "minimum_should_match": 1, **name}}

    def choose(self, options):
        """(synonym, the other words of the text), as many as may still be added."""
        words = options["query"].split()
        for phrase, start, end in find_phrases(words):
            for synonym in SYNONYMS[phrase]:
                if self.left <= 0:
                    return
                self.left -= 1
                yield synonym, words[:start] + words[end:]

    def synonym_clause(self, build, options, synonym, others):
        """A clause that finds `synonym`. Where the text had to match as a whole (`operator` and, or
        `minimum_should_match`) it asks for the other words as well."""
        boost = {"boost": float(options.get("boost", 1.0)) * self.boost_synonym}
        kept = {name: options[name] for name in CARRIED if name in options}
        kept["query"] = synonym
        strict = str(options.get("operator")).lower() == "and" or "minimum_should_match" in options
        if not (strict and others):
            return build({**kept, **boost}, exact=" " in synonym)
        rest = without(options, "minimum_should_match", "boost", "_name")
        rest |= {"query": " ".join(others), "operator": "and"}
        return {"bool": {"must": [build(rest), build(kept, exact=" " in synonym)], **boost}}


def udf_main():
    """The query clause with its synonyms, as JSON."""
    clause = json.loads(get_field_string("query"))
    return json.dumps(rewrite(clause, Expansion().visit))
