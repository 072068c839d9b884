"""``docs/architecture.md`` and the README speak of what there is: modules, tests, dependencies, settings, a plugin."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text()


def section(title: str) -> str:
    """The text below a heading of the second level."""
    found = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert found, f"no section {title!r}"
    return found


def first_cells(text: str) -> set[str]:
    """All words in code type in the first cells of the tables of a text."""
    return {
        word
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for word in re.findall(r"`([^`]+)`", row)
    }


def test_every_module_has_its_line_and_no_other_is_claimed() -> None:
    core = [
        path
        for path in (ROOT / "swhkit").glob("[a-z]*")
        if path.suffix == ".py" or (path / "__init__.py").exists()
    ]
    others = [path for root in ("plugins", "backends") for path in (ROOT / root).glob("swhkit_*")]
    here = {path.stem for path in core} | {path.relative_to(ROOT).as_posix() for path in others}
    assert first_cells(section("The house")) == here


def test_the_tests_that_hold_the_invariants_are_there() -> None:
    rows = re.findall(
        r"^\| (I\d) \|.*\| (.*) \|$", section("Invariants and where each is tested"), re.MULTILINE
    )
    assert [name for name, _ in rows] == [f"I{number}" for number in range(1, 9)]
    named = [path for _, cell in rows for path in re.findall(r"`([^`]+)`", cell)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_dependency_has_its_reason() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[^a-z0-9.-]", line.lower())[0] for line in declared}
    reasons = section("Dependencies, and why these").lower()
    assert sorted(name for name in names if name not in reasons) == []


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    prose = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose)
    assert [target for target in targets if "://" not in target and not (file.parent / target).exists()] == []


def test_the_changelog_has_a_part_for_what_comes_next() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
