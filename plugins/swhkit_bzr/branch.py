"""Finds the branch at a place: what it is called, its last revision, its tags, and what it leans on.

A branch may be a mere reference to another, and may be stacked on another, from which it takes what it does not have
itself. The URLs are the origin's words: they are judged as any URL, and followed only if they stay on the server (or
on this machine) where the branch is.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import msgspec

from swhkit.plugin import NotFound, Unavailable, VisitContext, without_secrets
from swhkit_bzr import bencode
from swhkit_bzr.connect import Connector, Place, place_of
from swhkit_bzr.oldrevision import NOTATIONS
from swhkit_bzr.revision import NOTATION
from swhkit_bzr.smart import Connection, Refused

#: The id of no revision, which an empty branch ends with.
NULL = b"null:"
_HOPS = 5
#: Bytes of a path that is told relative to another.
_PATH = 1 << 14
#: Errors that say that there is no branch.
_NOTHING = (b"nobranch", b"norepository", b"NoSuchFile")


class Branch(msgspec.Struct, frozen=True):
    """A branch. ``repository``: its repository's path on the server; ``texts`` a connection for questions,
    ``inventories`` another for the one long answer; ``notation``: how revisions are kept."""

    place: Place
    repository: bytes
    texts: Connection
    inventories: Connection
    notation: bytes


class Head(msgspec.Struct, frozen=True):
    """What a branch says of itself: its last revision (``NULL`` for none) and its tags, names to revisions."""

    tip: bytes
    tags: dict[bytes, bytes]


def find(context: VisitContext, connector: Connector, place: Place) -> tuple[list[Branch], Head]:
    """The branch at a place, followed by those it is stacked on; and what it says of itself.

    Raises ``NotFound``, ``Unavailable``; ``Refused``, ``Broken``, ``ValueError`` for answers that cannot be used.
    """
    branches = [_open(context, connector, place)]
    first = branches[0]
    tip = first.texts.call(b"Branch.last_revision_info", first.place.path).argument(2)
    head = Head(tip, _tags(first))
    while (stacked := _stacked_on(branches[-1])) is not None:
        if len(branches) > _HOPS:
            raise Unavailable(f"{place.url}: the branch is stacked on more than {_HOPS} others")
        branches.append(_open(context, connector, _elsewhere(context, branches[-1].place, stacked)))
    return branches, head


def _open(context: VisitContext, connector: Connector, place: Place) -> Branch:
    for _ in range(_HOPS):
        connection = connector.connect(place)
        try:
            answer = connection.call(b"BzrDir.open_branchV3", place.path)
            if answer.argument(0) == b"branch":
                _require_bazaar(place, answer.argument(1))
                return _in_repository(connector, place, connection)
        except Refused as error:
            if error.word in _NOTHING:
                raise NotFound(f"{place.url}: there is no Bazaar branch") from error
            raise
        place = _elsewhere(context, place, answer.argument(1))
    raise Unavailable(f"{place.url}: more than {_HOPS} references from branch to branch")


def _require_bazaar(place: Place, format: bytes) -> None:
    """brz opens branches of git as well."""
    if not format.startswith(b"Bazaar"):
        raise NotFound(f"{place.url}: there is no Bazaar branch, but one of another system")


def _in_repository(connector: Connector, place: Place, connection: Connection) -> Branch:
    where = connection.call(b"BzrDir.find_repositoryV3", place.path).argument(1)
    path = _joined(place.path, where)
    notation = connection.call(b"VersionedFileRepository.get_serializer_format", path).argument(1)
    if notation not in (NOTATION, *NOTATIONS):
        raise ValueError(f"its revisions are kept in a notation that is not known, {notation!r}")
    return Branch(place, path, connection, connector.connect(place), notation)


def _joined(path: bytes, relative: bytes) -> bytes:
    """The path of a folder that is told relative to another."""
    if len(relative) > _PATH:
        raise ValueError("the path of its repository is too long")
    for part in relative.split(b"/"):
        if part == b"..":
            path = path.rstrip(b"/").rpartition(b"/")[0] or b"/"
        elif part not in (b"", b"."):
            path = path.rstrip(b"/") + b"/" + part
    return path


def _tags(branch: Branch) -> dict[bytes, bytes]:
    try:
        told = branch.texts.call(b"Branch.get_tags_bytes", branch.place.path).argument(0)
    except Refused as error:
        if error.word == b"NoSuchFile":  # formats without tags
            return {}
        raise
    try:
        return msgspec.convert(bencode.decode(told) if told else {}, dict[bytes, bytes])
    except msgspec.ValidationError as error:
        raise ValueError(f"its tags are not names and revisions ({error})") from None


def _stacked_on(branch: Branch) -> bytes | None:
    try:
        return branch.texts.call(b"Branch.get_stacked_on_url", branch.place.path).argument(1)
    except Refused as error:
        if error.word in (b"NotStacked", b"UnstackableBranchFormat"):
            return None
        raise


def _elsewhere(context: VisitContext, place: Place, url: bytes) -> Place:
    """The place that a branch points to. Raises ``Unavailable`` if it is on another server."""
    here = place.target.url
    text = resolved(here, url.decode("utf-8", "replace"))
    if text.startswith("filtered-"):  # how brz serve names what it serves: a branch of git, in its own words
        raise NotFound(f"{place.url}: there is no Bazaar branch, but one of another system")
    if urlsplit(text)[:2] != urlsplit(here)[:2]:
        raise Unavailable(
            f"{place.url}: the branch leads to another server, {without_secrets(text)[:200]}, which is not asked"
        )
    return place_of(context.network.check(text), old=place.old)


def resolved(base: str, reference: str) -> str:
    """A reference from the folder ``base``, both URLs. (``urljoin`` knows nothing of Bazaar's schemes.)"""
    if "://" in reference:
        return reference
    scheme, _, rest = base.partition("://")
    return scheme + urljoin(f"http://{rest.rstrip('/')}/", reference).removeprefix("http")
