"""A swhkit whose archive is another swhkit: the program, the web API, and a chain of them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import program
import pytest
from reading_samples import EMPTY_URL, MISSING, QUERY, SPACED, URL, Sample
from remote_servers import error, front, remote_yaml, served, stores

from swhkit.swhid import Kind, ObjectId


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sample, Path]]:
    folder = tmp_path_factory.mktemp("first")
    made = Sample(*stores(folder))
    yield made, folder
    made.objects.close()
    made.catalog.close()


@pytest.fixture(scope="module")
def first(sample: tuple[Sample, Path]) -> Iterator[str]:
    with served(sample[1]) as url:
        yield url


@pytest.fixture(scope="module")
def second(first: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(remote_yaml(tmp_path_factory.mktemp("second"), first)) as url:
        yield url


@pytest.fixture(scope="module")
def third(second: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(remote_yaml(tmp_path_factory.mktemp("third"), second)) as url:
        yield url


def fetch(url: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def paths(s: Sample) -> list[str]:
    """What is asked of all of them."""
    revisions = [s.first, s.merge, s.odd, s.silent, s.svn, s.authorless, s.gapped, MISSING]
    ids = [ObjectId(Kind.REVISION, d) for d in revisions]
    ids += [ObjectId(Kind.DIRECTORY, d) for d in (s.root, s.bad_name, s.duplicate, s.truncated)]
    ids += [ObjectId(Kind.RELEASE, d) for d in (s.release, s.nested, s.of_content)]
    ids += [ObjectId(Kind.CONTENT, r.sha1_git) for r in (s.hello, s.big, s.skipped, s.lost, s.rowless)]
    ids += [ObjectId(Kind.SNAPSHOT, d) for d in (s.snp, s.empty_snp, MISSING)]
    urls = [URL, SPACED, QUERY, EMPTY_URL, "https://git.example.org/nowhere"]
    return [
        *(f"raw/{id}/" for id in ids),
        *(f"resolve/{id}/" for id in ids),
        *(f"{id.kind.word}/{id.hex}/" for id in ids if id.kind is not Kind.CONTENT),
        *(f"content/sha1_git:{id.hex}/" for id in ids if id.kind is Kind.CONTENT),
        *(f"content/sha256:{row.sha256.hex()}/raw/" for row in (s.hello, s.big, s.skipped, s.lost)),
        f"content/known/{s.hello.sha1.hex()},{s.skipped.sha1.hex()},{MISSING.hex()}/",
        f"directory/{s.root.hex()}/sub/f.txt/",
        f"revision/{s.merge.hex()}/log/",
        f"revision/{s.merge.hex()}/directory/sub/",
        f"snapshot/{s.snp.hex()}/?branches_count=3&branches_from=bad",
        *(f"origin/{quote(url, safe=':/')}/get/" for url in urls),
        *(f"origin/{quote(url, safe=':/')}/visits/?per_page=2" for url in urls),
        *(f"origin/{quote(url, safe=':/')}/visit/latest/?require_snapshot=true" for url in urls),
        *(f"origin/{quote(url, safe=':/')}/visit/2/" for url in urls),
        "stat/counters/",
        "origins/?origin_count=2",
        "origins/?origin_from=2&origin_count=2",
        "origin/2/",
        "origin/search/git%20example/?limit=2",
        "person/1/",
    ]


def test_two_in_a_chain_answer_as_the_first(
    sample: tuple[Sample, Path], first: str, second: str, third: str
) -> None:
    """Bodies are the same but for the address in links; of what is damaged or half held, the kind of error counts."""
    different = []
    for path in paths(sample[0]):
        status, _, body = fetch(first + path)
        for url in (second, third):
            chained, headers, other = fetch(url + path)
            if status >= 500:
                # What the first has and cannot read, nobody further can tell.
                assert chained >= 500, (path, chained, other)
                assert chained != 503 or "Retry-After" in headers
            elif (chained, _without_host(other, url)) != (status, _without_host(body, first)):
                different.append((path, status, body, chained, other))
    assert different == []


def _without_host(body: bytes, url: str) -> bytes:
    return body.replace(url.removesuffix("api/1/").encode(), b"http://HOST/")


def test_what_is_known_is_told_through_the_chain(sample: tuple[Sample, Path], first: str, third: str) -> None:
    s = sample[0]
    swhids = [f"swh:1:cnt:{row.sha1_git.hex()}" for row in (s.hello, s.skipped, s.lost, s.rowless)]
    swhids += [f"swh:1:dir:{s.root.hex()}", f"swh:1:snp:{s.snp.hex()}", f"swh:1:rev:{MISSING.hex()}"]
    assert fetch(third + "known/", swhids)[2] == fetch(first + "known/", swhids)[2]


def test_pages_are_followed_through_the_chain(first: str, third: str) -> None:
    def walk(url: str, path: str) -> list[str]:
        urls: list[str] = []
        following: str | None = url + path
        while following:
            status, headers, body = fetch(following)
            assert status == 200, body
            urls += [one["url"] for one in json.loads(body)]
            link = headers.get("Link", "")
            following = link.partition("<")[2].partition(">")[0] if 'rel="next"' in link else None
        return urls

    for path in (
        "origins/?origin_count=2",
        "origin/search/git/?limit=1",
        "origin/search/%5Bu%5D/?regexp=true&limit=1",
    ):
        assert walk(third, path) == walk(first, path) != []


def test_the_program_reads_from_another_archive(
    sample: tuple[Sample, Path], first: str, tmp_path: Path
) -> None:
    s, here = sample
    away = remote_yaml(tmp_path / "away", first)
    commands: list[list[str]] = [
        ["stats"], ["stats", "--json"],
        ["show", f"swh:1:rev:{s.merge.hex()}"], ["show", f"swh:1:snp:{s.snp.hex()}", "--json"],
        ["show", f"swh:1:rel:{s.release.hex()}"], ["show", f"swh:1:cnt:{s.hello.sha1_git.hex()}"],
        ["cat", f"swh:1:cnt:{s.hello.sha1_git.hex()}"], ["cat", f"swh:1:rev:{s.merge.hex()}"],
        ["ls", f"swh:1:rev:{s.merge.hex()}"], ["ls", f"swh:1:dir:{s.root.hex()}/sub", "--json"],
        ["log", f"swh:1:rev:{s.merge.hex()}"], ["log", "--oneline", f"swh:1:snp:{s.snp.hex()}"],
    ]  # fmt: skip
    for command in commands:
        assert program.run(*command, cwd=away).stdout == program.run(*command, cwd=here).stdout
    unknown = program.run("show", f"swh:1:rev:{MISSING.hex()}", cwd=away, code=1)
    assert "not found" in unknown.stderr


def test_nothing_can_be_loaded_into_another_archive(first: str, tmp_path: Path) -> None:
    away = remote_yaml(tmp_path / "away", first)
    repository = tmp_path / "repository.git"
    repository.mkdir()
    done = program.run("load", "--type", "git", repository, cwd=away, code=None)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "read-only" in done.stderr
    for command in (["check", "--full"], ["reindex"], ["maintain"]):
        refused = program.run(*command, cwd=away, code=2)
        (line,) = refused.stderr.strip().splitlines()
        assert "read-only" in line or "cannot be listed" in line


def test_an_archive_that_is_away_is_said_to_be_away(sample: tuple[Sample, Path], tmp_path: Path) -> None:
    s = sample[0]
    away = remote_yaml(tmp_path / "away", "http://127.0.0.1:9/api/1/", ", retries: 0, token: s3cr3t")
    done = program.run("cat", f"swh:1:cnt:{s.hello.sha1_git.hex()}", cwd=away, code=1)
    assert "http://127.0.0.1:9/api/1/ cannot be reached" in done.stderr
    assert "s3cr3t" not in done.stderr + program.run("config", "show", cwd=away).stdout
    with served(away) as url:
        for path in paths(s):
            status, headers, body = fetch(url + path)
            answered = json.loads(body)
            if status == 404:  # asked for a page that nobody has, without a question to the archive
                assert answered["exception"] != "NotFoundExc", path
            else:
                assert (status, answered["exception"]) == (503, "StorageAPIError"), (path, body)
                assert int(headers["Retry-After"]) > 0
                assert "s3cr3t" not in answered["reason"]


def test_a_refusal_behind_is_503_in_front(sample: tuple[Sample, Path], first: str, tmp_path: Path) -> None:
    def refuses(method: str, target: str) -> tuple[int, bytes]:
        return error(429, "Throttled", "Request was throttled. Expected available in 3000 seconds.")

    with front(first, refuses) as (limited, seen), served(remote_yaml(tmp_path / "away", limited)) as url:
        for _ in range(3):
            status, headers, body = fetch(f"{url}revision/{sample[0].merge.hex()}/")
            assert (status, json.loads(body)["exception"]) == (503, "StorageAPIError")
            assert "ask again in" in json.loads(body)["reason"]
            assert "Retry-After" in headers
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ("{backend: remote}", "url"),
        ("{backend: remote, url: 'ftp://x/'}", "URL"),
        ("{backend: remote, url: 'https://user:pw@x/'}", "URL"),
        ("{backend: remote, url: 'https://x/', parallel: 0}", "parallel"),
        ("{backend: remote, url: 'https://x/', timeout: 0}", "timeout"),
        ("{backend: remote, url: 'https://x/', proxy: 'http://y'}", "proxy"),
    ],
)
def test_a_wrong_configuration_is_said(part: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "swhkit.yaml").write_text(f"archive:\n  objects: {part}\n")
    done = program.run("config", "check", cwd=tmp_path, code=2)
    assert complaint in done.stdout + done.stderr
    assert ":pw@" not in done.stdout + done.stderr
