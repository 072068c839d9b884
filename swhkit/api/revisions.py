"""``revision/``: single ones, their message, their directory, their log."""

from __future__ import annotations

from collections.abc import Sequence

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Blob, Data
from swhkit.api.calls import Call, Links
from swhkit.api.parameters import git_hash, soft_integer
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import array, ref
from swhkit.escapes import escaped
from swhkit.model import ContentRow, Revision

LOG_MAX = 10_000


def revision(call: Call) -> Data:
    """A revision: a state of a directory in the history of a project, with who made it and when.

    Dates have their author's offset. ``synthetic`` revisions were made by a loader, ``extra_headers`` hold what else
    git has, and ``message_url`` is there where the message is not UTF-8.
    """
    return revision_of(call, git_hash(call.parameters["id"]))


def revision_of(call: Call, digest: bytes) -> Data:
    """The answer of a revision."""
    found = query.revision(call.archive, digest)
    persons = query.person_numbers(call.archive, (found,))
    return Data(shapes.revision(call.links, digest, found, persons))


def raw(call: Call) -> Blob:
    """The message of a revision, as bytes.

    A revision without a message gives 404.
    """
    digest = git_hash(call.parameters["id"])
    message = query.revision_message(call.archive, digest)
    pieces = query.Pieces(iter((message,)))
    return Blob(len(message), pieces, f"attachment;filename=rev_{digest.hex()}_raw", digest.hex())


def directory(call: Call) -> Data:
    """What a path in the directory of a revision names; without a path, the directory itself.

    ``type`` tells what ``content`` is: of ``dir`` a list of entries, of ``file`` a content, of ``rev`` a revision, or
    null where that one is not held.
    """
    digest = git_hash(call.parameters["id"])
    path = call.parameters.get("path", "").encode("utf-8", "surrogateescape").strip(b"/")
    found = query.in_revision(call.archive, digest, path)
    return Data(shape_in(call, digest, path, found))


def shape_in(call: Call, digest: bytes, path: bytes, found: query.InRevision) -> shapes.Json:
    """What ``path`` names in the directory of a revision."""
    return {
        "type": found.type,
        "path": escaped(path) or ".",
        "revision": digest.hex(),
        "content": _in_revision(call, found),
    }


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
    """A revision and its ancestors, breadth-first.

    With ``limit`` the answer has so many at most, and no ``Link``: clients go on from the parents that are not in it.
    With ``per_page`` the ``Link`` header leads to the log of the revision that comes next.
    """
    return log_of(call, git_hash(call.parameters["id"]))


def log_of(call: Call, digest: bytes, earlier: Sequence[bytes] = ()) -> Data:
    """The answer of the log of a revision, behind the revisions ``earlier``, which do not count."""
    paged = "per_page" in call.query
    count = soft_integer(call.query, "per_page" if paged else "limit", 10, 1, LOG_MAX)
    found = query.log(call.archive, digest, count + paged)
    following = None
    if len(found) > count:
        following = call.link("revision-log", {"id": found[count][0].hex()}, per_page=count)
    before = query.revisions(call.archive, earlier) if earlier else []
    return Data(_page(call, [*before, *found[:count]]), following)


def _page(call: Call, found: list[tuple[bytes, Revision]]) -> list[shapes.Json]:
    persons = query.person_numbers(call.archive, (revision for _, revision in found))
    return shapes.revisions(call.links, found, persons)


_CATEGORY = "Revision"
_COUNT = {"type": "integer", "default": 10}
LOG_PARAMETERS = (
    Parameter("limit", f"How many revisions to answer, 1 to {LOG_MAX}; others are clamped.", _COUNT),
    Parameter("per_page", "The same, with a link to the next page; then limit does not count.", _COUNT),
)
ROUTES = (
    Route("revision", "revision/{id:hex}/", revision, category=_CATEGORY, answer=ref("Revision")),
    Route("revision-raw", "revision/{id:hex}/raw/", raw, binary=True, category=_CATEGORY),
    Route(
        "revision-directory",
        "revision/{id:hex}/directory/",
        directory,
        category=_CATEGORY,
        answer=ref("InRevision"),
    ),
    Route(
        "revision-directory-path",
        "revision/{id:hex}/directory/{path:path}/",
        directory,
        category=_CATEGORY,
        answer=ref("InRevision"),
    ),
    Route(
        "revision-log",
        "revision/{id:hex}/log/",
        log,
        category=_CATEGORY,
        query=LOG_PARAMETERS,
        answer=array(ref("Revision")),
        paged=True,
    ),
)
