"""What there is: the overview, the index of all resources, a page of documentation for each, the OpenAPI document.

All are made from the table of routes alone, so that they cannot say anything else than what is served.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from swhkit.api import assets, describe, openapi
from swhkit.api.answers import Answer, Data, Document, Page
from swhkit.api.calls import Call
from swhkit.api.routing import BASE, Parameter, Route
from swhkit.api.schemas import ref

DOCUMENT = "openapi.json"


def routes(resources: Sequence[Route]) -> tuple[Route, ...]:
    """The routes that describe ``resources``, and themselves where they are documented."""
    every: list[Route] = [*resources]
    index = Index(every)
    made = (
        Route("overview", "", index.overview, root="/", binary=True, media_type=_HTML, scope=None),
        Route("overview-api", "api/", index.overview, root="/", binary=True, media_type=_HTML, scope=None),
        Route("index", "", index.index, category=_CATEGORY, answer=ref("Index"), refusals=(), doc="index"),
        Route(
            "openapi",
            DOCUMENT,
            index.openapi,
            binary=True,
            category=_CATEGORY,
            answer={"type": "object"},
            refusals=(),
            media_type="application/json",
            doc="openapi",
        ),
        *(
            Route(f"static-{name}", f"static/{name}", _asset(name), root="/", binary=True, scope=None)
            for name in assets.ASSETS
        ),
    )
    every += made
    names = dict.fromkeys(route.documented for route in every if route.category)
    pages = [
        Route(f"doc-{name}", f"{name}/doc/", index.page(name), binary=True, media_type=_HTML)
        for name in names
    ]
    return (*made, *pages)


_CATEGORY = "Miscellaneous"
_HTML = "text/html; charset=utf-8"


class Index:
    """Answers that tell of ``routes``: the list may grow until the first question."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        # Made once, when somebody asks.
        self._document = cache(self._encoded)

    def overview(self, call: Call) -> Page:
        """What this site is, for people."""
        return Page("overview.html", {"counters": call.archive.catalog.counters()})

    def index(self, call: Call) -> Data:
        """All documented resources, by category."""
        del call
        return Data({"doc_routes": [list(pair) for pair in self._categories()]}, view="index.html")

    def openapi(self, call: Call) -> Document:
        """This document: the whole API in the form of OpenAPI 3.1.

        Programs make clients and tests from it.
        """
        servers = msgspec.json.encode([{"url": call.links.base or "/"}])
        return Document(b'{"servers":' + servers + b"," + self._document()[1:], "application/json")

    def page(self, name: str) -> Callable[[Call], Answer]:
        """The handler of the page that documents the routes of a name."""

        def page(call: Call) -> Page:
            """How a resource is asked, and what it answers."""
            listed = [route for route in self._routes if route.category and route.documented == name]
            listed.sort(key=lambda route: route.older)
            shown = [_described(route, call.links.base) for route in listed]
            return Page("doc.html", {"name": name, "category": listed[0].category, "routes": shown})

        return page

    def _encoded(self) -> bytes:
        return msgspec.json.encode(openapi.document(self._routes))

    def _categories(self) -> list[tuple[str, list[dict[str, object]]]]:
        listed = [route for route in self._routes if route.category]
        found: dict[str, dict[str, dict[str, object]]] = {name: {} for name in openapi.categories(listed)}
        for route in sorted(listed, key=lambda route: (route.documented, route.older)):
            found[route.category].setdefault(route.documented, _listed(route))
        return [(name, list(entries.values())) for name, entries in found.items()]


def _listed(route: Route) -> dict[str, object]:
    """A resource as the index lists it."""
    view = f"api-1-{route.documented.replace('/', '-')}"
    return {
        "category": route.category,
        "docstring": "\n\n".join(route.text),
        "route": f"{BASE}{route.documented}/",
        "route_view_name": f"{view}-doc" if route.types else view,
        "tags": [],
        "doc_intro": route.text[0],
    }


def _described(route: Route, base: str) -> dict[str, object]:
    """A route as its page tells of it."""
    common = (openapi.FIELDS, openapi.FORMAT) if openapi.negotiated(route) else ()
    good = [(status, "") for status in route.statuses]
    return {
        "methods": route.methods,
        "template": route.template,
        "summary": route.text[0],
        "paragraphs": route.text[1:],
        "path": [
            (name, openapi.sentence(route.about.get(name, type.summary)), type.example)
            for name, type in route.types.items()
        ],
        "query": [
            (one, openapi.sentence(one.summary), describe.words(one.schema), describe.bounds(one.schema))
            for one in (*route.query, *common)
        ],
        "body": _body(route),
        "body_tables": describe.tables(route.body),
        "answer": _answer(route),
        "tables": describe.tables(route.answer),
        "permission": route.permission,
        "scope": route.scope,
        "statuses": [*good, *((status, openapi.REFUSALS[status][1]) for status in openapi.refusals(route))],
        "examples": [_example(route, method, base) for method in route.methods],
    }


def _body(route: Route) -> str:
    if not route.body:
        return ""
    return str(route.body.get("description", "")) or describe.words(route.body)


def _answer(route: Route) -> str:
    if all(status >= 300 for status in route.statuses):
        return "another address"
    if route.binary and not route.answer:
        return (
            "bytes" if route.media_type == "application/octet-stream" else route.media_type.partition(";")[0]
        )
    return describe.words(route.answer)


def _example(route: Route, method: str, base: str) -> str:
    """A command line that asks it."""
    path = route.template.format(**{name: type.example for name, type in route.types.items()})
    wanted = "&".join(f"{p.name}={_sample(p)}" for p in route.query if p.required)
    words = ["curl", f"{base}{path}{'?' + wanted if wanted else ''}"]
    if method == "POST":
        examples = route.body.get("examples")
        body = examples[0] if isinstance(examples, (list, tuple)) else {}
        words[1:1] = ["-H", "Content-Type: application/json", "-d", msgspec.json.encode(body).decode()]
    return shlex.join(words)


def _sample(parameter: Parameter) -> str:
    examples = parameter.schema.get("examples")
    return str(examples[0]) if isinstance(examples, (list, tuple)) else "VALUE"


def _asset(name: str) -> Callable[[Call], Answer]:
    def asset(call: Call) -> Document:
        """A file that pages need. Its address changes when it does."""
        del call
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Document(assets.asset(name), assets.ASSETS[name], headers)

    return asset
