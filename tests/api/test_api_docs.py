"""The page about the web API names every endpoint that is served, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "api.md").read_text()


async def test_every_endpoint_has_its_row(api: Any) -> None:
    table = PAGE.partition("\n## What is served\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]*)` \| \S", table, re.MULTILINE)
    paths = (await api.json("openapi.json"))["paths"]
    # Branch and time may stand in the older forms of revisions, or not.
    plain = (re.sub(r"/branch/\{branch\}|/ts/\{ts\}", "", path) for path in paths)
    served = {path.removeprefix("/api/1/") or "/" for path in plain if path.startswith("/api/1/")}
    assert len(rows) == len(set(rows))
    assert set(rows) == served


async def test_what_is_said_to_be_missing_is(api: Any) -> None:
    content = await api.json(f"content/{api.sample.hello.sha1.hex()}/")
    for key in re.findall(r"`(\w+_url)`", PAGE.partition("## What is not served")[2].partition("\n## ")[0]):
        assert key not in content
    for path in ("vault/flat/swh:1:dir:4b825dc642cb6eb9a060e54bf8d69288fbee4904/", "graph/stats/"):
        assert (await api.json(path, 404))["error"] == "Resource not found"
