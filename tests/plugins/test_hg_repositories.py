"""Repositories of this machine: what is loaded again and what is not, and that nothing of an origin is run or touched."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hg_samples import ENVIRONMENT, Loads, Repository, loads

from swhkit.model import Branch, BranchType
from swhkit.plugin import Limits
from swhkit.swhid import Kind, ObjectId
from swhkit_hg import HgConfig, swhkit_visit_type
from swhkit_hg.errors import Broken
from swhkit_hg.peer import Stdio

Make = Callable[[str], Repository]


@pytest.fixture
def visits(tmp_path: Path) -> Iterator[Loads]:
    """Visits into an archive of this test."""
    with loads(tmp_path / "archive") as made:
        yield made


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes repositories."""
    return lambda name: Repository(tmp_path / name)


def revision(visits: Loads, node: str) -> bytes:
    """The digest of the revision of a changeset."""
    [found] = visits.target.catalog.extids("hg-nodeid", [bytes.fromhex(node)], 1)
    assert found.kind is Kind.REVISION
    return found.digest


def test_nothing_is_written_at_the_origin_and_nothing_of_it_is_run(
    visits: Loads, make: Make, tmp_path: Path
) -> None:
    origin = make("origin")
    origin.commit("one")
    for cache in ("cache", "wcache"):
        shutil.rmtree(origin.path / ".hg" / cache, ignore_errors=True)
    marker = tmp_path / "marker"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    touch = f"touch {marker}"
    (origin.path / ".hg" / "hgrc").write_text(
        f"[extensions]\nevil = {tmp_path}/evil.py\n"
        f"[hooks]\nprelistkeys = {touch}\npreoutgoing = {touch}\noutgoing = {touch}\n"
        f"[alias]\nserve = !{touch}\n[ui]\nssh = {touch}\n"
    )
    before = origin.listing()
    visits.full(origin.url)
    assert origin.listing() == before
    assert not marker.exists()


def test_nothing_new_means_nothing_is_read(visits: Loads, make: Make) -> None:
    origin = make("origin")
    origin.commit("one")
    origin.commit("closed", None, "--close-branch")
    origin.hg("update", "-q", "0")
    origin.commit("two")
    origin.hg("bookmark", "-r", "0", "book/mark")
    first = visits.run(origin.url)
    assert (first.status, first.load_status) == ("full", "eventful")
    again = visits.run(origin.url)
    assert (again.status, again.load_status, again.snapshot) == ("full", "uneventful", first.snapshot)
    assert "reading files" not in visits.phases
    origin.hg("bookmark", "-r", "1", "-f", "book/mark")
    moved = visits.run(origin.url)
    assert (moved.status, moved.load_status) == ("full", "uneventful")
    assert moved.snapshot != first.snapshot
    assert moved.new["snapshot"] == 1
    assert moved.new["revision"] == 0


def test_only_new_changesets_are_made(visits: Loads, make: Make) -> None:
    origin = make("origin")
    for number in range(5):
        origin.commit(f"{number}", {f"dir/{number}": b"%d" % number, "file": b"%d" % number})
    visits.full(origin.url)
    origin.commit("more", {"dir/1": None, "dir/x": b"4"})
    origin.hg("tag", "-d", "0 0", "v1")
    report = visits.run(origin.url)
    assert (report.status, report.load_status) == ("full", "eventful")
    assert report.new["revision"] == 2
    assert report.new["release"] == 1
    with loads(visits.target.writer()[2] / "fresh") as fresh:
        assert fresh.run(origin.url).snapshot == report.snapshot


def test_a_fork_brings_what_it_has_and_the_archive_has_not(visits: Loads, make: Make, tmp_path: Path) -> None:
    origin = make("origin")
    origin.commit("one")
    origin.commit("two")
    visits.full(origin.url)
    subprocess.run(["hg", "clone", "-q", origin.path, tmp_path / "fork"], env=ENVIRONMENT, check=True)
    same = visits.run(tmp_path / "fork")
    assert (same.status, same.load_status) == ("full", "uneventful")
    assert sum(same.new.values()) == 0
    origin.hg("pull", "-q", tmp_path / "fork")
    node = origin.commit("three")
    assert visits.run(origin.url).new["revision"] == 1
    assert revision(visits, node)


def test_changesets_that_are_gone_are_not_in_the_next_snapshot(visits: Loads, make: Make) -> None:
    origin = make("origin")
    one = origin.commit("one")
    two = origin.commit("two")
    visits.full(origin.url)
    origin.hg("--config", "extensions.strip=", "strip", "-q", "--no-backup", two)
    report = visits.run(origin.url)
    assert (report.status, report.load_status) == ("full", "uneventful")
    tip = Branch(BranchType.REVISION, revision(visits, one))
    assert visits.snapshot(report).branches[b"branch-tip/default"] == tip
    assert visits.target.missing([ObjectId(Kind.REVISION, revision(visits, two))]) == set()


def test_secret_and_obsolete_changesets_stay_where_they_are(visits: Loads, make: Make) -> None:
    origin = make("origin")
    one = origin.commit("one")
    two = origin.commit("two")
    origin.hg("bookmark", "-r", two, "secret")
    origin.hg("phase", "--secret", "--force", "-r", two)
    origin.hg("update", "-q", one)
    three = origin.commit("three")
    origin.hg("update", "-q", one)
    origin.hg("--config", "experimental.evolution=all", "debugobsolete", three)
    branches = visits.full(origin.url).branches
    tip = Branch(BranchType.REVISION, revision(visits, one))
    assert branches == {b"branch-tip/default": tip, b"HEAD": Branch(BranchType.ALIAS, b"branch-tip/default")}
    assert visits.target.catalog.counters()["revision"] == 1


def test_a_share_is_loaded_with_its_own_bookmarks(visits: Loads, make: Make, tmp_path: Path) -> None:
    origin = make("origin")
    one = origin.commit("one")
    origin.hg("bookmark", "-i", "-r", one, "there")
    for name, options in (("relative", ["--relative"]), ("absolute", []), ("books", ["-B"])):
        argv: list[str | Path] = [
            "hg",
            "--config",
            "extensions.share=",
            "share",
            "-q",
            *options,
            origin.path,
            tmp_path / name,
        ]
        subprocess.run(argv, env=ENVIRONMENT, check=True)
        argv = ["hg", "-R", tmp_path / name, "--config", "extensions.share=", "bookmark", "-i", f"in {name}"]
        subprocess.run(argv, env=ENVIRONMENT, check=True)
        bookmarks = [n for n in visits.full(tmp_path / name).branches if n.startswith(b"bookmarks/")]
        there = [b"bookmarks/there"] if name == "books" else []
        assert bookmarks == [f"bookmarks/in {name}".encode(), *there]
    shutil.rmtree(origin.path)
    assert visits.run(tmp_path / "absolute").status == "not_found"


def test_subrepositories_and_largefiles_are_not_followed(visits: Loads, make: Make) -> None:
    origin = make("origin")
    sub = make("origin/sub")
    sub.commit("inside")
    origin.commit("with sub", {".hgsub": b"sub = ext::touch x\n", ".hglf/big": b"0" * 40 + b"\n"})
    visits.full(origin.url)
    assert visits.target.catalog.counters()["revision"] == 1


def test_old_formats_are_read(visits: Loads, tmp_path: Path) -> None:
    for option in (
        "format.usestore=no",
        "format.usefncache=no",
        "format.usegeneraldelta=no",
        "format.dotencode=no",
    ):
        path = tmp_path / option
        subprocess.run(["hg", "--config", option, "init", path], env=ENVIRONMENT, check=True)
        (path / "file").write_bytes(b"x")
        argv: list[str | Path] = ["hg", "-R", path, "commit", "-Aqm", "one", "-d", "0 0"]
        subprocess.run(argv, env=ENVIRONMENT, check=True)
        visits.full(path)
    assert visits.target.catalog.counters()["revision"] == 1


def test_tags_are_resolved_over_all_heads(visits: Loads, make: Make) -> None:
    origin = make("origin")
    one = origin.commit("one")
    two = origin.commit("two")
    lines = {
        "left": f"{one} moved\n{two} moved\n{one} both\n{one} gone\n",
        "right": f"{one} moved\n{two} both\n{one} gone\n{'0' * 40} gone\n",
        "last": f"{'a' * 40} unknown\n{one} tip\nnonsense\n{one[:12]} short\n{two}  two words \n",
    }
    for name, text in lines.items():
        origin.hg("update", "-q", two)
        origin.commit(name, {".hgtags": text.encode(), name: b""})
    origin.commit("end", None, "--close-branch")
    branches = visits.full(origin.url).branches
    expected = {}
    for line in origin.hg("log", "-r", "all()", "-T", "{tags % '{node} {tag}\n'}").splitlines():
        node, _, name = line.partition(" ")
        expected[name] = revision(visits, node)
    del expected["tip"]
    assert set(expected) == {"moved", "both", "two words"}
    found = {}
    for raw, branch in branches.items():
        if raw.startswith(b"tags/"):
            assert branch is not None
            body = visits.read(ObjectId(Kind.RELEASE, branch.target))
            found[raw.removeprefix(b"tags/").decode()] = bytes.fromhex(body[7:47].decode())
    assert found == expected


def test_head_is_the_bookmark_or_default_if_open(visits: Loads, make: Make) -> None:
    origin = make("origin")
    origin.commit("one")
    origin.hg("bookmark", "-i", "@")
    assert visits.full(origin.url).branches[b"HEAD"] == Branch(BranchType.ALIAS, b"bookmarks/@")
    origin.hg("branch", "-q", "other")
    origin.commit("two")
    assert visits.full(origin.url).branches[b"HEAD"] == Branch(BranchType.ALIAS, b"bookmarks/@")
    origin.hg("update", "-q", "default")
    origin.commit("close", None, "--close-branch")
    assert b"HEAD" not in visits.full(origin.url).branches


def test_a_branch_that_goes_on_through_another_has_one_head(visits: Loads, make: Make) -> None:
    origin = make("origin")
    origin.commit("one")
    origin.hg("branch", "-q", "other")
    origin.commit("two")
    origin.hg("branch", "-q", "-f", "default")
    three = origin.commit("three")
    branches = visits.full(origin.url).branches
    assert sorted(branches) == [b"HEAD", b"branch-tip/default", b"branch-tip/other"]
    assert branches[b"branch-tip/default"] == Branch(BranchType.REVISION, revision(visits, three))


def test_limits_hold(visits: Loads, make: Make) -> None:
    origin = make("origin")
    origin.commit("one", {"a": bytes(range(256)) * 400})
    visits.limits = Limits(max_pack_size=1000)
    report = visits.run(origin.url)
    assert report.status == "failed"
    assert "max_pack_size" in (report.error or "")
    visits.limits = Limits(visit_time=0.01)
    report = visits.run(origin.url)
    assert report.status == "failed"
    assert visits.target.catalog.counters()["revision"] == 0


def test_a_server_that_is_silent_is_not_waited_for(
    visits: Loads, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "hg"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec sleep 100\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{ENVIRONMENT['PATH']}")
    visits.config = HgConfig(listing_time=0.3)
    report = visits.run(make_empty(tmp_path / "origin"))
    assert report.status == "failed"
    assert "in time" in (report.error or "")


def make_empty(path: Path) -> Path:
    """A folder that looks like a repository."""
    (path / ".hg" / "store").mkdir(parents=True)
    (path / ".hg" / "requires").write_text("revlogv1\nstore\n")
    return path


def test_without_mercurial_one_line_says_what_is_missing(
    visits: Loads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("git", "setpriv", "sh"):
        (folder / program).symlink_to(str(shutil.which(program)))
    monkeypatch.setattr("swhkit.process.search_path", lambda: str(folder))
    report = visits.run(make_empty(tmp_path / "origin"))
    assert report.status == "failed"
    assert "apt install mercurial" in (report.error or "")


def test_a_repository_of_an_unknown_kind_says_why(visits: Loads, tmp_path: Path) -> None:
    origin = make_empty(tmp_path / "origin")
    (origin / ".hg" / "requires").write_text("revlogv1\nstore\nfrom-the-future\n")
    report = visits.run(origin)
    assert report.status == "not_found"
    assert "from-the-future" in (report.error or "")


def test_what_is_no_repository_is_not_found(visits: Loads, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"text")
    for name in ("folder", "file", "nothing"):
        report = visits.run(tmp_path / name)
        assert (report.status, report.load_status, report.snapshot) == ("not_found", "uneventful", None)
        assert str(tmp_path / name) in (report.error or "")


def test_what_looks_like_mercurial_is_told_by_its_url(make: Make, tmp_path: Path) -> None:
    origin = make("origin")
    bundle = tmp_path / "a.hg"
    bundle.write_bytes(b"HG20\0\0\0\0")
    yes = [
        str(origin.path), origin.url, str(bundle), "https://hg.mozilla.org/mozilla-central",
        "https://foss.heptapod.net/mercurial/hgview", "https://example.org/hg/project", "ssh://hg@hg.example.org/x",
        "https://hg.sr.ht/~someone/project", "https://example.org/x.hg",
    ]  # fmt: skip
    no = [
        str(tmp_path), f"{tmp_path}/nothing", "https://github.com/org/hg", "https://github.com/hg/repo.git",
        "https://example.org/hg", "https://hg.example.org", "git://hg.example.org/x", "svn://hg.example.org/x",
        "https://git.example.org/hg/x.git", "ftp://hg.example.org/x", "hg", "", "https://[bad/hg/x",
    ]  # fmt: skip
    assert [url for url in yes if swhkit_visit_type(url) != "hg"] == []
    assert [url for url in no if swhkit_visit_type(url) is not None] == []


def test_a_length_of_thousands_of_digits_is_no_length() -> None:
    answer = b"capabilities: branchmap pushkey\n1\n\n" + b"9" * 5000 + b"\n"
    with pytest.raises(Broken, match="no answer to branchmap"):
        Stdio(io.BytesIO(), io.BytesIO(answer))
