"""``person/``, and the links that lead there."""

from __future__ import annotations

from typing import Any

import pytest
from reading_samples import ADA, BOB, MISSING


async def test_a_person(api: Any) -> None:
    number = api.sample.persons[ADA.fullname]
    assert await api.json(f"person/{number}/") == {
        "id": number,
        "fullname": "Ada <ada@example.org>",
        "name": "Ada",
        "email": "ada@example.org",
    }
    assert await api.json(f"person/{number}/?fields=name,id") == {"id": number, "name": "Ada"}
    head = await api.ask("HEAD", f"person/{number}/")
    assert (head.status, await head.read()) == (200, b"")


async def test_a_person_that_is_not_utf_8(api: Any) -> None:
    number = api.sample.persons[BOB.fullname]
    assert await api.json(f"person/{number}/") == {
        "id": number,
        "fullname": "Bob \\xff <b\\\\ob@example.org>",
        "name": "Bob \\xff",
        "email": "b\\ob@example.org",
        "decoding_failures": ["fullname", "name"],
    }


@pytest.mark.parametrize("number", ["0", "3", "99999", "9" * 19, "00"])
async def test_unknown_persons(api: Any, number: str) -> None:
    assert await api.not_found(f"person/{number}/") == f"Person with id {int(number)} not found."


async def test_what_is_no_number(api: Any) -> None:
    await api.not_found(f"person/{'9' * 5000}/")
    for word in ("x", "-1", "1.0", "%D9%A1", "1%0A"):
        assert (await api.json(f"person/{word}/", 404))["error"] == "Resource not found"


class Counting:
    """A catalog that counts what is asked of it."""

    def __init__(self, catalog: Any) -> None:
        self._catalog, self.asked = catalog, list[str]()

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self._catalog, name)


async def test_persons_of_a_page_are_asked_for_once(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s = api.sample
    counting = Counting(s.archive.catalog)
    monkeypatch.setattr(s.archive, "catalog", counting)
    for path in (
        f"revision/{s.merge.hex()}/log/",
        f"revision/{s.first.hex()}/prev/{s.left.hex()}/{s.merge.hex()}/log/",
        f"revision/{s.merge.hex()}/",
        f"release/{s.release.hex()}/",
        "revision/origin/1/log/",
    ):
        counting.asked.clear()
        body = await api.json(path)
        assert counting.asked.count("persons") == 1
        for one in body if isinstance(body, list) else [body]:
            for who in ("author", "committer"):
                if one.get(who) and "id" in one[who]:
                    assert one[f"{who}_url"] == f"{api.base}person/{one[who]['id']}/"


async def test_persons_without_a_number_have_no_link(api: Any) -> None:
    found = await api.json(f"revision/{api.sample.odd.hex()}/")
    assert "committer_url" not in found
    assert found["author_url"].startswith(f"{api.base}person/")
    assert await api.not_found(f"revision/{MISSING.hex()}/")
