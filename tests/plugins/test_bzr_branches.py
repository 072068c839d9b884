"""Branches: over every protocol the same; stacked, referred to, shared, empty, absent; new parts alone are loaded."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from archives import archive, shell
from bzr_samples import Brz, Visits, bzr_server, web_server

from swhkit import visit
from swhkit.model import Branch, BranchType
from swhkit.plugin import Limits
from swhkit_bzr import BzrConfig
from swhkit_bzr.loader import make


@pytest.fixture
def brz(tmp_path: Path) -> Brz:
    return Brz(tmp_path / "origins")


@pytest.fixture
def branch(brz: Brz) -> Path:
    """A branch ``b`` of two revisions, the first of them tagged ``été``."""
    tree = brz.init("b")
    (tree / "d").mkdir()
    (tree / "d" / "a").write_text("one\n")
    (tree / "large").write_bytes(b"\0\1\2\3" * (2 << 20))
    brz.commit("b", "first")
    brz("tag", "--quiet", "été", at="b")
    (tree / "d" / "a").write_text("two\n")
    brz.commit("b", "second")
    return tree


def test_every_protocol_gives_the_same(branch: Path, tmp_path: Path) -> None:
    snapshots = set()
    with bzr_server(branch.parent) as bzr, web_server(branch.parent) as web:
        for number, url in enumerate((str(branch), branch.as_uri(), f"{bzr}/b", f"{web}/b", f"{web}/b/")):
            (tmp_path / str(number)).mkdir()
            with Visits(tmp_path / str(number)) as visits:
                report = visits.load(url)
                assert (report.status, report.new["revision"], report.new["release"]) == ("full", 2, 1), (
                    report
                )
                assert sorted(visits.snapshot(report).branches) == [b"HEAD", "tags/été".encode(), b"trunk"]
                snapshots.add(report.snapshot)
    assert len(snapshots) == 1


@pytest.mark.parametrize("format", ["2a", "pack-0.92", "knit"])
def test_a_whole_repository_is_brought_from_the_web(
    brz: Brz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr("swhkit_bzr.loader._MANY", 1)
    tree = brz.init("t", format)
    for number in range(3):
        (tree / "a").write_text(f"{number}\n")
        brz.commit("t", f"number {number}")
    brz.init("here")
    with Visits(tmp_path) as visits, web_server(brz.root) as web:
        report = visits.load(f"{web}/t")
        assert (report.status, report.new["revision"]) == ("full", 3), report
        (tmp_path / "local").mkdir()
        with Visits(tmp_path / "local") as others:
            assert others.load(tree).snapshot == report.snapshot


def test_redirects_are_followed_and_judged(branch: Path, tmp_path: Path) -> None:
    with Visits(tmp_path) as visits, web_server(branch.parent) as web:
        report = visits.load(f"{web}/old/b")
        assert report.status == "full", report.error
        assert "redirected to where this archive may not go" in (visits.load(f"{web}/bad/b").error or "")


def test_a_missing_program_is_named(branch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("setpriv", "git"):
        (folder / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(folder))
    with Visits(tmp_path) as visits:
        report = visits.load(branch)
    assert report.status == "failed"
    assert "'brz' is not installed" in (report.error or "")
    assert "apt install brz" in (report.error or "")
    assert "pip install breezy" in (report.error or "")


def test_the_time_of_a_visit_is_limited(branch: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Visits(tmp_path) as visits:
        url = f"bzr://127.0.0.1:{silent.getsockname()[1]}/b"
        report = visits.load(url, limits=Limits(visit_time=0.5))
        assert report.status == "failed"
        assert "limits.visit_time" in (report.error or "")
        assert "limits.visit_time" in (visits.load(branch, limits=Limits(visit_time=0.05)).error or "")


def test_a_load_that_was_killed_is_made_again(brz: Brz, tmp_path: Path) -> None:
    tree = brz.init("t")
    for number in range(4):
        (tree / f"f{number}").write_text(f"{number}\n")
        brz.commit("t", f"number {number}")
    code = (
        "import os, sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path; from archives import archive, shell\n"
        "from swhkit import visit; from swhkit_bzr import BzrConfig, replay; from swhkit_bzr.loader import make\n"
        "whole = replay.Replay._revision; seen = []\n"
        "def dies(*arguments):\n"
        "    seen.append(1)\n"
        "    return whole(*arguments) if len(seen) < 3 else os.kill(os.getpid(), 9)\n"
        "replay.Replay._revision = dies\n"
        "with archive('sqlite', Path(sys.argv[1])) as target:\n"
        "    visit.run(target, make(BzrConfig()), sys.argv[2], 'bzr', network=shell())\n"
    )
    died = subprocess.run([sys.executable, "-c", code, tmp_path, tree, *sys.path], check=False)
    assert died.returncode == -9
    with archive("sqlite", tmp_path) as target:
        report = visit.run(target, make(BzrConfig()), str(tree), "bzr", network=shell())
        assert (report.status, report.visit, report.new["revision"]) == ("full", 2, 4), report
        first = target.catalog.visit(report.origin, 1)
        assert first is not None
        assert first.status == "failed"
    (tmp_path / "other").mkdir()
    with Visits(tmp_path / "other") as visits:
        assert visits.load(tree).snapshot == report.snapshot


def test_what_is_known_is_not_loaded_again(brz: Brz, branch: Path, tmp_path: Path) -> None:
    with Visits(tmp_path) as visits, bzr_server(brz.root) as server:
        first = visits.load(f"{server}/b")
        (branch / "d" / "b").write_text("three\n")
        brz.commit("b", "third")
        second = visits.load(f"{server}/b")
        assert (second.new["revision"], second.new["content"], second.new["directory"]) == (1, 1, 2)
        brz("tag", "--quiet", "--force", "-r", "2", "été", at="b")
        third = visits.load(f"{server}/b")
        assert (third.load_status, third.new["revision"], third.new["release"]) == ("eventful", 0, 1)
        again = visits.load(f"{server}/b")
        assert (again.status, again.load_status, again.snapshot) == ("full", "uneventful", third.snapshot)
        brz("uncommit", "--quiet", "--force", at="b")
        brz("tag", "--quiet", "--force", "-r", "1", "été", at="b")
        assert visits.load(f"{server}/b").snapshot == first.snapshot
        brz("branch", "--quiet", "b", "other")
        other = visits.load(f"{server}/other")
        assert (other.load_status, other.snapshot, sum(other.new.values())) == ("eventful", first.snapshot, 0)


def test_a_tag_outside_the_branch_dangles(brz: Brz, branch: Path, tmp_path: Path) -> None:
    brz("tag", "--quiet", "last", at="b")
    brz("uncommit", "--quiet", "--force", "--keep-tags", at="b")
    brz("tag", "--quiet", "nothing", "-r", "0", at="b")
    with Visits(tmp_path) as visits:
        branches = visits.snapshot(visits.load(branch)).branches
    assert (branches[b"tags/last"], branches[b"tags/nothing"]) == (None, None)
    assert branches[b"HEAD"] == Branch(BranchType.ALIAS, b"trunk")


def test_stacked_branches_and_references_are_followed(brz: Brz, branch: Path, tmp_path: Path) -> None:
    brz("branch", "--quiet", "--stacked", "b", "stacked")
    (brz.root / "stacked" / "d" / "new").write_text("new\n")
    brz.commit("stacked", "on top")
    brz("checkout", "--quiet", "--lightweight", "stacked", "light")
    brz("branch", "--quiet", "stacked", "whole")
    snapshots = set()
    for name in ("stacked", "light", "whole"):
        (tmp_path / name).mkdir()
        with Visits(tmp_path / name) as visits:
            report = visits.load(brz.root / name)
            assert (report.status, report.new["revision"]) == ("full", 3), report
            snapshots.add(report.snapshot)
    assert len(snapshots) == 1


def test_a_server_cannot_lead_to_files_of_this_machine(brz: Brz, branch: Path, tmp_path: Path) -> None:
    brz("branch", "--quiet", "--stacked", "b", "stacked")  # it notes the file:// URL of what it is stacked on
    brz("checkout", "--quiet", "--lightweight", "b", "light")
    with Visits(tmp_path) as visits, bzr_server(brz.root) as bzr, web_server(brz.root) as web:
        for base in (bzr, web):
            for name in ("stacked", "light"):
                report = visits.load(f"{base}/{name}")
                assert report.status == "failed"
                assert f"leads to another server, file://{branch}/" in (report.error or "")


def test_a_branch_in_a_shared_repository(brz: Brz, branch: Path, tmp_path: Path) -> None:
    brz("init-shared-repository", "--quiet", "--no-trees", "shared")
    brz("branch", "--quiet", "b", "shared/a b")
    with Visits(tmp_path) as visits, bzr_server(brz.root) as bzr:
        report = visits.load(brz.root / "shared/a b")
        assert report.new["revision"] == 2
        assert visits.load(f"{bzr}/shared/a%20b").snapshot == report.snapshot
        assert visits.load(brz.root / "shared").status == "not_found"


def test_nothing_there(brz: Brz, tmp_path: Path) -> None:
    brz.init("empty")
    (brz.root / "plain").mkdir()
    subprocess.run(["git", "init", "--quiet", brz.root / "git"], check=True)
    with Visits(tmp_path) as visits, bzr_server(brz.root) as bzr, web_server(brz.root) as web:
        for base in (brz.root.as_uri(), bzr, web):
            for name in ("plain", "nowhere", "git") if base != web else ("plain", "nowhere"):
                report = visits.load(f"{base}/{name}")
                assert report.status == "not_found", report
                assert "no Bazaar branch" in (report.error or "")
            empty = visits.load(f"{base}/empty")
            assert (empty.status, empty.load_status, empty.branches) == ("full", "uneventful", 0)
    with Visits(tmp_path) as visits:
        assert visits.load(f"{bzr}/b").status == "failed"  # the server has gone


def test_a_damaged_repository_is_one_sentence(brz: Brz, branch: Path, tmp_path: Path) -> None:
    for pack in (branch / ".bzr/repository/packs").iterdir():
        data = bytearray(pack.read_bytes())
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        pack.chmod(0o644)
        pack.write_bytes(data)
    with Visits(tmp_path) as visits:
        report = visits.load(branch)
    assert (report.status, report.snapshot) == ("failed", None)
    assert "the branch cannot be read" in (report.error or "")
    assert "\n" not in (report.error or "")
    assert "Traceback" not in (report.error or "")


def test_what_another_origin_has_under_an_id_is_not_believed(brz: Brz, branch: Path, tmp_path: Path) -> None:
    """Whoever makes a branch chooses the ids of its revisions."""
    (brz.init("evil") / "f").write_text("not what it says\n")
    brz.commit("evil", "forged")
    with Visits(tmp_path) as visits:
        visits.load(brz.root / "evil")
        (forged,) = visits.archive.catalog.extids("bzr-nodeid", [brz.tip("evil").encode()], 1)
        taken = msgspec.structs.replace(forged, value=brz.tip("b").encode())
        visits.archive.writer()[1].add([taken])
        report = visits.load(branch)
        assert (report.status, report.new["revision"]) == ("full", 2)
        trunk = visits.snapshot(report).branches[b"trunk"]
        assert trunk is not None
        assert trunk.target != forged.digest
        assert visits.load(branch).load_status == "uneventful"
