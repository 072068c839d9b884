"""``revision/``: single ones, their message, their directory, their log."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Blob, Data
from swhkit.api.calls import Call, Links
from swhkit.api.parameters import git_hash, soft_integer
from swhkit.api.routing import Route
from swhkit.model import ContentRow, Revision

LOG_MAX = 10_000


def revision(call: Call) -> Data:
    """A revision."""
    digest = git_hash(call.parameters["id"])
    found = query.revision(call.archive, digest)
    persons = query.person_numbers(call.archive, (found,))
    return Data(shapes.revision(call.links, digest, found, persons))


def raw(call: Call) -> Blob:
    """The message of a revision, as bytes."""
    digest = git_hash(call.parameters["id"])
    message = query.revision_message(call.archive, digest)
    pieces = query.Pieces(iter((message,)))
    return Blob(len(message), pieces, f"attachment;filename=rev_{digest.hex()}_raw")


def directory(call: Call) -> Data:
    """What a path in the directory of a revision names."""
    digest = git_hash(call.parameters["id"])
    path = call.parameters.get("path", "").encode("utf-8", "surrogateescape").strip(b"/")
    found = query.in_revision(call.archive, digest, path)
    return Data(
        {
            "type": found.type,
            "path": shapes.text(path) or ".",
            "revision": digest.hex(),
            "content": _in_revision(call, found),
        }
    )


def _in_revision(call: Call, found: query.InRevision) -> object:
    links: Links = call.links
    if isinstance(found.content, ContentRow):
        return shapes.content(links, found.content)
    if isinstance(found.content, list):
        return [shapes.entry(links, listed) for listed in found.content]
    if found.content is None:
        return None
    digest, revision = found.content
    return shapes.revision(links, digest, revision, query.person_numbers(call.archive, (revision,)))


def log(call: Call) -> Data:
    """A revision and its ancestors, breadth-first."""
    digest = git_hash(call.parameters["id"])
    if "per_page" not in call.query:
        found = query.log(call.archive, digest, soft_integer(call.query, "limit", 10, 1, LOG_MAX))
        return Data(_page(call, found))
    count = soft_integer(call.query, "per_page", 10, 1, LOG_MAX)
    found = query.log(call.archive, digest, count + 1)
    following = None
    if len(found) > count:
        following = call.link("revision-log", {"id": found[count][0].hex()}, per_page=count)
    return Data(_page(call, found[:count]), following)


def _page(call: Call, found: list[tuple[bytes, Revision]]) -> list[shapes.Json]:
    persons = query.person_numbers(call.archive, (revision for _, revision in found))
    return shapes.revisions(call.links, found, persons)


ROUTES = (
    Route("revision", "revision/{id:hex}/", revision),
    Route("revision-raw", "revision/{id:hex}/raw/", raw, binary=True),
    Route("revision-directory", "revision/{id:hex}/directory/", directory),
    Route("revision-directory-path", "revision/{id:hex}/directory/{path:path}/", directory),
    Route("revision-log", "revision/{id:hex}/log/", log),
)
