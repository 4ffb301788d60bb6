"""Makes spell-correction/dictionary.txt from words.txt and the catalogue: python make_dictionary.py

A line is `word count`. A word of the catalogue counts its occurrences there, a hundredfold; a word
of words.txt counts what its section says. The catalogue has to weigh more than the language:
"shose" is one letter from "those", but in a shop it means "shoes".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE.parent / "spell-correction" / "dictionary.txt"
CATALOGUE_WEIGHT = 100
WORD = re.compile(r"[a-z]{2,}")
O_TAKES_ES = {"echo", "hero", "potato", "tomato"}


def plural(word: str) -> str:
    """The regular plural of a noun, which is also a verb's form for he, she, it."""
    if word.endswith(("s", "x", "z", "ch", "sh")) or word in O_TAKES_ES:
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def noun(word: str) -> list[str]:
    return [word, plural(word)]


def verb(word: str) -> list[str]:
    """The forms of a regular verb: bake, bakes, baked, baking."""
    if word.endswith("e"):
        stem = word if word.endswith("ee") else word[:-1]
        return [word, plural(word), word + "d", stem + "ing"]
    if word.endswith("y") and word[-2] not in "aeiou":
        return [word, plural(word), word[:-1] + "ied", word + "ing"]
    return [word, plural(word), word + "ed", word + "ing"]


def doubling_verb(word: str) -> list[str]:
    """The forms of a verb that doubles its last letter: stop, stops, stopped, stopping."""
    return [word, plural(word), word + word[-1] + "ed", word + word[-1] + "ing"]


def adjective(word: str) -> list[str]:
    """An adjective and its adverb."""
    if word.endswith("ll"):
        return [word, word + "y"]
    if word.endswith("le"):
        return [word, word[:-1] + "y"]
    if word.endswith("ic"):
        return [word, word if word == "public" else word + "ally"]
    if word.endswith("y") and word not in {"shy", "sly"}:
        return [word, word[:-1] + "ily"]
    return [word, {"true": "truly", "due": "duly", "whole": "wholly"}.get(word, word + "ly")]


FORMS: dict[str, Callable[[str], list[str]]] = {
    "as-is": lambda word: [word],
    "nouns": noun,
    "verbs": verb,
    "verbs-doubling": doubling_verb,
    "adjectives-ly": adjective,
}


def general_words(text: str) -> Iterator[tuple[str, int]]:
    """(word, count) for each form of each word of words.txt."""
    kind, count = "as-is", 0
    for line in text.splitlines():
        if line.startswith("["):
            kind, number = line.strip("[]").split()
            count = int(number)
        elif not line.startswith("#"):
            for word in line.split():
                yield from ((form, count) for form in FORMS[kind](word))


def catalogue_words(text: str) -> Counter[str]:
    """How often each word occurs in the text fields of the products."""
    counts: Counter[str] = Counter()
    for line in text.splitlines():
        product = json.loads(line)
        fields = (product.get(name, "") for name in ("title", "description", "category"))
        counts.update(WORD.findall(" ".join(fields).lower()))
    return counts


def dictionary_text() -> str:
    """The dictionary, the most frequent word first, one `word count` a line."""
    counts = catalogue_words((HERE / "products.ndjson").read_text())
    weights = Counter({word: count * CATALOGUE_WEIGHT for word, count in counts.items()})
    for word, count in general_words((HERE / "words.txt").read_text()):
        weights[word] = max(weights[word], count)
    ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"{word} {count}\n" for word, count in ranked)


if __name__ == "__main__":
    TARGET.write_text(dictionary_text())
