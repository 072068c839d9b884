"""A server in this process over the sample archive, and a client that sends URLs exactly as they are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import archives
import desks
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from reading_samples import Sample
from yarl import URL

from swhkit.api.app import make_app
from swhkit.desk import Desk


class Client:
    """``get("content/…/")`` below ``/api/1/``; nothing is followed, nothing is normalised."""

    def __init__(self, client: Any, sample: Sample) -> None:
        self.client, self.sample = client, sample
        self.base = f"http://{client.host}:{client.port}/api/1/"

    async def ask(self, method: str, path: str, **options: Any) -> ClientResponse:
        url = URL(self.base + path, encoded=True)
        answer: ClientResponse = await self.client.session.request(
            method, url, allow_redirects=False, **options
        )
        return answer

    async def get(self, path: str, **options: Any) -> ClientResponse:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> ClientResponse:
        return await self.ask("POST", path, **options)

    async def json(self, path: str, status: int = 200, **options: Any) -> Any:
        answer = await self.get(path, **options)
        assert answer.status == status, await answer.text()
        assert answer.headers["Content-Type"] == "application/json"
        return await answer.json()

    async def refused(self, path: str, status: int, name: str) -> Any:
        """The reason of an error answer of this class."""
        body = await self.json(path, status)
        assert list(body) == ["exception", "reason"]
        assert body["exception"] == name
        return body["reason"]

    async def not_found(self, path: str) -> Any:
        return await self.refused(path, 404, "NotFoundExc")

    async def bad(self, path: str) -> Any:
        return await self.refused(path, 400, "BadInputExc")


@pytest.fixture(scope="session")
def sample() -> Sample:
    return Sample()


@pytest.fixture
def desk(sample: Sample, tmp_path: Path) -> Iterator[Desk]:
    """Where the server of ``api`` takes requests; there are none yet."""
    with desks.desk(sample.archive, tmp_path) as opened:
        yield opened


@pytest.fixture
async def api(sample: Sample, desk: Desk) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(sample.archive, desk=desk))) as client:
        yield Client(client, sample)


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Client]]:
    """``async with serving(sample, …) as api``: the client of an application over a sample of the test's own, with a desk
    unless the test gives one or None."""

    @asynccontextmanager
    async def opened(sample: Sample, **options: Any) -> AsyncIterator[Client]:
        with desks.desk(sample.archive, tmp_path) as desk:
            app = make_app(sample.archive, **{"desk": desk, **options})
            async with TestClient(TestServer(app)) as client:
                yield Client(client, sample)

    return opened


@pytest.fixture
def taking(tmp_path: Path, serving: Any) -> Callable[..., AbstractAsyncContextManager[tuple[Any, ...]]]:
    """``async with taking(TEXT, USERS) as (api, desk, archive, users)``: a server that takes requests for an archive of the
    test's own. TEXT is added to its configuration; USERS has permissions by name, ``users`` the headers of each."""

    @asynccontextmanager
    async def opened(text: str, users: Mapping[str, Sequence[str]]) -> AsyncIterator[tuple[Any, ...]]:
        with (
            archives.archive("memory", tmp_path) as archive,
            desks.desk(archive, tmp_path, desks.IN_MEMORY + text) as desk,
        ):
            headers = {name: desks.bearer(desk, name, *allowed) for name, allowed in users.items()}
            sample = Sample(archive.objects, archive.catalog)
            async with serving(sample, desk=desk, requests=lambda: desk.requests) as api:
                yield api, desk, archive, headers

    return opened
