"""All cases of archives of the public reference loaders: same snapshots, statuses, branches, ids and object counts.

Each case is loaded into each kind of store. There is no case in which the reference gives up and we do not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from archives import KINDS, archive, shell
from vector_checks import check_as_expected, check_promise, visits
from vectors import cases

from swhkit import visit
from swhkit.plugin import Limits, Loader
from swhkit_tarball import ContentConfig, TarballConfig, TarConfig
from swhkit_tarball.loader import make_content, make_tarball
from swhkit_tarball.releases import make as make_package

CASES = cases("archives")


def loader(case: dict[str, Any], url: str) -> Loader:
    """The loader of the case, with its options; relative URLs of artifacts are below the origin's."""
    options = {
        key: value for key, value in case.get("options", {}).items() if key != "max_content_size"
    }
    if case["visit_type"] == "content":
        return make_content(msgspec.convert(options, ContentConfig))
    if case["visit_type"] == "tarball-directory":
        return make_tarball(msgspec.convert(options, TarballConfig))
    for artifact in options["artifacts"]:
        artifact["url"] = f"{url.rstrip('/')}/{artifact['url']}"
    return make_package(msgspec.convert(options, TarConfig))


@pytest.mark.parametrize("store", KINDS)
@pytest.mark.parametrize("id", CASES)
def test_case(id: str, store: str, tmp_path: Path) -> None:
    case = json.loads(json.dumps(CASES[id]))
    limits = Limits(max_content_size=case.get("options", {}).get("max_content_size"))
    with archive(store, tmp_path) as target:
        for url, expected in visits(case, tmp_path / "origins"):
            made = loader(case, url)
            report = visit.run(target, made, url, case["visit_type"], network=shell(), limits=limits)
            check_as_expected(target, report, case, expected)
            check_promise(target, report, tmp_path)
    assert not any((tmp_path / "stage" / "visits").iterdir()), "a stage was left behind"
