"""``content/``: metadata by any digest, bytes, and which sha1s are known."""

from __future__ import annotations

from collections.abc import Sequence

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Blob, Data
from swhkit.api.bodies import parsed
from swhkit.api.calls import Call
from swhkit.api.errors import BadInput
from swhkit.api.paging import attachment
from swhkit.api.parameters import content_hash, file_name
from swhkit.api.routing import Route


def content(call: Call) -> Data:
    """Digests, length and status of a content."""
    algorithm, digest = content_hash(call.parameters["q"])
    return Data(shapes.content(call.links, query.content(call.archive, algorithm, digest), algorithm))


def raw(call: Call) -> Blob:
    """The bytes of a content."""
    q = call.parameters["q"]
    algorithm, digest = content_hash(q)
    name = file_name(call.query, f"content_{q.replace(':', '_')}_raw")
    row, pieces = query.content_bytes(call.archive, algorithm, digest)
    return Blob(row.length, pieces, attachment(name))


def known(call: Call) -> Data:
    """Whether contents are held, by a list of sha1s in the path."""
    texts = [text for text in call.parameters["hashes"].split(",") if text]
    return Data(_search(call, [(None, text) for text in texts]))


def known_search(call: Call) -> Data:
    """Whether contents are held, by file names and sha1s in a form or JSON object."""
    fields = parsed(call.body)
    if not isinstance(fields, dict):
        raise BadInput("The body must be an object of file names and sha1s.")
    asked = [(None if name == "q" else name, sha1) for name, sha1 in fields.items() if sha1]
    return Data(_search(call, asked))


def _search(call: Call, asked: Sequence[tuple[str | None, object]]) -> dict[str, object]:
    if not asked:
        return {"search_res": None, "search_stats": {"nbfiles": 0, "pct": 0}}
    digests = [_sha1(text) for _, text in asked]
    held = query.held_sha1s(call.archive, set(digests))
    results = [
        {
            "sha1": digest.hex(),
            "found": digest in held,
            **({} if name is None else {"filename": name}),
        }
        for (name, _), digest in zip(asked, digests, strict=True)
    ]
    found = sum(digest in held for digest in digests)
    return {
        "search_res": results,
        "search_stats": {"nbfiles": len(results), "pct": 100 * found // len(results)},
    }


def _sha1(text: object) -> bytes:
    try:
        algorithm, digest = content_hash(str(text).lower()) if isinstance(text, str) else ("", b"")
    except BadInput:
        algorithm, digest = "", b""
    if algorithm != "sha1":
        raise BadInput(f"Invalid checksum query string {text}")
    return digest


ROUTES = (
    Route("content-known-search", "content/known/search/", known_search, methods=("POST",)),
    Route("content-known", "content/known/{hashes:hashes}/", known),
    Route("content", "content/{q:content}/", content),
    Route("content-raw", "content/{q:content}/raw/", raw, binary=True),
)
