"""``/badge/``: small pictures that say that an object is archived, for pages elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from swhkit import query
from swhkit.api.answers import Page
from swhkit.api.calls import Call, Links
from swhkit.api.errors import ApiError, clean
from swhkit.api.parameters import origin_urls, swhid_core, swhid_qualified
from swhkit.api.routing import Route
from swhkit.errors import InvalidInput, NotHeld
from swhkit.escapes import escaped
from swhkit.swhid import Kind, ObjectId, QualifiedSwhid

_GREEN, _BLUE, _RED = "#276b2c", "#17598f", "#a3261a"
#: Characters that a badge shows at most.
_LONGEST = 120
#: Widths of letters of 11 pixels: narrow ones, wide ones; all others are in between.
_NARROW, _WIDE = frozenset("ijlfrtI.,:;'|!()[]/- "), frozenset("mwMW@%")


def badge(call: Call) -> Page:
    """A badge that says that an object is archived, by its SWHID: a small SVG picture.

    Refusals are pictures, too: they say why.
    """
    return _badge(call, "object", lambda: swhid_qualified(call.parameters["swhid"]))


def typed_badge(call: Call) -> Page:
    """A badge that says that an object is archived, by its type and id.

    The type is ``content``, ``directory``, ``revision``, ``release`` or ``snapshot``, the id 40 hex digits. Refusals
    are pictures, too: they say why.
    """
    word, id = call.parameters["type"], call.parameters["id"]
    return _badge(
        call, word, lambda: QualifiedSwhid(swhid_core(f"swh:1:{Kind.from_word(word)}:{id.lower()}"))
    )


def origin_badge(call: Call) -> Page:
    """A badge that says that an origin is archived, by its URL: a small SVG picture."""
    try:
        found = query.origin(call.archive, origin_urls(call.parameters["url"]))
    except NotHeld:
        return _picture("error", "origin not found", _RED, 404)
    url = call.link("origin", {"url": found.url}, format="html")
    return _picture("archived repository", found.url, _BLUE, 200, url)


def _badge(call: Call, word: str, named: Callable[[], QualifiedSwhid]) -> Page:
    try:
        core = named().core
    except (ApiError, InvalidInput):
        return _picture("error", f"invalid {word} id", _RED, 400)
    try:
        text = _text(call, core)
    except NotHeld:
        return _picture("error", f"{core.kind.word} not found", _RED, 404)
    return _picture(f"archived {core.kind.word}", text, _GREEN, 200, _page(call.links, core))


def _text(call: Call, core: ObjectId) -> str:
    """What a badge says of an object: a release's name, else the SWHID. Raises ``NotHeld``."""
    if core.kind is Kind.RELEASE:
        return escaped(query.release(call.archive, core.digest).name)
    query.resolve(call.archive, QualifiedSwhid(core))
    return str(core)


def _page(links: Links, core: ObjectId) -> str | None:
    return links.to("swhid", swhid=str(core))


def _picture(left: str, right: str, colour: str, status: int, url: str | None = None) -> Page:
    left, right = _fit(left), _fit(right)
    left_width, right_width = _width(left), _width(right)
    values = {
        "left": left,
        "right": right,
        "left_width": left_width,
        "width": left_width + right_width,
        "colour": colour,
        "url": url,
    }
    return Page("badge.svg", values, "image/svg+xml", status)


def _fit(text: str) -> str:
    # XML has no control characters, however they are written.
    plain = "".join(one if one.isprintable() else "\ufffd" for one in clean(text))
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def _width(text: str) -> int:
    """The pixels that a text takes, with six on each side."""
    return 12 + round(sum(4 if one in _NARROW else 10 if one in _WIDE else 7 for one in text))


_CATEGORY = "Miscellaneous"
ROUTES = tuple(
    Route(
        name,
        path,
        handler,
        root="/",
        binary=True,
        category=_CATEGORY,
        media_type="image/svg+xml",
        doc="badge",
        pictured=(400, 404),
    )
    for name, path, handler in (
        ("badge", "badge/{swhid:swhid}/", badge),
        ("badge-origin", "badge/origin/{url:url}/", origin_badge),
        ("badge-typed", "badge/{type:kind}/{id:loose}/", typed_badge),
    )
)
