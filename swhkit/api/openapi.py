"""The OpenAPI 3.1 document of the web API, made from the table of routes (https://spec.openapis.org/oas/v3.1.1).

It says of every documented route what is asked, and every status that can come: those of the route's own answers and
refusals, and those that the server gives on its behalf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import swhkit
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import COMPONENTS, Schema, ref

Json = dict[str, object]

_ERRORS = ("Error", "ValidationError", "Unrouted")
#: Status → name of the response, what it means, and the schemas of its body.
REFUSALS: Mapping[int, tuple[str, str, tuple[str, ...]]] = {
    400: ("BadRequest", "What was asked makes no sense; the reason says which part of it.", _ERRORS[:2]),
    401: ("Unauthorized", "Only who shows a token may ask this.", ("Error",)),
    403: ("Forbidden", "The token is not valid, or does not permit this.", ("Error",)),
    404: (
        "NotFound",
        "The archive does not hold it, or no resource has this address.",
        ("Error", "Unrouted"),
    ),
    405: ("MethodNotAllowed", "The resource is there for other methods; see the header Allow.", ("Error",)),
    406: ("NotAcceptable", "None of the forms that Accept lists can be had.", ("Error",)),
    409: ("Conflict", "It is there already; the answer is a sentence that names it.", ("Sentence",)),
    413: ("PayloadTooLarge", "More was sent than is taken at once.", ("Error",)),
    415: ("UnsupportedMediaType", "The body is of a type that is not understood.", ("Error",)),
    416: ("RangeNotSatisfiable", "The range begins behind the end.", ("Error",)),
    429: (
        "TooManyRequests",
        "Too many requests; the header X-RateLimit-Reset says when to go on.",
        ("Error",),
    ),
    500: ("InternalServerError", "A fault of the archive; it has been logged.", ("Error",)),
    503: (
        "ServiceUnavailable",
        "The archive cannot tell now; ask again after Retry-After seconds.",
        ("Error",),
    ),
}
_ABOUT = """\
What this archive holds, and where it came from: origins and the visits to them, snapshots, releases, revisions,
directories and contents.

Answers are JSON; YAML and HTML come for `Accept: application/yaml` and `text/html`, or for `?format=`. With `?fields=`
an answer has only the keys that are listed there, fewer than its schema requires. HEAD is answered wherever GET is.
A path without its final slash is redirected (301) to the one with it. URLs of origins may stand in a path as they are
or percent-encoded."""
_RATES = {
    "X-RateLimit-Limit": "How many requests may be made in a window.",
    "X-RateLimit-Remaining": "How many of them are left.",
    "X-RateLimit-Reset": "When the next window begins, in seconds since 1970.",
}
FIELDS = Parameter("fields", "Keys to keep, separated by commas: of an object, or of each object of a list.")
FORMAT = Parameter(
    "format",
    "The form of the answer, whatever Accept says.",
    {"type": "string", "enum": ["json", "yaml", "html"]},
)


def document(routes: Sequence[Route]) -> Json:
    """The document of all routes that have a category. The key ``servers`` is not in it: who serves it adds that."""
    documented = [route for route in routes if route.category]
    paths: dict[str, Json] = {}
    for route in documented:
        for method in route.methods:
            paths.setdefault(route.template, {})[method.lower()] = _operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "swhkit", "version": swhkit.__version__, "description": _ABOUT},
        "tags": [{"name": name} for name in categories(documented)],
        "paths": paths,
        "components": {
            "schemas": dict(COMPONENTS),
            "responses": {name: _refusal(status) for status, (name, _, _) in REFUSALS.items()},
            "headers": _headers(),
            "parameters": {p.name: _parameter(p) for p in (FIELDS, FORMAT)},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of this archive. It lifts limits, and permits what needs permission.",
                }
            },
        },
        "security": [{}, {"bearer": []}],
    }


def categories(routes: Iterable[Route]) -> list[str]:
    """The categories in alphabetical order, Miscellaneous last."""
    return sorted({route.category for route in routes}, key=lambda name: (name == "Miscellaneous", name))


def sentence(text: str) -> str:
    """A summary as a sentence."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def negotiated(route: Route) -> bool:
    """Whether its answers come in the form that a client likes."""
    return not route.binary and any(status < 300 for status in route.statuses)


def refusals(route: Route) -> list[int]:
    """Every status of an error that a route can give."""
    found = {400, 403, 500, 503, *route.refusals}
    if route.permission is not None:
        found.add(401)
    if not route.binary:
        found.update((404, 406))
    if route.types:
        found.add(404)
    if "POST" in route.methods:
        found.update((413, 415))
    if route.scope is not None:
        found.add(429)
    if _is_file(route):
        found.add(416)
    return sorted(found)


def _is_file(route: Route) -> bool:
    return route.binary and route.media_type == "application/octet-stream" and 200 in route.statuses


def _operation(route: Route, method: str) -> Json:
    name = route.name if len(route.methods) == 1 else f"{route.name}-{method.lower()}"
    description = "\n\n".join(route.text[1:])
    operation: Json = {
        "operationId": name,
        "tags": [route.category],
        "summary": route.summary,
        **({"description": description} if description else {}),
        "parameters": [*_path_parameters(route), *map(_parameter, route.query), *_common(route)],
        "responses": _responses(route, method),
    }
    if method == "POST":
        operation["requestBody"] = {"content": _bodies(route)}
    if route.permission is not None:
        operation["security"] = [{"bearer": []}]
    return operation


def _path_parameters(route: Route) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": sentence(route.about.get(name, type.summary)),
            "schema": dict(type.schema),
            "example": int(type.example) if type.schema.get("type") == "integer" else type.example,
        }
        for name, type in route.types.items()
    ]


def _common(route: Route) -> list[Json]:
    shared = (FIELDS, FORMAT) if negotiated(route) else ()
    return [{"$ref": f"#/components/parameters/{parameter.name}"} for parameter in shared]


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": "query",
        "description": sentence(parameter.summary),
        "schema": dict(parameter.schema),
        **({"required": True} if parameter.required else {}),
    }


def _bodies(route: Route) -> Json:
    types = list(route.body_types) or ["application/json"]
    if not route.body_types and route.body.get("type") == "object":
        types += ["application/x-www-form-urlencoded", "multipart/form-data"]
    return {name: {} if name == "text/csv" else {"schema": dict(route.body)} for name in types}


def _responses(route: Route, method: str) -> Json:
    responses: Json = {str(status): _success(route, status) for status in route.statuses}
    if 200 in route.statuses and method == "GET":
        responses["304"] = {"description": "The client has it already, as it said by If-None-Match."}
        if _is_file(route):
            responses["206"] = {**_success(route, 200), "description": "The part that Range asks for."}
    if route.path.endswith("/") and method == "GET":
        responses["301"] = {
            "description": "The final slash is missing: the same address with it.",
            "headers": _links("Location"),
        }
    if route.redirected and 302 not in route.statuses:
        responses["302"] = {
            "description": "An id in upper case: the same address in lower case.",
            "headers": _links("Location"),
        }
    for status in refusals(route):
        responses[str(status)] = {"$ref": f"#/components/responses/{REFUSALS[status][0]}"}
    for status in route.pictured:
        responses[str(status)] = _pictured(route, status)
    for status, schema in route.refused.items():
        either = {"anyOf": [schema, _schema_of(status)]}
        responses[str(status)] = {**_refusal(status), "content": _forms(either)}
    return dict(sorted(responses.items()))


def _pictured(route: Route, status: int) -> Json:
    """A refusal in the form of the answer; where no handler was asked, it comes as everywhere."""
    refusal = _refusal(status)
    content = {route.media_type.partition(";")[0]: {}, **_forms(_schema_of(status))}
    return {**refusal, "content": content}


def _success(route: Route, status: int) -> Json:
    if status in (301, 302, 303, 307, 308):
        return {"description": "Where it is.", "headers": _links("Location", *_RATES)}
    names = [*_RATES, *(["Link"] if route.paged else [])]
    own = {name: {"description": text, "schema": {"type": "string"}} for name, text in route.headers.items()}
    content: Json
    if route.binary:
        kind = route.media_type.partition(";")[0]
        content = {kind: {"schema": dict(route.answer)} if kind.endswith("json") and route.answer else {}}
    else:
        content = _forms(route.answer)
    return {"description": "Good.", "headers": {**_links(*names), **own}, "content": content}


def _forms(schema: Schema) -> Json:
    return {
        "application/json": {"schema": dict(schema)},
        "application/yaml": {"schema": dict(schema)},
        "text/html": {"schema": {"type": "string"}},
    }


def _refusal(status: int) -> Json:
    _, description, _ = REFUSALS[status]
    headers = (*_RATES, *(("Retry-After",) if status == 503 else ()))
    return {"description": description, "headers": _links(*headers), "content": _forms(_schema_of(status))}


def _schema_of(status: int) -> Schema:
    names = REFUSALS[status][2]
    return ref(names[0]) if len(names) == 1 else {"anyOf": [ref(name) for name in names]}


def _links(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _headers() -> Json:
    number = {"type": "integer", "minimum": 0}
    text = {"type": "string"}
    return {
        **{name: {"description": told, "schema": number} for name, told in _RATES.items()},
        "Link": {
            "description": 'The next page (rel="next") and the one before (rel="previous").',
            "schema": text,
        },
        "Location": {"description": "The other address.", "required": True, "schema": text},
        "Retry-After": {"description": "Seconds.", "schema": number},
    }
