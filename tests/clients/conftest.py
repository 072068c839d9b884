"""An archive of small repositories, a server over it, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_programs import PROGRAMS, VECTORS, Clients, Driver, Library, WebClient, many_branches, serving
from generate import repository
from program import load
from servers import git_http
from vectors import unpack


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The archive, loaded over HTTP; ``history`` was visited three times."""
    upstream, folder = tmp_path_factory.mktemp("upstream"), tmp_path_factory.mktemp("library")
    repositories = {name: unpack(name, upstream / name) for name in VECTORS}
    repositories["history"] = repository(upstream / "history.git", 60)
    repositories["many"] = many_branches(upstream / "many.git")
    with git_http(upstream) as base:
        origins = {name: f"{base}/{path.relative_to(upstream)}" for name, path in repositories.items()}
        visits: dict[str, list[dict[str, Any]]] = {name: [] for name in origins}
        urls = list(origins.values())
        for batch in (urls, [origins["history"]], [origins["history"]]):
            for report in load("--type", "git", *batch, cwd=folder):
                visits[next(name for name, url in origins.items() if url == report["origin"])].append(report)
    return Library(folder, repositories, origins, visits)


@pytest.fixture(scope="session")
def api(library: Library) -> Iterator[str]:
    """A server over the library; the base URL of its API."""
    with serving(library.folder) as url:
        yield url


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    """The programs, in a home folder of this test's own."""
    assert (PROGRAMS / "swh").exists(), "the clients are not installed: tools/prepare.sh clients"
    (tmp_path / "home").mkdir()
    return Clients(tmp_path / "home")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """swh-web-client in a process that takes calls."""
    running = Driver(tmp_path_factory.mktemp("driver"))
    yield running
    running.close()


@pytest.fixture
def web(driver: Driver, api: str) -> WebClient:
    """A client of the library's server."""
    return WebClient(driver, api.rstrip("/"))
