"""The program itself: its help, its exit codes, and the commands that need no archive of their own."""

from __future__ import annotations

import errno
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from swhkit import errors
from swhkit.cli.main import COMMANDS, group

ROOT = Path(__file__).parent.parent.parent
RUN = "from swhkit.cli.main import main; main()"


def announce(folder: Path) -> Path:
    """Metadata that an installation would have, so that the plugins of this checkout are found."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = (f"{name} = {module}" for name, module in project["entry-points"]["swhkit.v1"].items())
    (info / "entry_points.txt").write_text("\n".join(["[swhkit.v1]", *points, ""]))
    return folder


@pytest.fixture
def swhkit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the program in a folder of its own, as an installation would."""
    paths = [announce(tmp_path / "installed"), ROOT, ROOT / "plugins", ROOT / "backends"]
    here = tmp_path / "here"
    here.mkdir()

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", RUN, *map(str, arguments)],
            cwd=here,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths)), **environment},
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=60,
            check=False,
        )

    return run


Program = Callable[..., subprocess.CompletedProcess[str]]


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys\nfrom swhkit.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = 'aiohttp pygit2 rich sqlite_utils sqlite3 msgspec yaml pluggy asyncio'.split()\n"
        "print([m for m in heavy if m in sys.modules], sorted(m for m in sys.modules if m.startswith('swhkit.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, "--help"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        done.stdout.splitlines()[-1]
        == "[] ['swhkit.cli', 'swhkit.cli.main', 'swhkit.errors', 'swhkit.interrupts']"
    )
    assert all(f"  {name} " in done.stdout and help in done.stdout for name, (_, help) in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_commands_say(name: str) -> None:
    module, short = COMMANDS[name]
    command = importlib.import_module(module).command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.get_short_help_str(200).rstrip(".") == short.rstrip(".")
    assert CliRunner().invoke(group, [name, "--help"]).exit_code == 0


def test_every_module_of_a_command_is_in_the_list() -> None:
    there = {path.stem for path in (ROOT / "swhkit/cli").glob("*.py")}
    modules = {f"swhkit.cli.{name}" for name in there}
    listed = {module for module, _ in COMMANDS.values()}
    assert listed <= modules
    unlisted = sorted(modules - listed)
    exposing = [name for name in unlisted if hasattr(importlib.import_module(name), "command")]
    assert exposing == []


@click.command("fail")
@click.argument("what")
def failing(what: str) -> None:
    raise {
        "input": errors.InvalidSwhid("'swh:1:xyz' is no SWHID"),
        "config": errors.ConfigError("a.yaml:1: one\na.yaml:2: two"),
        "held": errors.NotHeld("the archive does not hold swh:1:cnt:00"),
        "child": errors.ChildFailed(["git", "fetch"], 128, "fatal: no\n"),
        "disk": OSError(errno.ENOSPC, "No space left on device", "/a/b"),
        "bug": ZeroDivisionError("division\nby zero"),
        "evil": errors.NotFound("no \x1b[2J\x07\x9b31m\u202e\ud800 there"),
        "interrupt": KeyboardInterrupt(),
        "pipe": BrokenPipeError(errno.EPIPE, "Broken pipe"),
        "usage": click.UsageError("no \x1b[2J"),
        "code": click.exceptions.Exit(3),
        "memory": MemoryError(),
    }[what]


@pytest.mark.parametrize(
    ("what", "code", "text"),
    [
        ("input", 2, "swhkit: 'swh:1:xyz' is no SWHID\n"),
        ("config", 2, "swhkit: a.yaml:1: one\nswhkit: a.yaml:2: two\n"),
        ("held", 1, "swhkit: the archive does not hold swh:1:cnt:00\n"),
        ("child", 1, "swhkit: git fetch ended with 128: fatal: no\n"),
        ("disk", 1, "swhkit: No space left on device: /a/b\n"),
        (
            "bug",
            70,
            "swhkit: internal error: ZeroDivisionError: division by zero; `swhkit --verbose …` shows where\n",
        ),
        ("memory", 1, "swhkit: there is not enough memory for this\n"),
        ("evil", 1, "swhkit: no \\x1b[2J\\x07\\x9b31m\\u202e\\ud800 there\n"),
        ("interrupt", 130, ""),
        ("pipe", 141, ""),
        ("usage", 2, "swhkit: no \\x1b[2J\n"),
        ("code", 3, ""),
    ],
)
def test_every_error_has_its_code_and_one_clear_text(
    monkeypatch: pytest.MonkeyPatch, what: str, code: int, text: str
) -> None:
    monkeypatch.setattr("swhkit.cli.main._let_go_of_stdout", lambda: None)
    monkeypatch.setitem(COMMANDS, "fail", ("swhkit.cli.fail", "Fail."))
    monkeypatch.setitem(sys.modules, "swhkit.cli.fail", type(sys)("swhkit.cli.fail"))
    monkeypatch.setattr(sys.modules["swhkit.cli.fail"], "command", failing, raising=False)
    done = CliRunner().invoke(group, ["fail", what])
    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr.endswith(text)
    assert "Traceback" not in done.stderr
    told = CliRunner().invoke(group, ["-v", "fail", what])
    assert told.exit_code == code
    if text and what != "usage":
        assert "Traceback" in told.stderr


def test_a_misspelled_command_is_guessed(swhkit: Program) -> None:
    done = swhkit("lod")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "swhkit: there is no command 'lod'; did you mean 'load'?"
    assert "\x1b" not in swhkit("\x1b[2J").stderr
    assert swhkit().returncode in (0, 2)
    assert swhkit("--version").stdout.startswith("swhkit, version ")


def test_a_reader_that_goes_away_is_no_error(swhkit: Program, tmp_path: Path) -> None:
    paths = [tmp_path / "installed", ROOT, ROOT / "plugins", ROOT / "backends"]
    read, write = os.pipe()
    os.close(read)
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, "plugins"],
        stdout=write,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=tmp_path,
    )
    os.close(write)
    _, complaint = child.communicate(timeout=60)
    assert (child.returncode, complaint) == (141, b"")


def test_init_makes_an_archive_that_config_check_likes(swhkit: Program, tmp_path: Path) -> None:
    done = swhkit("init", "new/archive")
    assert (done.returncode, done.stderr) == (0, "")
    assert "swhkit load" in done.stdout
    folder = tmp_path / "here/new/archive"
    assert sorted(p.name for p in folder.iterdir()) == ["archive", "swhkit.yaml"]
    assert (folder / "swhkit.yaml").read_text() == (ROOT / "config.example.yaml").read_text()
    checked = swhkit("--config", folder / "swhkit.yaml", "config", "check")
    assert (checked.returncode, checked.stdout) == (0, f"OK: {folder}/swhkit.yaml\n")
    assert swhkit("config", "check", SWHKIT_CONFIG=str(folder / "swhkit.yaml")).returncode == 0


def test_init_touches_no_file_that_is_there(swhkit: Program, tmp_path: Path) -> None:
    file = tmp_path / "here/swhkit.yaml"
    file.write_text("# mine\n")
    done = swhkit("init")
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert file.read_text() == "# mine\n"
    assert [p.name for p in file.parent.iterdir()] == ["swhkit.yaml"]
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert swhkit("init").returncode == 2
    assert not (tmp_path / "elsewhere").exists()


def test_init_where_it_may_not_write(swhkit: Program, tmp_path: Path) -> None:
    (tmp_path / "here/file").touch()
    done = swhkit("init", "file/below")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("swhkit: ")


def test_config_show_and_check_write_nothing(swhkit: Program, tmp_path: Path) -> None:
    (tmp_path / "here/swhkit.yaml").write_text("server: {listen: '${WHERE}'}\n")
    shown = swhkit("config", "show", WHERE="127.0.0.1:0")
    assert shown.returncode == 0
    assert 'listen: "127.0.0.1:0"  # environment WHERE (swhkit.yaml:1)' in shown.stdout
    assert f"path: {tmp_path}/here/archive/objects  # default" in shown.stdout
    assert swhkit("config", "check", WHERE="a:1").returncode == 0
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["swhkit.yaml"]


def test_text_that_the_terminal_cannot_show_is_no_error(swhkit: Program, tmp_path: Path) -> None:
    (tmp_path / "here/swhkit.yaml").write_text("archive: {stage: 'é\U0001f600'}\n")
    shown = swhkit("config", "show", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\\U0001f600" in shown.stdout
    odd = swhkit("--config", os.fsdecode(b"\xff.yaml"), "config", "show")
    assert (odd.returncode, odd.stdout) == (2, "")
    assert odd.stderr.startswith("swhkit: \\udcff.yaml:1: ")


def test_config_check_tells_all(swhkit: Program, tmp_path: Path) -> None:
    (tmp_path / "here/swhkit.yaml").write_text("server: {listen: x}\nlimits:\n  visit_tme: 5m\n")
    done = swhkit("config", "check")
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.split(": ")[1:3] for line in done.stderr.splitlines()] == [
        ["swhkit.yaml:1", "server.listen"],
        ["swhkit.yaml:3", "limits.visit_tme"],
    ]
    assert swhkit("--config", "none.yaml", "config", "check").stderr.startswith("swhkit: none.yaml:1: ")


def test_config_check_imports_what_is_named(swhkit: Program, tmp_path: Path) -> None:
    folder = tmp_path / "here/mine"
    folder.mkdir()
    (folder / "odd.py").write_text(
        "from swhkit.plugin import Provider, hookimpl\n@hookimpl\ndef swhkit_catalogs():\n"
        "    return [Provider('odd', 'odd', 'nowhere_at_all:f')]\n"
        "@hookimpl\ndef swhkit_loaders():\n    return [Provider('odd', 'odd', 'nowhere_either:f')]\n"
    )
    text = "plugins_dir: mine\narchive: {catalog: {backend: odd}}\nloaders: {odd: {}}\n"
    (tmp_path / "here/swhkit.yaml").write_text(text)
    done = swhkit("config", "check")
    assert done.returncode == 2
    assert "nowhere_at_all" in done.stderr
    assert "nowhere_either" in done.stderr
    assert swhkit("config", "show").returncode == 0


def test_plugins_lists_what_works_and_what_does_not(swhkit: Program, tmp_path: Path) -> None:
    folder = tmp_path / "here/mine"
    folder.mkdir()
    (folder / "broken.py").write_text("import nothing_like_it\n")
    (folder / "twice.py").write_text(
        "from swhkit.plugin import Provider, hookimpl\n@hookimpl\ndef swhkit_loaders():\n"
        "    return [Provider('git', 'a second one', 'x:f')]\n"
    )
    (tmp_path / "here/swhkit.yaml").write_text("plugins_dir: mine\n")
    done = swhkit("plugins", "--json")
    assert done.returncode == 0
    rows = {(row["kind"], row["name"], row["distribution"]): row for row in json.loads(done.stdout)}
    assert rows["object store", "filesystem", "swhkit"]["state"] == "ok"
    assert rows["catalog", "sqlite", "swhkit"]["version"]
    broken = rows["plugin", "broken", f"{folder}/broken.py"]
    assert broken["state"] == "failed: ModuleNotFoundError: No module named 'nothing_like_it'"
    for distribution in ("swhkit", f"{folder}/twice.py"):
        assert rows["loader", "git", distribution]["state"].startswith("clash: swhkit")
    table = swhkit("plugins").stdout
    assert table.splitlines()[0].split() == ["kind", "name", "summary", "distribution", "version", "state"]
    assert len(table.splitlines()) == len(rows) + 1


def test_without_a_configuration_there_are_defaults(swhkit: Program, tmp_path: Path) -> None:
    assert swhkit("config", "check").stdout == "OK: there is no file, all settings have their defaults\n"
    assert f"{tmp_path}/here/archive/stage" in swhkit("config", "show").stdout
