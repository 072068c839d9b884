"""All cases of the public reference loader for Subversion: same snapshots, statuses, ids and number of objects."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import KINDS, archive, shell
from vector_checks import check_as_expected, check_promise, visits
from vectors import cases

from swhkit import visit
from swhkit.plugin import Limits
from swhkit_svn import SvnConfig
from swhkit_svn.loader import make

CASES = cases("svn")


@pytest.mark.parametrize("store", KINDS)
@pytest.mark.parametrize("id", CASES)
def test_case(id: str, store: str, tmp_path: Path) -> None:
    case = CASES[id]
    limits = Limits(max_content_size=case.get("options", {}).get("max_content_size"))
    with archive(store, tmp_path) as target:
        for number, (url, expected) in enumerate(visits(case, tmp_path), 1):
            report = visit.run(target, make(SvnConfig()), url, "svn", network=shell(), limits=limits)
            assert report.visit == number
            check_as_expected(target, report, case, expected)
            check_promise(target, report, tmp_path)
    assert not any((tmp_path / "stage" / "visits").iterdir()), "a stage was left behind"
