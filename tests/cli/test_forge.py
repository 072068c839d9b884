"""``swhkit forge``: forges are added, listed, crawled and shown; requests to add one are decided on."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import desks
import fake_forge
import program
import pytest
import waiting
from click.testing import CliRunner, Result
from fake_forge import FakeForge

from swhkit.cli.main import group

Run = Callable[..., Result]
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def forge() -> Iterator[FakeForge]:
    with fake_forge.running() as opened:
        yield opened


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder of an empty archive that knows the plugin of the tests."""
    with fake_forge.desk(tmp_path):
        pass
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, here: Path) -> Run:
    """Runs a command there, in this process."""
    monkeypatch.chdir(here)
    monkeypatch.delenv("SWHKIT_CONFIG", raising=False)
    monkeypatch.delenv("FAKE_TOKEN", raising=False)

    def run(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(group, arguments, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done

    return run


def test_a_forge_s_life(run: Run, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    done = run("forge", "add", "fake", f"{forge.url}/", "--every", "2d", "--option", "owner=ada")
    assert done.stdout == f"forge 1: fake {forge.url}, listed every 2d\n"
    (row,) = json.loads(run("forge", "list", "--json").stdout)
    assert (row["kind"], row["url"], row["source"]) == ("fake", forge.url, "cli")
    assert (row["every"], row["visit_every"], row["latest_listing"]) == (2 * 86_400, 7 * 86_400, None)
    done = run("forge", "crawl", "1")
    assert done.stdout == (f"complete, all of it: {forge.url}: 3 repositories (3 new), 3 visits enqueued\n")
    assert forge.asked[0]["owner"] == "ada"
    crawled = json.loads(run("forge", "crawl", forge.url, "--incremental", "--json").stdout)
    assert (crawled["status"], crawled["is_full"], crawled["repositories"]) == ("complete", False, 0)
    crawled = json.loads(run("forge", "crawl", "1", "--full", "--json").stdout)
    assert (crawled["is_full"], crawled["repositories"], crawled["new"]) == (True, 3, 0)
    table = run("forge", "list").stdout.splitlines()
    assert [line.split()[:5] for line in table] == [
        ["id", "kind", "url", "source", "origins"],
        ["1", "fake", forge.url, "cli", "3"],
    ]
    assert "complete" in table[1]
    shown = run("forge", "status", "1").stdout.splitlines()
    assert shown[:2] == table
    assert len(shown) == 7
    assert run("forge", "status").stdout.splitlines() == table
    listings = json.loads(run("forge", "status", "1", "--json").stdout)["listings"]
    assert [listing["is_full"] for listing in listings] == [True, False, True]
    (row,) = json.loads(run("forge", "list", "--json").stdout)
    due = datetime.datetime.fromisoformat(row["due"])
    assert due > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1.9)


def test_a_forge_is_changed_by_adding_it_again(run: Run, forge: FakeForge) -> None:
    run("forge", "add", "fake", forge.url)
    added = json.loads(run("forge", "add", "fake", forge.url, "--visit-every", "1h", "--json").stdout)
    assert (added["id"], added["visit_every"]) == (1, 3600)


def test_how_a_listing_went_is_the_exit_code(run: Run, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    run("forge", "add", "fake", forge.url)
    forge.trouble[2] = (429, {"Retry-After": "7200"})
    done = run("forge", "crawl", "1", code=3)
    assert done.stdout.startswith(
        f"partial, all of it: {forge.url}: 2 repositories (2 new), 2 visits enqueued: "
    )
    assert "left alone for 7200 s" in done.stdout
    forge.trouble[1] = (404, {})
    done = run("forge", "crawl", "1", "--json", code=1)
    assert json.loads(done.stdout)["status"] == "failed"


def test_a_listing_that_is_ended_by_sigterm_has_failed(run: Run, here: Path, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    forge.trouble[2] = (503, {"Retry-After": "60"})
    run("forge", "add", "fake", forge.url)
    process = program.start("forge", "crawl", "1", cwd=here)
    assert waiting.soon(lambda: len(forge.asked) == 2, 60)
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert "Traceback" not in said
    (row,) = json.loads(run("forge", "status", "1", "--json").stdout)["listings"]
    assert (row["status"], row["error"]) == ("failed", "the listing was interrupted")


def test_secrets_come_from_the_environment(
    run: Run, forge: FakeForge, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    done = program.run("forge", "add", "fake", forge.url, "--option", "token=s3cret", cwd=here, code=2)
    assert done.stderr == (
        "swhkit: --option token: a secret is not kept, nor typed where others can see it; put it into the environment "
        "and write --option token='${NAME}'\n"
    )
    done = program.run("forge", "add", "fake", forge.url, "--option", "token=${FAKE_TOKEN}", cwd=here, code=2)
    assert "the environment variable FAKE_TOKEN is not set" in done.stderr
    assert run("forge", "list").stdout == ""
    monkeypatch.setenv("FAKE_TOKEN", "s3cret")
    run("forge", "add", "fake", forge.url, "--option", "token=${FAKE_TOKEN}")
    run("forge", "crawl", "1")
    for file in here.rglob("*"):
        if file.is_file():
            assert b"s3cret" not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing", "https://git.example.org"], "there is no forge named 'nothing'"),
        (["fake", "git.example.org"], "expected a URL such as"),
        (["fake", "https://ada:hunter2@git.example.org"], "expected a URL such as"),
        (["fake", "https://git.example.org", "--option", "colour=red"], "unknown key"),
        (["fake", "https://git.example.org", "--option", "owner"], "expected KEY=JSON"),
        (["fake", "https://git.example.org", "--every", "soon"], "expected a duration"),
        (["fake", "https://git.example.org", "--every", "1s"], "expected at least 1m"),
        (
            ["fake", "https://git.example.org", "--option", "owner=https://a:hunter2@x.org"],
            "a secret is not kept",
        ),
    ],
)
def test_what_cannot_be_added(here: Path, arguments: list[str], said: str) -> None:
    done = program.run("forge", "add", *arguments, cwd=here, code=2)
    assert said in done.stderr
    assert "hunter2" not in done.stderr
    assert json.loads(program.run("forge", "list", "--json", cwd=here).stdout) == []


def test_forges_of_the_configuration_are_changed_there(tmp_path: Path, forge: FakeForge) -> None:
    with fake_forge.desk(tmp_path, f"forges: [{{kind: fake, url: '{forge.url}'}}]\n"):
        pass
    done = program.run("forge", "add", "fake", forge.url, cwd=tmp_path, code=2)
    assert "stands in the configuration, under forges" in done.stderr


def test_forges_that_are_not_there(here: Path) -> None:
    for arguments in (["crawl", "7"], ["status", "7"]):
        done = program.run("forge", *arguments, cwd=here, code=1)
        assert done.stderr == "swhkit: there is no forge 7; `swhkit forge list` shows all\n"
    done = program.run("forge", "requests", "7", cwd=here, code=1)
    assert "there is no request 7 to add a forge" in done.stderr


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    program.run("init", cwd=tmp_path)
    (tmp_path / "swhkit.yaml").write_text("")
    for store in ("requests", "jobs"):
        (tmp_path / f"archive/{store}.sqlite").unlink(missing_ok=True)
    for arguments in (["forge", "list"], ["forge", "requests"], ["forge", "status"], ["status"]):
        program.run(*arguments, cwd=tmp_path)
    assert not (tmp_path / "archive/requests.sqlite").exists()
    assert not (tmp_path / "archive/jobs.sqlite").exists()


def test_several_kinds_may_have_one_url(run: Run, here: Path, forge: FakeForge) -> None:
    text, _, _ = fake_forge.PLUGIN.partition("@hookimpl\ndef swhkit_origin_state_changed")
    (here / "plugins/other.py").write_text(text.replace('name="fake"', 'name="other"'))
    run("forge", "add", "fake", forge.url)
    run("forge", "add", "other", forge.url)
    assert "other" in run("forge", "status", "2").stdout
    done = program.run("forge", "crawl", forge.url, cwd=here, code=2)
    assert "several forges have this URL: 1 (fake), 2 (other)" in done.stderr


def test_requests_are_decided_on(run: Run, here: Path) -> None:
    with fake_forge.desk(here) as desk:
        desks.propose(desk, contact="Grace \x1b[31m")
    (row,) = json.loads(run("forge", "requests", "--json").stdout)
    assert (row["id"], row["status"], row["forge_url"]) == (1, "PENDING", "https://git.example.org")
    assert "https://git.example.org" in run("forge", "requests").stdout
    done = program.run("forge", "decide", "1", "ACCEPTED", cwd=here, code=2)
    assert done.stderr == (
        "swhkit: request 1 is PENDING; it can become WAITING_FOR_FEEDBACK, REJECTED, SUSPENDED\n"
    )
    assert run("forge", "decide", "1", "waiting_for_feedback", "--text", "asked").stdout == (
        "request 1: WAITING_FOR_FEEDBACK\n"
    )
    run("forge", "decide", "1", "REJECTED")
    done = program.run("forge", "decide", "1", "PENDING", cwd=here, code=2)
    assert "it can become nothing: it is at its end" in done.stderr
    shown = run("forge", "requests", "1").stdout
    assert "\x1b" not in shown
    assert "status: REJECTED" in shown
    lines: Any = json.loads(run("forge", "requests", "1", "--json").stdout)["history"]
    assert [(line["role"], line["status"], line["text"]) for line in lines] == [
        ("SUBMITTER", "PENDING", ""),
        ("MODERATOR", "WAITING_FOR_FEEDBACK", "asked"),
        ("MODERATOR", "REJECTED", ""),
    ]
