"""What is decided on requests to save code, which jobs they get, and what is told of them: without any HTTP."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import archives
import desks
import pytest

from swhkit import saving
from swhkit.desk import Desk
from swhkit.errors import InvalidInput, NotHeld
from swhkit.jobs import Ending, JobState, Lease
from swhkit.model import Snapshot, VisitStatus
from swhkit.queueing import ASKED, TOLD, VISIT
from swhkit.requests.saves import Artifact, BulkOrigin, BulkRequest, NewSave, SaveRequest, SaveStatus
from swhkit.saving import Asker, Rejected
from swhkit.storage import Publication

UTC = datetime.UTC
NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://git.example.org/u/p"
ADA = Asker("ada", "ada@example.org", privileged=True)
BOB = Asker("bob", "bob@example.org")
ACCEPT = 'save_code_now: {accept: ["https://git.example.org/"], reject: ["https://bad.example.org"]}\n'
REJECT_ALL = 'save_code_now: {reject: ["https://"]}\n'

Open = Callable[..., Desk]


def later(**units: float) -> datetime.datetime:
    return NOW + datetime.timedelta(**units)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the desk of an archive with a folder for stages; ``text`` is added to its configuration."""
    kind = getattr(request, "param", "memory")
    stores = desks.IN_MEMORY if kind == "memory" else ""
    with ExitStack() as stack:
        archive = stack.enter_context(archives.archive(kind, tmp_path))

        def open_(text: str = ACCEPT) -> Desk:
            return stack.enter_context(desks.desk(archive, tmp_path, stores + text))

        yield open_


@pytest.fixture
def desk(opened: Open) -> Desk:
    return opened()


def visit(
    desk: Desk,
    date: datetime.datetime,
    status: VisitStatus | None,
    type: str = "git",
    url: str = URL,
    **more: Any,
) -> int:
    """A visit in the catalog; of status None it has only begun."""
    _, catalog, _ = desk.archive.writer()
    number = catalog.open_visit(url, type, date).number
    if status is VisitStatus.ONGOING:
        catalog.update_visit(url, number, status, date)
    elif status is not None:
        catalog.publish(url, number, Publication(status=status, date=date, **more))
    return number


def lease(desk: Desk, now: datetime.datetime) -> Lease:
    (found,) = desk.jobs.lease("w", 60, now)
    return found


def end(
    desk: Desk, lease: Lease, now: datetime.datetime, state: JobState = JobState.DONE, **more: Any
) -> None:
    assert desk.jobs.end([Ending(lease=lease, state=state, **more)], now) == [True]


def task(desk: Desk, request: SaveRequest, now: datetime.datetime) -> str:
    return saving.standing(desk, request, now).task_status


on_both = pytest.mark.parametrize("opened", ["memory", "sqlite"], indirect=True)


# -- who may ask for what


def test_types_are_those_of_the_web_api(desk: Desk) -> None:
    allowed = "bzr, cvs, git, hg, svn, tarball"
    for word in ("zz", "archives", "tar", "tarball-directory", "", "GIT"):
        with pytest.raises(InvalidInput) as refused:
            saving.save(desk, URL, word, now=NOW)
        assert str(refused.value) == (
            f"Visit of type {word} cannot be saved! Allowed types are the following: {allowed}"
        )
    with pytest.raises(InvalidInput, match=f"following: archives, {allowed}$"):
        saving.save(desk, URL, "zz", asker=ADA, now=NOW)
    for word in allowed.split(", "):
        made = saving.save(desk, URL, word, now=NOW)
        assert made.visit_type == word, "the request keeps its own word"
        job = desk.jobs.job(made.job or 0)
        assert job is not None
        assert (job.task, job.priority, job.attempts) == (VISIT, ASKED, 5)
        assert job.arguments["visit_type"] == ("tarball-directory" if word == "tarball" else word)
        assert (job.arguments["url"], job.arguments["trusted"]) == (URL, False)


#: Places that strangers have no business at, and URLs that nobody can read for certain.
NOT_VALID = [
    "http://127.0.0.1/r", "http://127.0.0.1:8080/r", "http://[::1]/r", "http://0.0.0.0/r", "http://127.1/r",
    "http://2130706433/r", "http://0177.0.0.1/r", "http://0x7f.0.0.1/r", "http://0x7f000001/", "http://[::ffff:127.0.0.1]/r",
    "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://169.254.169.254/latest/",
    "http://10.0.0.1/r", "http://172.16.0.1/r", "http://192.168.1.1/r", "http://100.64.0.1/r", "http://[fc00::1]/",
    "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://224.0.0.1/", "http://255.255.255.255/", "http://localhost/r",
    "http://localhost./r", "http://LOCALHOST/r", "http://a.localhost/r", "http://good@127.0.0.1/r", "http://127.0.0.1\\@good/r",
    "http://good\\@127.0.0.1/r", "http:\\\\127.0.0.1\\r", "http:///127.0.0.1/r",
    "git://127.0.0.1/r", "svn://10.0.0.1/r", "rsync://127.0.0.1/r", "pserver://anonymous@127.0.0.1/r", "bzr://127.0.0.1/",
    "ftp://127.0.0.1/r", "ext::sh -c touch% X", "fd::17", "file:///etc", "/etc", "./x", "-u./x", "--upload-pack=touch X",
    "ssh://-oProxyCommand=x/", "git@-oX:y", "git@example.org:y", "https://x.org/a\nb", "https://x.org/a\0b",
    "https://x.org/a\rb", "https://x.org/%0a", "https://x.org/a b", "https://%31%32%37.0.0.1/", "https:///x", "https://", "",
    "javascript:alert(1)", "data:text/html,x", "gopher://x.org/", "svn+ssh://x.org/r", "https://x.org:99999/",
    "https://x.org:a/", "https://exämple.org/", "https://x..org/", "https://[::1/", "https://x.org/\ud800", "x",
    "https//x.org",
    "https://x.org/" + "a" * 5000, "http://" + "a" * 300 + "/",
]  # fmt: skip


@pytest.mark.parametrize("url", NOT_VALID)
def test_urls_that_are_not_valid(desk: Desk, url: str) -> None:
    for asker in (None, ADA):
        with pytest.raises(InvalidInput) as refused:
            saving.save(desk, url, "git", asker=asker, now=NOW)
        assert str(refused.value) == f"The provided origin URL '{url}' is not valid!"
    assert desk.requests.saves.latest() == []
    assert desk.requests.saves.prefixes() == []


@pytest.mark.parametrize(
    "url", ["https://u:secret@git.example.org/r", "ftp://:x@h.org/", "git://a:b@h.org/", "http://a:b@127.0.0.1/",
            "https://u:Password@h.org/", "https://u:pass@h.org@h.org/"],
)  # fmt: skip
def test_passwords_are_refused(desk: Desk, url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        saving.save(desk, url, "git", now=NOW)
    assert str(refused.value) == (
        "The provided origin URL contains a password and cannot be accepted for security reasons."
    )
    with pytest.raises(InvalidInput, match="contains a password"):
        saving.save(desk, url, "git", trusted=True, now=NOW)
    assert desk.requests.saves.latest() == []


@pytest.mark.parametrize("password", ["", "anonymous", "guest", "password"])
def test_passwords_that_are_none(desk: Desk, password: str) -> None:
    url = f"pserver://anonymous:{password}@cvs.example.org/cvsroot/p/m"
    assert saving.save(desk, url, "cvs", now=NOW).url == url


def test_a_lone_user_name_may_be_a_token(desk: Desk) -> None:
    made = saving.save(desk, "https://ghp_secret@git.example.org/u/p", "git", now=NOW)
    assert made.url == URL
    assert saving.save(desk, "HTTPS://ghp_other@Git.Example.Org./u/p", "git", now=NOW) == made
    kept = saving.save(desk, "svn://guest@svn.example.org/r", "svn", now=NOW)
    assert kept.url == "svn://guest@svn.example.org/r"


def test_each_scheme_is_taken(opened: Open) -> None:
    desk = opened("network: {schemes: [https, http, git, ssh, svn, rsync, pserver, bzr, ftp]}\n")
    for scheme in ("http", "https", "svn", "git", "rsync", "pserver", "ssh", "bzr", "ftp", "HTTPS"):
        made = saving.save(desk, f"{scheme}://code.example.org/r", "git", now=NOW)
        assert (made.status, made.url) == (SaveStatus.PENDING, f"{scheme.lower()}://code.example.org/r")


# -- decisions


@on_both
def test_what_is_decided(desk: Desk) -> None:
    assert saving.save(desk, URL, "git", now=NOW).status is SaveStatus.ACCEPTED
    waiting = saving.save(desk, "https://new.example.org/r", "git", asker=BOB, now=NOW)
    assert (waiting.status, waiting.job, waiting.user) == (SaveStatus.PENDING, None, "bob")
    assert task(desk, waiting, NOW) == "not created"
    for asker in (None, ADA):
        with pytest.raises(Rejected) as refused:
            saving.save(desk, "https://bad.example.org/r", "git", asker=asker, now=NOW)
        assert str(refused.value) == (
            'The "save code now" request has been rejected because the provided origin url is not allowed to be archived.'
        )
    (stored,) = desk.requests.saves.of("https://bad.example.org/r", "git")
    assert (stored.status, stored.job) == (SaveStatus.REJECTED, None)
    assert task(desk, stored, NOW) == "not created"


def test_who_needs_no_review_makes_prefixes(desk: Desk) -> None:
    url = "https://new.example.org/r"
    assert saving.save(desk, url, "git", now=NOW).status is SaveStatus.PENDING
    first = saving.save(desk, url, "git", asker=ADA, now=later(seconds=1))
    assert (first.status, first.decided_by) == (SaveStatus.ACCEPTED, "ada")
    assert first.job is not None
    assert [one.id for one in desk.requests.saves.of(url)] == [first.id], "the one that waited was accepted"
    (prefix,) = desk.requests.saves.prefixes()
    assert (prefix.prefix, prefix.accepted, prefix.user) == (url, True, "ada")
    assert saving.save(desk, f"{url}/sub", "git", asker=BOB, now=NOW).status is SaveStatus.ACCEPTED
    # What is accepted anyway makes none.
    saving.save(desk, URL, "git", asker=ADA, now=NOW)
    assert len(desk.requests.saves.prefixes()) == 1


@pytest.mark.parametrize("word", ["pending", "accepted", "rejected"])
def test_what_no_prefix_says(opened: Open, word: str) -> None:
    desk = opened(f"save_code_now: {{otherwise: {word}}}\n")
    if word == "rejected":
        with pytest.raises(Rejected):
            saving.save(desk, URL, "git", now=NOW)
    else:
        saving.save(desk, URL, "git", now=NOW)
    assert [one.status for one in desk.requests.saves.of(URL)] == [word]


@pytest.mark.parametrize(
    ("url", "decision"),
    [
        ("https://good.example.org/r", "accepted"),
        ("https://good.example.org", "accepted"),
        ("HTTPS://GOOD.example.org:443/r", "accepted"),
        ("https://x@good.example.org/r", "accepted"),
        ("https://good.example.org.evil.org/r", None),
        ("https://good.example.org@evil.org/r", None),
        ("https://good.example.org:8443/r", None),
        ("http://good.example.org/r", None),
        ("https://good.example.org/private/r", "rejected"),
        ("https://good.example.org/a/../private/r", "rejected"),
        ("https://good.example.org/a/%2e%2e/private/r", "rejected"),
        ("https://good.example.org//private/r", "rejected"),
        ("https://good.example.org/%70rivate/r", "rejected"),
        ("https://Good.Example.org./private/r", "rejected"),
        ("https://good.example.org/privately", "accepted"),
        ("https://part.example.org/team/x", "accepted"),
        ("https://part.example.org/team/../other/x", None),
        ("https://part.example.org/teammates", None),
        ("git://anything.example.org/x", "accepted"),
    ],
)
def test_prefixes(url: str, decision: str | None) -> None:
    accepted = ("https://good.example.org", "https://part.example.org/team/", "git://")
    prefixes = saving.Prefixes(accepted, ("https://good.example.org/private/",))
    assert prefixes.decision(url) == decision


def test_prefixes_are_added_and_forgotten(desk: Desk) -> None:
    url = "https://new.example.org/r"
    made = saving.set_prefix(desk, "https://new.example.org/", accept=True, user="ada", now=NOW)
    assert made == desk.requests.saves.prefixes()[0]
    assert saving.save(desk, url, "git", now=NOW).status is SaveStatus.ACCEPTED
    saving.set_prefix(desk, "https://new.example.org/", accept=False, user="ada", now=NOW)
    with pytest.raises(Rejected):
        saving.save(desk, url, "hg", now=NOW)
    with pytest.raises(NotHeld, match=r"no accepted prefix https://new\.example\.org/ was added"):
        saving.remove_prefix(desk, "https://new.example.org/", accepted=True)
    saving.remove_prefix(desk, "https://new.example.org/", accepted=False)
    assert saving.save(desk, url, "hg", now=NOW).status is SaveStatus.PENDING
    for none in (
        "",
        "x",
        "https:/x",
        "https://x y/",
        "https://a:b@x/",
        "https://\n",
        "https://" + "x" * 5000,
    ):
        with pytest.raises(InvalidInput):
            saving.set_prefix(desk, none, accept=True, user=None, now=NOW)


@on_both
def test_review(desk: Desk) -> None:
    url = "https://new.example.org/r"
    one = saving.save(desk, url, "git", now=NOW)
    two = saving.save(desk, "https://other.example.org/r", "git", now=NOW)
    accepted = saving.decide(desk, one.id, accept=True, user="ada", note="fine", now=later(hours=1))
    assert (accepted.status, accepted.decided_by, accepted.note) == (SaveStatus.ACCEPTED, "ada", "fine")
    assert accepted.decided == later(hours=1)
    assert task(desk, accepted, later(hours=1)) == "pending"
    assert saving.save(desk, f"{url}2", "hg", now=NOW).status is SaveStatus.ACCEPTED, "no review from now on"
    rejected = saving.decide(desk, two.id, accept=False, user="ada", note="no code", now=NOW)
    assert (rejected.status, rejected.job, rejected.note) == (SaveStatus.REJECTED, None, "no code")
    for decided in (one, two):
        with pytest.raises(InvalidInput, match=f"Save request {decided.id} is not pending: it was"):
            saving.decide(desk, decided.id, accept=True, user="bob", now=NOW)
    with pytest.raises(NotHeld, match="No save request found for id 99"):
        saving.decide(desk, 99, accept=True, user="ada", now=NOW)
    # Whoever asks again after a person has said no is heard again.
    again = saving.save(desk, "https://other.example.org/r", "git", now=later(days=1))
    assert (again.status, again.id == two.id) == (SaveStatus.PENDING, False)


# -- repeats


@on_both
def test_repeats(desk: Desk) -> None:
    pending = saving.save(desk, "https://new.example.org/r", "git", now=NOW)
    assert saving.save(desk, "https://new.example.org/r", "git", asker=BOB, now=later(days=1)) == pending
    assert saving.save(desk, "https://new.example.org/r", "hg", now=NOW).id != pending.id
    first = saving.save(desk, URL, "git", now=NOW)
    assert saving.save(desk, URL, "git", now=later(minutes=1)).id == first.id
    held = lease(desk, later(minutes=2))
    # It runs: what was pushed since may not be seen by it.
    second = saving.save(desk, URL, "git", now=later(minutes=3))
    assert second.id != first.id
    assert second.job == first.job
    assert task(desk, first, later(minutes=3)) == "running"
    assert task(desk, second, later(minutes=3)) == "pending"
    assert saving.save(desk, URL, "git", now=later(minutes=4)).id == second.id, "50 of them are two"
    end(desk, held, later(minutes=5))
    assert desk.jobs.counts()["queued"] == 1
    held = lease(desk, later(minutes=6))
    visit(desk, later(minutes=6), VisitStatus.FULL)
    end(desk, held, later(minutes=7))
    assert [task(desk, one, later(minutes=8)) for one in (first, second)] == ["succeeded"] * 2
    third = saving.save(desk, URL, "git", now=later(minutes=9))
    assert third.id not in (first.id, second.id)
    assert third.job != first.job


def test_who_was_accepted_late_does_not_hide_what_runs(desk: Desk) -> None:
    url, saves = "https://other.example.org/r", desk.requests.saves
    late = saving.save(desk, url, "git", now=later(days=-9))
    asked = saves.add(NewSave(url=url, visit_type="git", date=NOW, status=SaveStatus.ACCEPTED))
    assert saving.ensure_jobs(desk, NOW) == 1
    lease(desk, NOW)
    late = saving.decide(desk, late.id, accept=True, user="ada", now=later(minutes=1))
    asked = saves.get(asked.id) or asked
    assert asked.job == late.job
    assert task(desk, asked, later(minutes=1)) == "running"
    assert task(desk, late, later(minutes=1)) == "pending"


def test_rejected_ones_are_written_down_once(desk: Desk) -> None:
    for minute in range(3):
        with pytest.raises(Rejected):
            saving.save(desk, "https://bad.example.org/r", "git", now=later(minutes=minute))
    assert len(desk.requests.saves.of("https://bad.example.org/r")) == 1


def test_who_is_trusted_is_not_served_by_a_stranger_s_job(desk: Desk) -> None:
    first = saving.save(desk, URL, "git", now=NOW)
    second = saving.save(desk, URL, "git", trusted=True, now=NOW)
    assert second.id != first.id
    job = desk.jobs.job(second.job or 0)
    assert job is not None
    assert job.id == first.job
    assert job.arguments["trusted"] is True
    assert saving.save(desk, URL, "git", now=NOW).id == second.id
    # The same for one that waits for review, which the shell's word is for, too.
    waiting = saving.save(desk, "https://new.example.org/r", "git", now=NOW)
    mine = saving.save(desk, "https://new.example.org/r", "git", trusted=True, now=NOW)
    waiting = desk.requests.saves.get(waiting.id) or waiting
    job = desk.jobs.job(mine.job or 0)
    assert job is not None
    assert (waiting.status, waiting.job, job.arguments["trusted"]) == (SaveStatus.ACCEPTED, mine.job, True)
    assert mine.id != waiting.id


def test_the_shell_may_name_any_place(desk: Desk, tmp_path: Path) -> None:
    for url in ("http://127.0.0.1/r", f"file://{tmp_path}", "ssh://git@10.0.0.1/r"):
        made = saving.save(desk, url, "git", trusted=True, now=NOW)
        assert (made.status, made.url, made.trusted) == (SaveStatus.ACCEPTED, url, True)
    with pytest.raises(Rejected):
        saving.save(desk, "https://bad.example.org/r", "git", trusted=True, now=NOW)


# -- webhooks


@on_both
def test_webhooks_are_heard_once_an_hour(desk: Desk) -> None:
    def push(minutes: float) -> SaveRequest:
        return saving.save(desk, URL, "git", webhook="gitea", now=later(minutes=minutes))

    first = push(0)
    job = desk.jobs.job(first.job or 0)
    assert (first.webhook, first.not_before) == ("gitea", None)
    assert job is not None
    assert job.priority == TOLD
    held = lease(desk, later(minutes=1))
    visit(desk, later(minutes=1), VisitStatus.FULL)
    end(desk, held, later(minutes=2))
    second = push(10)
    assert second.id != first.id
    assert second.not_before == later(minutes=60)
    assert desk.jobs.next_due() == later(minutes=60)
    standing = saving.standing(desk, second, later(minutes=11))
    assert (standing.task_status, standing.next_run) == ("pending", later(minutes=60))
    assert push(20).id == push(59).id == second.id
    assert desk.jobs.lease("w", 60, later(minutes=59)) == []
    held = lease(desk, later(minutes=60))
    visit(desk, later(minutes=60), VisitStatus.FULL)
    end(desk, held, later(minutes=61))
    third = push(62)
    assert third.not_before == later(minutes=70), "an hour after the request before it"
    fourth = push(200)
    assert fourth.id == third.id, "it has not been worked on"
    held = lease(desk, later(minutes=201))
    visit(desk, later(minutes=201), VisitStatus.FULL)
    end(desk, held, later(minutes=202))
    assert push(203).not_before is None


def test_the_second_push_is_a_request_even_if_the_first_waits(desk: Desk) -> None:
    first = saving.save(desk, URL, "git", webhook="github", now=NOW)
    second = saving.save(desk, URL, "git", webhook="github", now=later(minutes=1))
    assert second.id != first.id
    assert second.not_before == later(minutes=60)
    assert second.job == first.job
    assert saving.standing(desk, second, later(minutes=1)).next_run == later(minutes=60)
    third = saving.save(desk, URL, "git", webhook="github", now=later(minutes=2))
    assert third.id == second.id


def test_a_person_does_not_wait_for_the_hour(desk: Desk) -> None:
    saving.save(desk, URL, "git", webhook="github", now=NOW)
    held = lease(desk, NOW)
    visit(desk, NOW, VisitStatus.FULL)
    end(desk, held, later(minutes=1))
    put_off = saving.save(desk, URL, "git", webhook="github", now=later(minutes=2))
    mine = saving.save(desk, URL, "git", now=later(minutes=3))
    assert mine == put_off
    assert lease(desk, later(minutes=3)).job.id == put_off.job


def test_webhooks_wait_for_review_like_everybody(desk: Desk) -> None:
    url = "https://new.example.org/r"
    first = saving.save(desk, url, "git", webhook="github", now=NOW)
    assert first.status is SaveStatus.PENDING
    assert saving.save(desk, url, "git", webhook="github", now=later(minutes=5)) == first
    with pytest.raises(InvalidInput, match="is not valid"):
        saving.save(desk, "http://127.0.0.1/r", "git", webhook="github", now=NOW)


# -- archives


def test_archives_need_their_files(desk: Desk) -> None:
    def ask(*artifacts: Artifact) -> None:
        saving.save(desk, URL, "archives", asker=ADA, artifacts=artifacts, now=NOW)

    with pytest.raises(InvalidInput, match=r"^Artifacts data are missing for the archives visit type\.$"):
        ask()
    for bad in (Artifact("", "1"), Artifact("https://x.org/a.tgz", "")):
        with pytest.raises(InvalidInput, match=r"^Missing url or version for an artifact to load\.$"):
            ask(bad)
    for place in (
        "http://127.0.0.1:1/a.tgz",
        "ftp://x.org/a",
        "file:///etc/passwd",
        "a",
        "http://localhost./a",
    ):
        with pytest.raises(InvalidInput) as refused:
            ask(Artifact(place, "1"))
        assert str(refused.value) == f"The provided url ({place}) does not exist!"
    with pytest.raises(InvalidInput, match="No more than 1000 artifacts"):
        ask(*[Artifact("http://127.0.0.1:1/", "1")] * 1001)
    assert desk.requests.saves.latest() == []


# -- standing


@on_both
def test_a_request_s_life(desk: Desk) -> None:
    visit(desk, later(days=-1), VisitStatus.FULL)
    made = saving.save(desk, URL, "git", now=NOW)
    standing = saving.standing(desk, made, NOW)
    assert (standing.task_status, standing.visit_status, standing.next_run) == ("pending", None, NOW)
    held = lease(desk, later(minutes=1))
    standing = saving.standing(desk, made, later(minutes=1))
    assert (standing.task_status, standing.next_run) == ("running", None)
    end(desk, held, later(minutes=2), JobState.QUEUED, not_before=later(minutes=9), error="not now")
    standing = saving.standing(desk, made, later(minutes=2))
    assert (standing.task_status, standing.next_run) == ("scheduled", later(minutes=9))
    held = lease(desk, later(minutes=10))
    visit(desk, later(minutes=10), None, type="hg")
    assert task(desk, made, later(minutes=10)) == "running"
    for status in (None, VisitStatus.ONGOING):
        visit(desk, later(minutes=11), status)
        standing = saving.standing(desk, made, later(minutes=11))
        assert standing.task_status == "running"
        assert standing.visit_date == later(minutes=11)
        break
    _, catalog, _ = desk.archive.writer()
    snapshot = Snapshot({})
    publication = Publication(status=VisitStatus.FULL, date=later(minutes=12), snapshot=snapshot)
    catalog.publish(URL, 3, publication)
    end(desk, held, later(minutes=12), result={"visit": 3})
    standing = saving.standing(desk, made, later(minutes=13))
    assert (standing.task_status, standing.visit_status, standing.visit_date) == (
        "succeeded", "full", later(minutes=11),
    )  # fmt: skip
    assert standing.snapshot is not None
    assert standing.snapshot.hex() == "1a8893e6a86f444e8be8e7bda6cb34fb1735a00e"
    assert standing.next_run is None
    # Later visits change nothing.
    visit(desk, later(days=1), VisitStatus.FAILED)
    assert saving.standing(desk, made, later(days=2)) == standing


@pytest.mark.parametrize(
    ("status", "word"),
    [("created", "running"), ("ongoing", "running"), ("full", "succeeded"), ("partial", "succeeded"),
     ("failed", "failed"), ("not_found", "failed")],
)  # fmt: skip
def test_the_first_visit_tells(desk: Desk, status: str, word: str) -> None:
    made = saving.save(desk, URL, "git", now=NOW)
    visit(desk, later(seconds=-1), VisitStatus.FAILED)
    held = lease(desk, NOW)
    visit(desk, NOW, None if status == "created" else VisitStatus(status))
    visit(desk, later(hours=1), VisitStatus.FULL)
    end(desk, held, later(seconds=1))
    standing = saving.standing(desk, made, later(hours=2))
    assert (standing.task_status, standing.visit_status, standing.visit_date) == (word, status, NOW)


def test_a_retry_that_waits_is_no_failure(desk: Desk) -> None:
    made = saving.save(desk, URL, "git", now=NOW)
    held = lease(desk, NOW)
    visit(desk, NOW, VisitStatus.FAILED, reason="the host is away")
    assert task(desk, made, NOW) == "running"
    end(desk, held, later(minutes=1), JobState.QUEUED, not_before=later(minutes=5), error="the host is away")
    standing = saving.standing(desk, made, later(minutes=1))
    assert (standing.task_status, standing.visit_status, standing.next_run, standing.note) == (
        "scheduled", "failed", later(minutes=5), "the host is away",
    )  # fmt: skip
    assert saving.save(desk, URL, "git", now=later(minutes=2)).id == made.id
    held = lease(desk, later(minutes=5))
    number = visit(desk, later(minutes=5), VisitStatus.PARTIAL)
    end(desk, held, later(minutes=6), result={"visit": number})
    standing = saving.standing(desk, made, later(minutes=7))
    assert (standing.task_status, standing.visit_status, standing.visit_date) == (
        "succeeded", "partial", later(minutes=5),
    )  # fmt: skip


def test_a_job_that_failed_says_why(desk: Desk) -> None:
    made = saving.save(desk, URL, "git", now=NOW)
    end(desk, lease(desk, NOW), later(minutes=1), JobState.FAILED, error="its workers died 5 times")
    standing = saving.standing(desk, made, later(minutes=2))
    assert (standing.task_status, standing.note) == ("failed", "its workers died 5 times")
    visit(desk, later(minutes=3), VisitStatus.NOT_FOUND, reason="there is nothing")
    standing = saving.standing(desk, made, later(minutes=4))
    assert (standing.task_status, standing.note) == ("failed", "there is nothing")


def test_what_nobody_did_in_a_month_has_failed(desk: Desk) -> None:
    made = saving.save(desk, URL, "git", now=NOW)
    desk.jobs.end([Ending(lease=lease(desk, NOW), state=JobState.DONE)], NOW)
    assert desk.jobs.prune(later(days=1)) == 1
    assert task(desk, made, later(days=30)) == "pending"
    standing = saving.standing(desk, made, later(days=30, seconds=1))
    assert (standing.task_status, standing.note) == ("failed", "there was no visit within 30 days")


def test_origins_go_by_their_url_without_user(desk: Desk) -> None:
    made = saving.save(desk, "pserver://anonymous:@cvs.example.org/r/m", "cvs", asker=ADA, now=NOW)
    visit(desk, NOW, VisitStatus.FULL, type="cvs", url="pserver://cvs.example.org/r/m")
    assert task(desk, made, later(minutes=1)) == "succeeded"


def test_many_visits_since(desk: Desk) -> None:
    made = saving.save(desk, URL, "git", now=NOW)
    for minute in range(250):
        visit(desk, later(minutes=minute), VisitStatus.FULL if minute else VisitStatus.PARTIAL)
    standing = saving.standing(desk, made, later(days=1))
    assert (standing.visit_status, standing.visit_date) == ("partial", NOW)


# -- jobs


@on_both
def test_jobs_that_lack_are_made(desk: Desk) -> None:
    saves = desk.requests.saves
    accepted = NewSave(url=URL, visit_type="tarball", date=NOW, status=SaveStatus.ACCEPTED)
    made = saves.add(accepted)
    saves.add(NewSave(url=URL, visit_type="git", date=NOW, status=SaveStatus.PENDING))
    bulk = BulkRequest(id="5d5e6ba1-a8de-4e5c-a6d6-3c1ea5cbf3a2", date=NOW, user="ada")
    many = [BulkOrigin(url=f"https://x.org/{n}", visit_type="git") for n in range(20)]
    saves.add_bulk(
        bulk, [*many, BulkOrigin(url="https://y.org/", visit_type="git", status=SaveStatus.REJECTED)]
    )
    assert task(desk, made, NOW) == "pending"
    assert saving.ensure_jobs(desk, NOW) == 21
    assert saving.ensure_jobs(desk, NOW) == 0
    assert desk.jobs.counts()["queued"] == 21
    (found,) = [one for one in saves.of(URL) if one.job is not None]
    job = desk.jobs.job(found.job or 0)
    assert job is not None
    assert job.arguments["visit_type"] == "tarball-directory"
    assert all(one.job is not None for one in saves.bulk_origins(bulk.id)[:20])
    # Somebody died after the job and before it was noted: it is found, not made again.
    other = saves.add(NewSave(url="https://x.org/0", visit_type="git", date=NOW, status=SaveStatus.ACCEPTED))
    assert saving.ensure_jobs(desk, NOW) == 1
    assert desk.jobs.counts()["queued"] == 21
    assert (saves.get(other.id) or other).job is not None


def test_asking_again_makes_a_job_that_lacks(desk: Desk) -> None:
    made = desk.requests.saves.add(NewSave(url=URL, visit_type="git", date=NOW, status=SaveStatus.ACCEPTED))
    again = saving.save(desk, URL, "git", now=later(minutes=1))
    assert again.id == made.id
    assert again.job is not None


@on_both
@pytest.mark.parametrize("text", [ACCEPT, "save_code_now: {otherwise: pending}\n", REJECT_ALL])
def test_fifty_at_once_are_one(opened: Open, text: str) -> None:
    desk, barrier = opened(text), threading.Barrier(50)

    def ask(number: int) -> int | None:
        barrier.wait()
        try:
            return saving.save(desk, URL, "git", asker=ADA if number % 2 else None, now=NOW).id
        except Rejected:
            return None

    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(ask, range(50)))
    assert len(ids) == 1
    assert len(desk.requests.saves.of(URL)) == 1
    assert desk.jobs.counts()["queued"] == (0 if text == REJECT_ALL else 1)


# -- bulk


@on_both
def test_bulk(desk: Desk) -> None:
    origins = [
        {"origin_url": "https://b.example.org/r", "visit_type": "git"},
        {"origin_url": "https://a.example.org/r", "visit_type": "tarball-directory"},
        {"origin_url": "https://b.example.org/r", "visit_type": "git", "more": 1},
        {"origin_url": "https://bad.example.org/r", "visit_type": "hg"},
    ]
    made = saving.submit(desk, origins, user="ada", now=NOW)
    assert desk.requests.saves.bulk(made.id) == made
    rows = saving.rows(desk, made, offset=0, limit=10)
    assert [(row.origin.url, row.origin.visit_type, row.origin.status) for row in rows] == [
        ("https://a.example.org/r", "tarball-directory", "accepted"),
        ("https://b.example.org/r", "git", "accepted"),
        ("https://bad.example.org/r", "hg", "rejected"),
    ]
    assert rows[2].origin.reason == saving.BLOCKED
    assert [row.scheduled for row in rows] == [NOW, NOW, None]
    assert {(row.visited, row.successful, row.snapshot) for row in rows} == {(None, None, None)}
    jobs = desk.jobs.latest()
    assert {(job.arguments["url"], job.arguments["visit_type"], job.priority) for job in jobs} == {
        ("https://a.example.org/r", "tarball-directory", TOLD), ("https://b.example.org/r", "git", TOLD),
    }  # fmt: skip
    visit(desk, later(seconds=-1), VisitStatus.FULL, url="https://b.example.org/r", snapshot=Snapshot({}))
    visit(
        desk, later(hours=1), VisitStatus.NOT_FOUND, type="tarball-directory", url="https://a.example.org/r"
    )
    (one, two, _) = saving.rows(desk, made, offset=0, limit=10)
    assert (one.visited, one.successful, one.snapshot) == (later(hours=1), False, None)
    assert (two.visited, two.successful, two.snapshot) == (None, None, None), "older than the request"
    visit(desk, later(hours=2), VisitStatus.PARTIAL, url="https://b.example.org/r", snapshot=Snapshot({}))
    visit(desk, later(hours=3), VisitStatus.ONGOING, url="https://b.example.org/r")
    (two,) = saving.rows(desk, made, offset=1, limit=1)
    assert (two.visited, two.successful) == (later(hours=2), True)
    assert two.snapshot is not None


MALFORMED = "Provided origin data are malformed, please check provided values."


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, MALFORMED),
        ({"origin_url": "https://x.org/"}, MALFORMED),
        ({"origin_url": None, "visit_type": "git"}, MALFORMED),
        ({"origin_url": "https://x.org/", "visit_type": 1}, MALFORMED),
        ({"origin_url": ["https://x.org/"], "visit_type": "git"}, MALFORMED),
        ({"origin_url": "", "visit_type": "git"}, MALFORMED),
        (
            {"origin_url": "http://127.0.0.1/", "visit_type": "git"},
            "The provided origin URL 'http://127.0.0.1/' is not valid!",
        ),
        ({"origin_url": "x", "visit_type": "zz"}, "The provided origin URL 'x' is not valid!"),
        (
            {"origin_url": "https://a:b@x.org/", "visit_type": "git"},
            "The provided origin URL contains a password and cannot be accepted for security reasons.",
        ),
        ({"origin_url": "https://x.org/", "visit_type": "zz"}, "Visit type 'zz' is not supported."),
        ({"origin_url": "https://x.org/", "visit_type": "tarball"}, "Visit type 'tarball' is not supported."),
    ],
)  # fmt: skip
def test_one_bad_origin_refuses_all(desk: Desk, entry: dict[str, Any], reason: str) -> None:
    good = {"origin_url": "https://good.example.org/r", "visit_type": "git"}
    with pytest.raises(saving.BulkRefused, match=r"^Some origins data could not be validated\.$") as refused:
        saving.submit(desk, [good, entry], user="ada", now=NOW)
    assert [(one.origin, one.reason) for one in refused.value.rejected] == [(entry, reason)]
    assert desk.requests.saves.count_bulks() == 0
    assert desk.jobs.counts()["queued"] == 0


def test_bad_origins_come_by_url(desk: Desk) -> None:
    with pytest.raises(saving.BulkRefused) as refused:
        saving.submit(desk, [{"origin_url": url, "visit_type": "zz"} for url in ("https://c.org/", "x", "https://a.org/")],
                      user="ada", now=NOW)  # fmt: skip
    urls = [one.origin["origin_url"] for one in refused.value.rejected]
    assert urls == ["https://a.org/", "https://c.org/", "x"]


@pytest.mark.parametrize("origins", [None, [], {}, "", 5, True, "x", {"a": 1}, [1], [[]], [{}, None], 1.5, 0])
def test_lists_that_are_none(desk: Desk, origins: Any) -> None:
    with pytest.raises(saving.BulkRefused) as refused:
        saving.submit(desk, origins, user="ada", now=NOW)
    nothing = origins in (None, [], {}, "")
    assert str(refused.value) == (
        "No origins data were provided in POST request body."
        if nothing
        else "Origins data must be a list of dict."
    )
    assert refused.value.rejected == ()
