"""A walk of a graph: what it says when the disk of its temporary file is full."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path

import pytest

from swhkit.closure import Walk
from swhkit.swhid import Kind, ObjectId


def _nothing(_ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
    return {}


def test_a_full_disk_is_an_error_of_the_disk_that_names_the_file(tmp_path: Path) -> None:
    """Not one of SQLite, which nobody above knows of."""
    heads = (ObjectId(Kind.REVISION, sha1(b"%d" % number).digest()) for number in range(1_000_000))
    with Walk(tmp_path, _nothing) as walk:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))
        try:
            with pytest.raises(OSError, match=r"walk\.sqlite"):
                walk.run(heads)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_one_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"walk\.sqlite"):
        Walk(tmp_path / "nowhere", _nothing)
