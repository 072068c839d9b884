"""All CVS cases of the public reference loader: same snapshots, statuses, branches, ids and object counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import KINDS, archive, shell
from vector_checks import check_as_expected, check_promise, visits
from vectors import cases

from swhkit import visit
from swhkit_cvs import CvsConfig
from swhkit_cvs.loader import make

CASES = cases("cvs")


@pytest.mark.parametrize("store", KINDS)
@pytest.mark.parametrize("id", CASES)
def test_case(id: str, store: str, tmp_path: Path) -> None:
    case = CASES[id]
    with archive(store, tmp_path) as target:
        for number, (url, expected) in enumerate(visits(case, tmp_path / "origin"), 1):
            report = visit.run(target, make(CvsConfig()), url, "cvs", network=shell())
            assert report.visit == number
            check_as_expected(target, report, case, expected)
            check_promise(target, report, tmp_path)
    assert not any((tmp_path / "stage" / "visits").iterdir()), "a stage was left behind"
