"""Modules of servers: ``cvs pserver`` and rsync give the same as the folder itself; what servers say is not believed."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cvs_samples import (
    Rev,
    Visits,
    at,
    names,
    pserver,
    rcs,
    rsync_daemon,
    served_root,
    spoken,
    visiting,
    write,
)  # fmt: skip

from swhkit.net import Network
from swhkit.plugin import Limits
from swhkit_cvs import CvsConfig

BETWEEN, END = "-" * 28, "=" * 77
#: Files whose keywords do not tell where the repository is, so that their ids are the same from anywhere.
FILES = {
    "a,v": rcs(
        Rev(number="1.3", date=at(9000), log=b"third\n\nof it\n", text=b"$Id$\n3\nno newline", next="1.2"),
        Rev(number="1.2", date=at(4000), log=b"second\n", text=b"d2 2\na3 1\n2\n", next="1.1"),
        Rev(log=b"first\n", text=b"d2 1\na2 1\n1\n", commitid="abc"),
    ),
    "sub dir/-b,v": rcs(Rev(log=b"first\n", date=at(5), text=bytes(range(256)) * 300), expand="b"),
    "sub dir/Attic/c,v": rcs(
        Rev(number="1.2", date=at(4000), state="dead", log=b"second\n", text=b"c\n", next="1.1"),
        Rev(log=b"first\n"),
    ),
    "vendor,v": rcs(
        Rev(log=b"Initial revision\n", text=b"v\n", branches=("1.1.1.1",)),
        Rev(number="1.1.1.1", log=b"import\n", next="1.1.1.2"),
        Rev(number="1.1.1.2", date=at(7000), log=b"import\n", text=b"d1 1\n"),
        branch="1.1.1",
    ),
    "empty,v": rcs(Rev(log=b"first\n")),
}  # fmt: skip


@pytest.fixture
def cvs(tmp_path: Path) -> Iterator[Visits]:
    """Visits into an archive of the test's own."""
    with visiting(tmp_path / "archive") as visits:
        yield visits


def test_pserver_gives_what_the_folder_gives(cvs: Visits) -> None:
    with served_root() as root:
        module = write(root, FILES)
        with pserver(root) as server:
            remote, local = cvs.run(f"{server}{module}"), cvs.run(module)
    assert (remote.status, remote.load_status, remote.error) == ("full", "eventful", None)
    assert remote.snapshot == local.snapshot
    assert remote.origin.startswith("pserver://127.0.0.1"), "the user is no part of the origin"
    assert (
        remote.new["content"] == len({text for step in cvs.history(local) for text in step.tree.values()}) - 0
    )


def test_many_revisions_over_one_connection(cvs: Visits) -> None:
    revisions = [
        Rev(number=f"1.{n}", date=at(n * 1000), log=b"%d\n" % n, next=f"1.{n - 1}" if n > 1 else "",
            text=b"line\n%d $Revision$\n" % n if n == 60 else b"d2 1\na2 1\n%d $Revision$\n" % n)
        for n in range(60, 0, -1)
    ]  # fmt: skip
    with served_root() as root:
        module = write(root, {"f,v": rcs(*revisions), "g,v": rcs(*revisions)})
        with pserver(root) as server:
            steps = cvs.load(f"{server}{module}")
    assert len(steps) == 60
    assert steps[41].tree == dict.fromkeys(("f", "g"), b"line\n42 $Revision: 1.42 $\n")


def test_a_module_may_be_deeper_in_the_repository(cvs: Visits) -> None:
    with served_root() as root:
        module = write(root, FILES)
        with pserver(root) as server:
            steps = cvs.load(f"{server}{module}/sub%20dir")
    assert names(steps)[0] == ["-b", "c"]


def test_pserver_with_a_password(cvs: Visits) -> None:
    password = "a B9~!%"
    with served_root() as root:
        module = write(root, {"a,v": FILES["a,v"]})
        with pserver(root, password) as server:
            place = f"{server.removeprefix('pserver://anonymous@')}{module}"
            wrong = cvs.run(f"pserver://anonymous:wrong@{place}")
            right = cvs.run(f"pserver://anonymous:a%20B9~!%25@{place}")
    assert (wrong.status, right.status) == ("not_found", "full")
    assert "wrong" not in (wrong.error or "")
    assert "B9" not in right.origin


def test_log_messages_that_look_like_the_log_of_a_file(cvs: Visits) -> None:
    evil = f"x\n{BETWEEN}\nrevision 1.1\ndate: 2000/01/01 10:00:00;  author: x;  state: Exp;\nfoo\n".encode()
    end = f"y\n{END}\n\nz\n{BETWEEN}\nw\n".encode()
    files = {
        "a,v": rcs(Rev(log=evil)),
        "b,v": rcs(Rev(number="1.2", date=at(1000), log=end, next="1.1"), Rev(log=evil)),
    }  # fmt: skip
    with served_root() as root:
        module = write(root, files)
        with pserver(root) as server:
            remote, local = cvs.run(f"{server}{module}"), cvs.run(module)
    assert remote.status == "full"
    assert remote.snapshot == local.snapshot


@pytest.mark.parametrize("path", ["/nowhere/mod", "ROOT/none"])
def test_what_a_pserver_does_not_have_is_not_found(path: str, cvs: Visits) -> None:
    with served_root() as root:
        write(root, FILES)
        with pserver(root) as server:
            report = cvs.run(f"{server}{path.replace('ROOT', str(root))}")
    assert (report.status, report.load_status) == ("not_found", "uneventful")


def test_a_folder_without_files_is_an_empty_module_to_a_pserver(cvs: Visits) -> None:
    with served_root() as root:
        module = write(root, {})
        with pserver(root) as server:
            report = cvs.run(f"{server}{module}")
    assert (report.status, report.load_status, report.branches) == ("full", "uneventful", 0)


def test_a_name_that_a_log_cannot_tell_is_refused(cvs: Visits) -> None:
    with served_root() as root:
        module = write(root, {"new\nline,v": FILES["a,v"]})
        with pserver(root) as server:
            report = cvs.run(f"{server}{module}")
    assert report.status == "failed"
    assert "which is no RCS file of the module" in (report.error or "")


def test_a_damaged_file_of_a_pserver_fails_the_visit_in_its_words(cvs: Visits) -> None:
    with served_root() as root:
        module = write(root, FILES | {"bad,v": b"garbage"})
        with pserver(root) as server:
            report = cvs.run(f"{server}{module}")
    assert report.status == "failed"
    assert "the server says: " in (report.error or "")
    assert "bad,v" in (report.error or "")


HEAD = "M RCS file: {path}\nM head: 1.1\nM total revisions: 1;\tselected revisions: {count}\nM description:\n"
BODY = f"M {BETWEEN}\nM revision 1.1\nM date: 2001/01/01 10:00:00;  author: a;  state: Exp;\nM log\nM {END}\nok\n"
LONG_NUMBER = BODY.replace("1.1", "1." + "1" * 5000)
MANY_IDS = BODY.replace("Exp;", "Exp;" + "commitid: " * 10**6)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((), "ends in its middle"),
        ((b"nonsense\n",), "no response it may give"),
        ((b"M hello\nok\n",), "where a file should begin"),
        ((b"M RCS file: /r/mod/a,v\nok\n",), "ends in its middle"),
        ((b"error  go away\n",), "the server says: go away"),
        ((b"E why not\nerror  \n",), "why not"),
        ((b"M " + b"x" * (17 << 20) + b"\n",), "a line without end"),
        ((HEAD.format(path="/r/mod/../../etc/passwd,v", count=1).encode() + BODY.encode(),), "no RCS file of the module"),
        ((HEAD.format(path="/r/mod/a\0b,v", count=1).encode() + BODY.encode(),), "no RCS file of the module"),
        ((HEAD.format(path="/r/mod/a,v", count=1).encode() + BODY.replace("2001", "99999").encode(),), "ends in its middle"),
        ((HEAD.format(path="/r/mod/a,v", count=1).encode() + BODY.replace("2001", "0000").encode(),), "ends in its middle"),
        ((HEAD.format(path="/r/mod/a,v", count=1).encode() + LONG_NUMBER.encode(),), "ends in its middle"),
        ((HEAD.format(path="/r/mod/a,v", count=1).encode() + MANY_IDS.encode(),), "ends in its middle"),
        ((HEAD.format(path="/elsewhere/mod/a,v", count=1).encode() + BODY.encode(),), "no RCS file of the module"),
        ((HEAD.format(path="/r/mod/a,v", count=10**8).encode() + BODY.encode(),), "are read at most"),
        ((HEAD.format(path="/r/mod/a,v", count=2).encode() + BODY.encode(),), "ends in its middle"),
    ],
)  # fmt: skip
def test_a_log_that_is_none(answers: tuple[bytes, ...], words: str, cvs: Visits) -> None:
    with spoken(*answers) as server:
        report = cvs.run(f"{server}/r/mod")
    assert report.status == "failed"
    assert words in (report.error or ""), report.error


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"ok\n", "has sent 0"),
        (b"Updated mod/\n/r/mod/b\n/b/1.1///\nu=rw\n1\nxok\n", "was asked for"),
        (b"Updated mod/\n/r/mod/a\n/a/1.2///\nu=rw\n1\nxok\n", "was asked for"),
        (b"Updated mod/\n/r/mod/a\n/a/1.1///\nu=rw\n" + b"9" * 17 + b"\nx", "in the middle of a file"),
        (b"Updated mod/\n/r/mod/a\n/a/1.1///\nu=rw\nz9\nx", "as the size of a file"),
        (b"Updated mod/\n/r/mod/a\n/a/1.1///\nu=rw\n-1\nx", "as the size of a file"),
        (b"Updated mod/\n/r/mod/a\n/a/1.1///\nu=rw\n1\nx" * 2 + b"ok\n", "has sent 2"),
        (b"Updated mod/\n/r/mod/a\n/a/1.1///\nu=rw\n1\nx" * 10_000 + b"ok\n", "has sent 2"),
        (b"Updated mod/\n/r/mod/a\n/a/1.1///\nu=rw\n3000000\n" + b"x" * 3000000 + b"ok\n", "max_transfer"),
    ],
)
def test_a_file_that_is_not_what_was_asked_for(answer: bytes, words: str, cvs: Visits) -> None:
    log = HEAD.format(path="/r/mod/a,v", count=1).encode() + BODY.encode()
    with spoken(log, answer) as server:
        report = cvs.run(f"{server}/r/mod", CvsConfig(max_transfer=2 << 20))
    assert report.status == "failed"
    assert words in (report.error or ""), report.error
    assert cvs.archive.catalog.counters()["content"] == 0


def test_a_server_that_says_nothing_is_not_waited_for(cvs: Visits) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"pserver://127.0.0.1:{listener.getsockname()[1]}/r/mod"
        quiet = cvs.run(url, CvsConfig(answer_time=0.3))
    gone = cvs.run(url)
    assert (quiet.status, gone.status) == ("failed", "failed")
    assert "the connection is lost" in (quiet.error or "")
    assert "no connection" in (gone.error or "")


def test_rsync_gives_what_the_folder_gives(cvs: Visits, tmp_path: Path) -> None:
    module = write(tmp_path / "cvs", FILES | {"new\nline\udcff,v": FILES["a,v"]})
    with rsync_daemon(tmp_path / "rsync", cvsroot=tmp_path / "cvs", alone=module) as server:
        reports = [cvs.run(f"{server}/{path}") for path in ("cvsroot/mod", "cvsroot/mod/", "alone")]
    local = cvs.run(module)
    assert [(report.status, report.snapshot) for report in reports] == [("full", local.snapshot)] * 3


def test_rsync_knows_the_repository_by_the_path_of_the_url(cvs: Visits, tmp_path: Path) -> None:
    write(tmp_path / "cvs", {"a,v": rcs(Rev(text=b"$Source$ $Own$"))}, b"LocalKeyword=Own=Id\n")
    with rsync_daemon(tmp_path / "rsync", cvsroot=tmp_path / "cvs") as server:
        (step,) = cvs.load(f"{server}/cvsroot/mod")
    assert step.tree["a"] == b"$Source: /cvsroot/mod/a,v $ $Own: a,v 1.1 2001/01/01 10:00:00 ann Exp $"


def test_rsync_brings_regular_files_alone(cvs: Visits, tmp_path: Path) -> None:
    module = write(tmp_path / "cvs", {"a,v": FILES["a,v"]})
    (module / "l,v").symlink_to("/etc/passwd")
    (module / "secret").write_text("x")
    with rsync_daemon(tmp_path / "rsync", cvsroot=tmp_path / "cvs") as server:
        report = cvs.run(f"{server}/cvsroot/mod")
    assert (report.status, names(cvs.history(report))[-1]) == ("partial", ["a"])
    assert "l,v is no regular file" in (report.error or "")


@pytest.mark.parametrize(
    ("path", "words"), [("none/mod", "Unknown module"), ("cvsroot/none", "No such file"), ("cvsroot/CVSROOT", ",v")]
)  # fmt: skip
def test_what_rsync_does_not_find_is_not_found(path: str, words: str, cvs: Visits, tmp_path: Path) -> None:
    write(tmp_path / "cvs", FILES)
    with rsync_daemon(tmp_path / "rsync", cvsroot=tmp_path / "cvs") as server:
        report = cvs.run(f"{server}/{path}")
    assert report.status == "not_found"
    assert words in (report.error or "")


def test_rsync_ends_at_the_limit(cvs: Visits, tmp_path: Path) -> None:
    write(tmp_path / "cvs", {"a,v": rcs(Rev(text=b"x" * (3 << 20)))})
    with rsync_daemon(tmp_path / "rsync", cvsroot=tmp_path / "cvs") as server:
        report = cvs.run(f"{server}/cvsroot/mod", CvsConfig(max_transfer=1 << 20))
    assert report.status == "failed"
    assert "1048576" in (report.error or "")


@pytest.mark.parametrize("path", ["cvsroot/*", "cvsroot/../x", "", "cvsroot/a?b"])
def test_paths_that_rsync_would_read_in_another_way_are_refused(path: str, cvs: Visits) -> None:
    report = cvs.run(f"rsync://127.0.0.1:1/{path}")
    assert report.status == "failed"
    assert "write rsync://" in (report.error or "")


@pytest.mark.parametrize("scheme", ["pserver", "rsync"])
def test_private_addresses_are_not_connected_for_others(scheme: str, cvs: Visits) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.settimeout(0.2)
        port = bait.getsockname()[1]
        with pytest.raises(Exception, match="private address"):
            cvs.run(f"{scheme}://127.0.0.1:{port}/cvsroot/mod", network=Network())
        with pytest.raises(TimeoutError):
            bait.accept()


def test_large_contents_come_in_pieces_and_are_skipped_by_size(cvs: Visits) -> None:
    big = b"0123456789abcde\n" * (600 << 10)
    with served_root() as root:
        module = write(root, {"big,v": rcs(Rev(text=big)), "a,v": rcs(Rev(text=b"a"))})
        with pserver(root) as server:
            report = cvs.run(f"{server}{module}", limits=Limits(max_content_size=len(big) - 1))
    assert (report.status, report.new["skipped_content"], report.new["content"]) == ("full", 1, 1)


def test_a_log_that_the_server_complains_of_may_lack_something(cvs: Visits) -> None:
    log = HEAD.format(path="/r/mod/a,v", count=1).encode() + BODY.encode()
    words = b"E cvs rlog: Logging mod\nE cvs rlog: cannot open /r/mod/b,v: Permission denied\n"
    with spoken(words + log, b"Updated mod/\n/r/mod/a\n/a/1.1///\nu=rw\n1\nxok\n") as server:
        report = cvs.run(f"{server}/r/mod")
    assert (report.status, report.new["revision"]) == ("partial", 1), report
    assert "1 entries" in (report.error or "")
    assert "Permission denied" in (report.error or "")
    assert "Logging" not in (report.error or "")


def test_a_server_that_stops_in_its_answer_is_left_at_the_deadline(cvs: Visits) -> None:
    log = HEAD.format(path="/r/mod/a,v", count=1).encode()
    began = time.monotonic()
    with spoken(log, *[b"M x\n"] * 100) as server:
        report = cvs.run(f"{server}/r/mod", limits=Limits(visit_time=1.0))
    assert report.status == "failed"
    assert time.monotonic() - began < 8
