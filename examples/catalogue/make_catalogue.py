"""Makes the demo catalogue, products.ndjson, from kinds.json: python make_catalogue.py

The same seed gives the same 1,200 products on every Python version: all choices are drawn from
`Random.random`, whose sequence for a seed is guaranteed. What the showcases stand on is built in:

1. The words for one thing ("laptop", "notebook computer") are spread over different products, so
   that a plain search for one of them misses the others.
2. About a fifth of the products have no description. Among them are bare listings, whose title is
   nothing but the noun: BM25 favours short titles, so they come first although nobody buys them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

HERE = Path(__file__).parent
SEED = 20250615
PER_KIND = 40
BARE_SHARE = 0.10
NO_DESCRIPTION_SHARE = 0.10
FIRST_DAY = date(2023, 1, 1)
DAYS = 1000

# fmt: off
BRANDS = (
    "Aurelio", "Brightwell", "Cardona", "Denholm", "Everpeak", "Fennick", "Galdor", "Hexaline",
    "Ironvale", "Juniper", "Kestrel", "Lumora", "Marlowe", "Northway", "Orbital", "Pinecrest",
    "Quillon", "Ridgeway", "Solvane", "Tamarind",
)
COLOURS = (
    "Black", "White", "Silver", "Blue", "Red", "Green", "Grey", "Beige", "Navy", "Orange",
)
# fmt: on
OPENINGS = (
    "A {style} {noun} made for {use}.",
    "This {style} {noun} is our favourite for {use}.",
    "The {style} {noun} that is ready for {use}.",
    "Designed for {use}, this {style} {noun} will last.",
)
MIDDLES = (
    "It comes with {first} and {second}.",
    "You get {first}, and {second} too.",
    "With {first} and {second} there is little left to wish for.",
)
CLOSINGS = (
    "Two years of warranty.",
    "Free delivery and returns.",
    "Tested by our customers.",
    "Easy to clean and to store.",
)

Item = TypeVar("Item")
Kind = dict[str, Any]
Product = dict[str, Any]


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """One item, chosen with `Random.random` alone."""
    return items[int(rng.random() * len(items))]


def pick_two(rng: Random, items: Sequence[Item]) -> tuple[Item, Item]:
    """Two different items."""
    first = int(rng.random() * len(items))
    step = 1 + int(rng.random() * (len(items) - 1))
    return items[first], items[(first + step) % len(items)]


def describe(rng: Random, kind: Kind, style: str, noun: str) -> str:
    """Two or three sentences that use the product's own noun and none of its synonyms."""
    first, second = pick_two(rng, kind["features"])
    words = {"style": style.lower(), "noun": noun.lower(), "use": pick(rng, kind["uses"])}
    sentences = [
        pick(rng, OPENINGS).format(**words),
        pick(rng, MIDDLES).format(first=first, second=second),
    ]
    return " ".join([*sentences, pick(rng, CLOSINGS)])


def make_product(rng: Random, number: int, kind: Kind) -> Product:
    """One product: sku, title, brand, category, price, popularity 0 to 1, created; description
    only if it has one."""
    bare = rng.random() < BARE_SHARE
    noun = pick(rng, kind["nouns"])
    style, colour, brand = pick(rng, kind["styles"]), pick(rng, COLOURS), pick(rng, BRANDS)
    low, high = kind["price"]
    product = {
        "sku": f"QM-{number:05d}",
        "title": noun if bare else f"{brand} {style} {noun} {colour}",
        "brand": brand,
        "category": kind["category"],
        "price": int(low + (high - low) * rng.random() ** 2) + 0.99,
        "popularity": round(rng.random() * 0.05 if bare else rng.random() ** 1.5, 3),
        "created": (FIRST_DAY + timedelta(days=int(rng.random() * DAYS))).isoformat(),
    }
    if not bare and rng.random() >= NO_DESCRIPTION_SHARE:
        product["description"] = describe(rng, kind, style, noun)
    return product


def make_catalogue() -> Iterator[Product]:
    """All products, the kinds taking turns."""
    rng = Random(SEED)
    kinds: list[Kind] = json.loads((HERE / "kinds.json").read_text())
    for number in range(PER_KIND * len(kinds)):
        yield make_product(rng, number + 1, kinds[number % len(kinds)])


def catalogue_text() -> str:
    """The catalogue as NDJSON, one product a line."""
    return "".join(json.dumps(product) + "\n" for product in make_catalogue())


if __name__ == "__main__":
    (HERE / "products.ndjson").write_text(catalogue_text())
