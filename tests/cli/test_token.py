"""``swhkit token`` and what ``swhkit config check`` says of servers that strangers reach."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import program
import pytest
from click.testing import CliRunner, Result

from swhkit.cli.main import group
from swhkit.requests import PERMISSIONS, PREFIX, digest_of

WHO = ("--user", "Ada L.", "--email", "ada@example.org")


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWHKIT_CONFIG", raising=False)

    def run(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(group, arguments, catch_exceptions=False)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def here(run: Run, tmp_path: Path) -> Path:
    """The folder of an empty archive with all defaults, which has no tokens yet."""
    run("init")
    (tmp_path / "swhkit.yaml").write_text("")
    (tmp_path / "archive/requests.sqlite").unlink()
    return tmp_path


def test_a_token_s_life(here: Path) -> None:
    assert program.run("token", "list", cwd=here).stdout == ""
    done = program.run("token", "create", "ci", *WHO, "--permission", "swh.web.api.graph", cwd=here)
    secret = done.stdout.removesuffix("\n")
    assert secret.startswith(PREFIX)
    assert len(secret.split()) == 1, "the secret alone"
    assert secret not in done.stderr
    assert "cannot be shown again" in done.stderr
    (row,) = json.loads(program.run("token", "list", "--json", cwd=here).stdout)
    created = row.pop("created")
    assert created.endswith("+00:00")
    assert row == {
        "name": "ci",
        "user": "Ada L.",
        "email": "ada@example.org",
        "permissions": ["swh.web.api.graph"],
        "last_used": None,
        "revoked": None,
    }
    assert program.run("token", "revoke", "ci", cwd=here).stdout == ""
    again = program.run("token", "create", "ci", *WHO, cwd=here, code=2)
    assert again.stdout == ""
    assert again.stderr == "swhkit: there is, or was, a token named ci: choose another name\n"
    listed = program.run("token", "list", cwd=here).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["name", "ci"]
    assert secret not in "".join(listed)
    assert json.loads(program.run("token", "list", "--json", cwd=here).stdout)[0]["revoked"] is not None


def test_json_has_the_secret_once(run: Run, here: Path) -> None:
    done = run("token", "create", "a", *WHO, "--permission", "staff", "--json")
    row = json.loads(done.stdout)
    assert list(row) == ["name", "user", "email", "permissions", "created", "last_used", "revoked", "secret"]
    assert done.stderr == ""
    with sqlite3.connect(here / "archive/requests.sqlite") as connection:
        (digest,) = connection.execute("SELECT digest FROM token").fetchone()
    connection.close()
    assert digest == digest_of(row["secret"])
    (listed,) = json.loads(run("token", "list", "--json").stdout)
    assert "secret" not in listed


def test_the_store_is_made_when_it_is_needed_for_its_owner_alone(run: Run, here: Path) -> None:
    file = here / "archive/requests.sqlite"
    run("token", "list")
    run("token", "revoke", "x", code=1)
    assert not file.exists()
    run("token", "create", "ci", *WHO)
    assert file.stat().st_mode & 0o777 == 0o600


def test_init_makes_the_store(run: Run, tmp_path: Path) -> None:
    run("init")
    assert (tmp_path / "archive/requests.sqlite").stat().st_mode & 0o777 == 0o600
    assert "#    path: archive/requests.sqlite" in (tmp_path / "swhkit.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("ci", *WHO, "--permission", "root"),
            "there is no permission 'root'; known: " + ", ".join(PERMISSIONS),
        ),
        (("a/b", *WHO), "'a/b' is no name for a token"),
        (("ci", "--user", "", "--email", "a@b.c"), "'' is no name of a user"),
        (("ci", "--user", "a", "--email", "nobody"), "'nobody' is no e-mail address"),
        (("ci", "--user", "a\x1b[2J", "--email", "a@b.c"), r"'a\x1b[2J' is no name of a user"),
        (("ci", "--user", "a"), "Missing option '--email'"),
        (("ci", "--email", "a@b.c"), "Missing option '--user'"),
        (WHO, "Missing argument 'NAME'"),
    ],
)
def test_nonsense_makes_no_token(run: Run, here: Path, arguments: tuple[str, ...], complaint: str) -> None:
    done = run("token", "create", *arguments, code=2)
    assert done.stdout == ""
    assert complaint in done.stderr
    assert not (here / "archive/requests.sqlite").exists()


def test_a_name_that_nobody_has(run: Run, here: Path) -> None:
    run("token", "create", "ci", *WHO)
    done = run("token", "revoke", "cj", code=1)
    assert done.stderr == "swhkit: there is no token named cj; `swhkit token list` shows all\n"


@pytest.mark.parametrize("command", [("create", "ci", *WHO), ("list",), ("revoke", "ci")])
def test_without_an_archive_nothing_is_made(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run("token", *command, code=1)
    assert "`swhkit init`" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_store_is_said_in_one_sentence(run: Run, here: Path) -> None:
    (here / "archive/requests.sqlite").write_bytes(os.urandom(8192))
    done = run("token", "list", code=1)
    assert "requests.sqlite is damaged" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = run("serve", "--listen", "127.0.0.1:0", code=1)
    assert "requests.sqlite is damaged" in done.stderr


def test_the_documented_backup_takes_tokens_along_and_keeps_them_private(run: Run, here: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text("utf-8")
    found = re.search(r"<!-- backup -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert found is not None
    copies = [here / "without", here / "with"]
    for copy in copies:
        subprocess.run(["bash", "-eu", "-c", found[1], "backup", copy], cwd=here, check=True, timeout=60)
        run("token", "create", "ci", *WHO, code=0 if copy.name == "without" else 2)
    assert [sorted(file.name for file in copy.glob("*.sqlite")) for copy in copies] == [
        ["catalog.sqlite"],
        ["catalog.sqlite", "requests.sqlite"],
    ]
    kept = copies[1] / "requests.sqlite"
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.rename(here / "archive/requests.sqlite")
    (row,) = json.loads(run("token", "list", "--json").stdout)
    assert row["name"] == "ci"


def check(run: Run, here: Path, text: str) -> list[str]:
    (here / "swhkit.yaml").write_text(text)
    done = run("config", "check")
    assert done.stdout == "OK: swhkit.yaml\n"
    assert all(line.startswith("swhkit: warning: ") for line in done.stderr.splitlines())
    return [line.removeprefix("swhkit: warning: ") for line in done.stderr.splitlines()]


NO_LIMITS = "anybody who reaches {} may ask without limit; server.throttling.factor sets one"
NO_TOKENS = "there are no access tokens, so that everybody who reaches {} is anonymous; `swhkit token create` makes one"


@pytest.mark.parametrize("listen", ["127.0.0.1:5080", "localhost:0", "[::1]:80", "127.1.2.3:80"])
def test_a_server_of_this_machine_needs_no_warning(run: Run, here: Path, listen: str) -> None:
    assert check(run, here, f'server: {{listen: "{listen}", throttling: {{factor: 0}}}}') == []


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:80", "192.0.2.1:0", "archive.example.org:80"])
def test_an_open_server_without_limits_and_tokens(run: Run, here: Path, listen: str) -> None:
    for factor in ("null", "0"):
        warnings = check(run, here, f'server: {{listen: "{listen}", throttling: {{factor: {factor}}}}}')
        assert warnings == [NO_LIMITS.format(listen), NO_TOKENS.format(listen)]
    assert check(run, here, f'server: {{listen: "{listen}"}}') == [NO_TOKENS.format(listen)]
    assert not (here / "archive/requests.sqlite").exists(), "a check makes nothing"


def test_a_token_that_was_revoked_is_none(run: Run, here: Path) -> None:
    text = 'server: {listen: "0.0.0.0:80"}'
    run("token", "create", "ci", *WHO)
    assert check(run, here, text) == []
    run("token", "revoke", "ci")
    assert check(run, here, text) == [NO_TOKENS.format("0.0.0.0:80")]


def test_an_open_server_behind_a_proxy(run: Run, here: Path) -> None:
    run("token", "create", "ci", *WHO)
    text = "server: {public_url: 'https://a.example', %s}"
    (warning,) = check(run, here, text % "")
    assert "server.trusted_proxies is empty" in warning
    assert check(run, here, text % "trusted_proxies: [127.0.0.1]") == []
    (warning,) = check(run, here, text % "trusted_proxies: ['::1'], throttling: {factor: 0}")
    assert warning == NO_LIMITS.format("https://a.example")
    (warning,) = check(
        run, here, text % "trusted_proxies: ['::1'], throttling: {exempt_networks: [0.0.0.0/0]}"
    )
    assert warning.startswith("0.0.0.0/0 in server.throttling.exempt_networks is everybody")


def test_a_check_says_when_it_cannot_tell(run: Run, here: Path) -> None:
    (here / "archive/requests.sqlite").write_bytes(os.urandom(8192))
    (warning,) = check(run, here, 'server: {listen: "0.0.0.0:80"}')
    assert warning.startswith("access tokens cannot be read (")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server: {throttling: {factor: -1}}", "server.throttling.factor: "),
        ("server: {throttling: {factor: .nan}}", "server.throttling.factor: "),
        ("server: {throttling: {factor: .inf}}", "server.throttling.factor: "),
        ("server: {throttling: {rates: {swh_api: 3}}}", "rates.swh_api: expected a rate such as 10/s"),
        ("server: {throttling: {rates: {swh_api: 0/h}}}", "rates.swh_api: expected a rate such as 10/s"),
        ("server: {throttling: {rates: {swh_api: 5/week}}}", "rates.swh_api: expected a rate such as 10/s"),
        ("server: {throttling: {rates: {swh_apo: 5/h}}}", "unknown key; did you mean 'swh_api'?"),
        (
            "server: {throttling: {exempt_networks: [x]}}",
            "exempt_networks[0]: expected an address or a network",
        ),
        ("server: {trusted_proxies: [10.0.0.1/8]}", "trusted_proxies[0]: expected an address or a network"),
        ("server: {trusted_proxies: [17]}", "trusted_proxies[0]: expected an address or a network"),
        ("server: {trusted_proxies: 10.0.0.1}", "trusted_proxies: expected a list"),
        (
            "archive: {requests: {backend: sqlit}}",
            "there is no request store named 'sqlit'; did you mean 'sqlite'?",
        ),
        ("archive: {requests: {cache: 5}}", "unknown key"),
    ],
)
def test_settings_that_make_no_sense(run: Run, here: Path, text: str, complaint: str) -> None:
    (here / "swhkit.yaml").write_text(text)
    done = run("config", "check", code=2)
    assert complaint in done.stderr


def test_rates_and_networks_are_shown_in_their_usual_form(run: Run, here: Path) -> None:
    text = "server: {trusted_proxies: ['2001:DB8:0::/32', 10.1.2.3], throttling: {factor: null, rates: {swh_api: ' 7 / m'}}}"
    (here / "swhkit.yaml").write_text(text)
    shown = run("config", "show").stdout
    assert 'trusted_proxies: ["2001:db8::/32", "10.1.2.3/32"]' in shown
    assert 'swh_api: "7/m"' in shown
    assert "factor: null" in shown
