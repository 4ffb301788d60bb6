"""The demo's material: read from the checkout, and refused by name where it is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proxy.demo.errors import DemoError
from proxy.demo.material import EXAMPLES, load_material


def test_the_material_of_the_checkout_is_complete() -> None:
    """Five examples with their UDFs and data, the products, and showcases that name the five."""
    material = load_material()
    names = {example.name for example in material.examples}
    assert len(material.examples) == 5
    assert len(material.products) >= 1000
    assert {name for case in material.showcases for name in case.pipelines} == names
    spelling = next(e for e in material.examples if e.name == "spell-correction")
    assert spelling.udf == "spell_corrector"
    assert list(spelling.package["files"]) == ["dictionary.txt"]


def test_a_missing_folder_is_reported_with_what_to_do(tmp_path: Path) -> None:
    """An installed package has no examples beside it."""
    with pytest.raises(DemoError, match=r"no examples in .*run the demo from a checkout"):
        load_material(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("catalogue/products.ndjson", "{broken"),
        ("catalogue/showcase.json", '[{"kind": "search"}]'),
        ("ml-reranking/pipeline.json", '{"name": "ml-reranking", "stages": []}'),
    ],
)
def test_a_damaged_file_is_reported(name: str, content: str, tmp_path: Path) -> None:
    """The message names the folder that holds it."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    (folder / name).write_text(content)
    with pytest.raises(DemoError, match=f"a file in .*{Path(name).parent} is damaged"):
        load_material(folder)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """The message names it."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    (folder / "ml-reranking" / "udf.py").unlink()
    with pytest.raises(DemoError, match=r"ml-reranking/udf\.py cannot be read"):
        load_material(folder)
