"""``docs/webhooks.md``: the plugin it shows takes deliveries and keeps the contract, and its tables are whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from reading_samples import Sample
from webhook_samples import FORGES

from swhkit import config
from swhkit.api.app import make_app
from swhkit.desk import open_desk
from swhkit.plugin import HmacProof, PushWebhook, TokenProof
from swhkit.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/webhooks.md").read_text()
PLUGIN, TESTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SETTINGS = (
    "archive: {requests: {backend: memory}, jobs: {backend: memory}}\n"
    "plugins_dir: plugins\n"
    "webhooks: {gitee: {secret: hush}}\n"
)


def first_cells(heading: str) -> list[str]:
    """The first cells of the first table of a section, as they are written."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return [row.strip("`") for row in rows[1:]]


async def test_the_example_takes_deliveries(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/gitee.py").write_text(PLUGIN)
    (tmp_path / "swhkit.yaml").write_text(SETTINGS)
    archive = Sample().archive
    url = "https://gitee.com/u/p.git"
    headers = {"User-Agent": "git-oschina-hook", "X-Gitee-Event": "Push Hook"}
    told: dict[str, Any] = {"repository": {"clone_url": url, "private": False}}
    with closing(open_desk(archive, config.load(tmp_path / "swhkit.yaml"))) as desk:
        async with TestClient(TestServer(make_app(archive, desk=desk))) as client:

            async def posted(token: str, **repository: Any) -> tuple[int, Any]:
                answer = await client.post(
                    "/api/1/origin/save/webhook/gitee/",
                    json={"repository": {**told["repository"], **repository}},
                    headers={**headers, "X-Gitee-Token": token},
                )
                return answer.status, await answer.json()

            status, answer = await posted("hush")
            assert (status, answer["origin_url"], answer["visit_type"]) == (200, url, "git")
            assert (await posted("shush"))[0] == 403
            status, answer = await posted("hush", private=True)
            assert (status, answer["reason"]) == (
                400,
                f"Repository {url} is private and cannot be cloned without authentication.",
            )


def test_the_example_keeps_the_contract(tmp_path: Path) -> None:
    (tmp_path / "gitee.py").write_text(PLUGIN)
    (tmp_path / "test_gitee.py").write_text(TESTS)
    paths = [tmp_path, ROOT, ROOT / "plugins", ROOT / "backends"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gitee.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d\d passed", done.stdout, re.MULTILINE), done.stdout


def test_the_tables_are_whole() -> None:
    section = PAGE.partition("\n## Pointing a forge at the archive\n")[2].partition("\n## ")[0]
    addresses = re.findall(r"^\| \w+ \| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(addresses) == FORGES
    ours = Registry.load(None).of_kind("webhook")
    assert set(FORGES) <= set(ours)
    labels = [label.lower() for label in first_cells("Secrets")]
    assert sorted(labels) == FORGES
    declared = [name for name in PushWebhook.__annotations__ if not name.startswith("_")]
    assert first_cells("Writing one") == declared
    for proof in (HmacProof, TokenProof):
        fields = ", ".join(proof.__struct_fields__)
        assert f"`{proof.__name__}({fields})`" in PAGE
