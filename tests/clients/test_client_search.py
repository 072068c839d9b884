"""Origin search by swh-web-client: its Python interface and ``swh web search``."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
import yaml
from client_programs import Clients, Library, WebClient


@pytest.fixture
def config(clients: Clients, api: str) -> Path:
    """A configuration file that names the server and nothing else."""
    file = clients.home / "swh-web.yml"
    file.write_text(yaml.safe_dump({"api_url": api.rstrip("/"), "bearer_token": None}))
    return file


def rows(printed: str) -> list[list[str]]:
    """The lines of a search, their columns."""
    return list(csv.reader(printed.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def urls(found: list[dict[str, Any]]) -> set[str]:
    """The URLs of what was found; none comes twice."""
    assert len({origin["url"] for origin in found}) == len(found)
    return {origin["url"] for origin in found}


def test_words_in_any_order_and_case(library: Library, web: WebClient) -> None:
    known = library.origins
    tags = {url for name, url in known.items() if name.startswith("git-tag-")}
    one, words, case, none, all_, visited = web.values(
        ("origin_search", "history.git"),
        ("origin_search", "tag- http repo"),
        ("origin_search", "GIT-TAG"),
        ("origin_search", "git-tag nowhere"),
        ("origin_search", "127.0.0.1"),
        ("origin_search", "127.0.0.1", {"with_visit": True}),
    )
    assert urls(one) == {known["history"]}
    assert urls(words) == urls(case) == tags
    assert none == []
    assert urls(all_) == urls(visited) == set(known.values())


def test_what_is_told_of_an_origin(library: Library, web: WebClient, api: str) -> None:
    (found,) = web.value("origin_search", "history.git")
    url, report = library.origins["history"], library.visits["history"][-1]
    last = web.value("visits", url)[0]
    assert list(found) == [
        "url", "visit_types", "has_visits", "nb_visits", "snapshot_id", "last_visit_date",
        "last_eventful_visit_date", "origin_visits_url", "metadata_authorities_url",
    ]  # fmt: skip
    assert (found["visit_types"], found["has_visits"], found["nb_visits"]) == (["git"], True, 3)
    assert found["snapshot_id"] == report["snapshot"][10:]
    assert f"datetime({found['last_visit_date']})" == last["date"]
    assert found["origin_visits_url"] == f"{api}origin/{url}/visits/"


def test_limits_are_kept_over_pages(library: Library, web: WebClient) -> None:
    """The limit is that of a page as well: the client goes on until it has enough, or there is no more."""
    count = len(library.origins)
    few, all_ = web.values(("origin_search", "git", 4), ("origin_search", "git", 2 * count))
    assert len(urls(few)) == 4
    assert len(urls(all_)) == count
    pages = []
    address = "origin/search/git/?limit=4"
    while address:
        answer = web.value("_call", address)
        pages.append([origin["url"] for origin in answer["json"]])
        assert answer["headers"]["X-Total-Count"] == str(count)
        link = answer["headers"].get("Link", "")
        address = link.partition("<")[2].partition(">")[0]
    assert sorted(url for page in pages for url in page) == sorted(library.origins.values())
    assert [len(page) for page in pages[:-1]] == [4] * (len(pages) - 1)


def test_the_command(library: Library, clients: Clients, config: Path) -> None:
    found = rows(clients.swh("web", "-C", config, "search", "--limit", "100", "git-tag"))
    tags = {url for name, url in library.origins.items() if name.startswith("git-tag-")}
    assert {row[0] for row in found} == tags
    for row in found:
        assert len(row) == 9
        assert row[1:4] == ["['git']", "True", "1"]
        assert row[7].endswith(f"origin/{row[0]}/visits/")


def test_the_command_with_limits_and_escaped_urls(library: Library, clients: Clients, config: Path) -> None:
    search = ("web", "-C", config, "search")
    assert len(rows(clients.swh(*search, "git"))) == 10
    assert len(rows(clients.swh(*search, "--limit", "3", "--only-visited", "git", "repo"))) == 3
    (row,) = rows(clients.swh(*search, "--url-encode", "history", "http"))
    assert "/" not in row[0]
    assert unquote_plus(row[0]) == library.origins["history"]
    assert clients.swh(*search, "nothing", "of", "the", "kind") == ""


def test_the_command_with_settings_in_the_clients_own_place(
    library: Library, clients: Clients, api: str
) -> None:
    file = clients.home / ".config" / "swh" / "global.yml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump({"swh": {"web": {"client": {"api_url": api}}}}))
    (row,) = rows(clients.swh("web", "search", "history.git"))
    assert row[0] == library.origins["history"]
