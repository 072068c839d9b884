"""Finds the branch at a place: what it is called, its last revision, its tags, and what it leans on.

A branch may be a mere reference to another, and may be stacked on another, from which it takes what it does not have
itself. The URLs are the origin's words: they are judged as any URL, and followed only if they stay on the server (or
on this machine) where the branch is.
"""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import urljoin, urlsplit

import msgspec

from swhkit.plugin import NotFound, Target, Unavailable, VisitContext, without_secrets
from swhkit_bzr import BzrConfig, bencode
from swhkit_bzr.connect import Place, connect, place_of
from swhkit_bzr.smart import Broken, Connection, Refused

#: The id of no revision, which an empty branch ends with.
NULL = b"null:"
#: The notation of revisions that ``revision`` reads; repositories of older ones are upgraded first.
SERIALIZER = b"10"
_HOPS = 5


class TooOld(Exception):
    """A repository of an old format, or a server of an old version: it is to be read by way of a copy."""


class Branch(msgspec.Struct, frozen=True):
    """A branch. ``repository``: its repository's path (escaped) on the server; ``texts`` a connection for questions,
    ``inventories`` another for the one long answer."""

    place: Place
    repository: bytes
    texts: Connection
    inventories: Connection


class Head(msgspec.Struct, frozen=True):
    """What a branch says of itself: its last revision (``NULL`` for none) and its tags, names to revisions."""

    tip: bytes
    tags: dict[bytes, bytes]


def find(
    context: VisitContext, config: BzrConfig, place: Place, stack: ExitStack
) -> tuple[list[Branch], Head]:
    """The branch at a place, followed by those it is stacked on; and what it says of itself.

    Raises ``NotFound``, ``Unavailable``, ``TooOld``.
    """
    branches = [_open(context, config, place, stack)]
    head = _head(branches[0])
    while (stacked := _stacked_on(branches[-1])) is not None:
        if len(branches) > _HOPS:
            raise Unavailable(f"{place.url}: the branch is stacked on more than {_HOPS} others")
        at = _elsewhere(context, branches[-1].place, stacked)
        branches.append(_open(context, config, at, stack))
    return branches, head


def failed(place: Place, error: Refused | Broken | ValueError) -> Unavailable:
    """The error that ends a visit in which a server's answer could not be used."""
    return Unavailable(f"{place.url}: the branch cannot be read ({without_secrets(str(error))[:400]})")


def _open(context: VisitContext, config: BzrConfig, place: Place, stack: ExitStack) -> Branch:
    for _ in range(_HOPS):
        connection = connect(context, config, place, stack)
        try:
            word, what = connection.call(b"BzrDir.open_branchV3", place.path).arguments[:2]
            if word == b"branch":
                return _in_repository(context, config, place, connection, stack)
        except Refused as error:
            raise _not_opened(place, error) from error
        except (Broken, ValueError) as error:
            raise failed(place, error) from error
        place = _elsewhere(context, place, what)
    raise Unavailable(f"{place.url}: more than {_HOPS} references from branch to branch")


def _in_repository(
    context: VisitContext, config: BzrConfig, place: Place, connection: Connection, stack: ExitStack
) -> Branch:
    where = connection.call(b"BzrDir.find_repositoryV3", place.path).arguments[1]
    path = place.path
    for part in where.split(b"/"):
        if part == b"..":
            path = path.rstrip(b"/").rpartition(b"/")[0] or b"/"
        elif part not in (b"", b"."):
            path = path.rstrip(b"/") + b"/" + part
    notation = connection.call(b"VersionedFileRepository.get_serializer_format", path).arguments[-1]
    if notation != SERIALIZER:
        raise TooOld
    return Branch(place, path, connection, connect(context, config, place, stack))


def _not_opened(place: Place, error: Refused) -> Exception:
    if error.word == b"UnknownMethod":
        return TooOld()
    if error.word in (b"nobranch", b"norepository", b"NoSuchFile"):
        return NotFound(f"{place.url}: there is no Bazaar branch")
    return failed(place, error)


def _head(branch: Branch) -> Head:
    place = branch.place
    try:
        tip = branch.texts.call(b"Branch.last_revision_info", place.path).arguments[2]
        told = branch.texts.call(b"Branch.get_tags_bytes", place.path).arguments[0]
        tags = bencode.decode(told) if told else {}
        return Head(tip, msgspec.convert(tags, dict[bytes, bytes]))
    except (Refused, Broken, ValueError, IndexError) as error:
        raise failed(place, error if not isinstance(error, IndexError) else ValueError("a short answer")) from error


def _stacked_on(branch: Branch) -> bytes | None:
    try:
        return branch.texts.call(b"Branch.get_stacked_on_url", branch.place.path).arguments[1]
    except Refused as error:
        if error.word in (b"NotStacked", b"UnstackableBranchFormat"):
            return None
        raise failed(branch.place, error) from error
    except (Broken, IndexError) as error:
        raise failed(branch.place, ValueError(str(error))) from error


def _elsewhere(context: VisitContext, place: Place, url: bytes) -> Place:
    """The place that a branch points to. Raises ``Unavailable`` if it is on another server, or refused."""
    text = urljoin(place.target.url.rstrip("/") + "/", url.decode("utf-8", "replace"))
    if _server(text) != _server(place.target.url):
        raise Unavailable(
            f"{place.url}: the branch points to another server, {without_secrets(text)[:200]}: visit that URL instead"
        )
    target: Target = context.network.check(text)
    return place_of(target)


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
