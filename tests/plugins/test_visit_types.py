"""What ``swhkit load`` takes a URL for when nobody says so: every loader's guess beside those of all others."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from bzr_samples import Brz

from swhkit.registry import Registry

REGISTRY = Registry.load()


@pytest.mark.parametrize(
    ("url", "visit_type"),
    [
        ("https://github.com/pallets/click", "git"),
        ("https://github.com/somebody/svn", "git"),
        ("https://github.com/somebody/hg", "git"),
        ("https://github.com/svn/bzr", "git"),
        ("https://gitlab.example.org/group/sub/project", "git"),
        ("https://example.org/hg/project.git", "git"),
        ("https://example.org/svn/project.git/", "git"),
        ("git://example.org/project", "git"),
        ("git@example.org:u/p", "git"),
        ("https://git.code.sf.net/p/project/code.git", "git"),
        ("https://hg.mozilla.org/mozilla-central", "hg"),
        ("https://foss.heptapod.net/mercurial/hgview", "hg"),
        ("https://hg.sr.ht/~somebody/project", "hg"),
        ("http://hg.code.sf.net/p/project/code", "hg"),
        ("https://www.mercurial-scm.org/repo/hg", None),
        ("https://example.org/hg/project", "hg"),
        ("ssh://hg@hg.example.org/project", "hg"),
        ("svn://svn.example.org/project", "svn"),
        ("svn+ssh://example.org/project/trunk", "svn"),
        ("https://svn.apache.org/repos/asf/subversion/trunk", "svn"),
        ("https://svn.code.sf.net/p/project/code/trunk", "svn"),
        ("https://example.org/svn/project/trunk", "svn"),
        ("https://example.org/dumps/project.svndump.gz", "svn"),
        ("bzr://bzr.example.org/project/trunk", "bzr"),
        ("bzr+ssh://bzr.example.org/project/trunk", "bzr"),
        ("https://bzr.savannah.gnu.org/r/project/trunk", "bzr"),
        ("pserver://anonymous@cvs.example.org/cvsroot/project", "cvs"),
        ("rsync://cvs.savannah.gnu.org/sources/project", "cvs"),
        ("rsync://example.org/cvsroot/project", "cvs"),
        ("rsync://example.org/pub/project", None),
        ("https://example.org/pub/hello-2.10.tar.gz", "tarball-directory"),
        ("https://example.org/pub/hello.zip?download=1", "tarball-directory"),
        ("ftp://example.org/pub/hello-2.10.tar.xz", "tarball-directory"),
        ("https://example.org/hello.jar", "tarball-directory"),
        ("https://example.org/", None),
        ("https://example.org/some/page.html", None),
        ("https://[half", None),
        ("mailto:somebody@example.org", None),
        ("", None),
    ],
)
def test_by_the_form_of_a_url(url: str, visit_type: str | None) -> None:
    assert REGISTRY.visit_type(url) == visit_type


def run(*argv: object, cwd: Path) -> None:
    subprocess.run([str(arg) for arg in argv], cwd=cwd, check=True, capture_output=True)


def make(kind: str, place: Path) -> Path:
    """What lies at ``place`` (a folder that is there) or in it, of each kind."""
    match kind:
        case "git":
            run("git", "init", "-q", place, cwd=place)
        case "bare":
            run("git", "init", "-q", "--bare", place, cwd=place)
        case "git bundle":
            run("git", "init", "-q", place, cwd=place)
            run(
                "git",
                "-c",
                "user.name=A",
                "-c",
                "user.email=a@b",
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                "1",
                cwd=place,
            )
            run("git", "bundle", "create", "-q", "it.bundle", "HEAD", cwd=place)
            return place / "it.bundle"
        case "hg":
            run("hg", "init", place, cwd=place)
        case "hg bundle":
            run("hg", "init", place, cwd=place)
            (place / "f").touch()
            run("hg", "commit", "-A", "-m", "1", "-u", "a", cwd=place)
            run("hg", "bundle", "--all", "it.bundle", cwd=place)
            return place / "it.bundle"
        case "svn":
            run("svnadmin", "create", place, cwd=place)
        case "inside svn":
            run("svnadmin", "create", place, cwd=place)
            return place / "trunk"
        case "svn dump":
            run("svnadmin", "create", "repo", cwd=place)
            run("svnadmin", "dump", "-q", "repo", "-F", "dump", cwd=place)
            return place / "dump"
        case "bzr":
            Brz(place).init("it")
            return place / "it"
        case "cvs":
            run("cvs", "-d", place, "init", cwd=place)
            (place / "module").mkdir()
            (place / "module" / "f,v").touch()
            return place / "module"
        case "folder":
            (place / "README").touch()
        case "tar":
            tarfile.open(place / "it.tar.gz", "w:gz").close()
            return place / "it.tar.gz"
        case "file":
            (place / "README").touch()
            return place / "README"
    return place


@pytest.mark.parametrize(
    ("kind", "visit_type"),
    [
        ("git", "git"),
        ("bare", "git"),
        ("git bundle", "git"),
        ("hg", "hg"),
        ("hg bundle", "hg"),
        ("svn", "svn"),
        ("inside svn", "svn"),
        ("svn dump", "svn"),
        ("bzr", "bzr"),
        ("cvs", "cvs"),
        ("folder", "directory"),
        ("tar", "tarball-directory"),
        ("file", None),
        ("missing", None),
    ],
)
def test_by_what_is_there(kind: str, visit_type: str | None, tmp_path: Path) -> None:
    place = tmp_path / "it"
    if kind != "missing":
        place.mkdir()
    found = make(kind, place)
    assert REGISTRY.visit_type(found.as_uri()) == visit_type
    assert REGISTRY.visit_type(str(found)) == visit_type
