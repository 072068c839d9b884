"""The documentation names every hook, every key and every command, and its example works."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import distributions
import msgspec
import pytest

from swhkit import hookspecs
from swhkit import plugin as contract
from swhkit.cli.main import COMMANDS, group
from swhkit.config import Settings, show
from swhkit.config.decode import Special, default_of, is_struct, special_of, unwrap
from swhkit.registry import HOOKS, Registry, installed
from swhkit_remote.settings import RemoteConfig

DOCS = Path(__file__).parent.parent / "docs"
PLUGINS = (DOCS / "writing-a-plugin.md").read_text()
KEYS = (DOCS / "configuration.md").read_text()
COMMAND_DOCS = (DOCS / "commands.md").read_text()


def hooks() -> list[str]:
    """Every hook with its arguments, as the headings have it."""
    return [
        f"{name}({', '.join(inspect.signature(hook).parameters)})"
        for name, hook in vars(hookspecs).items()
        if name.startswith("swhkit_")
    ]


def test_every_hook_has_its_heading_and_no_other_is_claimed() -> None:
    assert re.findall(r"^### `(swhkit_.*)`$", PLUGINS, re.MULTILINE) == hooks()


def test_every_special_type_is_explained() -> None:
    for name in ("Duration", "Size", "Secret"):
        assert hasattr(contract, name)
        assert f"| `swhkit.plugin.{name}` |" in PLUGINS


def rows(shape: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, str | None]]:
    """Every key of the settings with its default as it is written, None where the docs say it in their own way."""
    for field in msgspec.structs.fields(shape):
        key = f"{path}{field.encode_name}"
        plain = unwrap(field.type)[0]
        if isinstance(special_of(field.type), Special):
            yield key, None
        elif is_struct(plain):
            yield from rows(plain, f"{key}.")
        else:
            yield key, show.written(default_of(field), field.type, key).strip('"')


def table() -> dict[str, list[str]]:
    """The rows of all tables of the configuration's page: first cell → the others."""
    lines = [line for line in KEYS.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    names = [row[0] for row in cells]
    assert {name for name in names if names.count(name) > 1} == shared()
    return {row[0]: row[1:] for row in cells}


def shared() -> set[str]:
    """Rows that several kinds of stores have: ``sqlite`` and ``memory`` are of all kinds, ``remote`` of two."""
    remote = {f"`remote` `{field}`" for field in RemoteConfig.__struct_fields__}
    return {"`sqlite` `path`", "`sqlite` `cache`", "`memory`"} | remote


def test_every_key_has_its_row_with_its_default() -> None:
    documented = table()
    known = dict(rows(Settings))
    for key, default in known.items():
        assert f"`{key}`" in documented
        assert documented[f"`{key}`"][1], f"{key} is not explained"
        if default is not None:
            assert documented[f"`{key}`"][0] == f"`{default}`"
    claimed = {cell.strip("`") for cell in documented if "` `" not in cell and cell != "`memory`"}
    backends = {f"archive.{part}.backend" for part in ("objects", "catalog", "requests", "jobs")}
    assert claimed - backends == known.keys()


def test_every_key_of_the_parts_that_come_with_it_has_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(distributions.first_party(tmp_path / "installed")))
    registry = Registry(source for source in installed() if source.origin == "swhkit")
    sections = dict(zip(HOOKS, re.split(r"^### ", KEYS, flags=re.MULTILINE)[1:], strict=True))
    for plugin in registry.plugins:
        assert plugin.error is None
        for kind, provider in plugin.providers:
            fields = [field.encode_name for field in msgspec.structs.fields(provider.config)]
            found = re.findall(rf"^\| `{provider.name}`(?: `(\w+)`)? \|", sections[kind], re.MULTILINE)
            assert found == (fields or [""])


def commands() -> dict[str, click.Command]:
    """Every command and subcommand by what is typed."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": child for sub, child in command.commands.items()}
        else:
            found[name] = command
    return found


def test_every_command_has_its_section_with_its_options() -> None:
    sections: dict[str, str] = {}
    for part in re.split(r"^## ", COMMAND_DOCS, flags=re.MULTILINE)[1:]:
        title = part.partition("\n")[0]
        if match := re.fullmatch(r"`swhkit ([a-z]+(?: [a-z]+)?)( .*)?`", title):
            sections[match[1]] = part
    known = commands()
    assert list(sections) == list(known)
    for name, command in known.items():
        for parameter in command.params:
            words = [max(parameter.opts, key=len)] if isinstance(parameter, click.Option) else []
            for word in words:
                assert f"`{word}" in sections[name], f"{name} does not explain {word}"
        options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"`(--[a-z-]+)", sections[name])) <= options


def test_the_options_of_the_program_are_documented() -> None:
    head = COMMAND_DOCS.partition("\n## ")[0]
    for parameter in group.params:
        assert f"`{max(parameter.opts, key=len)}" in head
    for code in ("0", "1", "2", "70", "130", "141"):
        assert re.search(rf"^\| `{code}` \|", COMMAND_DOCS, re.MULTILINE)


def example() -> str:
    found = re.search(r"```python\n(.*?)```", PLUGINS, re.DOTALL)
    assert found is not None
    return found[1]


def run(here: Path, *arguments: str) -> Any:
    """The program with the first-party plugins announced; what it prints as JSON."""
    root = DOCS.parent
    paths = [here / "installed", root, root / "plugins", root / "backends"]
    done = subprocess.run(
        [sys.executable, "-c", "from swhkit.cli.main import main; main()", *arguments],
        cwd=here,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_example_archives_what_it_says(tmp_path: Path) -> None:
    distributions.first_party(tmp_path / "installed")
    for name in ("my-plugins", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "my-plugins/notes.py").write_text(example())
    (tmp_path / "swhkit.yaml").write_text("plugins_dir: my-plugins\n")
    (tmp_path / "notes/b.txt").write_text("second\n")
    (tmp_path / "notes/a.txt").write_text("first\n")
    (tmp_path / "notes/c.md").write_text("third\n")
    states = {row["name"]: row["state"] for row in run(tmp_path, "plugins", "--json")}
    assert states["notes"] == "ok"
    (report,) = run(tmp_path, "load", "--json", "--type", "notes", str(tmp_path / "notes"))
    assert (report["status"], report["load_status"], report["branches"]) == ("full", "eventful", 1)
    assert (report["new"]["content"], report["new"]["directory"]) == (2, 1)
    (again,) = run(tmp_path, "load", "--json", str(tmp_path / "notes"))
    assert (again["visit_type"], again["snapshot"]) == ("notes", report["snapshot"])
    assert set(again["new"].values()) <= {0}, "the second time nothing is new"
    (other,) = run(
        tmp_path, "load", "--json", "--type", "notes", "--option", "suffix=.md", str(tmp_path / "notes")
    )
    assert other["new"]["content"] == 1
