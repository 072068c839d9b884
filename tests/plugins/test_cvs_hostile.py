"""Damaged and hostile modules: one clear sentence, nothing kept, nothing followed, memory and time within bounds."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cvs_samples import Rev, Visits, at, names, rcs, visiting, write

from swhkit.plugin import Limits
from swhkit_cvs.rcs import MOST_REVISIONS

TWO = rcs(
    Rev(number="1.2", date=at(1000), log=b"two\n", text=b"2\n", next="1.1"), Rev(log=b"one\n", text=b"d1 1\na1 1\n1\n")
)  # fmt: skip


@pytest.fixture
def cvs(tmp_path: Path) -> Iterator[Visits]:
    """Visits into an archive of the test's own."""
    with visiting(tmp_path / "archive") as visits:
        yield visits


def refused(cvs: Visits, module: Path, limits: Limits = Limits()) -> str:  # noqa: B008 (frozen)
    """The reason of a visit that has to fail, which is one line that names the origin, and no surprise to anybody."""
    report = cvs.run(module, limits=limits)
    assert (report.status, report.load_status) == ("failed", "failed"), report
    reason = report.error or ""
    assert reason.startswith(f"file://{module}")
    assert "internal error" not in reason
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"head", b"hat", "this is no RCS file"),
        (b"next\t1.1", b"next\t1.7", "revision 1.7 is missing"),
        (b"next\t1.1", b"next\t1.2", "comes after itself"),
        (b"next\t1.1", b"next\t", "cannot be reached"),
        (b"head\t1.2", b"head\t1.1", "cannot be reached"),
        (b"head\t1.2", b"head\t", "cannot be reached"),
        (b"d1 1", b"d9 1", "more lines than there are"),
        (b"a1 1", b"a999999999999999 1", "more lines than there are"),
        (b"a1 1", b"a1 999999999999999", "more lines than there are"),
        (b"a1 1", b"a0 1", "goes back to line 0"),
        (b"d1 1", b"d1 1\nd1 1", "goes back to line 1"),
        (b"a1 1", b"x1 1", "where a command should be"),
        (b"a1 1\n", b"a1 " + b"x" * 400, "where a command should be"),
        (b"2001.01.01.10.00.00", b"2001.13.01.10.00.00", "is no date"),
        (b"2001.01.01.10.00.00", b"x", "is no date"),
        (b"2001.01.01.10.00.00", b"2001.01.01.10.00.00.00", "is no date"),
        (b"log\n@one\n@", b"", "has no log message"),
        (b"\ndesc\n@@", b"", "a semicolon is missing"),
        (b"1\n@\n", b"1\n", "has no end"),
        (b"head\t1.2", b"head\t" + b"x" * (1 << 20), "revision x{80} is missing"),
    ],
)
def test_damage_is_told_with_its_place(
    old: bytes, new: bytes, words: str, cvs: Visits, tmp_path: Path
) -> None:
    assert old in TWO
    reason = refused(cvs, write(tmp_path / "cvs", {"d/f,v": TWO.replace(old, new, 1), "good,v": rcs(Rev())}))
    assert "'d/f,v'" in reason
    assert re.search(words, reason), reason
    assert cvs.archive.catalog.counters()["revision"] == 0


def test_files_that_were_cut_anywhere(cvs: Visits, tmp_path: Path) -> None:
    for length in range(0, len(TWO) - 3, 13):
        refused(cvs, write(tmp_path / "cvs", {"f,v": TWO[:length]}))


def test_files_with_a_byte_or_a_piece_of_another_value(cvs: Visits, tmp_path: Path) -> None:
    """Whatever comes of it, it is no surprise."""
    random.seed(7)
    for _ in range(60):
        data = bytearray(TWO)
        for _ in range(random.choice((1, 1, 3))):
            place = random.randrange(len(data))
            data[place : place + random.choice((0, 1, 1, 20))] = random.choice(
                (b"@", b";", b"\0", b"@@@", b"1.1", b"next", b"9" * 30, b"$Log$", b" ", b"")
            )
        report = cvs.run(write(tmp_path / "cvs", {"f,v": bytes(data)}))
        assert "internal error" not in (report.error or ""), (report, bytes(data))


def test_links_and_pipes_are_not_followed_and_told(cvs: Visits, tmp_path: Path) -> None:
    outside = write(tmp_path / "other", {"secret,v": TWO})
    module = write(tmp_path / "cvs", {"a,v": TWO})
    (module / "file,v").symlink_to(outside / "secret,v")
    (module / "folder").symlink_to(outside)
    (module / "loop").symlink_to(module)
    (module / "dangling,v").symlink_to("nowhere")
    os.mkfifo(module / "pipe,v")
    (module / "CVSROOT").symlink_to(outside)
    (module / "..,v").write_bytes(TWO)
    report = cvs.run(module)
    assert report.status == "partial"
    assert "7 entries of the module were left out: " in (report.error or "")
    assert names(cvs.history(report))[-1] == ["a"]


def test_a_file_that_is_locked_is_read_like_others(cvs: Visits, tmp_path: Path) -> None:
    module = write(tmp_path / "cvs", {"a,v": rcs(Rev(text=b"a"), locks=" bob:1.1")})
    (module / "#cvs.rfl.host.1").touch()
    (module / ",a,").write_bytes(b"half")
    assert names(cvs.load(module)) == [["a"]]


def test_folders_far_down(cvs: Visits, tmp_path: Path) -> None:
    name = "/".join(["d"] * 700)
    assert f"{name}/a" in cvs.load(write(tmp_path / "cvs", {f"{name}/a,v": TWO}))[-1].tree


def test_many_revisions_are_refused_before_they_are_much(cvs: Visits, tmp_path: Path) -> None:
    one = b"\n1.%d\ndate\t2001.01.01.10.00.00;\tauthor a;\tstate Exp;\nbranches;\nnext\t;\n"
    many = b"".join(one % number for number in range(1, MOST_REVISIONS + 2))
    head = b"head\t1.1;\naccess;\nsymbols;\nlocks; strict;\n"
    assert "more than 200000 revisions" in refused(cvs, write(tmp_path / "cvs", {"f,v": head + many}))
    fact = one.replace(b"author a", b"author " + b"a" * 4096)
    large = b"".join(fact % number for number in range(1, 17_000))
    assert "bytes of facts" in refused(cvs, write(tmp_path / "cvs", {"f,v": head + large}))
    branches = TWO.replace(b"branches;", b"branches" + b" 1.2.1.1" * (MOST_REVISIONS + 1) + b";", 1)
    assert "a list of more than" in refused(cvs, write(tmp_path / "cvs", {"f,v": branches}))


def test_keywords_do_not_make_much_of_little(cvs: Visits, tmp_path: Path) -> None:
    bomb = rcs(Rev(text=b"$Log$\n" * 100_000, log=b"x" * 100_000))
    assert "keywords make it more than" in refused(cvs, write(tmp_path / "cvs", {"f,v": bomb}))
    leader = rcs(Rev(text=b"y" * 4000 + b"$Log$\n", log=b"\n" * (1 << 20)))
    assert "keywords make it more than" in refused(cvs, write(tmp_path / "cvs", {"f,v": leader}))
    long = rcs(Rev(text=b"y" * 300_000 + b"$Log$" * 20_000, log=b"x\n"))
    assert cvs.run(write(tmp_path / "cvs", {"f,v": long})).status == "full"


def test_a_message_has_an_end(cvs: Visits, tmp_path: Path) -> None:
    assert "are read at most" in refused(
        cvs, write(tmp_path / "cvs", {"f,v": rcs(Rev(log=b"x" * (17 << 20)))})
    )


def test_a_large_file_of_nothing_is_not_copied(cvs: Visits, tmp_path: Path) -> None:
    module = write(tmp_path / "cvs", {"f,v": TWO})
    os.truncate(module / "f,v", 1 << 42)
    assert "bytes of nothing" in refused(cvs, module)


#: Loads one module and tells the most anonymous memory that its own process had (MiB).
PROBE = """
import sys, threading, time
from pathlib import Path
from cvs_samples import visiting

def anonymous():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024

def watch():
    while True:
        most[0] = max(most[0], anonymous())
        time.sleep(0.005)

most = [0]
threading.Thread(target=watch, daemon=True).start()
with visiting(Path(sys.argv[2])) as visits:
    report = visits.run(Path(sys.argv[1]))
print(report.status, report.new["content"], most[0])
"""


def test_memory_is_bounded_whatever_the_size_of_a_file(tmp_path: Path) -> None:
    """A file of 48 MiB, one short line after the other and half of it @, with two large revisions."""
    text = b"@\n" * (16 << 20) + b"$Id$\n"
    older = Rev(number="1.1", log=b"one\n", text=b"d7 1\nd900001 3\na900003 1\nx\n")
    data = rcs(Rev(number="1.2", date=at(1000), log=b"two\n", text=text, next="1.1"), older)
    module = write(tmp_path / "cvs", {"f,v": data})
    del data, text
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module, tmp_path / "archive"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, contents, most = done.stdout.split()
    assert (status, contents) == ("full", "2")
    assert int(most) <= 256


def test_time_is_linear_in_what_a_delta_does(cvs: Visits, tmp_path: Path) -> None:
    """200,000 commands in one delta, and 3,000 deltas, each at the end of a text of 3,000 lines."""
    lines = [b"%d\n" % number for number in range(200_000)]
    commands = b"".join(b"d%d 1\na%d 1\nx\n" % (number, number) for number in range(1, 200_001, 2))
    many = rcs(Rev(number="1.2", date=at(1000), text=b"".join(lines), next="1.1"), Rev(text=commands))
    deltas = [Rev(number="1.3000", date=at(3000), text=b"".join(lines[:3000]), next="1.2999")]
    deltas += [
        Rev(number=f"1.{n}", date=at(n), text=b"d3000 1\na3000 1\n%d\n" % n, next=f"1.{n - 1}" if n > 1 else "")
        for n in range(2999, 0, -1)
    ]  # fmt: skip
    began = time.process_time()
    assert cvs.run(write(tmp_path / "cvs", {"many,v": many, "deltas,v": rcs(*deltas)})).status == "full"
    assert time.process_time() - began < 20
