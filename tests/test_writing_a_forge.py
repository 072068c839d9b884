"""``docs/writing-a-forge.md`` shows the example as it is, and names all that a forge plugin tells and gets."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path

import msgspec
import yaml

from swhkit import plugin, testing
from swhkit.config.parts import ForgeKeys
from swhkit.plugin import ForgeClient, ForgeContext, Repository
from swhkit.testing.forges import ForgeContract, Sample
from swhkit.testing.web import Asked

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/swhkit-pagure"
PAGE = (ROOT / "docs/writing-a-forge.md").read_text()
*PARTS, CONTRACT = re.findall(r"```python\n(.*?)\n```", PAGE, re.DOTALL)


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(heading: str) -> list[str]:
    """What the first cells of a section's tables begin with."""
    return re.findall(r"^\| `([\w]+)", section(heading), re.MULTILINE)


def test_the_parts_of_the_example_are_all_of_it() -> None:
    rest = (EXAMPLE / "swhkit_pagure.py").read_text()
    for part in PARTS:
        assert rest.strip("\n").startswith(part)
        rest = rest.strip("\n").removeprefix(part)
    assert rest.strip() == ""


def test_its_tests_and_its_metadata_are_as_shown() -> None:
    assert f"\n{CONTRACT}\n" in (EXAMPLE / "test_pagure.py").read_text()
    (metadata,) = re.findall(r"```toml\n(.*?)\n```", PAGE, re.DOTALL)
    assert (EXAMPLE / "pyproject.toml").read_text().startswith(f"{metadata}\n")
    assert f"class TestContract({testing.ForgeContract.__name__}):" in CONTRACT


def test_every_field_has_its_row() -> None:
    assert first_cells("What is listed") == [field.name for field in msgspec.structs.fields(Repository)]
    known = [field.name for field in msgspec.structs.fields(ForgeContext)]
    assert first_cells("What the context offers")[: len(known)] == known
    ways = first_cells("What the context offers")[len(known) :]
    assert set(ways) == {name for name in plugin.__all__ if name.startswith("by_")}


def test_every_verb_of_the_client_is_told() -> None:
    verbs = {
        name for name, _ in inspect.getmembers(ForgeClient, inspect.isfunction) if not name.startswith("_")
    }
    told = set(re.findall(r"`(?:client\.)?(\w+)\(", section("What the context offers")))
    assert verbs <= told | {"pages"}
    assert "`pages(…)`" in PAGE


def test_what_the_contract_asks_for_is_told() -> None:
    told = section("The contract, as tests")
    for name in ("settings", "token_field", "path", "tells_private", "keeps_keys", "may_be_empty"):
        assert hasattr(ForgeContract, name)
        assert f"`{name}`" in told
    for struct, left_out in ((Sample, set()), (Asked, {"method"})):
        for field in msgspec.structs.fields(struct):
            assert field.name in left_out or f"`{field.name}`" in told


def test_the_entry_of_the_configuration_has_keys_that_there_are() -> None:
    (written,) = re.findall(r"```yaml\n(.*?)\n```", PAGE, re.DOTALL)
    (entry,) = yaml.safe_load(written)["forges"]
    example = runpy.run_path(str(EXAMPLE / "swhkit_pagure.py"))
    (provider,) = example["swhkit_forges"]()
    assert entry["kind"] == provider.name
    own = {field.name for field in msgspec.structs.fields(provider.config)}
    assert entry.keys() <= own | {field.name for field in msgspec.structs.fields(ForgeKeys)}


def test_names_of_the_page_are_exported() -> None:
    called = set(re.findall(r"`([A-Z][A-Za-z]+)(?:\([^`]*)?`", PAGE))
    ours = {"PagureForge", "Project", "Sample", "Answered", "ForgeContract", "ForgePartsContract"}
    others = {"None", "True", "False", "Link", "ETag"}
    assert called - ours - others <= set(plugin.__all__)
