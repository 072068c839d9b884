"""All Bazaar cases of the public reference loader: same snapshots, statuses, branches, ids and object counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import KINDS, archive, shell
from vector_checks import check_as_expected, check_promise, visits
from vectors import cases

from swhkit import visit
from swhkit_bzr import BzrConfig
from swhkit_bzr.loader import make

CASES = cases("bzr")


@pytest.mark.parametrize("store", KINDS)
@pytest.mark.parametrize("id", CASES)
def test_case(id: str, store: str, tmp_path: Path) -> None:
    with archive(store, tmp_path) as target:
        for number, (url, expected) in enumerate(visits(CASES[id], tmp_path), 1):
            report = visit.run(target, make(BzrConfig()), url, "bzr", network=shell())
            assert report.visit == number
            check_as_expected(target, report, CASES[id], expected)
            check_promise(target, report, tmp_path)
    assert not any((tmp_path / "stage" / "visits").iterdir()), "a stage was left behind"
