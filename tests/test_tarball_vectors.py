"""All cases of archives of the public reference loaders: same snapshots, statuses, branches, ids and object counts.

Each case is loaded into each kind of store. There is no case in which the reference gives up and we do not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from archives import KINDS, archive
from vector_checks import check_as_expected, check_promise, visits
from vectors import FOLDER, cases

from swhkit import visit
from swhkit.plugin import Limits, Loader, Network, Target
from swhkit_tarball import ContentConfig, TarballConfig, TarConfig
from swhkit_tarball.loader import make_content, make_tarball
from swhkit_tarball.releases import make as make_package

CASES = cases("archives")
#: Where the reference had the archives of packages: the messages of its releases name it.
ROOT = json.loads((FOLDER / "archives.json").read_bytes())["unpack_root"]
THEIRS = f"file://{ROOT}/pkg-archives"


class Moved(Network):
    """The policy of the command line, for which ``THEIRS`` lies in a folder of this test."""

    def __init__(self, folder: str) -> None:
        super().__init__(from_cli=True)
        self._folder = folder

    def check(self, url: str, *, resolve: bool = True) -> Target:
        return super().check(url.replace(THEIRS, self._folder), resolve=resolve)


def loader(case: dict[str, Any]) -> Loader:
    """The loader of the case, with its options."""
    options = {key: value for key, value in case.get("options", {}).items() if key != "max_content_size"}
    if case["visit_type"] == "content":
        return make_content(msgspec.convert(options, ContentConfig))
    if case["visit_type"] == "tarball-directory":
        return make_tarball(msgspec.convert(options, TarballConfig))
    artifacts = [item | {"url": f"{THEIRS}/{item['url']}"} for item in options["artifacts"]]
    return make_package(msgspec.convert({"artifacts": artifacts}, TarConfig))


@pytest.mark.parametrize("store", KINDS)
@pytest.mark.parametrize("id", CASES)
def test_case(id: str, store: str, tmp_path: Path) -> None:
    case = CASES[id]
    limits = Limits(max_content_size=case.get("options", {}).get("max_content_size"))
    with archive(store, tmp_path) as target:
        for url, expected in visits(case, tmp_path / "origins"):
            network = Moved(url)
            report = visit.run(target, loader(case), url, case["visit_type"], network=network, limits=limits)
            check_as_expected(target, report, case, expected)
            check_promise(target, report, tmp_path)
    assert not any((tmp_path / "stage" / "visits").iterdir()), "a stage was left behind"
