"""Tokens and limits: clients that show a token, that are too quick, and that look at their budget first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest
import yaml
from client_programs import HERE, Clients, Driver, Library, WebClient, serving
from program import run


@pytest.fixture(scope="module")
def token(library: Library) -> str:
    """An access token of a user of the library."""
    user = ("--user", "ann", "--email", "ann@example.org")
    return run("token", "create", "laptop", *user, cwd=library.folder).stdout.strip()


@pytest.fixture(scope="module")
def narrow(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over the library on which everyone has five requests a second, and one search."""
    file = tmp_path_factory.mktemp("narrow") / "swhkit.yaml"
    settings = {
        "exempt_networks": [],
        "factor": 1,
        "rates": {"swh_api": "5/s", "swh_api_origin_search": "1/s"},
    }
    parts = {
        "objects": {"backend": "filesystem", "path": str(library.folder / "archive" / "objects")},
        "catalog": {"backend": "sqlite", "path": str(library.folder / "archive" / "catalog.sqlite")},
        "requests": {"backend": "sqlite", "path": str(library.folder / "archive" / "requests.sqlite")},
        "stage": str(library.folder / "archive" / "stage"),
    }
    file.write_text(yaml.safe_dump({"archive": parts, "server": {"throttling": settings}}))
    with serving(file.parent) as url:
        yield url.rstrip("/")


def test_with_a_token(library: Library, driver: Driver, api: str, token: str) -> None:
    web = WebClient(driver, api.rstrip("/"), bearer_token=token)
    plain = WebClient(driver, api.rstrip("/"))
    calls = [
        ("get", library.snapshot("git-basic")),
        ("visits", library.origins["history"]),
        ("known", [library.snapshot("history")]),
        ("origin_exists", library.origins["history"]),
    ]
    assert web.values(*calls) == plain.values(*calls)


def test_with_a_token_that_nobody_has(library: Library, driver: Driver, api: str, token: str) -> None:
    web = WebClient(driver, api.rstrip("/"), bearer_token="x" + token)
    refused = {"error": "HTTPError", "status": 403}
    calls = [("get", library.snapshot("git-basic")), ("origin_exists", library.origins["history"])]
    assert web.outcomes(*calls) == [refused] * 2


def test_a_client_that_paces_itself(narrow: str, driver: Driver) -> None:
    web = WebClient(driver, narrow)
    begun = time.monotonic()
    answers = web.values(*[("_call", "ping/")] * 15)
    assert [answer["json"] for answer in answers] == ["pong"] * 15
    assert {answer["headers"]["X-RateLimit-Limit"] for answer in answers} == {"5"}
    assert time.monotonic() - begun > 1.5


def test_a_client_that_is_told_to_wait(library: Library, narrow: str, driver: Driver) -> None:
    """It asks at once, is refused, and tries again until it gets through."""
    web = WebClient(driver, narrow, use_rate_limit=False)
    before = driver.log.count("HTTP RETRY")
    answers = web.values(*[("origin_search", "history")] * 4)
    assert [[origin["url"] for origin in answer] for answer in answers] == [[library.origins["history"]]] * 4
    assert driver.log.count("HTTP RETRY") > before


def test_a_user_may_do_ten_times_as_much(narrow: str, driver: Driver, token: str) -> None:
    (answer,) = WebClient(driver, narrow, bearer_token=token).values(("_call", "ping/"))
    assert answer["headers"]["X-RateLimit-Limit"] == "50"


def test_pyswh_looks_at_its_budget(clients: Clients, api: str) -> None:
    assert clients.run("python", HERE / "drive_pyswh.py", api).stdout == "goes on\n"


def test_the_token_of_the_scanner(library: Library, clients: Clients, api: str, token: str) -> None:
    """It takes the token from its own configuration, and a bad one is an error."""
    folder = clients.home / "project"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    found = {}
    for secret in (token, "nobody's"):
        tokens = {"SoftwareHeritage": {"swh-web": secret}}
        found[secret] = clients.scan(folder, "json", api, keycloak_tokens=tokens)
    assert '"known": false' in found[token]
    assert "403 Forbidden" in found["nobody's"]
