"""``swhkit save``: asking at the shell, review, prefixes."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import archives
import desks
import program
import pytest
from click.testing import CliRunner, Result

from swhkit import saving
from swhkit.cli.main import group
from swhkit.desk import Desk
from swhkit.model import VisitStatus
from swhkit.requests.saves import SaveStatus
from swhkit.storage import Publication

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
URL = "https://git.example.org/u/p.git"
NEW = "https://new.example.org/r"
CONFIGURATION = (
    'save_code_now: {accept: ["https://good.example.org/"], reject: ["https://bad.example.org/"]}\n'
)

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command on a new archive in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWHKIT_CONFIG", raising=False)

    def run(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(group, arguments, catch_exceptions=False)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.stderr
        return done

    run("init")
    (tmp_path / "swhkit.yaml").write_text(CONFIGURATION)
    return run


@pytest.fixture
def desk(run: Run, tmp_path: Path) -> Iterator[Desk]:
    """The desk of the same archive, as a server has it."""
    del run  # it has made the archive
    folder = tmp_path / "archive"
    with (
        archives.archive("filesystem", folder) as archive,
        desks.desk(archive, tmp_path, CONFIGURATION) as opened,
    ):
        yield opened


def emitted(done: Result) -> Any:
    return json.loads(done.stdout)


def test_asking(run: Run, desk: Desk) -> None:
    done = run("save", URL)
    assert done.stdout == f"request 1 (git {URL}) is accepted, job 1 is pending\n"
    assert done.stderr == f"{URL}: visit type git (guessed)\n"
    made = desk.requests.saves.get(1)
    assert made is not None
    assert (made.status, made.trusted, made.visit_type, made.url) == (SaveStatus.ACCEPTED, True, "git", URL)
    job = desk.jobs.job(1)
    assert job is not None
    assert job.arguments["trusted"] is True
    again = emitted(run("save", "--type", "git", "--json", URL))
    assert again["id"] == 1
    assert again.keys() == {
        "id", "origin_url", "visit_type", "date", "user", "webhook", "status", "decided", "decided_by", "job", "task_status",
        "next_run", "visit_status", "visit_date", "snapshot", "note",
    }  # fmt: skip
    assert (again["origin_url"], again["status"], again["task_status"]) == (URL, "accepted", "pending")
    assert (
        emitted(run("save", "new", "--json", "--type", "tarball-directory", f"{URL}.tar.gz"))["visit_type"]
        == "tarball"
    )
    assert desk.requests.saves.prefixes() == []


def test_places_of_this_machine(run: Run, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    for url, kept in (("http://127.0.0.1/r", "http://127.0.0.1/r"), ("r", f"file://{tmp_path}/r")):
        assert emitted(run("save", "--json", "--type", "git", url))["origin_url"] == kept
    assert len(desk.jobs.latest()) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("save", "https://x.org/r", "--type", "zz"), "visits of type zz cannot be asked for, only bzr, cvs, git, hg, "),
        (("save", "https://x.org/r", "--type", "archives"), "visits of type archives cannot be asked for"),
        (("save", "https://x.org/nothing-tells"), "its form does not tell the visit type; name it with --type (bzr, cvs"),
        (("save", "https://bad.example.org/r", "--type", "git"), "is not allowed to be archived"),
        (("save", "https://u:secret@x.org/r", "--type", "git"), "contains a password and cannot be accepted"),
        (("save", "ext::sh -c id", "--type", "git"), "transports of the form NAME::ADDRESS are not allowed"),
        (("save", "lst"), "this is no URL"),
        (("save", "/no/such/path"), "there is no such path"),
        (("save", "accept", "https:/x"), "is the beginning of no URL"),
        (("save", "accept", "https://u:secret@x.org/"), "a prefix has no user name and no password"),
        (("save", "accept", "1", "--forget"), "--forget is for prefixes"),
        (("save", "reject", "https://x.org/", "--note", "x"), "--note is for requests"),
        (("save", "list", "--status", "x"), "'x' is not one of 'pending', 'accepted', 'rejected'"),
        (("save", "--nope"), "No such option"),
    ],
)  # fmt: skip
def test_what_is_wrong(run: Run, arguments: tuple[str, ...], text: str) -> None:
    done = run(*arguments, code=2)
    assert text in done.stderr
    assert "secret" not in done.output
    assert done.stdout == ""


def test_review(run: Run, desk: Desk) -> None:
    for url in (NEW, f"{NEW}2", f"{NEW}3"):
        saving.save(desk, url, "git", now=NOW)
    lines = run("save", "list", "--status", "pending").stdout.splitlines()
    assert [line.split() for line in lines] == [
        [str(id), "2026-03-01", "12:00", "pending", "not", "created", "git", url]
        for id, url in ((3, f"{NEW}3"), (2, f"{NEW}2"), (1, NEW))
    ]
    assert run("save", "accept", "1").stdout == f"request 1 (git {NEW}) is accepted, job 1 is pending\n"
    done = run("save", "reject", "2", "--note", "no \x1b code")
    assert done.stdout == f"request 2 (git {NEW}2) is rejected: no \\x1b code\n"
    made = desk.requests.saves.get(2)
    assert made is not None
    assert (made.status, made.note) == (SaveStatus.REJECTED, "no \x1b code")
    assert made.decided_by
    assert desk.jobs.job(1) is not None
    assert run("save", "accept", "2", code=2).stderr.endswith(
        "swhkit: Save request 2 is not pending: it was rejected already.\n"
    )
    assert run("save", "accept", "9", code=1).stderr == "swhkit: No save request found for id 9.\n"
    assert run("save", "accept", "9" * 30, code=1).stderr.startswith("swhkit: No save request found")
    assert [row["id"] for row in emitted(run("save", "list", "--json"))] == [3, 2, 1]
    assert [row["id"] for row in emitted(run("save", "list", "--json", "-n", "1"))] == [3]
    assert [row["status"] for row in emitted(run("save", "list", "--json", "--status", "accepted"))] == [
        "accepted"
    ]
    assert emitted(run("save", "reject", "3", "--json"))["status"] == "rejected"


def test_the_list_tells_what_became_of_them(run: Run, desk: Desk) -> None:
    run("save", URL)
    _, catalog, _ = desk.archive.writer()
    now = datetime.datetime.now(datetime.UTC)
    number = catalog.open_visit(URL, "git", now).number
    catalog.publish(
        URL, number, Publication(status=VisitStatus.NOT_FOUND, date=now, reason="there is nothing")
    )
    assert desk.jobs.lease("w", 60, now)
    (row,) = emitted(run("save", "list", "--json"))
    assert (row["task_status"], row["visit_status"], row["snapshot"]) == ("running", "not_found", None)


def test_prefixes(run: Run, desk: Desk) -> None:
    prefix = "https://new.example.org/"
    assert run("save", "accept", prefix).stdout == f"{prefix}: accepted\n"
    assert saving.save(desk, NEW, "git", now=NOW).status is SaveStatus.ACCEPTED
    assert emitted(run("save", "reject", prefix, "--json")) == {"prefix": prefix, "status": "rejected"}
    with pytest.raises(saving.Rejected):
        saving.save(desk, NEW, "hg", now=NOW)
    assert run("save", "list", "--prefixes").stdout.splitlines() == [
        "accepted  configuration  https://good.example.org/",
        "rejected  configuration  https://bad.example.org/",
        f"rejected  added          {prefix}",
    ]
    listed = emitted(run("save", "list", "--prefixes", "--json"))
    assert [(row["prefix"], row["accepted"], row["source"]) for row in listed][2] == (prefix, False, "added")
    assert run("save", "accept", prefix, "--forget", code=1).stderr.startswith(
        f"swhkit: no accepted prefix {prefix} was added"
    )
    assert run("save", "reject", prefix, "--forget").stdout == f"{prefix}: forgotten\n"
    assert saving.save(desk, NEW, "hg", now=NOW).status is SaveStatus.PENDING


def test_help(run: Run) -> None:
    for arguments in (("save",), ("save", "--help")):
        done = CliRunner().invoke(group, arguments)
        text = done.output
        assert all(f"  {name} " in text for name in ("new", "list", "accept", "reject"))
    assert "--type" in run("save", "new", "--help").stdout


def test_an_archive_that_is_only_read_takes_no_requests(run: Run, tmp_path: Path) -> None:
    remote = "archive: {objects: {backend: remote, url: 'http://127.0.0.1:9/'}, catalog: {backend: remote, url: 'http://127.0.0.1:9/'}}\n"
    (tmp_path / "swhkit.yaml").write_text(remote)
    done = run("save", URL, code=2)
    assert done.stderr.startswith("swhkit: this archive is read-only by its configuration")


def test_processes_that_ask_at_once_make_one_request(run: Run, tmp_path: Path) -> None:
    del run  # it has made the archive
    started = [program.start("save", "--json", URL, cwd=tmp_path) for _ in range(6)]
    ended = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * 6, ended
    assert {json.loads(out)["id"] for out, _ in ended} == {1}
    assert {json.loads(out)["job"] for out, _ in ended} == {1}
