"""Save code now by swh-web-client: its Python interface and ``swh web save submit-request``, on a server with a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from client_programs import Clients, Driver, WebClient, serving
from generate import git, repository
from program import run
from servers import git_http
from waiting import soon


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A repository's URL and its folder."""
    path = repository(tmp_path / "upstream" / "asked.git", 3)
    with git_http(path.parent) as base:
        yield f"{base}/asked.git", path


@pytest.fixture
def api(tmp_path: Path, upstream: tuple[str, Path]) -> Iterator[str]:
    """A server over a new archive that visits what it is asked for; the base URL of its API."""
    folder = tmp_path / "library"
    run("init", folder, cwd=tmp_path)
    (folder / "swhkit.yaml").write_text(
        "network: {private_addresses: always}\n"
        f'save_code_now: {{accept: ["{upstream[0]}"], reject: ["https://unwanted.example.org/"]}}\n'
    )
    with serving(folder) as url:
        yield url


def test_what_is_asked_for_is_archived(driver: Driver, api: str, upstream: tuple[str, Path]) -> None:
    url, path = upstream
    web = WebClient(driver, api.rstrip("/"))
    saved = web.value("origin_save", "git", url)
    assert (saved["origin_url"], saved["visit_type"], saved["save_request_status"]) == (
        url,
        "git",
        "accepted",
    )
    assert saved["save_task_status"] in ("pending", "scheduled", "running")

    def visited() -> bool:
        (found,) = web.outcomes(("last_visit", url))  # 404 before the visit has begun
        return "value" in found and found["value"]["status"] == "full"

    assert soon(visited, 30)
    visit = web.value("last_visit", url)
    snapshot = web.value("snapshot", visit["snapshot"].removeprefix("CoreSWHID(").removesuffix(")"))
    (branches,) = snapshot
    head = git(path, "rev-parse", "refs/heads/main")
    assert branches["refs/heads/main"]["target"] == f"CoreSWHID(swh:1:rev:{head})"
    again = web.value("origin_save", "git", url)
    assert again["id"] == saved["id"] + 1, "after the visit it is a request of its own"
    (refused,) = web.outcomes(("origin_save", "git", "https://unwanted.example.org/r"))
    assert refused["status"] == 403


def test_the_program_asks_too(clients: Clients, api: str, upstream: tuple[str, Path], tmp_path: Path) -> None:
    config = clients.home / "swh-web.yml"
    config.write_text(yaml.safe_dump({"api_url": api.rstrip("/"), "bearer_token": None}))
    asked = f"git,{upstream[0]}\ngit,https://unwanted.example.org/r\n"
    done = clients.run("swh", "web", "-C", config, "save", "submit-request", input=asked)
    (answer,) = json.loads(done.stdout)
    assert (answer["origin_url"], answer["save_request_status"]) == (upstream[0], "accepted")
    assert "Issue for origin (https://unwanted.example.org/r, git)" in done.stderr
    found = json.loads(run("save", "list", "--json", cwd=tmp_path / "library").stdout)
    assert [one["status"] for one in found] == ["rejected", "accepted"]
