"""An archive that keeps itself up to date: real servers of forges, a real server of ours with its worker, real visits.

A webhook's payload, a list of a thousand words, and a forge that pages, tires and recovers each end as snapshots that the
web API names.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from generate import add_revisions, git, repository
from program import run, start
from servers import git_http, http_server

PAYLOADS = Path(__file__).parent.parent / "data" / "webhooks"
SECRET = "It's a Secret to Everybody"


class Api:
    """The web API of a running server; ``token`` is shown with every request, if there is one."""

    def __init__(self, url: str) -> None:
        self.url, self.token = url.rstrip("/"), ""

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer; ``path`` may be a whole URL. Names of headers have ``_`` for ``-``."""
        url = path if path.startswith("http") else f"{self.url}/api/1/{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            named["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(url, body, named)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def until(self, path: str, good: Callable[[Any], bool], seconds: float = 60) -> Any:
        """The JSON at ``path`` as soon as it is good."""
        end = time.monotonic() + seconds
        while True:
            status, found = self.ask(path)
            if status == 200 and good(found):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.1)


@contextmanager
def serving(folder: Path, config: str) -> Iterator[Api]:
    """``swhkit serve`` with a worker, on an archive in ``folder``; nothing of it is left after the block."""
    run("init", cwd=folder)
    (folder / "swhkit.yaml").write_text(config)
    with serving_again(folder) as api:
        yield api


@contextmanager
def serving_again(folder: Path) -> Iterator[Api]:
    """The same for an archive that is there."""
    process = start("serve", "--listen", "127.0.0.1:0", cwd=folder)
    try:
        assert process.stdout is not None
        yield Api(process.stdout.readline().strip())
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)
        assert "Traceback" not in err, err


@pytest.fixture
def origins(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server of git repositories, and their folder."""
    root = tmp_path / "repositories"
    root.mkdir()
    with git_http(root) as url:
        yield url, root


def heads(git_dir: Path) -> dict[str, str]:
    """The branches of a repository and the revisions they point to."""
    lines = git(git_dir, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads").splitlines()
    return dict(line.split() for line in lines)


def branches_of(api: Api, snapshot_url: str) -> dict[str, str]:
    """The branches of a snapshot that are revisions, as the web API has them."""
    status, snapshot = api.ask(snapshot_url)
    assert status == 200
    return {n: b["target"] for n, b in snapshot["branches"].items() if b["target_type"] == "revision"}


def test_a_push_becomes_a_snapshot(tmp_path: Path, origins: tuple[str, Path]) -> None:
    url, root = origins
    path = repository(root / "pushed.git", 5)
    payload = json.loads((PAYLOADS / "github" / "push-0.json").read_text())
    payload["repository"]["html_url"] = f"{url}/pushed.git"
    config = f"""
network: {{private_addresses: always}}
save_code_now: {{accept: ["{url}/"]}}
webhooks: {{github: {{secret: "{SECRET}"}}}}
jobs: {{retry: 1s}}
"""

    def deliver(number: int, secret: str = SECRET) -> tuple[int, Any]:
        body = json.dumps(payload).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return api.ask(
            "origin/save/webhook/github/", body, User_Agent="GitHub-Hookshot/044aadd", X_GitHub_Event="push",
            X_GitHub_Delivery=f"d-{number}", X_Hub_Signature_256=f"sha256={signature}", Content_Type="application/json",
        )  # fmt: skip

    with serving(tmp_path, config) as api:
        assert deliver(0, "wrong")[0] == 403
        status, answer = deliver(1)
        assert (status, answer["save_request_status"], answer["origin_url"]) == (
            200,
            "accepted",
            f"{url}/pushed.git",
        )
        assert deliver(1) == (200, answer), "the same delivery gets the same answer"
        saved = api.until(answer["request_url"], lambda found: found["save_task_status"] == "succeeded")
        assert (saved["visit_status"], saved["from_webhook"], saved["webhook_origin"]) == (
            "full",
            True,
            "github",
        )
        assert branches_of(api, saved["snapshot_url"]) == heads(path)
        add_revisions(path, 2)
        status, second = deliver(2)
        assert (status, second["id"] > answer["id"]) == (200, True)
        assert second["save_task_next_run"] > answer["save_request_date"], (
            "the second push within an hour waits"
        )
        assert deliver(3)[1]["id"] == second["id"], "and a third finds it waiting"
        found = api.ask(f"origin/save/git/url/{url}/pushed.git/")[1]
        assert [one["id"] for one in found] == [second["id"], answer["id"]]
    assert len(json.loads(run("save", "list", "--json", cwd=tmp_path).stdout)) == 2


def test_many_at_once(tmp_path: Path, origins: tuple[str, Path]) -> None:
    url, root = origins
    for number in range(4):
        repository(root / f"r{number}.git", 2)
    lines = [f"{url}/r{number}.git,git" for number in range(4)] + [
        f"{url}/absent.git,git",
        f"{url}/r0.git,git",
    ]
    with serving(tmp_path, "network: {private_addresses: always}\njobs: {workers: 2, per_host: 2}\n") as api:
        assert api.ask("origin/save/bulk/", b"x", Content_Type="text/csv")[0] == 401
        api.token = _token(tmp_path, "swh.web.api.save_bulk")
        status, answer = api.ask("origin/save/bulk/", "\n".join(lines).encode(), Content_Type="text/csv")
        assert (status, answer["status"]) == (200, "accepted")
        rows = api.until(
            answer["request_info_url"], lambda rows: all(row["last_visit_status"] for row in rows)
        )
    assert len(rows) == 5
    by_name = {row["origin_url"].removeprefix(f"{url}/"): row for row in rows}
    assert by_name.pop("absent.git")["last_visit_status"] == "failed"
    assert {row["last_visit_status"] for row in by_name.values()} == {"successful"}
    assert all(row["last_snapshot_swhid"].startswith("swh:1:snp:") for row in by_name.values())


def _token(folder: Path, permission: str) -> str:
    user = ("--user", "ada", "--email", "ada@example.org")
    return run("token", "create", "ci", *user, "--permission", permission, cwd=folder).stdout.strip()


class FakeForge:
    """A Gitea that tires: its first answer is 500, the second 429 with ``Retry-After``, then it pages by two."""

    def __init__(self) -> None:
        self.repositories: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.base = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """What answers for it."""
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                forge.asked.append(self.path)
                status, headers, body = forge.answer(self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        if len(self.asked) == 1:
            return 500, {}, b"{}"
        if len(self.asked) == 2:
            return 429, {"Retry-After": "1"}, b"{}"
        asked = parse_qs(urlsplit(path).query)
        first = (int(asked.get("page", ["1"])[0]) - 1) * 2
        some = self.repositories[first : first + 2]
        headers = {"Content-Type": "application/json", "X-Total-Count": str(len(self.repositories))}
        return 200, headers, json.dumps({"ok": True, "data": some}).encode()


def described(number: int, url: str, **more: object) -> dict[str, Any]:
    """A repository as a Gitea tells of it."""
    name = url.rpartition("/")[2].removesuffix(".git")
    told = {
        "id": number, "name": name, "full_name": f"ada/{name}", "clone_url": url, "private": False, "fork": False,
        "archived": False, "has_wiki": False, "updated_at": "2024-05-01T12:00:00Z",
    }  # fmt: skip
    return told | more


def test_a_forge_that_tires_and_recovers(tmp_path: Path, origins: tuple[str, Path]) -> None:
    url, root = origins
    for number in range(5):
        repository(root / f"r{number}.git", 2)
    forge = FakeForge()
    forge.repositories = [described(number, f"{url}/r{number}.git") for number in range(5)]
    forge.repositories.append(described(9, f"{url}/secret.git", private=True))
    with http_server(forge.handler()) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        config = f"""
network: {{private_addresses: always}}
jobs: {{workers: 2, per_host: 4, retry: 1s}}
forges: [{{kind: gitea, url: "{address}", every: 1h}}]
"""
        with serving(tmp_path, config) as api:
            status = api.until("swhkit/status/", lambda found: found["origins"].get("ok") == 5)
            assert status["origins"].get("failing", 0) == 0
            for number in range(5):
                visit = api.ask(f"origin/{url}/r{number}.git/visit/latest/?require_snapshot=true")[1]
                assert branches_of(api, visit["snapshot_url"]) == heads(root / f"r{number}.git")
            assert api.ask(f"origin/{url}/secret.git/get/")[0] == 404
        assert any("page=3" in path for path in forge.asked), "all pages were read"
        forge.repositories = [described(0, f"{url}/renamed.git"), *forge.repositories[2:]]
        (root / "r0.git").rename(root / "renamed.git")
        (listed,) = json.loads(run("forge", "list", "--json", cwd=tmp_path).stdout)
        done = json.loads(run("forge", "crawl", str(listed["id"]), "--full", "--json", cwd=tmp_path).stdout)
        assert (done["status"], done["renamed"], done["lost"]) == ("complete", 1, 0)
        run("worker", "--once", cwd=tmp_path)
        with serving_again(tmp_path) as api:
            visit = api.ask(f"origin/{url}/renamed.git/visit/latest/")[1]
            assert (visit["status"], visit["origin"]) == ("full", f"{url}/renamed.git")
            authority = api.ask(f"raw-extrinsic-metadata/origin/{url}/r1.git/authorities/")[1]
            assert [one["url"] for one in authority] == [address]
    assert "nothing is wrong" in run("check", "--full", cwd=tmp_path).stdout
