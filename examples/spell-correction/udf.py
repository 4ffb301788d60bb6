# @udf: name=spell_corrector
# @udf: version=1.0.0
# @udf: category=query_pipeline
"""Corrects misspelt words in what a user searches for, from a dictionary with word frequencies.

Parameters
    max_distance     2   edits a word may be away (0 to 2); words under 6 letters: 1 at most
    min_word_length  4   shorter words stay as they are
    max_words        32  so many unknown words are looked up in one request

What was changed goes back to the client as `_pipeline_metadata.spell_correction`.
"""

import re
from itertools import combinations

from querymill import get_param_int, resource, rewrite

MAX_DISTANCE = 2
PREFIX = 6
LONG_WORD = 6
CORRECTED = {"match", "match_phrase", "match_phrase_prefix", "multi_match"}


def deletions(text, count):
    """`text` with 0 to `count` of its letters left out, every way there is."""
    length = len(text)
    kept = range(length, max(length - count, 0) - 1, -1)
    return {"".join(letters) for size in kept for letters in combinations(text, size)}


def edit_distance(left, right, limit):
    """Letters to insert, delete, replace or swap with the next to turn `left` into `right`.

    Damerau's four edits (1964) by Wagner and Fischer's table (1974), in its restricted form, known
    as optimal string alignment: no letter is edited twice. Stops as soon as `limit` is passed and
    returns `limit + 1`.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before, row = [], list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        above, before, row = before, row, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)


class Dictionary:
    """Known words with their frequencies, indexed so that a look-up touches a few of them only.

    Symmetric deletes (Wolf Garbe, SymSpell, 2012): two words at most d edits apart become equal
    once at most d letters are left out of each. That holds for their first PREFIX letters too, so
    only those are indexed, and words that begin alike share their entries.
    """

    def __init__(self, lines):
        """`lines` are "word count" pairs."""
        self.counts = {}
        self.by_prefix = {}
        self.by_deletion = {}
        for line in lines:
            word, count = line.split()
            self.counts[word] = int(count)
            self.by_prefix.setdefault(word[:PREFIX], []).append(word)
        for prefix in self.by_prefix:
            for key in deletions(prefix, MAX_DISTANCE):
                self.by_deletion.setdefault(key, []).append(prefix)

    def candidates(self, word, limit):
        """Every known word within `limit` edits of `word`, and others that merely begin alike."""
        keys = deletions(word[:PREFIX], limit)
        prefixes = {prefix for key in keys for prefix in self.by_deletion.get(key, ())}
        return (known for prefix in prefixes for known in self.by_prefix[prefix])

    def correct(self, word, max_distance):
        """(closest known word, its distance), the most frequent one if several are as close.

        (word, 0) if it is known or nothing is close enough.
        """
        if word in self.counts:
            return word, 0
        for limit in range(1, max_distance + 1):
            near = self.candidates(word, limit)
            close = [known for known in near if edit_distance(word, known, limit) <= limit]
            if close:
                return min(close, key=lambda known: (-self.counts[known], known)), limit
        return word, 0


DICTIONARY = Dictionary(resource("dictionary.txt").splitlines())


class Correction:
    """What one request gets corrected: is shown its clauses, collects what it changed in them."""

    def __init__(self):
        self.max_distance = min(get_param_int("max_distance", MAX_DISTANCE), MAX_DISTANCE)
        self.min_length = get_param_int("min_word_length", 4)
        self.words_left = get_param_int("max_words", 32)
        self.texts = {}
        self.words = {}

    def visit(self, kind, body):
        """The clause with its text corrected; None leaves it alone."""
        if kind not in CORRECTED or not isinstance(body, dict):
            return None
        if kind == "multi_match":
            return {kind: self.with_text_fixed(body, "query")}
        return {kind: {field: self.options_fixed(options) for field, options in body.items()}}

    def options_fixed(self, options):
        """`options` is {"query": text, ...} or, in the short form, the text itself."""
        if isinstance(options, dict):
            return self.with_text_fixed(options, "query")
        return self.fix_text(options)

    def with_text_fixed(self, body, name):
        return {**body, name: self.fix_text(body[name])} if name in body else body

    def fix_text(self, text):
        if not isinstance(text, str):
            return text
        corrected = re.sub(r"\w+", self.fix_word, text)
        if corrected != text:
            self.texts[text] = corrected
        return corrected

    def fix_word(self, match):
        """The right spelling of a matched word. Numbers, codes and short words stay."""
        word = match.group()
        if len(word) < self.min_length or not (word.isascii() and word.isalpha()):
            return word
        if word.lower() in DICTIONARY.counts or self.words_left <= 0:
            return word
        self.words_left -= 1
        allowed = min(self.max_distance, 1 if len(word) < LONG_WORD else MAX_DISTANCE)
        corrected, distance = DICTIONARY.correct(word.lower(), allowed)
        if not distance:
            return word
        self.words[word] = {"original": word, "corrected": corrected, "distance": distance}
        return corrected

    def report(self):
        """The metadata: the first text that changed, and every word that did."""
        original, corrected = next(iter(self.texts.items()))
        words = list(self.words.values())
        return {"original": original, "corrected": corrected, "corrections": words}


def query(request, context):
    """The search request with its query corrected."""
    if "query" not in request:
        return request
    correction = Correction()
    corrected = {**request, "query": rewrite(request["query"], correction.visit)}
    if correction.texts:
        corrected["_pipeline_metadata"] = {"spell_correction": correction.report()}
    return corrected
