"""What the demo is made of, as it lies in the folder `examples`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from proxy.demo.errors import DemoError

# The repository keeps its examples beside the packages.
EXAMPLES: Final = Path(__file__).parents[2] / "examples"
INDEX: Final = "products"

_CATALOGUE: Final = "catalogue"
_NO_DATA: Final = frozenset({"pipeline.json", "udf.py", "README.md"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A pipeline and the UDF its stage names: `package` is the body of ``PUT /_udf/{udf}``."""

    name: str
    definition: Mapping[str, Any]
    udf: str
    package: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Showcase:
    """A search request or a document in `body`, and what `pipelines` should make of it.

    examples/catalogue/README.md says what `expect` may hold.
    """

    id: str
    example: str
    kind: Literal["search", "index"]
    pipelines: tuple[str, ...]
    body: Mapping[str, Any]
    better: str
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything the demo uploads and shows; `index` is the body the index is created with."""

    folder: Path
    examples: tuple[Example, ...]
    showcases: tuple[Showcase, ...]
    products: tuple[Mapping[str, Any], ...]
    index: Mapping[str, Any]


def load_material(folder: Path = EXAMPLES) -> Material:
    """Read the material. Raises DemoError naming the file that is missing or broken."""
    if not (folder / _CATALOGUE).is_dir():
        raise DemoError(
            f"no examples in {folder}: they come with the repository, not with the installed"
            " package; run the demo from a checkout, or name their folder with --examples"
        )
    place = folder
    try:
        place = folder / _CATALOGUE
        lines = (place / "products.ndjson").read_text(encoding="utf-8").splitlines()
        products = tuple(json.loads(line) for line in lines)
        index = _json(place / "index.json")
        showcases = tuple(_showcase(value) for value in _json(place / "showcase.json"))
        examples: list[Example] = []
        for place in sorted(path.parent for path in folder.glob("*/pipeline.json")):
            examples.append(_example(place))
    except OSError as error:
        raise DemoError(f"{error.filename} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DemoError(f"a file in {place} is damaged ({error!r}); restore it") from error
    return Material(
        folder=folder,
        examples=tuple(examples),
        showcases=showcases,
        products=products,
        index=index,
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _showcase(value: Mapping[str, Any]) -> Showcase:
    kind = value["kind"]
    return Showcase(
        id=value["id"],
        example=value["example"],
        kind=kind,
        pipelines=tuple(value["pipelines"]),
        body=value["request" if kind == "search" else "document"],
        better=value["better"],
        expect=value["expect"],
    )


def _example(folder: Path) -> Example:
    definition = _json(folder / "pipeline.json")
    files = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in _NO_DATA
    }
    source = (folder / "udf.py").read_text(encoding="utf-8")
    return Example(
        name=definition["name"],
        definition=definition,
        udf=definition["stages"][0]["config"]["udf_name"],
        package={"source": source, "files": files},
    )
