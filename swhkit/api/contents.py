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
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import TEXT, mapping, ref, said


def content(call: Call) -> Data:
    """Digests, length and status of a content.

    A content is what a file holds, without its name. It is found by any of its four digests; links in the answer use
    the digest that was asked for. ``status`` is ``visible`` where the bytes are held and ``absent`` where they are
    not, because they were too large, say.
    """
    algorithm, digest = content_hash(call.parameters["q"])
    return Data(shapes.content(call.links, query.content(call.archive, algorithm, digest), algorithm))


def raw(call: Call) -> Blob:
    """The bytes of a content.

    They come as a file to be saved, whatever they are. A content that is known but whose bytes are not held gives 404.
    """
    q = call.parameters["q"]
    algorithm, digest = content_hash(q)
    name = file_name(call.query, f"content_{q.replace(':', '_')}_raw")
    row, pieces = query.content_bytes(call.archive, algorithm, digest)
    return Blob(row.length, pieces, attachment(name), row.sha1_git.hex())


def known(call: Call) -> Data:
    """Which contents are held, by their sha1s.

    The answer tells of each sha1 whether it was found, in the order that was asked, and how many of a hundred were.
    """
    texts = [text for text in call.parameters["hashes"].split(",") if text]
    return Data(_search(call, [(None, text) for text in texts]))


def known_search(call: Call) -> Data:
    """Which contents are held, by file names and sha1s.

    The body is a form or a JSON object. The key ``q`` has one sha1; any other key is a file name, its value the sha1
    of that file. Empty values are left out.
    """
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


_CATEGORY = "Content"
_NAME = Parameter(
    "filename",
    "The name under which the file is saved; what stands before its last slash is dropped.",
    {"type": "string", "minLength": 1, "maxLength": 255},
)
ROUTES = (
    Route(
        "content-known-search",
        "content/known/search/",
        known_search,
        methods=("POST",),
        category=_CATEGORY,
        answer=ref("KnownContents"),
        body=said(
            mapping(TEXT, examples=[{"README": "f572d396fae9206628714fb2ce00f72e94f2258f"}]),
            "File names and sha1s.",
        ),
        refusals=(400,),
    ),
    Route(
        "content-known",
        "content/known/{hashes:hashes}/",
        known,
        category=_CATEGORY,
        answer=ref("KnownContents"),
        refusals=(400,),
    ),
    Route("content", "content/{q:content}/", content, category=_CATEGORY, answer=ref("Content")),
    Route("content-raw", "content/{q:content}/raw/", raw, binary=True, category=_CATEGORY, query=(_NAME,)),
)
