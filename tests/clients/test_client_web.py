"""swh-web-client's Python interface: what its methods return of an archived repository is what git says of it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from client_programs import BRANCHES, VECTORS, Clients, Library, WebClient
from generate import git

WORDS = {"blob": "content", "tree": "directory", "commit": "revision", "tag": "release"}
SHORT = {"blob": "cnt", "tree": "dir", "commit": "rev", "tag": "rel"}
TYPES = {"blob": "file", "tree": "dir", "commit": "rev"}
NAMES = ("history", *VECTORS)


def objects(repository: Path, kind: str) -> list[str]:
    """The ids of all objects of one git type that are reachable from what a visit takes."""
    wanted = ("--exclude=refs/pipelines/*", "--exclude=refs/pull/*/merge", "--all")
    ids = git(repository, "rev-list", "--objects", "--no-object-names", *wanted).encode()
    lines = git(repository, "cat-file", "--batch-check=%(objectname) %(objecttype)", input=ids + b"\n")
    return [line.split()[0] for line in lines.splitlines() if line.endswith(f" {kind}")]


def read(repository: Path, kind: str, digest: str) -> bytes:
    """The bytes of an object."""
    argv = ["git", "-c", "safe.directory=*", "--git-dir", str(repository), "cat-file", kind, digest]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def typed(kind: str, digest: str) -> str:
    """An id as the client's type for it."""
    return f"CoreSWHID(swh:1:{SHORT.get(kind, kind)}:{digest})"


def text(data: bytes) -> str:
    """Bytes as the API writes them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.replace(b"\\", rb"\\").decode(errors="backslashreplace")


def headers(body: bytes) -> tuple[list[tuple[str, bytes]], str | None]:
    """The headers of a commit or tag, continued lines joined, and its message."""
    head, separator, message = body.partition(b"\n\n")
    lines = head.removesuffix(b"\n").replace(b"\n ", b"\0").split(b"\n")
    pairs = [line.partition(b" ") for line in lines]
    return [(k.decode(), v.replace(b"\0", b"\n")) for k, _, v in pairs], text(message) if separator else None


def signature(value: bytes) -> tuple[dict[str, Any], str]:
    """Person (without the number) and time of an author, committer or tagger line."""
    match = re.fullmatch(rb"((.*) <(.*)>) (-?\d+) ([+-])(\d\d)(\d\d)", value)
    assert match is not None
    sign = -1 if match[5] == b"-" else 1
    offset = timezone(sign * timedelta(hours=int(match[6]), minutes=int(match[7])))
    when = datetime.fromtimestamp(int(match[4]), offset)
    person = {"fullname": text(match[1]), "name": text(match[2]), "email": text(match[3])}
    return person, f"datetime({when.isoformat()})"


def person_of(answer: dict[str, Any] | None) -> dict[str, Any] | None:
    """A person of an answer, without the number."""
    if answer is None:
        return None
    assert isinstance(answer["id"], int)
    return {key: answer[key] for key in ("fullname", "name", "email")}


@pytest.mark.parametrize("name", ["git-basic", "git-submodule", "git-refs"])
def test_contents(library: Library, web: WebClient, name: str) -> None:
    repository = library.repositories[name]
    ids = objects(repository, "blob")
    assert ids
    swhids = [f"swh:1:cnt:{digest}" for digest in ids]
    known = web.values(*(("content", swhid) for swhid in swhids))
    raw = web.values(*(("content_raw", swhid) for swhid in swhids))
    assert web.values(*(("content_exists", swhid) for swhid in swhids)) == [True] * len(ids)
    for digest, answer, pieces in zip(ids, known, raw, strict=True):
        data = read(repository, "blob", digest)
        assert "".join(piece[6:-1] for piece in pieces) == data.hex()
        assert (answer["length"], answer["status"]) == (len(data), "visible")
        assert answer["checksums"] == {
            "sha1": hashlib.sha1(data).hexdigest(),
            "sha1_git": digest,
            "sha256": hashlib.sha256(data).hexdigest(),
            "blake2s256": hashlib.blake2s(data, digest_size=32).hexdigest(),
        }


@pytest.mark.parametrize("name", ["git-basic", "git-submodule", "git-tree-emptysub", "git-refs"])
def test_directories(library: Library, web: WebClient, name: str) -> None:
    repository = library.repositories[name]
    ids = objects(repository, "tree")
    swhids = [f"swh:1:dir:{digest}" for digest in ids]
    assert web.values(*(("directory_exists", swhid) for swhid in swhids)) == [True] * len(ids)
    entries = 0
    for digest, answer in zip(ids, web.values(*(("directory", swhid) for swhid in swhids)), strict=True):
        expected = []
        for line in git(repository, "ls-tree", "-z", "-l", digest).split("\0")[:-1]:
            columns, _, path = line.partition("\t")
            mode, kind, target, size = columns.split()
            length = None if size == "-" else int(size)
            expected.append((TYPES[kind], int(mode, 8), typed(kind, target), length, path))
        assert [(e["type"], e["perms"], e["target"], e["length"], e["name"]) for e in answer] == expected
        assert {entry["dir_id"] for entry in answer} <= {typed("dir", digest)}
        entries += len(answer)
    assert entries


@pytest.mark.parametrize("name", [name for name in NAMES if name != "git-empty"])
def test_revisions(library: Library, web: WebClient, name: str) -> None:
    repository = library.repositories[name]
    ids = objects(repository, "commit")
    swhids = [f"swh:1:rev:{digest}" for digest in ids]
    assert web.values(*(("revision_exists", swhid) for swhid in swhids)) == [True] * len(ids)
    for digest, answer in zip(ids, web.values(*(("revision", swhid) for swhid in swhids)), strict=True):
        pairs, message = headers(read(repository, "commit", digest))
        head = dict(reversed(pairs))
        assert answer["id"] == typed("rev", digest)
        assert answer["type"] == "git"
        assert answer["directory"] == typed("dir", head["tree"].decode())
        parents = [value.decode() for key, value in pairs if key == "parent"]
        assert [parent["id"] for parent in answer["parents"]] == [typed("rev", p) for p in parents]
        assert answer["merge"] == (len(parents) > 1)
        assert (person_of(answer["author"]), answer["date"]) == signature(head["author"])
        assert (person_of(answer["committer"]), answer["committer_date"]) == signature(head["committer"])
        assert answer["message"] == message
        plain = ("tree", "parent", "author", "committer")
        assert answer["extra_headers"] == [[key, text(value)] for key, value in pairs if key not in plain]


@pytest.mark.parametrize("name", ["git-basic", "git-msg-none", "git-tag-notagger", "git-tag-signed"])
def test_releases(library: Library, web: WebClient, name: str) -> None:
    repository = library.repositories[name]
    ids = objects(repository, "tag")
    assert ids
    swhids = [f"swh:1:rel:{digest}" for digest in ids]
    assert web.values(*(("release_exists", swhid) for swhid in swhids)) == [True] * len(ids)
    for digest, answer in zip(ids, web.values(*(("release", swhid) for swhid in swhids)), strict=True):
        pairs, message = headers(read(repository, "tag", digest))
        head = dict(pairs)
        kind = head["type"].decode()
        assert answer["id"] == typed("rel", digest)
        assert answer["name"] == head["tag"].decode()
        assert (answer["target_type"], answer["target"]) == (
            WORDS[kind],
            typed(kind, head["object"].decode()),
        )
        tagger = signature(head["tagger"]) if "tagger" in head else (None, None)
        assert (person_of(answer["author"]), answer["date"]) == tagger
        assert answer["message"] == message
        assert answer["synthetic"] is False


def refs(repository: Path) -> dict[str, tuple[str, str]]:
    """Every ref and HEAD: name → type of the target, target."""
    found = {}
    form = "%(refname)%00%(objecttype)%00%(objectname)%00%(symref)"
    for line in git(repository, "for-each-ref", f"--format={form}").splitlines():
        name, kind, digest, symbolic = line.split("\0")
        found[name] = ("alias", symbolic) if symbolic else (WORDS[kind], typed(kind, digest))
    return found | {"HEAD": ("alias", git(repository, "symbolic-ref", "HEAD"))}


def targets(branches: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Branches of an answer in the form of ``refs``."""
    return {name: (branch["target_type"], branch["target"]) for name, branch in branches.items()}


@pytest.mark.parametrize("name", ["history", "git-basic", "git-submodule", "git-tag-signed"])
def test_snapshots(library: Library, web: WebClient, name: str) -> None:
    swhid = library.snapshot(name)
    exists, pages, whole, streamed = web.values(
        ("snapshot_exists", swhid), ("snapshot", swhid), ("get", swhid), ("iter", swhid)
    )
    assert exists is True
    assert len(pages) == 1
    assert pages[0] == whole == streamed[0]
    assert targets(whole) == refs(library.repositories[name])


def test_a_snapshot_of_several_pages(library: Library, web: WebClient) -> None:
    swhid = library.snapshot("many")
    pages, whole = web.values(("snapshot", swhid), ("get", swhid))
    assert [len(page) for page in pages] == [1000, 1000, BRANCHES + 2 - 2000]
    assert targets(whole) == refs(library.repositories["many"])
    assert list(whole) == sorted(whole)


def test_dangling_branches(library: Library, web: WebClient) -> None:
    """The client cannot make its types of a branch that is null."""
    empty, dangling = web.values(
        ("get", library.snapshot("git-empty"), False), ("get", library.snapshot("git-head-dangling"), False)
    )
    assert empty == {
        "HEAD": {"target": "refs/heads/main", "target_type": "alias"},
        "refs/heads/main": None,
    }
    assert dangling["HEAD"] == {"target": "refs/heads/gone", "target_type": "alias"}
    assert dangling["refs/heads/gone"] is None
    assert dangling["refs/heads/dev"]["target_type"] == "revision"


def test_get_and_iter_give_what_the_methods_of_the_kinds_give(library: Library, web: WebClient) -> None:
    repository = library.repositories["git-basic"]
    for kind, many in (("blob", False), ("tree", True), ("commit", False), ("tag", False)):
        swhid = f"swh:1:{SHORT[kind]}:{objects(repository, kind)[0]}"
        direct, got, streamed, untyped = web.values(
            (WORDS[kind], swhid), ("get", swhid), ("iter", swhid), ("get", swhid, False)
        )
        assert direct == got
        assert streamed == (got if many else [got])
        assert "CoreSWHID(" not in str(untyped)


def test_what_is_not_held_is_404(library: Library, web: WebClient) -> None:
    gone = "0123456789" * 4
    missing = {"error": "HTTPError", "status": 404}
    for kind, word in (("cnt", "content"), ("dir", "directory"), ("rev", "revision"), ("rel", "release")):
        swhid = f"swh:1:{kind}:{gone}"
        assert web.outcomes((word, swhid), (f"{word}_exists", swhid), ("get", swhid)) == [missing] * 3
    origin = "https://example.org/nowhere"
    assert (
        web.outcomes(
            ("get", f"swh:1:snp:{gone}"),
            ("snapshot_exists", f"swh:1:snp:{gone}"),
            ("content_raw", f"swh:1:cnt:{gone}"),
            ("origin_exists", origin),
            ("last_visit", origin),
            ("visits", origin),
        )
        == [missing] * 6
    )


def test_visits(library: Library, web: WebClient) -> None:
    url, reports = library.origins["history"], library.visits["history"]
    assert [report["visit"] for report in reports] == [1, 2, 3]
    exists, last, visits, paged, older, untyped = web.values(
        ("origin_exists", url),
        ("last_visit", url),
        ("visits", url),
        ("visits", url, {"per_page": 1}),
        ("visits", url, {"last_visit": 3}),
        ("visits", url, {"typify": False}),
    )
    assert exists is True
    assert [visit["visit"] for visit in visits] == [3, 2, 1]
    for visit, report in zip(visits, reversed(reports), strict=True):
        assert visit["snapshot"] == f"CoreSWHID({report['snapshot']})"
        assert (visit["status"], visit["type"], visit["origin"]) == ("full", "git", url)
        assert re.fullmatch(r"datetime\(20.*T.*\+00:00\)", visit["date"])
    assert paged == visits
    assert older == visits[1:]
    assert {key: last[key] for key in last if key in visits[0]} == {
        key: visits[0][key] for key in last if key in visits[0]
    }
    assert [visit["snapshot"] for visit in untyped] == [r["snapshot"][10:] for r in reversed(reports)]


def test_known_in_batches(library: Library, web: WebClient) -> None:
    """The client sends a thousand at a time."""
    held = [
        f"swh:1:{short}:{digest}"
        for kind, short in SHORT.items()
        for name in ("history", "git-basic")
        for digest in objects(library.repositories[name], kind)
    ]
    held += [library.snapshot("history"), library.snapshot("many")]
    gone = [f"swh:1:{kind}:{number:040x}" for kind in ("cnt", "dir", "snp") for number in range(700)]
    answer = web.value("known", held + gone)
    assert len(held) > 300
    assert answer == {swhid: {"known": True} for swhid in held} | {swhid: {"known": False} for swhid in gone}


def test_log_and_counters_and_ping(library: Library, web: WebClient) -> None:
    """What has no method of its own, asked as other programs do that are built on the client."""
    repository = library.repositories["history"]
    tip = git(repository, "rev-parse", "main")
    log, few, counters, ping = web.values(
        ("_call", f"revision/{tip}/log/?limit=1000"),
        ("_call", f"revision/{tip}/log/"),
        ("_call", "stat/counters/"),
        ("_call", "ping/"),
    )
    expected = git(repository, "rev-list", "main").splitlines()
    assert [revision["id"] for revision in log["json"]] == expected
    assert [revision["id"] for revision in few["json"]] == expected[:10]
    assert counters["json"]["origin"] == len(library.origins)
    assert counters["json"]["origin_visit"] == sum(map(len, library.visits.values()))
    assert counters["json"]["snapshot"] == len({library.snapshot(name) for name in library.origins})
    assert ping["json"] == "pong"
    assert int(ping["headers"]["X-RateLimit-Remaining"]) > 0


def test_resolving(library: Library, web: WebClient) -> None:
    repository = library.repositories["git-basic"]
    tip = git(repository, "rev-parse", "main")
    origin = library.origins["git-basic"]
    answer = web.value("_call", f"resolve/swh:1:rev:{tip};origin={origin}/")["json"]
    assert (answer["object_type"], answer["object_id"]) == ("revision", tip)
    assert answer["metadata"] == {"origin": origin}


def test_raw_objects_hash_to_their_ids(library: Library, web: WebClient, api: str, clients: Clients) -> None:
    """The raw manifest is asked by programs that check what they get."""
    script = (
        "import hashlib, sys, requests\n"
        "for swhid in sys.stdin.read().split():\n"
        "    body = requests.get(f'{sys.argv[1]}raw/{swhid}/').content\n"
        "    assert hashlib.sha1(body).hexdigest() == swhid[10:], swhid\n"
        "    print(body.partition(b' ')[0].decode())\n"
    )
    repository = library.repositories["git-basic"]
    swhids = [f"swh:1:{short}:{objects(repository, kind)[0]}" for kind, short in SHORT.items()]
    swhids.append(library.snapshot("git-basic"))
    said = clients.run("python", "-c", script, api, input="\n".join(swhids)).stdout
    assert said.split() == [*SHORT, "snapshot"]
