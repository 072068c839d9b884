"""The distribution: what a wheel built from the sdist holds and declares, and that an editable install imports.

Everything is built offline with the back end that is installed. Imports run in an interpreter that knows the standard
library, the dependencies and what was built, and nothing of this checkout.
"""

from __future__ import annotations

import configparser
import email
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest
from building import ROOT, copy_checkout, run

SOURCES = {"swhkit": "swhkit", "plugins": "", "backends": ""}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENTRY_POINTS = {
    "console_scripts": PROJECT["scripts"],
    **PROJECT["entry-points"],
}


def source_files(tree: Path) -> dict[str, Path]:
    """Every file of the source roots, by its name inside a wheel."""
    found = {}
    for root, prefix in SOURCES.items():
        for path in (tree / root).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                found[str(PurePosixPath(prefix, path.relative_to(tree / root).as_posix()))] = path
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the distribution is built from, so that a build leaves no trace in the checkout."""
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def built(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist, and a wheel built from that sdist."""
    target = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", target, copy])
    return target


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """The built wheel."""
    [path] = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def unpacked(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it lies in a site-packages folder."""
    target = tmp_path_factory.mktemp("site")
    wheel.extractall(target)
    return target


def isolated(site: Path, program: str) -> list[str]:
    """Run ``program`` with ``site`` as a site folder (its .pth files count) before the dependencies; lines printed.

    ``-S`` keeps the .pth files of this environment out, among them that of an editable install of this checkout.
    """
    dependencies = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    head = f"import site, sys; site.addsitedir({str(site)!r}); sys.path += {dependencies!r}\n"
    return run([sys.executable, "-I", "-S", "-c", head + program]).splitlines()


def names(wheel: zipfile.ZipFile) -> list[str]:
    """The wheel's files."""
    return [name for name in wheel.namelist() if not name.endswith("/")]


def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's core metadata."""
    [name] = [name for name in names(wheel) if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def test_every_top_level_name_is_ours(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert {"swhkit", "swhkit_git", "swhkit_sqlite", "swhkit_filesystem", "swhkit_memory"} <= tops
    assert [top for top in tops if not top.startswith("swhkit")] == []


def test_the_wheel_has_every_source_file_and_no_other(wheel: zipfile.ZipFile, copy: Path) -> None:
    packed = {name: wheel.read(name) for name in names(wheel) if ".dist-info/" not in name}
    sources = {name: path.read_bytes() for name, path in source_files(copy).items()}
    assert sorted(packed) == sorted(sources)
    assert packed == sources


def test_type_checkers_are_told_that_there_are_types(wheel: zipfile.ZipFile) -> None:
    assert "swhkit/py.typed" in names(wheel)


def test_the_license_travels_along(wheel: zipfile.ZipFile, built: Path) -> None:
    text = (ROOT / "LICENSE").read_bytes()
    [name] = [name for name in names(wheel) if name.endswith(".dist-info/licenses/LICENSE")]
    assert wheel.read(name) == text
    assert b"Apache License" in text
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"


def test_the_readme_is_the_description(wheel: zipfile.ZipFile, copy: Path) -> None:
    assert metadata(wheel).get_payload(decode=True) == (copy / "README.md").read_bytes()


def test_the_sdist_can_be_tested_and_built_upon(built: Path) -> None:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {
            PurePosixPath(name).relative_to(PurePosixPath(name).parts[0]).as_posix()
            for name in archive.getnames()
        }
    wanted = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "tools/run.py",
        "examples/swhkit-dated-tarballs/pyproject.toml",
        "examples/swhkit-pagure/pyproject.toml",
        "tests/test_packaging.py",
    }
    assert wanted <= held


def test_the_wheel_declares_what_the_project_declares(wheel: zipfile.ZipFile) -> None:
    [name] = [name for name in names(wheel) if name.endswith(".dist-info/entry_points.txt")]
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(wheel.read(name).decode())
    assert {section: dict(parser[section]) for section in parser.sections()} == ENTRY_POINTS


def test_every_plugin_and_backend_is_an_entry_point() -> None:
    folders = {path.name for root in ("plugins", "backends") for path in (ROOT / root).glob("swhkit_*")}
    assert {
        value.split(":")[0].split(".")[0] for value in PROJECT["entry-points"]["swhkit.v1"].values()
    } == folders


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [(group, name, value) for group, members in ENTRY_POINTS.items() for name, value in members.items()],
)
def test_each_entry_point_imports_from_the_wheel(unpacked: Path, group: str, name: str, value: str) -> None:
    program = (
        "import importlib.metadata as m\n"
        f"[point] = m.entry_points(group={group!r}, name={name!r})\n"
        "point.load(); import sys; print(sys.modules[point.module].__file__)"
    )
    [file] = isolated(unpacked, program)
    assert Path(file).is_relative_to(unpacked)


def test_an_editable_install_imports_the_checkout(copy: Path, tmp_path: Path) -> None:
    program = "import os, sys, hatchling.build as b; os.chdir(sys.argv[1]); b.build_editable(sys.argv[2])"
    run([sys.executable, "-I", "-c", program, copy, tmp_path])
    [path] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as editable:
        editable.extractall(tmp_path / "site")
    modules = ["swhkit", *(value.split(":")[0] for value in PROJECT["entry-points"]["swhkit.v1"].values())]
    lines = isolated(
        tmp_path / "site", f"import {', '.join(modules)}\nfor m in {modules}: print(sys.modules[m].__file__)"
    )
    roots = {path.parent.name: path.parent.parent for path in map(Path, lines) if path.name == "__init__.py"}
    assert roots.pop("swhkit") == copy
    assert set(roots.values()) == {copy / "plugins", copy / "backends"}


@pytest.fixture
def installed(unpacked: Path, tmp_path: Path) -> dict[str, str]:
    """An environment with the built ``swhkit``, and a ``curl`` where there may be none, first on the PATH."""
    programs = {
        "swhkit": f"import sys; sys.path.insert(0, {str(unpacked)!r}); from swhkit.cli.main import main; main()",
        "curl": "import sys, urllib.request as u; print(u.urlopen(sys.argv[-1]).read().decode().rstrip())",
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, program in programs.items():
        (folder / name).write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@"\n'
        )
        (folder / name).chmod(0o755)
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SWHKIT_", "PYTHON"))
    }
    return kept | {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def tour() -> list[tuple[str, list[str]]]:
    """The commands of the README's tour, each with the lines it is said to print."""
    block = (ROOT / "README.md").read_text().partition("```console\n")[2].partition("```")[0]
    steps: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def test_the_tour_of_the_readme_shows_what_happens(installed: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    end = "-- the end of one step --"

    def here(text: str) -> str:
        """The same in another folder and on a free port."""
        moved = text.replace("/tmp/tour", str(tmp_path / "tour")).replace("5080", str(port))
        return moved.replace("serve &", f"serve --listen 127.0.0.1:{port} &")

    def timeless(line: str) -> str:
        return re.sub(r"\(\d+\.\d s\)", "(… s)", line.rstrip("\n"))

    with subprocess.Popen(
        ["bash"], cwd=tmp_path, env=installed, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as shell:  # fmt: skip
        assert shell.stdin is not None
        assert shell.stdout is not None
        try:
            for command, said in tour():
                background = command.endswith("&")
                shell.stdin.write(here(command) + ("\n" if background else f"\necho '{end}'\n"))
                shell.stdin.flush()
                lines: list[str] = []
                for line in shell.stdout:
                    if line.rstrip("\n") == end:
                        break
                    lines.append(timeless(line))
                    if background and len(lines) == len(said):
                        break
                assert lines == [timeless(here(line)) for line in said], command
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def test_the_configuration_and_the_plugin_of_the_readme_work(
    installed: dict[str, str], tmp_path: Path
) -> None:
    readme = (ROOT / "README.md").read_text()
    settings, plugin = (
        readme.partition(f"```{language}\n")[2].partition("```")[0] for language in ("yaml", "python")
    )
    settings = settings.replace("/srv/swhkit", str(tmp_path / "archive")) + "plugins_dir: plugins\n"
    (tmp_path / "swhkit.yaml").write_text(settings)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "tell.py").write_text(plugin)
    repository = tmp_path / "origin"
    subprocess.run(["git", "init", "-q", "-b", "main", repository], check=True, env=installed)
    done = subprocess.run(
        ["swhkit", "load", "--type", "git", repository],
        cwd=tmp_path,
        env={**installed, "GITEA_SECRET": "geheim"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"file://{repository}: visit 1 is full" in done.stderr.splitlines()
