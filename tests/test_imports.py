"""Imports point one way. The modules are read, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: From the ground up: a module imports modules of its own line and of those above, never of those below.
LAYERS = [
    "errors units interrupts files scratch text refnames escapes jsonbody",
    "hashes swhid",
    "model",
    "manifest records batches search digestmap",
    "tree",
    "child process pipes",
    "net",
    "ssh",
    "http egress",
    "gitconfig",
    "git",
    "pack packindex",
    "shelf",
    "unpack",
    "treehash",
    "storage requests jobs forge webhook",
    "archive",
    "stage query check digests closure completeness intake seal publish affected damage reindex inventory lacking verdict",
    "plugin",
    "hookspecs",
    "registry",
    "config",
    "assemble",
    "desk queueing",
    "visit localrepo identify",
    "freshness",
    "saving",
    "crawling status",
    "tasks",
    "worker",
    "api",
    "cli",
    "__main__",
]
#: What backends may import of swhkit.
FOR_BACKENDS = {
    "errors",
    "escapes",
    "files",
    "git",
    "hashes",
    "interrupts",
    "manifest",
    "model",
    "pack",
    "plugin",
}
FOR_BACKENDS |= {"jobs", "process", "records", "requests", "scratch", "search", "storage", "swhid"}


def files() -> list[Path]:
    """All sources of the project but tests."""
    return [p for root in ("swhkit", "plugins", "backends") for p in sorted((ROOT / root).rglob("*.py"))]


def name_of(file: Path) -> str:
    """The dotted name a file is imported by."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] in ("plugins", "backends") else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in files()}


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports, at the top or inside a function; ``from a import b`` gives ``a.b`` if that is
    a module of ours."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports here are absolute"
            base = node.module or ""
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base


def layer(module: str) -> int:
    """The line of ``LAYERS`` that a module of swhkit stands in."""
    word = module.split(".")[1]
    lines = [i for i, line in enumerate(LAYERS) if word in line.split()]
    assert lines, f"{module} stands in no layer: say in LAYERS where it belongs"
    return lines[0]


def ours(module: str) -> bool:
    return module.startswith("swhkit.") and not module.startswith("swhkit.testing")


@pytest.mark.parametrize("module", [m for m in MODULES if ours(m)])
def test_imports_point_one_way(module: str) -> None:
    upwards = [other for other in imported(MODULES[module]) if ours(other) and layer(other) > layer(module)]
    assert upwards == []


def test_there_are_no_circles() -> None:
    graph = {m: {o for o in imported(f) if o in MODULES and o != m} for m, f in MODULES.items()}
    # A module of a package may import the package that holds it; that is no circle unless the package imports it back.
    done: set[str] = set()
    while ready := [m for m, needs in graph.items() if m not in done and needs <= done]:
        done.update(ready)
    assert sorted(graph.keys() - done) == []


@pytest.mark.parametrize("module", [m for m in MODULES if (ROOT / "plugins") in MODULES[m].parents])
def test_plugins_import_the_contract_alone(module: str) -> None:
    own = module.split(".")[0]
    for other in imported(MODULES[module]):
        assert other == "swhkit.plugin" or not other.startswith("swhkit") or other.split(".")[0] == own


@pytest.mark.parametrize("module", [m for m in MODULES if (ROOT / "backends") in MODULES[m].parents])
def test_backends_import_what_is_theirs(module: str) -> None:
    own = module.split(".")[0]
    for other in imported(MODULES[module]):
        top, *rest = other.split(".")
        assert (
            not top.startswith("swhkit")
            or top == own
            or (top == "swhkit" and rest and rest[0] in FOR_BACKENDS)
        )


def test_the_core_knows_no_plugin_and_only_tests_import_testing() -> None:
    for module, file in MODULES.items():
        top = module.split(".")[0]
        for other in imported(file):
            if top == "swhkit":
                assert not other.startswith("swhkit_"), f"{module} imports {other}"
            if not module.startswith("swhkit.testing"):
                assert not other.startswith("swhkit.testing"), f"{module} imports {other}"


def test_nothing_hides_from_this_test() -> None:
    for file in files():
        words = {n.id for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Name)}
        attributes = {n.attr for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Attribute)}
        assert "TYPE_CHECKING" not in words | attributes, f"{file} uses TYPE_CHECKING"
        assert "__import__" not in words, f"{file} uses __import__"


def test_modules_are_imported_by_name_in_two_places_only() -> None:
    """``import_module`` finds what is known only by a text: factories of plugins, and commands."""
    users = [
        module
        for module, file in MODULES.items()
        if any(
            isinstance(n, ast.Attribute) and n.attr == "import_module"
            for n in ast.walk(ast.parse(file.read_text()))
        )
    ]
    assert sorted(users) == ["swhkit.cli.main", "swhkit.registry"]


def test_plugins_and_backends_are_source_roots() -> None:
    assert not (ROOT / "plugins/__init__.py").exists()
    assert not (ROOT / "backends/__init__.py").exists()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[module].read_text()))
