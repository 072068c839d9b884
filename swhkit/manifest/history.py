"""Commits and annotated tags: revisions and releases to the bytes that are hashed, and back."""

from __future__ import annotations

import re

import msgspec

from swhkit.errors import InvalidManifest
from swhkit.hashes import git_header
from swhkit.manifest.headers import Header, join, split, take
from swhkit.manifest.persons import encode_person, parse_person, split_date
from swhkit.model import Release, Revision
from swhkit.swhid import Kind

_HEX = rb"[0-9a-fA-F]{40}"
_COMMIT = re.compile(rb"tree (%s)\n((?:parent %s\n)*)" % (_HEX, _HEX))
_TAG = re.compile(rb"object (%s)\ntype (blob|tree|commit|tag|refs)\n" % _HEX)
_PARENT_LENGTH = len("parent ") + 40 + len("\n")
_TAG_TYPES = {
    b"blob": Kind.CONTENT,
    b"tree": Kind.DIRECTORY,
    b"commit": Kind.REVISION,
    b"tag": Kind.RELEASE,
    b"refs": Kind.SNAPSHOT,
}
_TAG_WORDS = {kind: word for word, kind in _TAG_TYPES.items()}


def parse_revision(body: bytes) -> Revision:
    """A commit; type, synthetic and metadata are those of plain git (see ``with_metadata``).

    Extra headers come in the order the Software Heritage git loader gives them: encoding, mergetags, others, gpgsig.
    Raises ``InvalidManifest`` if it does not begin with a tree.
    """
    return revision_of(body, git_order=True)


def revision_of(body: bytes, git_order: bool) -> Revision:
    """``parse_revision``, the extra headers in the order of the git loader or in that of the body."""
    tree, parents, position = commit_head(body)
    headers, message = split(body, position)
    author, committer = take(headers, b"author"), take(headers, b"committer")
    author_person, date = (None, None) if author is None else parse_person(author)
    committer_person, committer_date = (None, None) if committer is None else parse_person(committer)
    revision = Revision(
        message=message,
        author=author_person,
        committer=committer_person,
        date=date,
        committer_date=committer_date,
        directory=tree,
        parents=parents,
        extra_headers=_git_order(headers) if git_order else tuple(headers),
    )
    if encode_revision(revision) == body:
        return revision
    return msgspec.structs.replace(revision, raw_manifest=git_header("commit", len(body)) + body)


def parse_release(body: bytes) -> Release:
    """An annotated tag; the message includes a signature at its end.

    Raises ``InvalidManifest`` if it does not begin with an object and its type.
    """
    target, target_type, position = tag_head(body)
    headers, message = split(body, position)
    tagger = take(headers, b"tagger")
    author, date = (None, None) if tagger is None else parse_person(tagger)
    name = take(headers, b"tag") or b""
    release = Release(
        name=name, message=message, target=target, target_type=target_type, author=author, date=date
    )
    if encode_release(release) == body:
        return release
    return msgspec.structs.replace(release, raw_manifest=git_header("tag", len(body)) + body)


def fullnames(kind: Kind, body: bytes) -> list[bytes]:
    """Author and committer of a commit, tagger of a tag, as ``parse`` reads them; empty for other kinds.

    Raises ``InvalidManifest`` as ``parse`` does.
    """
    if kind not in (Kind.REVISION, Kind.RELEASE):
        return []
    position = commit_head(body)[-1] if kind is Kind.REVISION else tag_head(body)[-1]
    headers, _ = split(body, position)
    names = (b"author", b"committer") if kind is Kind.REVISION else (b"tagger",)
    lines = [take(headers, name) for name in names]
    return [split_date(line)[0] for line in lines if line is not None]


def commit_head(body: bytes) -> tuple[bytes, tuple[bytes, ...], int]:
    """Tree, parents, and where the next header begins. As git does: the tree first, the parents right after it.

    Raises ``InvalidManifest`` without a tree.
    """
    match = _COMMIT.match(body)
    if match is None:
        raise InvalidManifest("the commit does not begin with a tree")
    lines = match[2]
    starts = range(len("parent "), len(lines), _PARENT_LENGTH)
    parents = tuple([bytes.fromhex(lines[start : start + 40].decode("ascii")) for start in starts])
    return bytes.fromhex(match[1].decode("ascii")), parents, match.end()


def tag_head(body: bytes) -> tuple[bytes, Kind, int]:
    """Target, its kind, and where the next header begins. Raises ``InvalidManifest`` if they do not come first."""
    match = _TAG.match(body)
    if match is None:
        raise InvalidManifest("the tag does not begin with an object and its type")
    return bytes.fromhex(match[1].decode("ascii")), _TAG_TYPES[match[2]], match.end()


def _git_order(headers: list[Header]) -> tuple[Header, ...]:
    """Extra headers as the Software Heritage git loader gives them: the first encoding, several gpgsigs as one."""
    encodings: list[Header] = []
    mergetags: list[Header] = []
    others: list[Header] = []
    signatures: list[Header] = []
    places = {b"encoding": encodings, b"mergetag": mergetags, b"gpgsig": signatures}
    for header in headers:
        places.get(header[0], others).append(header)
    signature = [(b"gpgsig", b"\n".join(value for _, value in signatures))] if signatures else []
    return (*encodings[:1], *mergetags, *others, *signature)


def encode_revision(revision: Revision) -> bytes:
    """The body that the fields give; a raw manifest is not looked at."""
    headers: list[Header] = [(b"tree", revision.directory.hex().encode())]
    headers += [(b"parent", parent.hex().encode()) for parent in revision.parents]
    if revision.author is not None:
        headers.append((b"author", encode_person(revision.author, revision.date)))
    if revision.committer is not None:
        headers.append((b"committer", encode_person(revision.committer, revision.committer_date)))
    headers += revision.extra_headers
    return join(headers, revision.message)


def encode_release(release: Release) -> bytes:
    """The body that the fields give; a raw manifest is not looked at. Raises ``InvalidManifest`` without a target."""
    if release.target is None or release.target_type not in _TAG_WORDS:
        raise InvalidManifest(f"release {release.name[:100]!r} has no target, so there is no id for it")
    headers = [
        (b"object", release.target.hex().encode()),
        (b"type", _TAG_WORDS[release.target_type]),
        (b"tag", release.name),
    ]
    if release.author is not None:
        headers.append((b"tagger", encode_person(release.author, release.date)))
    return join(headers, release.message)
