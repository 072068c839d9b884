"""Forges of a JSON index, each with a fault that the contract of forges has to find (``test_forge_contract``)."""

from __future__ import annotations

import datetime
import json
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from swhkit.plugin import (
    Fetched,
    ForgeClient,
    ForgeConfig,
    ForgeContext,
    Moment,
    Provider,
    Repository,
    Unavailable,
    by_body,
)
from swhkit.testing import ForgeContract
from swhkit.testing.forges import Answered, Asked, Sample
from swhkit.testing.web import as_json


class Row(msgspec.Struct):
    id: int
    name: str
    url: str
    private: bool
    updated: Moment


class Sound:
    """None."""

    def __init__(self, config: ForgeConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        return True

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        api = context.client.at("/index", {"Authorization": f"Bearer {self.config.token}"})
        for row, _ in self.rows(api):
            if not row.private and (since is None or row.updated >= since):
                yield self.told(row)

    def rows(self, api: ForgeClient) -> Iterator[tuple[Row, bytes]]:
        yield from api.each("", Row, within="rows", paging=by_body())

    def told(self, row: Row) -> Repository:
        return Repository(key=str(row.id), url=row.url, last_update=row.updated)


class Careless(Sound):
    """Takes an answer that did not come for the end."""

    def rows(self, api: ForgeClient) -> Iterator[tuple[Row, bytes]]:
        try:
            yield from super().rows(api)
        except Unavailable:
            return


class Indiscreet(Sound):
    """Tells of what is private."""

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        api = context.client.at("/index", {"Authorization": f"Bearer {self.config.token}"})
        for row, _ in self.rows(api):
            yield self.told(row)


class Named(Sound):
    """Knows repositories by their names."""

    def told(self, row: Row) -> Repository:
        return msgspec.structs.replace(super().told(row), key=row.name)


class Trusting(Sound):
    """Believes JSON to be what it should be."""

    def rows(self, api: ForgeClient) -> Iterator[tuple[Row, bytes]]:
        def following(page: Fetched) -> str | None:
            found: str | None = json.loads(page.body)["next"] or None
            return found

        for page in api.pages("", within="rows", paging=following):
            for item in page.items:
                told = json.loads(bytes(item))
                moment = datetime.datetime.fromisoformat(told["updated"])
                yield Row(told["id"], told["name"], told["url"], told["private"], moment), bytes(item)


class Hasty(Sound):
    """Reads the first page alone."""

    def rows(self, api: ForgeClient) -> Iterator[tuple[Row, bytes]]:
        yield from api.each("", Row, within="rows", paging=lambda _: None)


class Late(Sound):
    """Leaves out what changed on the day that it is asked for."""

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        return super().repositories(context, since and since + datetime.timedelta(days=1))


class Wayward(Sound):
    """Asks in its own way, and wherever it is led."""

    def rows(self, api: ForgeClient) -> Iterator[tuple[Row, bytes]]:
        url: str | None = f"{api.url}/"
        while url:
            asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.config.token}"})
            try:
                with urllib.request.urlopen(asked, timeout=10) as answer:
                    told: Any = json.load(answer)
            except (OSError, ValueError) as error:
                raise Unavailable(f"{url} with {self.config.token}: {error}") from error
            for row in told["rows"] if isinstance(told, dict) else []:
                yield msgspec.convert(row, Row), b""
            url = told["next"] if isinstance(told, dict) else None


class _Contract(ForgeContract):
    __test__ = False

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path.rstrip("/") != "/index":
            return Answered(status=404)
        after = int(asked.params.get("after", "0"))
        rows = [
            {
                "id": sample.number,
                "name": sample.name,
                "url": self.url_of(sample, base),
                "private": sample.private,
                "updated": sample.updated.isoformat(),
            }
            for sample in held[after : after + 3]
        ]
        following = f"{base}/index/?after={after + 3}" if held[after + 3 :] else None
        return as_json({"rows": rows, "next": following})

    def url_of(self, sample: Sample, base: str) -> str:
        return f"{base}/{sample.name}"


def _contract(forge: type[Sound]) -> type[_Contract]:
    provider = Provider("faulty", "for tests", f"{__name__}:{forge.__name__}", ForgeConfig)
    return type(f"Test{forge.__name__}", (_Contract,), {"provider": provider, "__test__": True})


TestSound = _contract(Sound)
TestCareless = _contract(Careless)
TestIndiscreet = _contract(Indiscreet)
TestNamed = _contract(Named)
TestTrusting = _contract(Trusting)
TestHasty = _contract(Hasty)
TestLate = _contract(Late)
TestWayward = _contract(Wayward)
