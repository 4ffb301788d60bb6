# @udf: name=document_enricher
# @udf: version=1.0.0
# @udf: category=document_pipeline
"""Adds to a product what can be worked out from its other fields. The same product always gets the
same fields, so indexing it again changes nothing.

    title_normalized  lower case, no accents, single spaces          from title
    slug              the same with hyphens, letters and digits only from title
    word_count        words in title and description                 from title, description
    price_band        budget, standard, premium or luxury            from price
    search_text       all its texts in one field                     from the text fields

A field whose source is missing, or is of another type, is left out.

Parameters
    price_bands  {"budget": 50, "standard": 200, "premium": 800}: the price a band ends below
    top_band     "luxury": the band of what costs more
    overwrite    false: fields the document brings along stay as they are
"""

import re
import unicodedata

BANDS = {"budget": 50, "standard": 200, "premium": 800}
TEXT_FIELDS = ("title", "brand", "category", "description")


def normalized(text):
    """Lower case without accents, white space squeezed: "Café  Crème" -> "cafe creme"."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(plain.split())


def slug(text):
    return "-".join(re.findall(r"[^\W_]+", normalized(text)))


def price_band(price, bands, top_band):
    """The cheapest band that `price` is below the end of."""
    for name, end in sorted(bands.items(), key=lambda band: band[1]):
        if price < end:
            return name
    return top_band


def derive(doc, params):
    """The fields that follow from the document's own."""
    texts = {name: doc[name] for name in TEXT_FIELDS if isinstance(doc.get(name), str)}
    derived = {}
    if "title" in texts:
        derived["title_normalized"] = normalized(texts["title"])
        derived["slug"] = slug(texts["title"])
    if texts:
        read = [texts[name] for name in ("title", "description") if name in texts]
        derived["word_count"] = len(" ".join(read).split())
        derived["search_text"] = " ".join(normalized(text) for text in texts.values())
    price = doc.get("price")
    if isinstance(price, (int, float)) and not isinstance(price, bool):
        bands, top_band = params.get("price_bands", BANDS), params.get("top_band", "luxury")
        derived["price_band"] = price_band(price, bands, top_band)
    return derived


def document(doc, context):
    """The document with the derived fields."""
    derived = derive(doc, context.params)
    if not context.params.get("overwrite", False):
        derived = {name: value for name, value in derived.items() if name not in doc}
    return {**doc, **derived}
