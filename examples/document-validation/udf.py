# @udf: name=document_validator
# @udf: version=1.0.0
# @udf: category=document_pipeline
"""Refuses documents that break the rules given as parameters, naming every problem at once.

A field is named by its path ("maker.name"). A missing or null field breaks `required` only.

Parameters, each optional
    required     ["title", ...]                 fields that have to be there; blank text is missing
    types        {"price": "number", ...}       text, number, integer, truth, list or object
    ranges       {"popularity": [0, 1], ...}    lowest and highest number, null for no bound
    max_lengths  {"title": 200, ...}            most characters of a text, entries of a list
"""

from querymill import get_field, reject

SHOWN = 20


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_integer(value):
    return is_number(value) and (isinstance(value, int) or value.is_integer())


TYPES = {
    "text": lambda value: isinstance(value, str),
    "number": is_number,
    "integer": is_integer,
    "truth": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def missing(paths):
    """Problems of required fields."""
    for path in paths:
        value = get_field(path)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield f"{path}: required"


def mistyped(types):
    """Problems of fields that are there and of another type. An unknown type is a `ValueError`."""
    for path, name in types.items():
        if name not in TYPES:
            raise ValueError(f"parameter types.{path}: {name!r} is none of {', '.join(TYPES)}")
        value = get_field(path)
        if value is not None and not TYPES[name](value):
            yield f"{path}: has to be of type {name}, is {describe(value)}"


def out_of_range(ranges):
    """Problems of numbers beyond their bounds. Other values are not for this rule."""
    for path, (lowest, highest) in ranges.items():
        value = get_field(path)
        if is_number(value) and lowest is not None and value < lowest:
            yield f"{path}: has to be at least {lowest}, is {value}"
        if is_number(value) and highest is not None and value > highest:
            yield f"{path}: has to be at most {highest}, is {value}"


def too_long(max_lengths):
    """Problems of texts and lists that are too long."""
    for path, most in max_lengths.items():
        value = get_field(path)
        if isinstance(value, (str, list)) and len(value) > most:
            unit = "characters" if isinstance(value, str) else "entries"
            yield f"{path}: has to have at most {most} {unit}, has {len(value)}"


def describe(value):
    """A value's type in the words of the rules."""
    return next(name for name, fits in TYPES.items() if fits(value))


def document(doc, context):
    """The document as it came, unless something is wrong with it."""
    params = context.params
    problems = [
        *missing(params.get("required", [])),
        *mistyped(params.get("types", {})),
        *out_of_range(params.get("ranges", {})),
        *too_long(params.get("max_lengths", {})),
    ]
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        reject("document refused: " + "; ".join([*problems[:SHOWN], *more]), 400)
    return doc
