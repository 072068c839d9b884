"""Keywords and deltas: what is loaded of a revision is what ``cvs checkout -p -r`` of the real program prints of it."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from cvs_samples import Rev, Visits, at, checked_out, rcs, visiting, write

KEYWORDS = (
    "Author", "Date", "Header", "Id", "Locker", "Mdocdate", "Name", "RCSfile", "Revision", "Source", "State",
)  # fmt: skip
#: Every keyword bare, with an old value, twice in a line, beside others, and what only looks like one.
ALL = b"".join(
    f"${k}$\n${k}: old $ x\nlead ${k}:x$ tail ${k}$ two\n${k}$$Id$ ${k}$Date$\n${k}: $Id$\n".encode()
    for k in KEYWORDS
)
ODD = (
    b"$Id$$Date$ $Id: unterminated\n$$Id$ $Id $ $id$ $Idx$ $Id:$ $Id::$ $I$d$ $Rev$ $Author: $Id$ $Date\n$Id: x\r\n"
    b"$\r\n$Foo$Date$ $Name:  $Id$ $Name:  $Name$ @@ \0 \xff$Id$ $Date$ $Revision: $State$\nend $Id$"
)
LOG = (
    b"/*\n * $Log$\n * rest\n */\n# $Log: foo $ trailing\n\t$Log$\n// $Log$ $Id$ x\n$Id$ // $Log$ y\n"
    b"$Log$Date$ $Id$\n$Log$"
)


@pytest.fixture
def cvs(tmp_path: Path) -> Iterator[Visits]:
    """Visits into an archive of the test's own."""
    with visiting(tmp_path / "archive") as visits:
        yield visits


def check(cvs: Visits, root: Path, files: dict[str, bytes], config: bytes = b"") -> dict[str, bytes]:
    """All files of one revision are as the program has them; returns them."""
    tree = cvs.load(write(root, files, config))[-1].tree
    assert {name.removesuffix(",v").replace("Attic/", "") for name in files} == {
        name for name in tree if not name.endswith("/")
    }
    for name in tree:
        if not name.endswith("/"):
            assert tree[name] == checked_out(root, name), name
    return tree


@pytest.mark.parametrize("mode", [None, "kv", "kvl", "k", "v", "o", "b"])
def test_every_mode(mode: str | None, cvs: Visits, tmp_path: Path) -> None:
    files = {"all,v": rcs(Rev(text=ALL), expand=mode), "odd,v": rcs(Rev(text=ODD), expand=mode)}
    tree = check(cvs, tmp_path / "cvs", files)
    assert (tree["all"] == ALL) == (mode in ("o", "b"))


@pytest.mark.parametrize(
    "log", [b"x\n", b"one\ntwo\n", b"  indented\n\ttoo  \n", b"", b"no newline", b"$Id$ @\n"]
)
def test_the_log_is_inserted_behind_its_keyword(log: bytes, cvs: Visits, tmp_path: Path) -> None:
    files = {"log,v": rcs(Rev(text=LOG, log=log)), "v,v": rcs(Rev(text=LOG, log=log), expand="v")}
    tree = check(cvs, tmp_path / "cvs", files)
    assert b" * Revision 1.1  2001/01/01 10:00:00  ann\n" in tree["log"]


def test_paths_are_those_of_rcs_files(cvs: Visits, tmp_path: Path) -> None:
    file = rcs(Rev(text=b"$Header$ $Source$ $RCSfile$ $Id$\n", state="Rel"))
    tree = check(cvs, tmp_path / "cvs", {"a,v": file, "Attic/b,v": file, "d/e/Attic/f,v": file})
    assert f"$Header: {tmp_path}/cvs/mod/d/e/Attic/f,v 1.1 2001".encode() in tree["d/e/f"]


@pytest.mark.parametrize(
    ("config", "expanded"),
    [
        (b"LocalKeyword=MyOwn=Id\n", {b"MyOwn"}),
        (b"# LocalKeyword=MyOwn=Id\n", set()),
        (b"LocalKeyword=Other=Id\nLocalKeyword=MyOwn=Id\n", {b"MyOwn"}),
        (b"KeywordExpand=eDate,Author\n", set()),
        (b"LocalKeyword=MyOwn=Id\nKeywordExpand=eMyOwn\n", set()),
        (b"KeywordExpand=e" + b",".join(k.encode() for k in KEYWORDS) + b",Log\n", set()),
    ],
)
def test_the_repository_says_whplaceis_a_keyword(
    config: bytes, expanded: set[bytes], cvs: Visits, tmp_path: Path
) -> None:
    text = b"$MyOwn$ $Other$ $Date$ $Id$ $Author: x $\n"
    tree = check(cvs, tmp_path / "cvs", {"a,v": rcs(Rev(text=text))}, config)
    assert {name for name in (b"MyOwn", b"Other") if b"$%b: a,v 1.1 " % name in tree["a"]} == expanded


@pytest.mark.parametrize("config", [b"tag=MyOwn\n", b" LocalKeyword = MyOwn = CVSHeader \n"])
def test_local_keywords_as_other_versions_of_cvs_write_them(
    config: bytes, cvs: Visits, tmp_path: Path
) -> None:
    (step,) = cvs.load(write(tmp_path / "cvs", {"a,v": rcs(Rev(text=b"$MyOwn$ $CVSHeader$\n"))}, config))
    assert step.tree["a"] == b"$MyOwn: a,v 1.1 2001/01/01 10:00:00 ann Exp $ $CVSHeader$\n"


def test_where_versions_of_cvs_differ(cvs: Visits, tmp_path: Path) -> None:
    """Locks are left out, names written as they are, leaders of any length repeated, also before empty lines."""
    files = {
        "a b,v": rcs(Rev(text=b"$Id$ $Locker$", log=b"l\n"), expand="kvl", locks=" bob:1.1"),
        "log,v": rcs(Rev(text=b"# a leader of more than twenty bytes $Log$\n", log=b"one\n\ntwo\n")),
        "k,v": rcs(Rev(text=b"# $Log: x $ y\n"), expand="k"),
    }
    tree = cvs.load(write(tmp_path / "cvs", files))[-1].tree
    leader = b"# a leader of more than twenty bytes"
    assert tree == {
        "a b": b"$Id: a b,v 1.1 2001/01/01 10:00:00 ann Exp $ $Locker:  $",
        "log": b"%b $Log: log,v $\n%b Revision 1.1  2001/01/01 10:00:00  ann\n%b one\n%b \n%b two\n%b\n" % ((leader,) * 6),
        "k": b"# $Log$ y\n",
    }  # fmt: skip


def delta(new: list[bytes], old: list[bytes]) -> bytes:
    """The commands that make ``old`` of ``new``."""
    out: list[bytes] = []
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, new, old, autojunk=False).get_opcodes():
        if kind != "equal":
            out += [b"d%d %d\n" % (i1 + 1, i2 - i1)] if i2 > i1 else []
            out += [b"a%d %d\n" % (i2, j2 - j1), *old[j1:j2]] if j2 > j1 else []
    return b"".join(out)


#: Revisions of each random file.
_COUNT = 9


def test_random_histories(cvs: Visits, tmp_path: Path) -> None:
    """Lines without newline, empty texts, many edits at once, and lines of keywords."""
    random.seed(11)
    lines = [
        b"$Id$\n",
        b"a\n",
        b"b\n",
        b"\n",
        b"@ $Log$\n",
        b"$Revision: 1 $$Date$\n",
        b"d1 1\n",
        b"x" * 300 + b"\n",
    ]
    files = {}
    for name in range(8):
        texts = []
        text: list[bytes] = []
        for _ in range(_COUNT):
            for _ in range(random.randrange(6)):
                place = random.randrange(len(text) + 1)
                text[place : place + random.randrange(3)] = random.choices(
                    lines, k=random.randrange(90 if name == 0 else 4)
                )
            text = [line if line.endswith(b"\n") else line + b"\n" for line in text]
            if text and random.random() < 0.3:
                text[-1] = text[-1].removesuffix(b"\n") or b"z"
            texts.append(list(text))
        revisions = [
            Rev(
                number=f"1.{n}", date=at(n * 1000), log=b"%d\n" % n, next=f"1.{n - 1}" if n > 1 else "",
                text=b"".join(new) if n == _COUNT else delta(texts[n], new),
            )
            for n, new in reversed(list(enumerate(texts, 1)))
        ]  # fmt: skip
        files[f"f{name},v"] = rcs(*revisions)
    root = tmp_path / "cvs"
    steps = cvs.load(write(root, files))
    assert len(steps) == _COUNT
    for number, step in enumerate(steps, 1):
        for path, held in step.tree.items():
            assert held == checked_out(root, path, f"1.{number}"), (path, number)


def test_a_repository_that_the_program_has_made(cvs: Visits, tmp_path: Path) -> None:
    """Imports, commits, removals, files that come back, binary ones: at its end the tree is that of a checkout."""
    root, work = tmp_path / "cvs", tmp_path / "work"
    work.mkdir()

    def run(*argv: str, cwd: Path = work) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "CVSROOT": str(root), "LOGNAME": "ann"}
        subprocess.run(["cvs", "-f", "-Q", *argv], cwd=cwd, env=environment, check=True, capture_output=True)

    run("init")
    (work / "a").write_text("$Id$\nfirst\n")
    (work / "bin").write_bytes(bytes(range(256)))
    (work / "sub").mkdir()
    (work / "sub" / "b").write_text("/*\n * $Log$\n */\n")
    run("import", "-m", "imported", "mod", "VENDOR", "START")
    run("checkout", "mod", cwd=tmp_path)
    mod = tmp_path / "mod"
    random.seed(5)
    for number in range(6):
        (mod / "a").write_text(f"$Id$\nfirst\n{number}\n")
        new = mod / "sub" / f"f{number % 3}"
        if new.exists():
            new.unlink()
            run("remove", f"sub/{new.name}", cwd=mod)
        else:
            new.write_bytes(random.randbytes(200))
            run("add", "-kb", f"sub/{new.name}", cwd=mod)
        run("commit", "-m", f"change {number}", cwd=mod)
    steps = cvs.load(root / "mod")
    run("checkout", "-d", "last", "mod", cwd=tmp_path)
    last = tmp_path / "last"
    there = {
        path.relative_to(last).as_posix(): path.read_bytes()
        for path in last.rglob("*")
        if path.is_file() and path.parent.name != "CVS"
    }
    assert {name: data for name, data in steps[-1].tree.items() if not name.endswith("/")} == there
    assert [step.said[1] for step in steps] == [
        b"imported\n",
        *(b"change %d\n" % number for number in range(6)),
    ]
