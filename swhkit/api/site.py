"""Addresses of objects for people: ``/SWHID/`` and ``/browse/``.

There are no pages to browse yet. Their addresses lead to the API's page of the same object, so that links to them, in
answers of ours and in anybody's documents, are good already.
"""

from __future__ import annotations

from collections.abc import Mapping

from swhkit import query
from swhkit.api.answers import Redirect
from swhkit.api.calls import Call
from swhkit.api.errors import ValidationError, clean
from swhkit.api.identifiers import browse_url
from swhkit.api.parameters import swhid_qualified
from swhkit.api.routing import Parameter, Route
from swhkit.errors import InvalidSwhid, NotHeld
from swhkit.swhid import Kind

#: Pages of an origin that the API has an answer for; all others lead to the origin.
_ORIGIN_PAGES = {"visits": "origin-visits"}


def swhid(call: Call) -> Redirect:
    """The page of what a SWHID names.

    The SWHID may have qualifiers: the page shows the object in their context, where it can. What it names must be held.
    """
    wanted = swhid_qualified(call.parameters["swhid"])
    query.resolve(call.archive, wanted)
    return _to(browse_url(call.links, wanted))


def browse(call: Call) -> Redirect:
    """The page of an object by its type and id; with ``path``, of what is there below it.

    The type is ``content``, ``directory``, ``revision``, ``release`` or ``snapshot``. A page below it that there is no
    answer for leads to the object itself.
    """
    kind = _kind(call.parameters["type"])
    id = call.parameters["id"]
    page = call.parameters.get("page", "").strip("/")
    path = call.query.get("path", "").strip("/")
    if kind is Kind.CONTENT:
        return _to(_page(call, "content", {"q": id}))
    if kind is Kind.REVISION and page == "log":
        return _to(_page(call, "revision-log", {"id": id}))
    if kind is Kind.REVISION and path:
        return _to(_page(call, "revision-directory-path", {"id": id, "path": path}))
    if kind is Kind.DIRECTORY and (path or page):
        return _to(_page(call, "directory-path", {"id": id, "path": path or page}))
    return _to(_page(call, kind.word, {"id": id}))


def browse_origin(call: Call) -> Redirect:
    """The page of an origin, or of its visits, by ``origin_url``.

    The URL may also stand in the path, as in older links.
    """
    page = call.parameters.get("page", "").strip("/")
    url = call.query.get("origin_url", "")
    if not url and ":/" in page:
        url, page = page, ""
    if not url:
        raise ValidationError("origin_url", "This field is required.")
    return _to(_page(call, _ORIGIN_PAGES.get(page, "origin"), {"url": url}))


def _kind(word: str) -> Kind:
    try:
        return Kind.from_word(word)
    except InvalidSwhid:
        raise NotHeld(f"There are no pages of objects of type {clean(word)}.") from None


def _page(call: Call, route: str, parameters: Mapping[str, str]) -> str | None:
    return call.link(route, parameters, format="html")


def _to(url: str | None) -> Redirect:
    if url is None:
        raise NotHeld("There is no page of it here.")
    return Redirect(url)


_CATEGORY = "Miscellaneous"
_ORIGIN_URL = Parameter("origin_url", "The URL of the origin.", {"type": "string", "minLength": 1})
_PATH = Parameter("path", "A path below the directory or revision.")
ROUTES = tuple(
    Route(
        name,
        path,
        handler,
        root="/",
        category=_CATEGORY,
        query=parameters,
        statuses=(302,),
        doc=doc,
    )
    for name, path, handler, parameters, doc in (
        ("swhid", "{swhid:swhid}/", swhid, (), "swhid"),
        ("browse-origin", "browse/origin/", browse_origin, (_ORIGIN_URL,), "browse/origin"),
        ("browse-origin-page", "browse/origin/{page:path}/", browse_origin, (_ORIGIN_URL,), "browse/origin"),
        ("browse", "browse/{type:kind}/{id:content}/", browse, (_ORIGIN_URL, _PATH), "browse"),
        (
            "browse-page",
            "browse/{type:kind}/{id:content}/{page:path}/",
            browse,
            (_ORIGIN_URL, _PATH),
            "browse",
        ),
    )
)
