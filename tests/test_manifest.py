"""Manifests: model objects to hashed bytes and back, against reference vectors, git's objects and random bytes."""

from __future__ import annotations

import base64
import contextlib
import datetime
import functools
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import CASES, FOLDER, unpack

from swhkit import manifest
from swhkit.errors import InvalidManifest
from swhkit.hashes import git_digest, hash_content
from swhkit.model import (
    Branch,
    BranchType,
    Directory,
    Entry,
    ExtrinsicMetadata,
    ObjectMetadata,
    Person,
    Release,
    Revision,
    Snapshot,
    Timestamp,
)
from swhkit.swhid import Kind, ObjectId

OBJECTS: dict[str, list[dict[str, Any]]] = json.loads((FOLDER / "objects.json").read_text())["objects"]
DETAILED = [id for id, case in CASES.items() if "objects_detail" in case]
#: Inputs that git reads to the end: all with one live repository that the vectors don't say is damaged or foreign.
DAMAGED = {"git-sha256", "git-notgit", "git-notfound", "git-corrupt-loose", "git-corrupt-pack"}
READABLE = [
    id
    for id, case in CASES.items()
    if id not in DAMAGED and case["path"] == "repo.git" and "steps" not in case
]
T, P, Q = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
TREE = b"tree " + T.hex().encode() + b"\n"
ANN = b"author Ann <a@x> 1500000000 +0200\ncommitter Ann <a@x> 1500000000 +0200\n"


# -- random objects of the reference implementation -----------------------------------------------------------------


def field(value: Any) -> Any:
    """A field of objects.json: byte strings are written ``{"b64": …}``."""
    if isinstance(value, dict) and list(value) == ["b64"]:
        return base64.b64decode(value["b64"])
    return value


def person(value: dict[str, Any] | None) -> Person | None:
    return (
        None
        if value is None
        else Person(field(value["fullname"]), field(value["name"]), field(value["email"]))
    )


def moment(value: dict[str, Any] | None) -> Timestamp | None:
    if value is None:
        return None
    stamp = value["timestamp"]
    return Timestamp(stamp["seconds"], stamp["microseconds"], field(value["offset_bytes"]))


def directory_of(fields: dict[str, Any]) -> Directory:
    entries = [Entry(field(e["name"]), e["type"], field(e["target"]), e["perms"]) for e in fields["entries"]]
    return Directory(tuple(entries), field(fields.get("raw_manifest")))


def revision_of(fields: dict[str, Any]) -> Revision:
    return Revision(
        message=field(fields["message"]),
        author=person(fields["author"]),
        committer=person(fields["committer"]),
        date=moment(fields["date"]),
        committer_date=moment(fields["committer_date"]),
        directory=field(fields["directory"]),
        parents=tuple(map(field, fields["parents"])),
        extra_headers=tuple((field(key), field(value)) for key, value in fields["extra_headers"]),
        type=fields["type"],
        synthetic=fields["synthetic"],
        metadata=fields["metadata"],
        raw_manifest=field(fields.get("raw_manifest")),
    )


def release_of(fields: dict[str, Any]) -> Release:
    return Release(
        name=field(fields["name"]),
        message=field(fields["message"]),
        target=field(fields["target"]),
        target_type=Kind.from_word(fields["target_type"]),
        author=person(fields["author"]),
        date=moment(fields["date"]),
        synthetic=fields["synthetic"],
        raw_manifest=field(fields.get("raw_manifest")),
    )


def snapshot_of(fields: dict[str, Any]) -> Snapshot:
    branches = {}
    for name, branch in fields["branches"].items():
        key = base64.b64decode(name[4:]) if name.startswith("b64:") else name.encode()
        branches[key] = branch and Branch(BranchType(branch["target_type"]), field(branch["target"]))
    return Snapshot(branches)


def metadata_of(fields: dict[str, Any]) -> ExtrinsicMetadata:
    optional = {
        name: field(fields[name])
        for name in ("origin", "visit", "snapshot", "release", "revision", "path", "directory")
        if name in fields
    }
    return ExtrinsicMetadata(
        target=fields["target"],
        discovery_date=datetime.datetime.fromisoformat(fields["discovery_date"]),
        authority_type=fields["authority"]["type"],
        authority_url=fields["authority"]["url"],
        fetcher_name=fields["fetcher"]["name"],
        fetcher_version=fields["fetcher"]["version"],
        format=fields["format"],
        metadata=field(fields["metadata"]),
        **optional,
    )


BUILDERS: dict[str, Callable[[dict[str, Any]], manifest.Manifested]] = {
    "directory": directory_of,
    "revision": revision_of,
    "release": release_of,
    "snapshot": snapshot_of,
}
RANDOM = [(word, vector) for word in BUILDERS for vector in OBJECTS[word]]


@pytest.mark.parametrize(
    ("word", "vector"), RANDOM, ids=lambda value: value if isinstance(value, str) else value["id"][:8]
)
def test_reference_objects(word: str, vector: dict[str, Any]) -> None:
    """Fields give the manifest and the id; the manifest gives an object of the same bytes."""
    obj = BUILDERS[word](vector["object"])
    kind = Kind.from_word(word)
    assert str(manifest.object_id(obj)) == vector["swhid"]
    _, _, body = base64.b64decode(vector["manifest_b64"]).partition(b"\0")
    bare = obj if isinstance(obj, Snapshot) else msgspec.structs.replace(obj, raw_manifest=None)
    assert manifest.encode(bare) == body
    if isinstance(obj, Snapshot):
        assert manifest.parse_snapshot(body) == obj
    else:
        assert manifest.encode(manifest.parse(kind, body)) == body
        if obj.raw_manifest is not None:
            with pytest.raises(InvalidManifest, match="raw manifest"):
                manifest.encode(obj)


@pytest.mark.parametrize("vector", OBJECTS["directory"], ids=lambda vector: vector["id"][:8])
def test_reference_directories_parse_to_their_fields(vector: dict[str, Any]) -> None:
    _, _, body = base64.b64decode(vector["manifest_b64"]).partition(b"\0")
    parsed = manifest.parse_directory(body)
    expected = directory_of(vector["object"])
    if parsed.raw_manifest is None:
        assert sorted(parsed.entries, key=repr) == sorted(expected.entries, key=repr)
    else:
        assert len(parsed.entries) == len(expected.entries)


@pytest.mark.parametrize("vector", OBJECTS["raw_extrinsic_metadata"], ids=lambda vector: vector["id"][:8])
def test_reference_extrinsic_metadata(vector: dict[str, Any]) -> None:
    record = metadata_of(vector["object"])
    assert manifest.emd_manifest(record) == base64.b64decode(vector["manifest_b64"])
    assert manifest.emd_id(record).hex() == vector["id"]


def test_extrinsic_metadata_with_all_context() -> None:
    record = ExtrinsicMetadata(
        target=str(ObjectId(Kind.CONTENT, T)),
        discovery_date=datetime.datetime(1969, 12, 31, 23, 59, 58, 1, tzinfo=datetime.UTC),
        authority_type="forge",
        authority_url="https://example.org/é",
        fetcher_name="f",
        fetcher_version="1",
        format="json\nx",
        metadata=b"\0body\n",
        origin="https://example.org/o",
        visit=3,
        snapshot=str(ObjectId(Kind.SNAPSHOT, P)),
        release="r",
        revision="v",
        path=b"/\xff\n",
        directory="d",
    )
    header, _, body = manifest.emd_manifest(record).partition(b"\0")
    assert header == b"raw_extrinsic_metadata %d" % len(body)
    assert body == (
        b"target swh:1:cnt:%s\ndiscovery_date -2\nauthority forge https://example.org/\xc3\xa9\nfetcher f 1\n"
        b"format json\n x\norigin https://example.org/o\nvisit 3\nsnapshot swh:1:snp:%s\nrelease r\nrevision v\n"
        b"path /\xff\n \ndirectory d\n\n\0body\n"
    ) % (T.hex().encode(), P.hex().encode())


@pytest.mark.parametrize("vector", OBJECTS["origin"], ids=lambda vector: vector["url"])
def test_reference_origins(vector: dict[str, str]) -> None:
    assert str(ObjectId(Kind.ORIGIN, manifest.origin_digest(vector["url"]))) == vector["swhid"]


# -- git's objects --------------------------------------------------------------------------------------------------


def git_objects(repository: Path) -> Iterator[tuple[ObjectId, bytes]]:
    """Every object of a repository, through the git program."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(repository.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    argv = ["git", "-c", "safe.directory=*", "cat-file", "--batch-all-objects", "--batch"]
    done = subprocess.run(argv, cwd=repository, env=environment, capture_output=True, check=True)
    output, position = done.stdout, 0
    while position < len(output):
        end = output.index(b"\n", position)
        digest, git_type, size = output[position:end].decode().split()
        yield ObjectId(Kind.from_git(git_type), bytes.fromhex(digest)), output[end + 1 : end + 1 + int(size)]
        position = end + 1 + int(size) + 1


@functools.cache
def objects_of(id: str, root: Path) -> dict[ObjectId, bytes]:
    return dict(git_objects(unpack(id, root / id)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("git")


@pytest.mark.parametrize("id", READABLE)
def test_every_git_object_survives(id: str, root: Path) -> None:
    for object_id, body in objects_of(id, root).items():
        if object_id.kind is Kind.CONTENT:
            continue
        parsed = manifest.parse(object_id, body)
        assert manifest.encode(parsed) == body
        assert manifest.object_id(parsed) == object_id
        if isinstance(parsed, Revision):
            names = [who.fullname for who in (parsed.author, parsed.committer) if who]
            assert manifest.fullnames(object_id.kind, body) == names
            assert set(manifest.edges(object_id.kind, body)) == {
                (Kind.DIRECTORY, parsed.directory),
                *((Kind.REVISION, parent) for parent in parsed.parents),
            }


def shown(value: Any) -> Any:
    """A value as objects_detail writes it: text where it is UTF-8, else ``base64:…``."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return "base64:" + base64.b64encode(value).decode()
    return value


def show_person(who: Person | None) -> Any:
    return who and {"fullname": shown(who.fullname), "name": shown(who.name), "email": shown(who.email)}


def show_moment(when: Timestamp | None) -> Any:
    return when and {
        "offset_bytes": shown(when.offset),
        "timestamp": {"microseconds": when.microseconds, "seconds": when.seconds},
    }


def show_revision(revision: Revision) -> dict[str, Any]:
    return {
        "message": shown(revision.message),
        "author": show_person(revision.author),
        "committer": show_person(revision.committer),
        "date": show_moment(revision.date),
        "committer_date": show_moment(revision.committer_date),
        "directory": revision.directory.hex(),
        "parents": [parent.hex() for parent in revision.parents],
        "extra_headers": [[shown(key), shown(value)] for key, value in revision.extra_headers],
        "type": revision.type,
        "synthetic": revision.synthetic,
        "metadata": revision.metadata,
        "raw_manifest": shown(revision.raw_manifest),
    }


def show_release(release: Release) -> dict[str, Any]:
    return {
        "name": shown(release.name),
        "message": shown(release.message),
        "target": release.target and release.target.hex(),
        "target_type": release.target_type.word,
        "author": show_person(release.author),
        "date": show_moment(release.date),
        "synthetic": release.synthetic,
        "raw_manifest": shown(release.raw_manifest),
    }


@pytest.mark.parametrize("id", DETAILED)
def test_fields_are_those_of_the_reference(id: str, root: Path) -> None:
    detail = CASES[id]["objects_detail"]
    bodies = objects_of(id, root)
    for expected in detail["revisions"]:
        parsed = manifest.parse(*find(bodies, Kind.REVISION, expected["id"]))
        assert isinstance(parsed, Revision)
        assert {"id": expected["id"], **show_revision(parsed)} == {"raw_manifest": None, **expected}
    for expected in detail.get("releases", []):
        parsed = manifest.parse(*find(bodies, Kind.RELEASE, expected["id"]))
        assert isinstance(parsed, Release)
        assert {"id": expected["id"], "metadata": None, **show_release(parsed)} == {
            "raw_manifest": None,
            "metadata": None,
            **expected,
        }
    for digest, expected in detail["directories"].items():
        parsed = manifest.parse(*find(bodies, Kind.DIRECTORY, digest))
        assert isinstance(parsed, Directory)
        entries = [[shown(e.name), e.type, f"{e.perms:o}", e.target.hex()] for e in parsed.entries]
        if id == "git-tree-dup" and len(entries) == 2:
            # The reference's storage keeps one entry of a name; both are there, and equal.
            assert entries[0] == entries[1]
            entries.pop()
        assert entries == expected["entries"]
        assert shown(parsed.raw_manifest) == expected.get("raw_manifest")


def find(bodies: dict[ObjectId, bytes], kind: Kind, digest: str) -> tuple[ObjectId, bytes]:
    object_id = ObjectId(kind, bytes.fromhex(digest))
    return object_id, bodies[object_id]


# -- commits and tags, case by case ---------------------------------------------------------------------------------


def commit(*lines: bytes, message: bytes | None = b"m\n") -> bytes:
    return TREE + b"".join(line + b"\n" for line in lines) + (b"" if message is None else b"\n" + message)


@pytest.mark.parametrize(
    ("line", "fullname", "seconds", "microseconds", "offset", "kept"),
    [
        (b"A <a@b> 5 +0000", b"A <a@b>", 5, 0, b"+0000", False),
        (b"A <a@b> 5.25 +0000", b"A <a@b>", 5, 250000, b"+0000", False),
        (b"A <a@b> -1.5 -0000", b"A <a@b>", -1, 500000, b"-0000", False),
        (b"A <a@b> 5.250 +0000", b"A <a@b>", 5, 250000, b"+0000", True),
        (b"anonymous 5 +0000", b"anonymous", 5, 0, b"+0000", False),
        (b"A <a@b> tail 5 +0000", b"A <a@b> tail", 5, 0, b"+0000", False),
        (b"A <a@b 5 +0000", b"A <a@b", 5, 0, b"+0000", False),
        (b" 5 +0000", b"", 5, 0, b"+0000", False),
        (b"<> 5 --700", b"<>", 5, 0, b"--700", False),
        (b"A <a@b> +5 +0000", b"A <a@b>", 5, 0, b"+0000", True),
        (b"A <a@b> 05 +0000", b"A <a@b>", 5, 0, b"+0000", True),
        (b"A <a@b>  5  +0000", b"A <a@b>", 5, 0, b"+0000", True),
        (b"A <a@b> 253402297199 +0000", b"A <a@b>", 253402297199, 0, b"+0000", False),
        (b"A <a@b> 253402297200 +0000", b"A <a@b>", 0, 0, b"+0000", True),
        (b"A <a@b> -62135510961 +0000", b"A <a@b>", -62135510961, 0, b"+0000", False),
        (b"A <a@b> -62135510962 +0000", b"A <a@b>", 0, 0, b"+0000", True),
        (b"A <a@b> " + b"9" * 10000 + b" +0000", b"A <a@b>", 0, 0, b"+0000", True),
        (b"A <a@b> -0 +0000", b"A <a@b>", 0, 0, b"+0000", True),
    ],
    ids=lambda value: None,
)
def test_author_lines(
    line: bytes, fullname: bytes, seconds: int, microseconds: int, offset: bytes, kept: bool
) -> None:
    body = commit(b"author " + line)
    revision = manifest.parse_revision(body)
    assert revision.author == manifest.person_of(fullname)
    assert revision.date == Timestamp(seconds, microseconds, offset)
    assert (revision.raw_manifest is not None) == kept
    assert manifest.encode(revision) == body


@pytest.mark.parametrize(
    ("line", "fullname", "kept"),
    [
        (b"", b"", False),
        (b"NoMail", b"NoMail", False),
        (b"A <a@b>", b"A <a@b>", False),
        (b"A <a@b> 1500000000", b"A <a@b>", True),
        (b"A <a@b> 1500000000 UTC", b"A <a@b>", True),
        (b"A <a@b> 1.5.5 +0000", b"A <a@b>", True),
        (b"A <a@b> x +0000", b"A <a@b>", True),
    ],
    ids=lambda value: None,
)
def test_author_lines_without_a_date(line: bytes, fullname: bytes, kept: bool) -> None:
    body = commit(b"author " + line)
    revision = manifest.parse_revision(body)
    assert revision.author == manifest.person_of(fullname)
    assert revision.date is None
    assert (revision.raw_manifest is not None) == kept
    assert manifest.encode(revision) == body
    assert manifest.fullnames(Kind.REVISION, body) == [fullname]


@pytest.mark.parametrize(
    ("fullname", "name", "email"),
    [
        (b"", None, None),
        (b"  x  ", b"  x  ", None),
        (b"a <b", b"a", b"b"),
        (b"a <b> c>d", b"a", b"b> c"),
        (b"<>", None, None),
        (b" < x > ", None, b" x "),
        (b"a> <b", b"a>", b"b"),
        (b"A <<a@b>>", b"A", b"<a@b>"),
    ],
)
def test_persons(fullname: bytes, name: bytes | None, email: bytes | None) -> None:
    assert manifest.person_of(fullname) == Person(fullname, name, email)


@pytest.mark.parametrize(
    ("lines", "headers", "kept"),
    [
        ([b"encoding x", b"mergetag a", b" b", b"other 1", b"gpgsig s", b" t"],
         [(b"encoding", b"x"), (b"mergetag", b"a\nb"), (b"other", b"1"), (b"gpgsig", b"s\nt")], False),
        ([b"gpgsig s", b"other 1", b"encoding x"],
         [(b"encoding", b"x"), (b"other", b"1"), (b"gpgsig", b"s")], True),
        ([b"gpgsig s", b"gpgsig t"], [(b"gpgsig", b"s\nt")], True),
        ([b"encoding x", b"encoding y"], [(b"encoding", b"x")], True),
        ([b"bare"], [(b"bare", b"")], True),
        ([b"empty "], [(b"empty", b"")], False),
        ([b"a ", b" "], [(b"a", b"\n")], False),
        ([b"author B <b@x> 1 +0000"], [(b"author", b"B <b@x> 1 +0000")], False),
        ([b"parent zz"], [(b"parent", b"zz")], False),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_extra_headers(lines: list[bytes], headers: list[tuple[bytes, bytes]], kept: bool) -> None:
    body = commit(*ANN.splitlines(), *lines)
    revision = manifest.parse_revision(body)
    assert list(revision.extra_headers) == headers
    assert (revision.raw_manifest is not None) == kept
    assert manifest.encode(revision) == body
    assert revision.author is not None
    assert revision.author.fullname == b"Ann <a@x>"


def test_headers_in_another_order_are_kept_whole() -> None:
    author, committer = ANN.splitlines()
    revision = manifest.parse_revision(body := commit(committer, author))
    assert revision.raw_manifest == b"commit %d\0%s" % (len(body), body)
    assert revision.author == revision.committer == manifest.person_of(b"Ann <a@x>")


def test_parents_are_those_git_sees() -> None:
    parents = [b"parent " + digest.hex().encode() for digest in (P, Q, P)]
    revision = manifest.parse_revision(commit(*parents, *ANN.splitlines()))
    assert revision.parents == (P, Q, P)
    late = commit(*ANN.splitlines(), parents[0])
    assert manifest.parse_revision(late).parents == ()
    assert manifest.encode(manifest.parse_revision(late)) == late
    assert list(manifest.edges(Kind.REVISION, late)) == [(Kind.DIRECTORY, T)]


@pytest.mark.parametrize("message", [None, b"", b"\n", b"\n\nx", b"no newline", b"\0\xff"])
def test_messages(message: bytes | None) -> None:
    for lines in ((), ANN.splitlines()):
        body = commit(*lines, message=message)
        revision = manifest.parse_revision(body)
        assert revision.message == message
        assert revision.raw_manifest is None


def test_upper_case_ids_are_understood_and_kept() -> None:
    body = b"tree " + (b"\xab" * 20).hex().upper().encode() + b"\n\n"
    revision = manifest.parse_revision(body)
    assert revision.directory == b"\xab" * 20
    assert revision.raw_manifest is not None
    assert manifest.encode(revision) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"tree",
        TREE[:-1],
        TREE[:-2] + b"\n",
        ANN + TREE,
        b" " + TREE,
        b"tree " + b"g" * 40 + b"\n",
        b"\n" + TREE,
    ],
)
def test_commits_without_a_tree(body: bytes) -> None:
    for function in (manifest.parse, lambda kind, body: list(manifest.edges(kind, body)), manifest.fullnames):
        with pytest.raises(InvalidManifest, match="begin with a tree"):
            function(Kind.REVISION, body)
    with pytest.raises(InvalidManifest, match=f"^swh:1:rev:{'01' * 20}: "):
        manifest.parse(ObjectId(Kind.REVISION, T), body)


TAG = b"object " + T.hex().encode() + b"\ntype commit\n"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"tag v1\n\nm\n", Release(b"v1", b"m\n", T, Kind.REVISION)),
        (b"tag v1\n", Release(b"v1", None, T, Kind.REVISION)),
        (b"tag a\n b\n", Release(b"a\nb", None, T, Kind.REVISION)),
        (b"tag v1\ntagger \n", Release(b"v1", None, T, Kind.REVISION, Person(b""))),
        (
            b"tag v1\ntagger T <t@x> 7 +0000\n\nm\n-----BEGIN PGP SIGNATURE-----\n",
            Release(
                b"v1",
                b"m\n-----BEGIN PGP SIGNATURE-----\n",
                T,
                Kind.REVISION,
                Person(b"T <t@x>", b"T", b"t@x"),
                Timestamp(7, 0, b"+0000"),
            ),
        ),
    ],
    ids=lambda value: None,
)
def test_tags(rest: bytes, expected: Release) -> None:
    assert manifest.parse_release(TAG + rest) == expected
    assert manifest.encode(expected) == TAG + rest
    assert list(manifest.edges(Kind.RELEASE, TAG + rest)) == [(Kind.REVISION, T)]
    assert manifest.fullnames(Kind.RELEASE, TAG + rest) == (
        [expected.author.fullname] if expected.author else []
    )


@pytest.mark.parametrize(
    "rest", [b"", b"\nm", b"tagger T <t@x> 7 +0000\ntag v1\n", b"tag v1\nx 1\n", b"tag v1\ntag v2\n"]
)
def test_odd_tags_are_kept_whole(rest: bytes) -> None:
    release = manifest.parse_release(TAG + rest)
    assert release.raw_manifest == b"tag %d\0" % len(TAG + rest) + TAG + rest
    assert manifest.encode(release) == TAG + rest


@pytest.mark.parametrize(
    ("word", "kind"),
    [("blob", Kind.CONTENT), ("tree", Kind.DIRECTORY), ("tag", Kind.RELEASE), ("refs", Kind.SNAPSHOT)],
)
def test_tag_targets(word: str, kind: Kind) -> None:
    body = TAG.replace(b"commit", word.encode()) + b"tag x\n"
    assert manifest.parse_release(body).target_type is kind
    assert manifest.encode(manifest.parse_release(body)) == body


@pytest.mark.parametrize(
    "body", [b"", TAG[:-1], TAG.replace(b"commit", b"content"), TAG[48:], b"x 1\n" + TAG]
)
def test_tags_without_target(body: bytes) -> None:
    with pytest.raises(InvalidManifest, match="object and its type"):
        manifest.parse(Kind.RELEASE, body)
    with pytest.raises(InvalidManifest, match="object and its type"):
        list(manifest.edges(Kind.RELEASE, body))


def test_a_release_without_target_has_no_id() -> None:
    with pytest.raises(InvalidManifest, match="no target"):
        manifest.object_id(Release(b"v1", None, None, Kind.REVISION))


def test_metadata_is_laid_over() -> None:
    row = ObjectMetadata(Kind.REVISION, P, "hg", True, {"a": 1})
    body = commit(*ANN.splitlines(), b"time_offset_seconds -7200", b"encoding latin1")
    plain = manifest.parse_revision(body)
    assert plain.raw_manifest is not None
    revision = manifest.with_metadata(plain, row)
    assert isinstance(revision, Revision)
    assert (revision.type, revision.synthetic, revision.metadata) == ("hg", True, {"a": 1})
    assert revision.extra_headers == ((b"time_offset_seconds", b"-7200"), (b"encoding", b"latin1"))
    assert revision.raw_manifest is None
    assert manifest.encode(revision) == body
    assert manifest.with_metadata(plain, None) is plain
    release = manifest.with_metadata(
        manifest.parse_release(TAG + b"tag x\n"), ObjectMetadata(Kind.RELEASE, P, None, True)
    )
    assert release.synthetic
    assert manifest.encode(release) == TAG + b"tag x\n"


# -- trees ----------------------------------------------------------------------------------------------------------


def tree(*entries: tuple[bytes, bytes]) -> bytes:
    return b"".join(mode + b" " + name + b"\0" + T for mode, name in entries)


@pytest.mark.parametrize(
    ("body", "names", "kept"),
    [
        (tree((b"100644", b"a.b"), (b"40000", b"a"), (b"100644", b"a0")), [b"a.b", b"a", b"a0"], False),
        (tree((b"40000", b"a"), (b"100644", b"a.b")), [b"a.b", b"a"], True),
        (tree((b"100644", b"a"), (b"40000", b"a")), [b"a", b"a"], True),
        (tree((b"100644", b"a"), (b"100644", b"a-"), (b"40000", b"a")), [b"a", b"a-", b"a"], True),
        (tree((b"040000", b"a")), [b"a"], True),
        (tree((b"100644", b"a/b/c")), [b"a_b_c"], True),
        (tree((b"0", b"a")), [b"a"], False),
        (tree((b"00", b"a")), [b"a"], True),
        (tree((b"100644", b"")), [b""], False),
        (tree((b"100644", b" \n\xff")), [b" \n\xff"], False),
        (tree((b"37777777777", b"a")), [b"a"], False),
    ],
    ids=lambda value: None,
)
def test_trees(body: bytes, names: list[bytes], kept: bool) -> None:
    directory = manifest.parse_directory(body)
    assert [entry.name for entry in directory.entries] == names
    assert (directory.raw_manifest is not None) == kept
    assert manifest.encode(directory) == body
    assert manifest.object_id(directory) == ObjectId(Kind.DIRECTORY, git_digest("tree", body))


def test_order_of_entries_does_not_matter_to_encode() -> None:
    directory = manifest.parse_directory(tree((b"100644", b"a.b"), (b"40000", b"a"), (b"120000", b"a0")))
    assert manifest.encode(Directory(directory.entries[::-1])) == manifest.encode(directory)


@pytest.mark.parametrize(
    ("mode", "type", "edge"),
    [
        (b"40000", "dir", Kind.DIRECTORY),
        (b"40755", "dir", Kind.DIRECTORY),
        (b"100644", "file", Kind.CONTENT),
        (b"100664", "file", Kind.CONTENT),
        (b"120000", "file", Kind.CONTENT),
        (b"160000", "rev", None),
        (b"0", "file", None),
        (b"60000", "dir", None),
        (b"140000", "dir", None),
        (b"20000", "file", None),
    ],
)
def test_entry_types_and_edges(mode: bytes, type: str, edge: Kind | None) -> None:
    body = tree((mode, b"x"))
    assert [entry.type for entry in manifest.parse_directory(body).entries] == [type]
    assert list(manifest.edges(Kind.DIRECTORY, body)) == ([(edge, T)] if edge else [])


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"100644",
        b"100644 ",
        b"100644 a",
        b"100644 a\0",
        tree((b"100644", b"a"))[:-1],
        tree((b"100644", b"a")) + b"1",
        tree((b"100648", b"a")),
        tree((b"", b"a")),
        tree((b"-1", b"a")),
        tree((b"1_0", b"a")),
        tree((b"0o7", b"a")),
        tree((b"47777777777", b"a")),
    ],
)
def test_trees_git_cannot_read(body: bytes) -> None:
    with pytest.raises(InvalidManifest, match="tree"):
        manifest.parse(Kind.DIRECTORY, body)
    with pytest.raises(InvalidManifest, match="tree"):
        list(manifest.edges(Kind.DIRECTORY, body))


@pytest.mark.parametrize("kind", [Kind.CONTENT, Kind.SNAPSHOT, Kind.ORIGIN, Kind.METADATA])
def test_other_kinds_are_not_parsed(kind: Kind) -> None:
    with pytest.raises(InvalidManifest, match=kind.word):
        manifest.parse(kind, b"")


# -- snapshots ------------------------------------------------------------------------------------------------------


def alias(target: bytes) -> Branch:
    return Branch(BranchType.ALIAS, target)


def test_aliases_must_lead_somewhere_else() -> None:
    with pytest.raises(InvalidManifest, match="alias to b'b', which is no branch"):
        manifest.object_id(Snapshot({b"a": alias(b"b")}))
    with pytest.raises(InvalidManifest, match="alias to itself"):
        manifest.encode(Snapshot({b"a": alias(b"a")}))
    manifest.encode(Snapshot({b"a": alias(b"b"), b"b": None}))


def test_snapshot_bytes_and_edges() -> None:
    snapshot = Snapshot(
        {
            b"m": Branch(BranchType.REVISION, T),
            b"HEAD": alias(b"m"),
            b"d": None,
            b"s": Branch(BranchType.SNAPSHOT, P),
        }
    )
    body = b"alias HEAD\x001:mdangling d\x000:revision m\x0020:" + T + b"snapshot s\x0020:" + P
    assert manifest.encode(snapshot) == body
    assert manifest.parse_snapshot(body) == snapshot
    assert manifest.object_id(snapshot).digest == hashlib.sha1(b"snapshot %d\0" % len(body) + body).digest()
    assert list(manifest.edges_of_snapshot(snapshot)) == [
        ObjectId(Kind.REVISION, T),
        ObjectId(Kind.SNAPSHOT, P),
    ]
    assert set(manifest.edges(Kind.SNAPSHOT, body)) == {(Kind.REVISION, T), (Kind.SNAPSHOT, P)}


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"revision m",
        b"revision m\0",
        b"revision m\x0020:" + T[:-1],
        b"revision m\x0019:" + T[:-1],
        b"release m\x000:",
        b"dangling m\x001:x",
        b"alias a\x001:a",
        b"alias a\x001:b",
        b"blob m\x0020:" + T,
        b"revision m\x00+20:" + T,
        b"revision m\x00 20:" + T,
        b"revision m\x00020:" + T,
        b"dangling b\x000:dangling a\x000:",
        b"dangling a\x000:dangling a\x000:",
        b"dangling m\x00" + b"9" * 5000 + b":",
        b"\xff\xfe m\x0020:" + T,
    ],
)
def test_bodies_that_are_no_snapshots(body: bytes) -> None:
    with pytest.raises(InvalidManifest, match="snapshot"):
        manifest.parse_snapshot(body)


# -- random bytes and random objects --------------------------------------------------------------------------------

fragments = st.sampled_from(
    [TREE, TAG, ANN, b"\n", b"\n\n", b" ", b"\0", b"parent ", P.hex().encode(), b"author ", b"tag ", b"tagger ", b"gpgsig ",
     b"encoding x\n", b"mergetag ", b"100644 a\0", b"40000 ", T, b"> ", b"> 5 +0000", b" 5 +0000\n", b"<", b"revision ",
     b"20:", b"alias ", b"dangling a\x000:"]
)  # fmt: skip
hostile = st.lists(st.one_of(fragments, st.binary(max_size=8))).map(b"".join)


@settings(max_examples=400)
@given(
    st.sampled_from([Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE]),
    st.sampled_from([b"", TREE, TAG, TREE + ANN]),
    hostile,
)
def test_any_bytes_survive_or_are_refused(kind: Kind, start: bytes, rest: bytes) -> None:
    body = start + rest
    try:
        parsed = manifest.parse(kind, body)
    except InvalidManifest:
        for function in (
            lambda: list(manifest.edges(kind, body)),
            lambda: manifest.parse(ObjectId(kind, T), body),
        ):
            with pytest.raises(InvalidManifest):
                function()
        return
    assert manifest.encode(parsed) == body
    assert manifest.object_id(parsed).digest == git_digest(kind.git, body)
    assert all(len(target) == 20 for _, target in manifest.edges(kind, body))
    manifest.fullnames(kind, body)


@given(hostile)
def test_any_bytes_as_a_snapshot(body: bytes) -> None:
    with contextlib.suppress(InvalidManifest):
        assert manifest.encode(manifest.parse_snapshot(body)) == body


digests = st.binary(min_size=20, max_size=20)
words = st.binary(max_size=12)
moments = st.builds(
    Timestamp,
    st.integers(manifest.SECONDS_MIN, manifest.SECONDS_MAX),
    st.integers(0, 999_999),
    st.from_regex(rb"[+-][0-9]{1,6}", fullmatch=True),
)
#: Fullnames that cannot be mistaken for a person and a date.
people = words.filter(lambda name: b"> " not in name).map(manifest.person_of)
keys = st.from_regex(rb"x-[a-z]{1,8}", fullmatch=True)
revisions = st.builds(
    Revision,
    message=st.none() | words,
    author=people,
    committer=people,
    date=moments,
    committer_date=moments,
    directory=digests,
    parents=st.lists(digests, max_size=3).map(tuple),
    extra_headers=st.lists(st.tuples(keys, words), max_size=3).map(tuple),
)
releases = st.builds(
    Release,
    name=words,
    message=st.none() | words,
    target=digests,
    target_type=st.sampled_from([Kind.CONTENT, Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE, Kind.SNAPSHOT]),
    author=people,
    date=moments,
)
modes = {"file": (0o100644, 0o100755, 0o120000), "dir": (0o40000,), "rev": (0o160000,)}
entries = st.sampled_from(list(modes)).flatmap(
    lambda type: st.builds(
        Entry,
        name=words.map(lambda name: name.replace(b"/", b"").replace(b"\0", b"")),
        type=st.just(type),
        target=digests,
        perms=st.sampled_from(modes[type]),
    )
)
directories = st.lists(entries, unique_by=lambda entry: entry.name).map(lambda found: Directory(tuple(found)))


@given(st.one_of(revisions, releases, directories))
def test_canonical_objects_survive(obj: Revision | Release | Directory) -> None:
    object_id = manifest.object_id(obj)
    parsed = manifest.parse(object_id, manifest.encode(obj))
    if isinstance(obj, Directory):
        assert isinstance(parsed, Directory)
        assert set(parsed.entries) == set(obj.entries)
        assert parsed.raw_manifest is None
    else:
        assert parsed == obj


branches = st.none() | st.builds(Branch, st.sampled_from([BranchType.REVISION, BranchType.RELEASE]), digests)


@given(st.dictionaries(words.map(lambda name: name.replace(b"\0", b"")), branches))
def test_snapshots_survive(found: dict[bytes, Branch | None]) -> None:
    assert manifest.parse_snapshot(manifest.encode(Snapshot(found))) == Snapshot(found)


# -- size -----------------------------------------------------------------------------------------------------------


def seconds(function: Any) -> float:
    """The best of three, so that a busy machine does not matter."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        function()
        times.append(time.process_time() - begun)
    return min(times)


def test_a_large_directory_is_quick() -> None:
    body = b"".join(
        b"100644 file%06d\0" % number + hashlib.sha1(b"%d" % number).digest() for number in range(100_000)
    )
    assert len(manifest.parse_directory(body).entries) == 100_000
    assert seconds(lambda: manifest.parse_directory(body)) < 0.6
    assert seconds(lambda: sum(1 for _ in manifest.edges(Kind.DIRECTORY, body))) < 0.3


@pytest.mark.parametrize(
    "filler",
    [b" ", b"\n ", b"a\n", b"\n", b"> ", b"1", b" 1", b"<", b"a 1\n", b"parent " + b"0" * 40 + b"\n", b"\0", b"gpgsig x\n",
     b"1 1", b"> 1", b"+", b"100644 ", b"author x\n", b"0."],
    ids=repr,
)  # fmt: skip
def test_no_megabyte_takes_long(filler: bytes) -> None:
    million = filler * (1_000_000 // len(filler))
    for start in (
        b"",
        TREE,
        TREE + b"author ",
        TREE + b"author A <a@b>",
        TREE + b"gpgsig ",
        TAG,
        TAG + b"tagger ",
        b"100644 ",
    ):
        body = start + million
        for kind in (Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE):
            begun = time.process_time()
            with contextlib.suppress(InvalidManifest):
                assert manifest.encode(manifest.parse(kind, body)) == body
                manifest.fullnames(kind, body)
                sum(1 for _ in manifest.edges(kind, body))
            assert time.process_time() - begun < 3
    with contextlib.suppress(InvalidManifest):
        manifest.parse_snapshot(million)


def test_content_digests_are_git_blobs() -> None:
    assert hash_content(b"x").sha1_git == git_digest("blob", b"x")
