"""HTML pages from templates: the one around the data of an answer, and whatever else has a template.

Templates escape all that they are given. A URL in the data becomes a link only if it begins with the site's own
address, whatever a stranger wrote. There is no script, and the policy of each page allows none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import jinja2
import msgspec
from markupsafe import Markup, escape

from swhkit.api import assets
from swhkit.api.calls import quote_raw
from swhkit.api.routing import BASE, Route

HTML = "text/html; charset=utf-8"
#: What a page may load: our style sheet and pictures, nothing else, and nobody may put it into a frame.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: Headers of an answer that its page shows.
_TOLD = ("Link", "X-Total-Count", "Retry-After")
_STRING = re.compile(r'("(?:[^"\\]|\\.)*")(:?)')
#: Characters that nobody sees, or that turn the text around them: C1 controls, marks and overrides of direction.
_UNSEEN = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
#: What a URL of ours is made of; all else is percent-encoded in it.
_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*", re.ASCII)


class Shown(msgspec.Struct, frozen=True):
    """An answer as its page shows it: what was asked (``path`` decoded, ``query``), on which ``route`` (None: none is
    there), and what came."""

    base: str
    method: str
    path: str
    query: Mapping[str, str]
    route: Route | None
    status: int
    headers: Mapping[str, str]
    data: object
    next: str | None = None
    previous: str | None = None


def render(template: str, base: str, values: Mapping[str, object]) -> bytes:
    """A template with its values; ``base`` is scheme and host of the site (and the path to it, if there is one)."""
    root = urlsplit(base).path.rstrip("/")
    site = {"base": base, "root": root, "style": root + assets.address("style.css")}
    text = (
        _templates().get_template(template).render(**site, icon=root + assets.address("icon.svg"), **values)
    )
    return text.encode("utf-8", "backslashreplace")


def headers(media_type: str) -> dict[str, str]:
    """The headers of a page."""
    return {"Content-Type": media_type, "Content-Security-Policy": POLICY}


def data_page(template: str, shown: Shown) -> bytes:
    """The page around the data of an answer, or of an error."""
    good = shown.status < 400
    route = shown.route
    return render(
        template,
        shown.base,
        {
            "shown": shown,
            # An answer to HEAD is as long as one to GET.
            "method": "GET" if shown.method == "HEAD" else shown.method,
            "good": good,
            "phrase": HTTPStatus(shown.status).phrase,
            "title": title(route) if route is not None and good else HTTPStatus(shown.status).phrase,
            "summary": route.summary if route is not None else "",
            "data": marked(shown.data, shown.base),
            "address": _address(shown, None),
            "forms": [(form.upper(), _address(shown, form)) for form in ("json", "yaml")],
            "headers": [(name, shown.headers[name]) for name in _TOLD if name in shown.headers],
            "documentation": documentation(route),
        },
    )


def title(route: Route) -> str:
    """What a route is called on pages."""
    return route.name.replace("-", " ").capitalize()


def documentation(route: Route | None) -> str | None:
    """The path of the page that documents a route; None if it is not documented."""
    return f"{BASE}{route.documented}/doc/" if route is not None and route.category else None


def marked(data: object, base: str) -> Markup:
    """Data as indented JSON, with strings that are URLs below ``base`` as links and everything else as text."""
    text = msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    parts: list[Markup] = []
    end = 0
    for found in _STRING.finditer(text):
        parts += (escape(text[end : found.start()]), _marked_string(found[1], bool(found[2]), base))
        end = found.end(1)
    return Markup("").join((*parts, escape(text[end:])))


def _marked_string(token: str, key: bool, base: str) -> Markup:
    inner = token[1:-1]
    if not key and base and inner.startswith(base + "/") and _URL.fullmatch(inner):
        return Markup('"<a href="{0}">{0}</a>"').format(inner)
    return Markup('<span class="{}">{}</span>').format("key" if key else "text", visible(token))


def visible(text: str) -> str:
    """``text`` with what would be unseen, or would turn other text around, written ``\\uNNNN``."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _address(shown: Shown, form: str | None) -> str:
    """Path and query of what was asked, in another form."""
    pairs = {name: value for name, value in shown.query.items() if name != "format" or form is None}
    query = urlencode({**pairs, **({} if form is None else {"format": form})}, errors="surrogateescape")
    root = urlsplit(shown.base).path.rstrip("/")
    return root + quote_raw(shown.path) + (f"?{query}" if query else "")


def prose(text: str) -> Markup:
    """A paragraph of documentation, with what stands in double backquotes as code."""
    parts = [
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part)
        for n, part in enumerate(text.split("``"))
    ]
    return Markup("").join(parts)


@lru_cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(assets.FOLDER.parent / "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    return environment
