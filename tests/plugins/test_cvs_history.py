"""Which revisions of files become which revisions of the archive: grouping, order, branches, removals, names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cvs_samples import Rev, Visits, at, names, rcs, visiting, write

ONE = rcs(Rev(text=b"one\n"))


@pytest.fixture
def cvs(tmp_path: Path) -> Iterator[Visits]:
    """Visits into an archive of the test's own."""
    with visiting(tmp_path / "archive") as visits:
        yield visits


def committed(seconds: int, log: bytes = b"log\n", author: str = "ann", commitid: str = "") -> bytes:
    """A file of one revision whose text is its date."""
    return rcs(Rev(date=at(seconds), log=log, text=b"%d\n" % seconds, author=author, commitid=commitid))


def test_what_was_committed_within_300_seconds_of_each_other_is_one_revision(
    cvs: Visits, tmp_path: Path
) -> None:
    files = {f"f{seconds},v": committed(seconds) for seconds in (0, 300, 600, 901)}
    steps = cvs.load(write(tmp_path / "cvs", files))
    assert [step.said for step in steps] == [(b"ann", b"log\n", 600), (b"ann", b"log\n", 901)]
    assert names(steps) == [["f0", "f300", "f600"], ["f0", "f300", "f600", "f901"]]


def test_author_and_message_part_what_was_committed_at_one_time(cvs: Visits, tmp_path: Path) -> None:
    files = {
        "a,v": committed(0), "b,v": committed(10, author="bob"), "c,v": committed(20, b"other\n"), "d,v": committed(30),
    }  # fmt: skip
    steps = cvs.load(write(tmp_path / "cvs", files))
    assert [step.said for step in steps] == [
        (b"ann", b"log\n", 30), (b"bob", b"log\n", 10), (b"ann", b"other\n", 20),
    ]  # fmt: skip
    assert names(steps) == [["a", "d"], ["a", "b", "d"], ["a", "b", "c", "d"]]


def test_a_commit_id_joins_over_any_time_and_parts_at_any(cvs: Visits, tmp_path: Path) -> None:
    files = {
        "a,v": committed(0, commitid="X"), "b,v": committed(5000, commitid="X"), "c,v": committed(1, commitid="Y"),
        "d,v": committed(2),
    }  # fmt: skip
    steps = cvs.load(write(tmp_path / "cvs", files))
    assert names(steps) == [["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]]
    assert [step.said[2] for step in steps] == [5000, 1, 2]


def test_of_one_second_it_is_commit_id_then_message_that_decides(cvs: Visits, tmp_path: Path) -> None:
    files = {
        "a,v": committed(0, b"b\n"), "b,v": committed(0, b"aa\n"), "c,v": committed(0, b"a\n"),
        "d,v": committed(0, b"", commitid="B"), "e,v": committed(0, b"z\n", commitid="A"),
        "f,v": committed(0, b"a" * 100 + b"\n"), "g,v": committed(0, b"a" * 99 + b"\n"),
    }  # fmt: skip
    steps = cvs.load(write(tmp_path / "cvs", files))
    added = [sorted(set(new) - set(old)) for old, new in itertools.pairwise([[], *names(steps)])]
    assert added == [["c"], ["a"], ["b"], ["g"], ["f"], ["e"], ["d"]]


def test_the_order_of_files_on_disk_does_not_matter(tmp_path: Path) -> None:
    files = {f"d{i % 3}/f{i},v": committed(i * 250 % 1000, b"%d\n" % (i % 4)) for i in range(20)}
    snapshots = set()
    for number, order in enumerate([sorted(files), sorted(files, reverse=True), sorted(files, key=hash)]):
        with visiting(tmp_path / f"archive{number}") as visits:
            module = write(tmp_path / str(number) / "cvs", {name: files[name] for name in order})
            snapshots.add(visits.run(module).snapshot)
    assert len(snapshots) == 1


def test_messages_authors_and_names_are_kept_as_bytes(cvs: Visits, tmp_path: Path) -> None:
    message = b"  \xe9@ \xff\r\n\nx  "
    files = {os.fsdecode(b"\xff \xe9,v"): rcs(Rev(log=message, text=b"x")), "-x'\",v": committed(500, b"")}
    steps = cvs.load(write(tmp_path / "cvs", files))
    assert [step.said for step in steps] == [(b"ann", message, 0), (b"ann", b"", 500)]
    assert names(steps)[-1] == ["-x'\"", os.fsdecode(b"\xff \xe9")]


def test_a_dead_revision_removes_its_file_and_leaves_the_folder(cvs: Visits, tmp_path: Path) -> None:
    gone = rcs(
        Rev(number="1.3", date=at(2000), text=b"back\n", next="1.2"),
        Rev(number="1.2", date=at(1000), state="dead", next="1.1"),
        Rev(text=b"d1 1\na1 1\nfirst\n"),
    )
    left = rcs(Rev(number="1.2", date=at(1000), state="dead", text=b"x", next="1.1"), Rev())
    steps = cvs.load(write(tmp_path / "cvs", {"d/e/f,v": gone, "d/Attic/g,v": left}))
    assert names(steps) == [["d/", "d/e/", "d/e/f", "d/g"], ["d/", "d/e/"], ["d/", "d/e/", "d/e/f"]]
    assert [step.tree.get("d/e/f") for step in steps] == [b"first\n", None, b"back\n"]


def test_of_two_revisions_of_a_file_in_one_commit_the_later_counts(cvs: Visits, tmp_path: Path) -> None:
    file = rcs(
        Rev(number="1.3", date=at(200), text=b"3\n", next="1.2"),
        Rev(number="1.2", date=at(100), text=b"d1 1\na1 1\n2\n", next="1.1"),
        Rev(text=b"d1 1\na1 1\n1\n"),
    )
    same = file.replace(at(200).encode(), at(0).encode()).replace(at(100).encode(), at(0).encode())
    report = cvs.run(write(tmp_path / "cvs", {"f,v": file, "same,v": same, "g,v": committed(150)}))
    (step,) = cvs.history(report)
    assert step.tree == {"f": b"3\n", "same": b"3\n", "g": b"150\n"}
    assert report.new["content"] == 2, "what is part of no revision is not brought"


def test_a_vendors_revisions_count_until_one_of_our_own(cvs: Visits, tmp_path: Path) -> None:
    vendor = [
        Rev(number="1.1.1.1", log=b"import\n", next="1.1.1.2"),
        Rev(number="1.1.1.2", date=at(2000), log=b"again\n", text=b"d1 1\na1 1\nsecond\n", next="1.1.1.3"),
        Rev(number="1.1.1.3", date=at(9000), log=b"late\n", text=b"d1 1\na1 1\nthird\n"),
    ]
    first = Rev(log=b"Initial revision\n", text=b"d1 1\na1 1\nfirst\n", branches=("1.1.1.1", "1.1.2.1"))
    own = Rev(number="1.2", date=at(5000), log=b"own\n", text=b"own\n", next="1.1")
    other = Rev(number="1.1.2.1", date=at(100), log=b"on a branch\n", text=b"d1 1\na1 1\nbranch\n")
    steps = cvs.load(write(tmp_path / "cvs", {"f,v": rcs(own, first, *vendor, other)}))
    assert [(step.said[1], step.tree["f"]) for step in steps] == [
        (b"import\n", b"first\n"), (b"again\n", b"second\n"), (b"own\n", b"own\n"),
    ]  # fmt: skip


def test_a_file_that_was_added_on_a_branch_is_not_on_the_trunk(cvs: Visits, tmp_path: Path) -> None:
    dead = Rev(state="dead", log=b"file f was initially added on branch b.\n", branches=("1.1.2.1",))
    branch = Rev(number="1.1.2.1", log=b"add\n", text=b"a0 1\nx\n")
    module = write(tmp_path / "cvs", {"Attic/f,v": rcs(dead, branch)})
    report = cvs.run(module)
    assert (report.status, report.load_status, report.branches) == ("full", "uneventful", 0)
    write(tmp_path / "cvs", {"a,v": ONE})
    assert names(cvs.load(module)) == [["a"]]


def test_the_copy_in_the_attic_is_of_the_same_file(cvs: Visits, tmp_path: Path) -> None:
    old = rcs(Rev(number="1.2", date=at(1000), state="dead", log=b"move\n", next="1.1"), Rev(log=b"old\n"))
    files = {"Attic/f,v": old, "f,v": rcs(Rev(date=at(1000), log=b"move\n", text=b"new\n"))}
    steps = cvs.load(write(tmp_path / "cvs", files))
    assert [step.tree for step in steps] == [{"f": b""}, {"f": b"new\n"}]


def test_a_file_where_a_folder_was(cvs: Visits, tmp_path: Path) -> None:
    gone = rcs(Rev(number="1.2", date=at(1000), state="dead", log=b"gone\n", next="1.1"), Rev())
    steps = cvs.load(write(tmp_path / "cvs", {"x/Attic/y,v": gone, "x,v": committed(2000)}))
    assert names(steps) == [["x/", "x/y"], ["x/"], ["x"]]


@pytest.mark.parametrize("seconds", [0, 2000])
def test_a_file_that_is_a_folder_is_refused(seconds: int, cvs: Visits, tmp_path: Path) -> None:
    report = cvs.run(write(tmp_path / "cvs", {"x/y,v": committed(1000), "x,v": committed(seconds)}))
    assert report.status == "failed"
    assert "is a file, and a folder with files, at the same time" in (report.error or "")
    assert cvs.archive.catalog.counters()["revision"] == 0


def test_a_second_visit_of_the_same_is_uneventful_and_one_of_more_brings_that(
    cvs: Visits, tmp_path: Path
) -> None:
    module = write(tmp_path / "cvs", {"a,v": ONE})
    first = cvs.run(module)
    again = cvs.run(module)
    assert (again.status, again.load_status, again.snapshot) == ("full", "uneventful", first.snapshot)
    assert not any(again.new.values())
    write(tmp_path / "cvs", {"b,v": committed(1000)})
    more = cvs.run(module)
    assert (more.load_status, more.new["revision"], more.new["content"]) == ("eventful", 1, 1)


@pytest.mark.parametrize("what", ["nothing", "file", "empty"])
def test_what_is_no_module_is_not_found(what: str, cvs: Visits, tmp_path: Path) -> None:
    place = tmp_path / "module"
    if what == "file":
        place.touch()
    elif what == "empty":
        (place / "sub").mkdir(parents=True)
        (place / "sub" / "x").touch()
    report = cvs.run(place)
    assert (report.status, report.load_status, report.snapshot) == ("not_found", "uneventful", None)


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("99.02.03.04.05.06", 918014706),
        ("100.01.01.00.00.00", 946684800),
        ("2100.01.01.00.00.00", 4102444800),
    ],
)
def test_dates_of_all_ages(date: str, seconds: int, cvs: Visits, tmp_path: Path) -> None:
    (step,) = cvs.load(write(tmp_path / "cvs", {"a,v": rcs(Rev(date=date, text=b"$Date$"))}))
    assert step.revision.date
    assert step.revision.date.seconds == seconds


def test_files_may_have_carriage_returns_unknown_phrases_and_trunks_of_higher_numbers(
    cvs: Visits, tmp_path: Path
) -> None:
    odd = ONE.replace(b"access;", b"access bob;\nhardlinks @a;@@b@;\nfoo 1.2:3 @x@ ;")
    higher = rcs(Rev(number="2.1", date=at(1000), text=b"2\n", next="1.1"), Rev(text=b"d1 1\na1 1\n1\n"))
    files = {"cr,v": ONE.replace(b"\n", b"\r\n"), "odd,v": odd, "higher,v": higher}
    steps = cvs.load(write(tmp_path / "cvs", files))
    assert steps[-1].tree == {"cr": b"one\r\n", "odd": b"one\n", "higher": b"2\n"}
