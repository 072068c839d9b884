"""Which URLs are taken for CVS modules without being asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from cvs_samples import Rev, rcs, write

from swhkit_cvs import swhkit_visit_type


@pytest.mark.parametrize(
    "url",
    [
        "pserver://anonymous@cvs.example.org/cvsroot/project/module",
        "rsync://project.cvs.example.org/cvsroot/project/module",
        "rsync://example.org/cvsroot/module",
        "rsync://example.org/mirror/cvs/module",
        "rsync://cvs.example.org/project/module",
    ],
)
def test_taken(url: str) -> None:
    assert swhkit_visit_type(url) == "cvs"


@pytest.mark.parametrize(
    "url",
    [
        "rsync://example.org/pub/linux/",
        "rsync://example.org/module/cvs",
        "rsync://example.org/cvsroots/module",
        "https://cvs.example.org/viewvc/module",
        "svn://cvs.example.org/module",
        "ssh://cvs.example.org/cvsroot/module",
        "http://[",
        "file:///nowhere/at/all",
        "relative/path",
        "",
    ],
)
def test_not_taken(url: str) -> None:
    assert swhkit_visit_type(url) is None


def test_local_modules(tmp_path: Path) -> None:
    module = write(tmp_path / "cvs root", {"deep/a,v": rcs(Rev())})
    assert swhkit_visit_type(str(module)) == "cvs"
    assert swhkit_visit_type(f"file://{str(module).replace(' ', '%20')}") == "cvs"
    assert swhkit_visit_type(str(module / "deep")) == "cvs"
    assert swhkit_visit_type(str(tmp_path / "cvs root")) is None
    (module / ".git").mkdir()
    assert swhkit_visit_type(str(module)) is None
